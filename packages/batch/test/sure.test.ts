import * as BatchError from "@caprock/batch/BatchError"
import * as ObjectStore from "@caprock/batch/ObjectStore"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as lease from "../src/internal/lease.ts"
import type { Place } from "../src/internal/place.ts"

const millis = 30_000

interface World {
  readonly wire: { isCut: boolean }
  readonly mine: Place
  readonly others: Place
}

/** A bucket in memory, and one process's way to it, which can be cut. At the end it is whole: who gives a lease back waits, and no clock goes on. */
const within = <A, E, R>(test: (world: World) => Effect.Effect<A, E, R>) => {
  const store = ObjectStore.makeMemory()
  const wire = { isCut: false }
  const cut = (operation: string, key: string) =>
    new BatchError.StoreFailed({ operation, key, kind: "unavailable", problem: "cut" })
  const over = <A>(operation: string, key: string, effect: Effect.Effect<A, BatchError.StoreFailed>) =>
    Effect.suspend(() => wire.isCut ? Effect.fail(cut(operation, key)) : effect)
  const mine: Place = {
    prefix: "caprock/nightly/",
    store: {
      ...store,
      read: (key) => over("read", key, store.read(key)),
      put: (key, bytes, when) => over("put", key, store.put(key, bytes, when))
    }
  }
  const whole = Effect.sync(() => {
    wire.isCut = false
  })
  return Effect.ensuring(test({ wire, mine, others: { ...mine, store } }), whole)
}

/** Whether it ends at once. */
const isSure = ({ sure }: lease.Lease) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(sure)
    yield* Effect.yieldNow
    const isDone = fiber.pollUnsafe() !== undefined
    return isDone
  })

describe("the holder of a lease", () => {
  it.effect("is sure of it while it is renewed, and not for longer than others wait", () =>
    within(Effect.fnUntraced(function*({ mine, wire }) {
      const held = yield* lease.take(mine, { millis, patient: false })
      assert.isTrue(yield* isSure(held))
      yield* TestClock.adjust("10 minutes")
      assert.isTrue(yield* isSure(held))
      wire.isCut = true
      yield* TestClock.adjust("15 seconds")
      assert.isTrue(yield* isSure(held))
      yield* TestClock.adjust("15 seconds")
      assert.isFalse(yield* isSure(held))
      yield* TestClock.adjust("10 minutes")
      assert.isFalse(yield* isSure(held))
      wire.isCut = false
      yield* TestClock.adjust("30 seconds")
      assert.isTrue(yield* isSure(held))
    })))

  it.effect.prop(
    "is not sure any more when somebody else has it, whenever its way to the bucket was cut",
    [Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 120_000 }))],
    ([at]) =>
      within(Effect.fnUntraced(function*({ mine, others, wire }) {
        const held = yield* lease.take(mine, { millis, patient: false })
        yield* TestClock.adjust(at)
        wire.isCut = true
        const scope = yield* Scope.make()
        const taken = yield* Effect.forkChild(
          Scope.provide(lease.take(others, { millis, patient: true }), scope)
        )
        while (taken.pollUnsafe() === undefined) yield* TestClock.adjust("1 second")
        assert.isFalse(yield* isSure(held))
        // Nor ever again.
        wire.isCut = false
        yield* TestClock.adjust("10 minutes")
        assert.isFalse(yield* isSure(held))
      }))
  )
})
