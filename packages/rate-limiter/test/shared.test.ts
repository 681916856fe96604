// One quota, several processes: here several limiters with one store, in virtual time.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { chaos, Fault, limiterOn, processes } from "./chaos.ts"
import * as FaultyStore from "./faultyStore.ts"
import { between, Call, Quota, send, senderOf, window } from "./sending.ts"

const calls = Schema.Array(Call).check(Schema.isMaxLength(30))

describe("never over, in all processes together", () => {
  it.effect.prop(
    "no server refuses what was admitted",
    [calls, Quota, between(0, window - 1)],
    ([calls, quota, phase]) =>
      Effect.gen(function*() {
        const { links } = yield* FaultyStore.make(processes)
        const senders = yield* Effect.forEach(links, (link) => Effect.map(limiterOn(link, quota, "fail"), senderOf))
        const { answered, refusals, waiting } = yield* send(calls, quota, [0, phase], senders)
        assert.deepStrictEqual(refusals, [])
        assert.strictEqual(waiting, 0)
        assert.isAtLeast(answered, calls.filter((call) => call.interruptAfter === null).length)
      }).pipe(Effect.scoped),
    { arbitrary: { runs: 150 } }
  )

  it.effect.prop(
    "nor when processes die, links are cut, answers are lost, and the store is away, emptied or rolled back",
    [calls, Quota, Schema.Array(Fault).check(Schema.isMaxLength(6)), Schema.Literals(["fail", "wait", "share"])],
    ([calls, quota, plan, onLoss]) =>
      Effect.map(chaos(calls, quota, plan, onLoss), (refusals) => assert.deepStrictEqual(refusals, [])),
    { arbitrary: { runs: 300 } }
  )
})
