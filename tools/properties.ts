// Set-up of every test file: what property runs draw from.
//
// All of one run draw from one seed, new for each run, which the run prints first. `PROPERTY_SEED=<seed> pnpm test` draws the same again,
// in each test by itself, so that `-t <name>` narrows it. A property that fails also prints its input, shrunk, and `Replay: <token>`: with
// `{ arbitrary: { replay: "<token>" } }` as the last argument of that `it.effect.prop` it runs that input alone. A token is of one release
// of Effect; what stays in the repository is the input, as a test of its own.
import * as Arbitrary from "effect/Arbitrary"

Arbitrary.configureGlobal({ check: { seed: process.env["PROPERTY_SEED"] } })
