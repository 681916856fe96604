import { Meter, type Order, type Priority, RateLimiter } from "@caprock/rate-limiter"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Schema } from "effect"
import { TestClock } from "effect/testing"
import { NaiveLedger } from "./naive.ts"

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const pool = "pool"

interface Asked {
  readonly at: number
  readonly tokens: number
  readonly requests?: number | undefined
  readonly priority?: Priority.Priority | undefined
  readonly tenant?: string | undefined
}

/** When each is admitted, in milliseconds; `undefined` when never within `until`. What is admitted is sent at once, and charged as booked. */
const admissions = Effect.fnUntraced(function*(
  asked: ReadonlyArray<Asked>,
  meters: ReadonlyArray<Meter.Meter>,
  until: number,
  order?: Order.Options
) {
  const admitted: Array<number | undefined> = asked.map(() => undefined)
  yield* Effect.gen(function*() {
    const limiter = yield* RateLimiter.RateLimiter
    const one = ({ at, priority, requests = 1, tenant, tokens }: Asked, index: number) =>
      Effect.gen(function*() {
        yield* Effect.sleep(at)
        yield* limiter.limit({ pool, requests, tokens, priority, tenant })(
          Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.sync(() => admitted[index] = now))
        )
      })
    yield* Effect.forkChild(Effect.forEach(asked, one, { concurrency: "unbounded" }))
    for (let now = 0; now < until; now += until / 100) yield* TestClock.adjust(until / 100)
  }).pipe(Effect.provide(RateLimiter.layer({ meters: () => meters, guard: 0, order })))
  return admitted
})

const orderOf = (admitted: ReadonlyArray<number | undefined>): ReadonlyArray<number> =>
  admitted.flatMap((at, index) => at === undefined ? [] : [{ at, index }])
    .toSorted((a, b) => a.at - b.at || a.index - b.index)
    .map(({ index }) => index)

/** The same first come, first served, by a step for each millisecond. */
const firstCome = (asked: ReadonlyArray<Asked>, meters: ReadonlyArray<Meter.Meter>, until: number) => {
  const ledger = new NaiveLedger(meters, 0)
  const admitted: Array<number | undefined> = asked.map(() => undefined)
  let next = 0
  for (let now = 0; now < until; now++) {
    for (let one = asked[next]; one !== undefined && one.at <= now; one = asked[++next]) {
      const { requests = 1, tokens } = one
      if (!ledger.fits(requests, tokens, now)) break
      ledger.book(requests, tokens).stamp = now
      admitted[next] = now
    }
  }
  return admitted
}

const second = Duration.seconds(1)

