/**
 * Several processes with one quota, and everything that may happen to them and to what they share it through.
 */
import { LimiterStore, Meter, RateLimiter } from "@caprock/rate-limiter"
import { Effect, Exit, Fiber, Schema, Scope } from "effect"
import * as FaultyStore from "./faultyStore.ts"
import { between, type Call, guard, type Quota, send, type Sender, senderOf, window } from "./sending.ts"

export const processes = 3

/** A fifth of what it is by default, as the window is less than a minute here. */
const lease = 800

export const Fault = Schema.Struct({
  after: between(0, 3000),
  what: Schema.Literals(["kill", "cut", "deaf", "down", "hang", "wipe", "roll back", "leave"]),
  process: between(0, processes - 1),
  lasts: between(0, 3000)
})

export const limiterOn = (
  link: LimiterStore.LimiterStore["Service"],
  quota: typeof Quota.Type,
  onLoss: RateLimiter.SharedOptions["onLoss"]
) =>
  RateLimiter.makeShared({
    meters: () => [Meter.requests(quota.requests, window), Meter.tokens(quota.tokens, window)],
    guard,
    lease,
    beat: 20,
    onLoss
  }).pipe(Effect.provideService(LimiterStore.LimiterStore, link))

/** Sends calls from all processes while things happen, and gives what servers refused and what was not over in the end. */
export const chaos = Effect.fnUntraced(function*(
  calls: ReadonlyArray<typeof Call.Type>,
  quota: typeof Quota.Type,
  plan: ReadonlyArray<typeof Fault.Type>,
  onLoss: "fail" | "wait" | "share",
  through: (
    link: LimiterStore.LimiterStore["Service"],
    process: number
  ) => LimiterStore.LimiterStore["Service"] = (link) => link
) {
  const store = yield* FaultyStore.make(processes)
  const { faults } = store
  const senders: Array<Sender> = []
  const scopes: Array<Scope.Closeable> = []
  const killed = new Set<number>()
  for (const [process, link] of store.links.entries()) {
    const scope = yield* Scope.make()
    scopes.push(scope)
    senders.push(senderOf(yield* Scope.provide(limiterOn(through(link, process), quota, onLoss), scope)))
  }
  const books = [store.books()]
  const keep = Effect.sync(() => {
    books.push(store.books())
    if (books.length > 4) books.shift()
  })
  yield* Effect.forkChild(Effect.forever(Effect.andThen(Effect.sleep(200), keep)))
  const happen = Effect.fnUntraced(function*({ after, lasts, process, what }: typeof Fault.Type) {
    yield* Effect.sleep(after)
    const sender = senders[process] as Sender
    if (what === "wipe") return store.restore(new Map())
    if (what === "roll back") return store.restore(books[0] ?? new Map())
    if (what === "kill" || what === "leave") {
      // What is served for it stops, and grows no more.
      sender.dead = true
      if (what === "kill") {
        killed.add(process)
        faults.cut.add(process)
      }
      yield* Effect.forEach(sender.calls, Fiber.interrupt)
      return what === "leave" ? yield* Scope.close(scopes[process] as Scope.Closeable, Exit.void) : undefined
    }
    // With "share" the store is away for all: who alone is cut off would add its part to what the others use.
    if (what === "down" || what === "hang" || onLoss === "share") {
      const fault = what === "hang" ? "hung" : "down"
      faults[fault] = true
      yield* Effect.sleep(lasts)
      faults[fault] = false
      return
    }
    faults[what].add(process)
    yield* Effect.sleep(lasts)
    if (!killed.has(process)) faults[what].delete(process)
  })
  yield* Effect.forkChild(Effect.forEach(plan, happen))
  const { refusals } = yield* send(calls, quota, [0], senders, 60_000)
  yield* Effect.forEach(scopes, (scope) => Scope.close(scope, Exit.void))
  return refusals
})
