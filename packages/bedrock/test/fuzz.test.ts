// Damaged streams with quotas: whatever they hold, no call ends in a defect and the books stay in order. A few seconds of what
// `pnpm fuzz --bedrock` does for minutes.
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { sweep } from "../../client/test/fuzz.ts"
import { Draw } from "../../client/test/mutants.ts"
import { connect } from "./fuzzed.ts"

const count = 400

it.live(`${count} damaged streams leave the books in order`, () =>
  Effect.gen(function*() {
    // What property runs draw from, too: the run prints it first.
    const from = new Draw(Number.parseInt(process.env["PROPERTY_SEED"] ?? "0", 10)).below(2 ** 31)
    const { findings, outcomes } = yield* sweep(Array.from({ length: count }, (_, i) => from + i), 2, connect)
    assert.deepStrictEqual(
      findings.map(({ problem, seed, story }) =>
        `pnpm fuzz 1 --bedrock --from ${seed}: ${problem} (${story.join("; ")})`
      ),
      []
    )
    assert.isAbove(outcomes.get("success") ?? 0, count / 10)
  }))