describe("order", () => {
  it.effect("higher priorities go first", () =>
    Effect.gen(function*() {
      const asked: ReadonlyArray<Asked> = [
        { at: 0, tokens: 10 },
        { at: 1, tokens: 10, priority: "bulk" },
        { at: 2, tokens: 10, priority: 7 },
        { at: 3, tokens: 10 },
        { at: 4, tokens: 10, priority: "interactive" }
      ]
      const admitted = yield* admissions(asked, [Meter.tokens(10, second)], 10_000)
      assert.deepStrictEqual(orderOf(admitted), [0, 2, 4, 3, 1])
    }))

  it.effect("a lower class gets a turn each time it has aged", () =>
    Effect.gen(function*() {
      const urgent = Array.from(
        { length: 100 },
        (_, n): Asked => ({ at: n * 500, tokens: 10, priority: "interactive" })
      )
      const bulk = Array.from({ length: 3 }, (): Asked => ({ at: 1, tokens: 10, priority: "bulk" }))
      const admitted = yield* admissions([...urgent, ...bulk], [Meter.tokens(10, second)], 60_000, {
        ageing: "5 seconds"
      })
      // Two below, so the next of them has waited 10 seconds longer than the last urgent one, who was served a second ago.
      assert.deepStrictEqual(admitted.slice(100), [12_000, 23_000, 34_000])
    }))

  it.effect("tenants share by weight, and each is served first come", () =>
    Effect.gen(function*() {
      const asked = Array.from({ length: 30 }, (_, n): Asked => ({ at: 0, tokens: 10, tenant: n < 15 ? "a" : "b" }))
      const admitted = yield* admissions(asked, [Meter.tokens(10, second)], 12_000, {
        weight: (tenant) => tenant === "b" ? 2 : 1
      })
      const order = orderOf(admitted)
      assert.deepStrictEqual(order.filter((n) => n < 15), order.filter((n) => n < 15).toSorted((a, b) => a - b))
      const ofB = order.slice(1, 10).filter((n) => n >= 15).length
      assert.strictEqual(ofB, 6)
    }))

  it.effect("small ones pass a large one that they do not delay", () =>
    Effect.gen(function*() {
      const asked: ReadonlyArray<Asked> = [
        { at: 0, tokens: 60 },
        { at: 100, tokens: 30 },
        // Starts at 1000, and leaves 20 then.
        { at: 200, tokens: 50 },
        { at: 201, tokens: 10 },
        { at: 202, tokens: 15 }
      ]
      const admitted = yield* admissions(asked, [Meter.tokens(100, second)], 5_000)
      assert.deepStrictEqual(admitted, [0, 100, 1000, 201, 1100])
    }))

  // 20 leave at 1000, 50 at 1100 and 30 at 1200.
  const full: ReadonlyArray<Asked> = [{ at: 0, tokens: 20 }, { at: 100, tokens: 50 }, { at: 200, tokens: 30 }]

  it.effect("several who pass in one instant take no more together than one may", () =>
    Effect.gen(function*() {
      // Starts at 1100, and leaves 10 then.
      const large = { at: 300, tokens: 60 }
      const asked = [...full, large, { at: 301, tokens: 8 }, { at: 302, tokens: 8 }, { at: 303, tokens: 2 }]
      const admitted = yield* admissions(asked, [Meter.tokens(100, second)], 5_000)
      assert.deepStrictEqual(admitted, [0, 100, 200, 1100, 1000, 1200, 1000])
    }))

  it.effect("who passes delays neither the first who waits nor the second", () =>
    Effect.gen(function*() {
      // The first leaves 10 when it starts at 1100, and both of them 4 when the second does at 1200.
      const asked = [...full, { at: 300, tokens: 60 }, { at: 301, tokens: 36 }, { at: 302, tokens: 8 }]
      const admitted = yield* admissions(asked, [Meter.tokens(100, second)], 5_000)
      assert.deepStrictEqual(admitted, [0, 100, 200, 1100, 1200, 2100])
    }))

  it.effect("who takes no more than both of them leave goes as soon as there is room", () =>
    Effect.gen(function*() {
      const asked = [...full, { at: 300, tokens: 60 }, { at: 301, tokens: 36 }, { at: 302, tokens: 4 }]
      const admitted = yield* admissions(asked, [Meter.tokens(100, second)], 5_000)
      assert.deepStrictEqual(admitted, [0, 100, 200, 1100, 1200, 1000])
    }))

  it.effect("the same holds on every meter", () =>
    Effect.gen(function*() {
      const { waited } = yield* Effect.gen(function*() {
        const limiter = yield* RateLimiter.make({ meters: () => [Meter.units("images", 100, second)], guard: 0 })
        const waited: Array<number | undefined> = []
        const one = ({ at, tokens }: Asked, index: number) =>
          Effect.sleep(at).pipe(
            Effect.andThen(
              limiter.limit({ pool, requests: 1, tokens: 0, units: { images: tokens } })(
                Effect.map(Clock.currentTimeMillis, (now) => waited[index] = now)
              )
            ),
            Effect.forkChild
          )
        yield* Effect.forEach([...full, { at: 300, tokens: 60 }, { at: 301, tokens: 36 }, { at: 302, tokens: 8 }], one)
        yield* TestClock.adjust("5 seconds")
        return { waited }
      })
      assert.deepStrictEqual(waited, [0, 100, 200, 1100, 1200, 2100])
    }))

  const Request = Schema.Struct({
    // Many come at once, and most are small.
    after: between(-100, 60),
    tokens: Schema.Union([between(1, 20), between(1, 40), between(40, 100)]),
    requests: between(0, 3)
  })

  it.effect.prop(
    "nobody starts later than first come, first served, though others pass",
    {
      script: Schema.Array(Request).check(Schema.isBetweenLength(1, 40)),
      requests: between(4, 60),
      tokens: between(100, 160),
      burst: Schema.NullOr(between(100, 140))
    },
    ({ burst, requests, script, tokens }) =>
      Effect.gen(function*() {
        let at = 0
        const asked = script.map(({ after, requests, tokens }): Asked => ({
          at: at += Math.max(0, after),
          requests,
          tokens
        }))
        const meters = [
          Meter.requests(requests, second),
          Meter.tokens(tokens, second),
          ...burst === null ? [] : [Meter.tokens(burst, "300 millis")]
        ]
        const until = 60_000
        const expected = firstCome(asked, meters, until)
        const admitted = yield* admissions(asked, meters, until)
        for (const [index, at] of admitted.entries()) {
          assert.isDefined(at)
          assert.isAtMost(at as number, expected[index] as number, `the ${index}th`)
        }
      }),
    { arbitrary: { runs: 200 } }
  )

  it.effect.prop(
    "from any moment on, without further refunds, nobody starts later than all before it and it would, one after the other",
    {
      script: Schema.Array(Schema.Struct({
        ...Request.fields,
        latency: between(1, 400),
        /** Of what is booked, in percent. */
        charged: between(0, 100)
      })).check(Schema.isBetweenLength(1, 40)),
      requests: between(4, 60),
      tokens: between(100, 160),
      last: between(0, 3_000)
    },
    ({ last, requests, script, tokens }) =>
      Effect.gen(function*() {
        const meters = [Meter.requests(requests, second), Meter.tokens(tokens, second)]
        const books = new NaiveLedger(meters, 0)
        const limiter = yield* RateLimiter.make({ meters: () => meters, guard: 0 })
        const admitted: Array<number | undefined> = script.map(() => undefined)
        let at = 0
        const asked = script.map((one) => ({ ...one, at: at += Math.max(0, one.after) }))
        for (const [index, { at, charged, latency, requests, tokens }] of asked.entries()) {
          yield* Effect.gen(function*() {
            yield* Effect.sleep(at)
            const reservation = yield* limiter.reserve({ pool, requests, tokens })
            reservation.sentUnsafe()
            const now = yield* Clock.currentTimeMillis
            admitted[index] = now
            const charge = books.book(requests, tokens)
            charge.stamp = now
            yield* Effect.sleep(latency)
            // What is not answered by then never is.
            if (now + latency > last) return yield* Effect.never
            charge.tokens = Math.floor(tokens * charged / 100)
            yield* reservation.settle({ tokens: charge.tokens, servedFor: Duration.millis(latency) })
          }).pipe(Effect.scoped, Effect.forkChild)
        }
        yield* TestClock.adjust(last)
        // All are admitted in their order, each when it fits behind those before it.
        const expected = admitted.map((at): number | undefined => at)
        let next = expected.indexOf(undefined)
        const passed = new Set(expected.flatMap((at, index) => at === undefined ? [] : [index]))
        const copies = new NaiveLedger(meters, 0)
        copies.charges = books.charges.map((charge) => ({ ...charge }))
        for (let now = last; now < 60_000 && next >= 0 && next < asked.length; now++) {
          for (let one = asked[next]; one !== undefined && one.at <= now; one = asked[next]) {
            if (!passed.has(next)) {
              if (!copies.fits(one.requests, one.tokens, now)) break
              copies.book(one.requests, one.tokens).stamp = now
              expected[next] = now
            }
            next++
          }
        }
        for (let step = 0; step < 60; step++) yield* TestClock.adjust(1_000)
        for (const [index, at] of admitted.entries()) {
          assert.isDefined(at)
          assert.isAtMost(at as number, expected[index] as number, `the ${index}th, from ${last} on`)
        }
      }),
    { arbitrary: { runs: 150 } }
  )
})
