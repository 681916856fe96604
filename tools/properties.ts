// Set-up of every test file: what property runs draw from.
//
// All of one run draw from one seed, new for each run, which the run prints first. A property that fails prints its input, shrunk, and the
// command that draws the same again, in each test by itself, so that `-t <name>` narrows it. It also prints `Replay: <token>`: with
// `{ arbitrary: { replay: "<token>" } }` as the last argument of that `it.effect.prop` it runs that input alone. A token is of one release
// of Effect; what stays in the repository is the input, as a test of its own.
import * as Arbitrary from "effect/Arbitrary"
import { beforeEach } from "vitest"

const seed = process.env["PROPERTY_SEED"]

Arbitrary.configureGlobal({ check: { seed } })

beforeEach(({ onTestFailed, task: { file } }) => {
  onTestFailed(({ task }) => {
    for (const error of task.result?.errors ?? []) {
      if (!error.message.startsWith("Property falsified")) continue
      error.message += `\nAgain: PROPERTY_SEED=${seed} pnpm test --project ${file.projectName} ${file.name}`
    }
  })
})
