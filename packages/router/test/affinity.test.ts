import { Meter } from "@caprock/rate-limiter"
import type { Decision } from "@caprock/router"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Affinity } from "../src/internal/affinity.ts"
import { accountOf, rig, type RigOptions, run, sending, world } from "./rig.ts"

describe("Affinity", () => {
  it("knows which target has a prefix, until its time is over", () => {
    const affinity = new Affinity(10)
    assert.isFalse(affinity.warm("p", 0, 0))
    affinity.touch("p", 0, 300_000)
    assert.isTrue(affinity.warm("p", 0, 299_999))
    assert.isFalse(affinity.warm("p", 0, 300_000))
    assert.isFalse(affinity.warm("p", 1, 1))
    assert.isFalse(affinity.warm("q", 0, 1))
  })

  it("knows of several that have it, each with a time of its own", () => {
    const affinity = new Affinity(10)
    affinity.touch("p", 0, 300_000)
    affinity.touch("p", 1, 3_600_000)
    assert.isTrue(affinity.warm("p", 0, 1) && affinity.warm("p", 1, 1))
    assert.isFalse(affinity.warm("p", 0, 300_000))
    assert.isTrue(affinity.warm("p", 1, 300_000))
  })

  it("begins the time anew with each use, and ends it never sooner", () => {
    const affinity = new Affinity(10)
    affinity.touch("p", 0, 3_600_000)
    affinity.touch("p", 0, 400_000)
    assert.isTrue(affinity.warm("p", 0, 3_599_999))
    affinity.touch("p", 0, 7_200_000)
    assert.isTrue(affinity.warm("p", 0, 7_199_999))
  })

  it("keeps those that were sent last", () => {
    const affinity = new Affinity(2)
    affinity.touch("p", 0, 9)
    affinity.touch("q", 0, 9)
    affinity.touch("p", 0, 9)
    affinity.touch("r", 0, 9)
    assert.strictEqual(affinity.size, 2)
    assert.deepStrictEqual(["p", "q", "r"].map((prefix) => affinity.warm(prefix, 0, 1)), [true, false, true])
  })

  it.effect.prop(
    "has what a list of all that was sent has, as long as there is room",
    [Schema.Array(Schema.Struct({
      prefix: Schema.Literals(["p", "q", "r"]),
      index: Schema.Literals([0, 1, 2]),
      ttl: Schema.Literals([5, 50]),
      pause: Schema.Literals([0, 1, 7, 30])
    }))],
    ([uses]) =>
      Effect.sync(() => {
        const affinity = new Affinity(3)
        const sent: Array<{ readonly prefix: string; readonly index: number; readonly until: number }> = []
        let now = 1
        for (const { index, pause, prefix, ttl } of uses) {
          now += pause
          affinity.touch(prefix, index, now + ttl)
          sent.push({ prefix, index, until: now + ttl })
          for (const prefix of ["p", "q", "r"]) {
            for (const index of [0, 1, 2]) {
              assert.strictEqual(
                affinity.warm(prefix, index, now),
                sent.some((one) => one.prefix === prefix && one.index === index && one.until > now)
              )
            }
          }
        }
      }),
    { arbitrary: { runs: 200 } }
  )
})

describe("calls with a prompt that caches have", () => {
  const ask = (more: Partial<Decision.Ask> = {}): Decision.Ask => ({
    input: 50,
    output: 50,
    needs: [],
    leftMillis: Infinity,
    prefix: "p",
    ...more
  })
  const options: RigOptions = {
    targets: { a: {}, b: {} },
    routes: { chat: { policy: { headroom: ["a", "b"] } } },
    // Each has room for ten of these calls in a minute.
    meters: () => [Meter.tokens(1_000)]
  }
  const targetOf = Effect.fnUntraced(function*(asked: Decision.Ask) {
    return accountOf(yield* run("chat", sending(world(() => ({ took: 0 })), 0, { ask: asked })))?.target
  })

  it.effect("stay with the target that answered, though the other has more room, for 5 minutes from the last", () =>
    Effect.gen(function*() {
      for (let call = 0; call < 5; call++) assert.strictEqual(yield* targetOf(ask()), "a")
      assert.strictEqual(yield* targetOf(ask({ prefix: "q" })), "b")
      assert.strictEqual(yield* targetOf(ask({ prefix: undefined })), "b")
      yield* TestClock.adjust("299 seconds")
      assert.strictEqual(yield* targetOf(ask()), "a")
      yield* TestClock.adjust("299 seconds")
      assert.strictEqual(yield* targetOf(ask()), "a")
    }).pipe(Effect.provide(rig(options))))

  it.effect("go to who has the most room when the time of the cache is over", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* targetOf(ask()), "a")
      yield* TestClock.adjust("5 minutes")
      assert.strictEqual(yield* targetOf(ask({ prefix: "q" })), "a")
      assert.strictEqual(yield* targetOf(ask()), "b")
    }).pipe(Effect.provide(rig(options))))

  it.effect("have an hour where the cache keeps them for an hour", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* targetOf(ask({ prefixMillis: 3_600_000 })), "a")
      yield* TestClock.adjust("59 minutes")
      assert.strictEqual(yield* targetOf(ask({ prefix: "q" })), "a")
      assert.strictEqual(yield* targetOf(ask()), "a")
    }).pipe(Effect.provide(rig(options))))

  it.effect("go elsewhere as soon as the wait is longer than the route's patience with it", () =>
    Effect.gen(function*() {
      for (let call = 0; call < 10; call++) assert.strictEqual(yield* targetOf(ask()), "a")
      assert.strictEqual(yield* targetOf(ask()), "b")
    }).pipe(Effect.provide(rig(options))))

  it.effect("find every prompt in a cache but for its first time; without affinity, but for the first time at each target", () => {
    // Thirty prompts, each asked eight times, by turns that no target knows of.
    const hits = (withPrefix: boolean) =>
      Effect.gen(function*() {
        const had = new Set<string>()
        let hit = 0
        for (let call = 0; call < 240; call++) {
          const prefix = `p${(call * 7) % 30}`
          const target = yield* targetOf(ask(withPrefix ? { prefix } : { prefix: undefined }))
          if (had.has(`${prefix} ${target}`)) hit++
          had.add(`${prefix} ${target}`)
        }
        return hit / 240
      }).pipe(Effect.provide(rig({
        ...options,
        meters: () => [Meter.tokens(1_000_000)],
        routes: { chat: { policy: { headroom: ["a", "b", "c", "d"] } } },
        targets: { a: {}, b: {}, c: {}, d: {} }
      })))
    return Effect.gen(function*() {
      const warm = yield* hits(true)
      const cold = yield* hits(false)
      assert.strictEqual(warm, 7 / 8)
      assert.isAtMost(cold, 6 / 8)
    })
  })
})
