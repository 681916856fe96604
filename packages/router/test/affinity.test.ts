import { Meter } from "@caprock/rate-limiter"
import type { Decision } from "@caprock/router"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Affinity } from "../src/internal/affinity.ts"
import { accountOf, rig, type RigOptions, run, sending, world } from "./rig.ts"

const of = (key: string, millis = 300_000): Decision.Prefix => ({ key, millis })

describe("Affinity", () => {
  it("knows which target has a prefix, until its time is over", () => {
    const affinity = new Affinity(10)
    assert.strictEqual(affinity.warm([of("p")], 0, 0), 0)
    affinity.touch([of("p")], 0, 7)
    assert.strictEqual(affinity.warm([of("p")], 0, 300_006), 1)
    assert.strictEqual(affinity.warm([of("p")], 0, 300_007), 0)
    assert.strictEqual(affinity.warm([of("p")], 1, 8), 0)
    assert.strictEqual(affinity.warm([of("q")], 0, 8), 0)
    assert.strictEqual(affinity.warm([], 0, 8), 0)
  })

  it("knows of several that have it, each with a time of its own", () => {
    const affinity = new Affinity(10)
    affinity.touch([of("p")], 0, 0)
    affinity.touch([of("p", 3_600_000)], 1, 0)
    const at = (now: number) => [0, 1].map((index) => affinity.warm([of("p")], index, now))
    assert.deepStrictEqual(at(1), [1, 1])
    assert.deepStrictEqual(at(300_000), [0, 1])
  })

  it("begins the time anew with each use, and ends it never sooner", () => {
    const affinity = new Affinity(10)
    affinity.touch([of("p", 3_600_000)], 0, 0)
    affinity.touch([of("p")], 0, 100_000)
    assert.strictEqual(affinity.warm([of("p")], 0, 3_599_999), 1)
    affinity.touch([of("p", 3_600_000)], 0, 3_600_000)
    assert.strictEqual(affinity.warm([of("p")], 0, 7_199_999), 1)
  })

  it("tells by the longest that is there how much is: each has a time of its own, and the longer has the shorter in it", () => {
    const affinity = new Affinity(10)
    affinity.touch([of("s", 3_600_000), of("st")], 0, 0)
    assert.strictEqual(affinity.warm([of("s"), of("st"), of("stu")], 0, 1), 2)
    assert.strictEqual(affinity.warm([of("s"), of("st"), of("stu")], 0, 300_000), 1)
    affinity.touch([of("stu")], 1, 0)
    assert.strictEqual(affinity.warm([of("s"), of("st"), of("stu")], 1, 1), 3)
  })

  it("keeps those that were sent last", () => {
    const affinity = new Affinity(2)
    for (const keys of ["p", "q", "p", "r"]) affinity.touch([of(keys)], 0, 0)
    assert.strictEqual(affinity.size, 2)
    assert.deepStrictEqual(["p", "q", "r"].map((key) => affinity.warm([of(key)], 0, 1)), [1, 0, 1])
    // What is only looked for takes no place.
    affinity.touch([of("x", 0), of("y", 0)], 0, 0)
    assert.deepStrictEqual(["p", "r"].map((key) => affinity.warm([of(key)], 0, 1)), [1, 1])
    affinity.touch([of("s"), of("t"), of("u")], 0, 0)
    assert.strictEqual(affinity.size, 2)
    assert.deepStrictEqual(["s", "t", "u"].map((key) => affinity.warm([of(key)], 0, 1)), [0, 1, 1])
  })

  it.effect.prop(
    "has what a list of all that was sent has, as long as there is room",
    [Schema.Array(Schema.Struct({
      keys: Schema.Array(Schema.Literals(["p", "q", "r"])).check(Schema.isMaxLength(3)),
      index: Schema.Literals([0, 1, 2]),
      millis: Schema.Literals([5, 50]),
      pause: Schema.Literals([0, 1, 7, 30])
    }))],
    ([uses]) =>
      Effect.sync(() => {
        const affinity = new Affinity(3)
        const sent: Array<{ readonly key: string; readonly index: number; readonly until: number }> = []
        let now = 1
        for (const { index, keys, millis, pause } of uses) {
          now += pause
          affinity.touch(keys.map((key) => of(key, millis)), index, now)
          for (const key of keys) sent.push({ key, index, until: now + millis })
          for (const index of [0, 1, 2]) {
            const has = (key: string) => sent.some((one) => one.key === key && one.index === index && one.until > now)
            for (const asked of [["p"], ["q"], ["r"], ["p", "q"], ["r", "q", "p"]]) {
              assert.strictEqual(
                affinity.warm(asked.map((key) => of(key)), index, now),
                asked.reduce((most, key, at) => has(key) ? at + 1 : most, 0)
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
    prefixes: [of("p")],
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
      assert.strictEqual(yield* targetOf(ask({ prefixes: [of("q")] })), "b")
      assert.strictEqual(yield* targetOf(ask({ prefixes: undefined })), "b")
      yield* TestClock.adjust("299 seconds")
      assert.strictEqual(yield* targetOf(ask()), "a")
      yield* TestClock.adjust("299 seconds")
      assert.strictEqual(yield* targetOf(ask()), "a")
    }).pipe(Effect.provide(rig(options))))

  it.effect("go to who has the most room when the time of the cache is over", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* targetOf(ask()), "a")
      yield* TestClock.adjust("5 minutes")
      assert.strictEqual(yield* targetOf(ask({ prefixes: [of("q")] })), "a")
      assert.strictEqual(yield* targetOf(ask()), "b")
    }).pipe(Effect.provide(rig(options))))

  it.effect("have an hour where the cache keeps them for an hour", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* targetOf(ask({ prefixes: [of("p", 3_600_000)] })), "a")
      yield* TestClock.adjust("59 minutes")
      assert.strictEqual(yield* targetOf(ask({ prefixes: [of("q")] })), "a")
      assert.strictEqual(yield* targetOf(ask()), "a")
    }).pipe(Effect.provide(rig(options))))

  it.effect("stay with it while they grow, though a mark moves with their end, and apart from others of the same system prompt", () =>
    Effect.gen(function*() {
      const turns = (name: string, most: number) =>
        ask({ prefixes: [of("system"), ...Array.from({ length: most }, (_, turn) => of(`${name}${turn}`))] })
      assert.strictEqual(yield* targetOf(turns("x", 1)), "a")
      // A new one has the system prompt at a alone: it goes there too, until a makes wait longer than the route's patience.
      for (let call = 0; call < 9; call++) assert.strictEqual(yield* targetOf(turns("y", 1)), "a")
      assert.strictEqual(yield* targetOf(turns("z", 1)), "b")
      yield* TestClock.adjust("61 seconds")
      for (let most = 2; most < 6; most++) {
        assert.strictEqual(yield* targetOf(turns("x", most)), "a")
        assert.strictEqual(yield* targetOf(turns("z", most)), "b")
      }
    }).pipe(Effect.provide(rig(options))))

  it.effect("stay with it while they grow, where only their end is marked: what was marked a turn ago is looked for", () =>
    Effect.gen(function*() {
      const turn = (name: string, most: number) =>
        ask({
          prefixes: Array.from({ length: most }, (_, turn) => of(`${name}${turn}`, turn === most - 1 ? 300_000 : 0))
        })
      assert.strictEqual(yield* targetOf(turn("x", 1)), "a")
      assert.strictEqual(yield* targetOf(turn("z", 1)), "b")
      for (let most = 2; most < 6; most++) {
        assert.strictEqual(yield* targetOf(turn("z", most)), "b")
        assert.strictEqual(yield* targetOf(turn("x", most)), "a")
      }
      // What was looked for and never marked is in no cache.
      yield* targetOf(ask({ prefixes: [of("w", 0), of("w1")] }))
      assert.strictEqual(yield* targetOf(ask({ prefixes: [of("w")] })), "b")
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
          const target = yield* targetOf(ask({ prefixes: withPrefix ? [of(prefix)] : undefined }))
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
