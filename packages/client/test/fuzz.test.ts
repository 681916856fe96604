// A few seconds of what `pnpm fuzz` does for minutes.
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { sweep } from "./fuzz.ts"
import { Draw } from "./mutants.ts"

const count = 1_000

it.live(`${count} damaged streams: each ends in time, whole or with the error that fits, and leaves nothing behind`, () =>
  Effect.gen(function*() {
    // What property runs draw from, too: the run prints it first.
    const from = new Draw(Number.parseInt(process.env["PROPERTY_SEED"] ?? "0", 10)).below(2 ** 31)
    const before = Object.getOwnPropertyNames(Object.prototype)
    const { findings, outcomes } = yield* sweep(Array.from({ length: count }, (_, i) => from + i), 4)
    assert.deepStrictEqual(
      findings.map(({ problem, seed, story }) => `pnpm fuzz 1 --from ${seed}: ${problem} (${story.join("; ")})`),
      []
    )
    assert.isAbove(outcomes.get("success") ?? 0, count / 10)
    assert.isAbove(outcomes.size, 10)
    assert.deepStrictEqual(Object.getOwnPropertyNames(Object.prototype), before)
  }))
