// Seconds of what `pnpm fuzz` does for minutes, always with the same streams.
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { numbers, sweep, told } from "./fuzz.ts"

const count = 500

it.live(`${count} damaged streams: each ends in time, whole or with the error that fits, and leaves nothing behind`, () =>
  Effect.gen(function*() {
    const before = Object.getOwnPropertyNames(Object.prototype)
    const { findings, outcomes } = yield* sweep(numbers(count), 4)
    assert.deepStrictEqual(told(findings), [])
    assert.isAbove(outcomes.get("success") ?? 0, count / 10)
    assert.isAbove(outcomes.size, 10)
    assert.deepStrictEqual(Object.getOwnPropertyNames(Object.prototype), before)
  }))
