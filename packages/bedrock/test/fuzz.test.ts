// Damaged streams with quotas: whatever they hold, no call ends in a defect and the books stay in order. Seconds of what
// `pnpm fuzz --bedrock` does for minutes, always with the same streams.
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { numbers, sweep, told } from "../../client/test/fuzz.ts"
import { connect } from "./fuzzed.ts"

const count = 300

it.live(`${count} damaged streams leave the books in order`, () =>
  Effect.gen(function*() {
    const { findings, outcomes } = yield* sweep(numbers(count), 2, connect)
    assert.deepStrictEqual(told(findings, "--bedrock "), [])
    assert.isAbove(outcomes.get("success") ?? 0, count / 10)
  }))
