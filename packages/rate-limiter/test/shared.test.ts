// One quota, several processes: here several limiters with one store, in virtual time.
import { LimiterStore, Meter, RateLimiter } from "@caprock/rate-limiter"
import { assert, describe, it } from "@effect/vitest"
import { Array, Effect, Exit, Fiber, Schema, Scope } from "effect"
import * as FaultyStore from "./faultyStore.ts"
import { between, Call, guard, Quota, send, type Sender, senderOf, window } from "./sending.ts"

const lease = 800
const processes = 3

const limiterOn = (
  link: LimiterStore.LimiterStore["Service"],
  quota: typeof Quota.Type,
  options: Partial<RateLimiter.SharedOptions> = {}
) =>
  RateLimiter.makeShared({
    meters: () => [Meter.requests(quota.requests, window), Meter.tokens(quota.tokens, window)],
    guard,
    lease,
    beat: 20,
    ...options
  }).pipe(Effect.provideService(LimiterStore.LimiterStore, link))

const calls = Schema.Array(Call).check(Schema.isMaxLength(30))

describe("never over, in all processes together", () => {
  it.effect.prop(
    "no server refuses what was admitted",
    [calls, Quota, between(0, window - 1)],
    ([calls, quota, phase]) =>
      Effect.gen(function*() {
        const { links } = yield* FaultyStore.make(processes)
        const senders = yield* Effect.forEach(links, (link) => Effect.map(limiterOn(link, quota), senderOf))
        const { answered, refusals, waiting } = yield* send(calls, quota, [0, phase], senders)
        assert.deepStrictEqual(refusals, [])
        assert.strictEqual(waiting, 0)
        assert.isAtLeast(answered, calls.filter((call) => call.interruptAfter === null).length)
      }).pipe(Effect.scoped),
    { arbitrary: { runs: 800 } }
  )

  const Fault = Schema.Struct({
    after: between(0, 3000),
    what: Schema.Literals(["kill", "cut", "deaf", "down", "wipe", "roll back", "leave"]),
    process: between(0, processes - 1),
    lasts: between(0, 3000)
  })

  it.effect.prop(
    "nor when processes die and come back, links are cut, answers are lost, and the store is away, emptied or rolled back",
    [calls, Quota, Schema.Array(Fault).check(Schema.isMaxLength(6)), Schema.Literals(["fail", "wait", "share"])],
    ([calls, quota, plan, onLoss]) =>
      Effect.gen(function*() {
        const store = yield* FaultyStore.make(processes)
        const { faults, links } = store
        const senders: Array<Sender> = []
        const scopes: Array<Scope.Closeable> = []
        const killed = new Set<number>()
        const begin = Effect.fnUntraced(function*(process: number) {
          const scope = yield* Scope.make()
          const link = links[process] as LimiterStore.LimiterStore["Service"]
          scopes[process] = scope
          senders[process] = senderOf(yield* Scope.provide(limiterOn(link, quota, { onLoss }), scope))
        })
        for (let process = 0; process < processes; process++) yield* begin(process)
        const books = [store.books()]
        yield* Effect.forkChild(Effect.forever(Effect.andThen(
          Effect.sleep(200),
          Effect.sync(() => {
            books.push(store.books())
            if (books.length > 4) books.shift()
          })
        )))
        yield* Effect.forkChild(Effect.forEach(
          plan,
          Effect.fnUntraced(function*({ after, lasts, process, what }) {
            yield* Effect.sleep(after)
            const sender = senders[process] as Sender
            if (what === "kill") {
              sender.dead = true
              faults.cut.add(process)
              yield* Effect.forEach(sender.calls, Fiber.interrupt)
            } else if (what === "leave") {
              yield* Scope.close(scopes[process] as Scope.Closeable, Exit.void)
            } else if (what === "cut") {
              faults.cut.add(process)
              yield* Effect.sleep(lasts)
              if (!killed.has(process)) faults.cut.delete(process)
            } else if (what === "deaf") {
              faults.deaf.add(process)
              yield* Effect.sleep(lasts)
              faults.deaf.delete(process)
            } else if (what === "down" || what === "cut" || what === "deaf") {
              // With "share", only a store that is away for all: who alone is cut off adds its part to what the others use.
              faults.down = true
              yield* Effect.sleep(lasts)
              faults.down = false
            } else if (what === "wipe") store.restore(new Map())
            else store.restore(books[0] ?? new Map())
          })
        ))
        const { refusals } = yield* send(calls, quota, [0], senders, 60_000)
        assert.deepStrictEqual(refusals, [])
        yield* Effect.forEach(scopes, (scope) => Scope.close(scope, Exit.void))
      }),
    { arbitrary: { runs: 1500 } }
  )
})
