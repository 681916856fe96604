/** How calls end: each in one way, with nothing left open, and with an account of all that was sent. */
import { Meter, RateLimiter } from "@caprock/rate-limiter"
import { Health, ModelRouter, RouterError, type RouterEvent, type Sending, type Target } from "@caprock/router"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, References, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  accountOf,
  errorOf,
  Fault,
  fault,
  leftovers,
  rig,
  type RigOptions,
  run,
  sending,
  two,
  type World,
  world
} from "./rig.ts"

/** The same, with second requests beside those that take longer than what a hundred calls did: an instant. */
const hedged = (share: number): RigOptions => ({
  targets: { a: {}, b: {} },
  routes: { chat: { policy: { ordered: ["a", "b"] }, hedge: { share } } },
  meters: () => [Meter.tokens(1_000, "10 seconds")]
})

const known = Effect.gen(function*() {
  const limiter = yield* RateLimiter.RateLimiter
  yield* Effect.repeat(run("chat", sending(world(() => ({ took: 0 })), 0, { cost: () => ({ tokens: 1 }) })), {
    times: 99
  })
  yield* TestClock.adjust("11 seconds")
  assert.strictEqual(limiter.headroomUnsafe({ pool: "a", requests: 1, tokens: 1_000 }).waitMillis, 0)
})

/** Circuits that let nobody through to these targets, and say that all is well. */
const closedTo = (targets: Set<string>, asked: Array<string>) =>
  Layer.succeed(
    Health.Health,
    Health.Health.of({
      tellUnsafe: () => {},
      standingUnsafe: () => ({ _tag: "Closed", share: 1 }),
      events: Stream.empty,
      watch: (target) => (attempt) => {
        asked.push(target)
        if (asked.length > 1_000) return Effect.die("for ever")
        return targets.has(target) ? Effect.fail(new RouterError.TargetClosed({ target })) : attempt
      }
    })
  )

const millis = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_500 }))
const kind = Schema.Literals(["well", "well", "limited", "sick", "caller", "here", "gone"])

describe("second requests", () => {
  it.effect("are paid for when they are sent: one that was not admitted leaves what was paid for the next", () =>
    Effect.gen(function*() {
      yield* known
      const limiter = yield* RateLimiter.RateLimiter
      const all = world((target) => ({ took: target === "a" ? 4_000 : 10 }))
      const others = yield* limiter.reserve({ pool: "b", requests: 1, tokens: 500 })
      // It is thought to be small, and is too large for what is free.
      const large = yield* Effect.forkChild(run("chat", sending(all, 1, { cost: () => ({ tokens: 600 }) })))
      yield* TestClock.adjust("5 seconds")
      assert.isFalse(accountOf(yield* Fiber.join(large))?.hedged)
      assert.deepStrictEqual(all.sent.map(({ target }) => target), ["a"])
      yield* others.release
      const next = yield* Effect.forkChild(run("chat", sending(all, 2)))
      yield* TestClock.adjust("5 seconds")
      assert.isTrue(accountOf(yield* Fiber.join(next))?.hedged)
      // Now there is nothing left.
      const last = yield* Effect.forkChild(run("chat", sending(all, 3)))
      yield* TestClock.adjust("5 seconds")
      assert.isFalse(accountOf(yield* Fiber.join(last))?.hedged)
      assert.deepStrictEqual(yield* leftovers(all, ["a", "b"]), [])
    }).pipe(Effect.scoped, Effect.provide(rig(hedged(0.01)))))

  it.effect("that a circuit does not let through are not paid for", () => {
    const shut = new Set<string>()
    return Effect.gen(function*() {
      yield* known
      const all = world((target) => ({ took: target === "a" ? 4_000 : 10 }))
      shut.add("b")
      const first = yield* Effect.forkChild(run("chat", sending(all, 1)))
      yield* TestClock.adjust("5 seconds")
      assert.isFalse(accountOf(yield* Fiber.join(first))?.hedged)
      shut.clear()
      const second = yield* Effect.forkChild(run("chat", sending(all, 2)))
      yield* TestClock.adjust("5 seconds")
      assert.isTrue(accountOf(yield* Fiber.join(second))?.hedged)
      assert.deepStrictEqual(yield* leftovers(all, ["a", "b"]), [])
    }).pipe(Effect.provide(rig({ ...hedged(0.01), circuits: closedTo(shut, []) })))
  })

  it.effect("cost what they cost: the account has what both did, whichever answered", () =>
    Effect.gen(function*() {
      yield* known
      const all = world((target) => ({ took: target === "a" ? 4_000 : 10 }))
      const fiber = yield* Effect.forkChild(run("chat", sending(all, 1)))
      yield* TestClock.adjust("5 seconds")
      const account = accountOf(yield* Fiber.join(fiber))
      assert(account !== undefined)
      assert.strictEqual(account.target, "b")
      assert.strictEqual(account.usd, 2)
      assert.deepStrictEqual(account.trials.map(({ outcome, target }) => [target, outcome]), [
        ["b", "answered"],
        ["a", "lost"]
      ])
    }).pipe(Effect.provide(rig(hedged(1)))))

  it.effect("count when the call fails: of two that fail the more telling is told, and the account has both", () =>
    Effect.gen(function*() {
      yield* known
      const all = world((target) =>
        target === "a"
          ? { took: 1_000, fails: fault("limited", 100, "a") }
          : { took: 2_000, fails: fault("sick", undefined, "b") }
      )
      const fiber = yield* Effect.forkChild(run("chat", sending(all, 1)))
      yield* TestClock.adjust("1 minute")
      const exit = yield* Fiber.join(fiber)
      const error = errorOf(exit)
      assert(error instanceof Fault)
      assert.strictEqual(error.message, "b")
      assert.deepStrictEqual(accountOf(exit)?.trials.map(({ target }) => target), ["a", "b"])
    }).pipe(Effect.provide(rig({ ...hedged(1), backoff: { attempts: 2 } }))))

  let seconds = 0
  it.effect.prop(
    "whatever befalls two requests for one call: it ends in one way, within its requests and what was paid, and leaves nothing behind",
    [
      Schema.Array(Schema.Struct({
        took: Schema.Tuple([millis, millis, millis, millis]),
        kind: Schema.Tuple([kind, kind, kind, kind]),
        interrupt: Schema.NullOr(millis)
      })).check(Schema.isBetweenLength(1, 6))
    ],
    ([calls]) =>
      Effect.gen(function*() {
        yield* known
        const all = world((_, __, call, attempt) => {
          const { kind, took } = calls[call] ?? {}
          const did = kind?.[attempt - 1] ?? "well"
          return { took: took?.[attempt - 1] ?? 0, fails: did === "well" ? undefined : fault(did) }
        })
        const fibers = yield* Effect.forEach(calls, ({ interrupt }, call) =>
          Effect.gen(function*() {
            const fiber = yield* Effect.forkChild(run("chat", sending(all, call)), { startImmediately: true })
            if (interrupt !== null) {
              yield* Effect.forkChild(Effect.andThen(Effect.sleep(interrupt), Fiber.interrupt(fiber)))
            }
            return fiber
          }))
        yield* TestClock.adjust("5 minutes")
        for (const [call, fiber] of fibers.entries()) {
          const exit = yield* Fiber.await(fiber)
          const own = all.sent.filter((sent) => sent.call === call)
          assert.isAtMost(own.length, 4)
          if (Exit.isFailure(exit)) continue
          const account = accountOf(exit.value)
          assert(account !== undefined)
          assert.strictEqual(account.attempts, own.length)
          assert.strictEqual(account.trials.length, own.length)
          assert.strictEqual(account.usd, own.length === 0 ? undefined : own.length)
          assert.strictEqual(account.hedged, own.some(({ hedge }) => hedge))
          const answers = account.trials.filter(({ outcome }) => outcome === "answered").length
          assert.strictEqual(answers, Exit.isSuccess(exit.value) ? 1 : 0)
        }
        const hedges = all.sent.filter(({ hedge }) => hedge).length
        seconds += hedges
        // Two to begin with, and a fiftieth of what was called.
        assert.isAtMost(hedges, 2)
        assert.deepStrictEqual(yield* leftovers(all, ["a", "b"]), [])
        assert.strictEqual(all.settled, all.sent.length)
        const limiter = yield* RateLimiter.RateLimiter
        const idle = yield* Effect.forkChild(limiter.shutdown("1 minute"), { startImmediately: true })
        assert.isDefined(idle.pollUnsafe())
      }).pipe(Effect.provide(rig(hedged(0.02)))),
    { arbitrary: { runs: 100 } }
  )
  it("and in many of those there were two", () => {
    assert.isAbove(seconds, 50)
  })
})

describe("each call", () => {
  const told = (send: Effect.Effect<unknown, unknown, ModelRouter.ModelRouter>) =>
    Effect.gen(function*() {
      const router = yield* ModelRouter.ModelRouter
      const heard: Array<RouterEvent.RouterEvent> = []
      yield* Effect.forkChild(Stream.runForEach(router.events, (event) => Effect.sync(() => heard.push(event))), {
        startImmediately: true
      })
      yield* send
      yield* TestClock.adjust(1)
      return heard.flatMap((event) => event._tag === "Ended" ? [[event.how, event.account.attempts]] : [])
    })

  it.effect("is told to have ended once, and how: with an answer, a failure, a defect, or interrupted wherever it was", () =>
    Effect.gen(function*() {
      const all = world((_, __, call) => ({
        took: call === 9 ? 1_000 : 0,
        fails: call === 1 ? fault("caller") : undefined
      }))
      assert.deepStrictEqual(yield* told(run("chat", sending(all, 0))), [["answered", 1]])
      assert.deepStrictEqual(yield* told(run("chat", sending(all, 1))), [["failed", 1]])
      const thrown = {
        judge: (): Sending.Judgement => {
          throw new Error("no")
        }
      }
      assert.deepStrictEqual(yield* told(run("chat", sending(all, 1, thrown))), [["died", 1]])
      const check = () => Effect.die("no")
      assert.deepStrictEqual(yield* told(run("chat", sending(all, 0, { check }))), [["died", 1]])
      const interrupted = (after: number, call: number) =>
        told(Effect.gen(function*() {
          const fiber = yield* Effect.forkChild(run("chat", sending(all, call)), { startImmediately: true })
          yield* TestClock.adjust(after)
          yield* Fiber.interrupt(fiber)
        }))
      assert.deepStrictEqual(yield* interrupted(500, 9), [["interrupted", 1]])
      const limiter = yield* RateLimiter.RateLimiter
      yield* TestClock.adjust("11 seconds")
      yield* Effect.forEach(["a", "b"], (pool) => limiter.reserve({ pool, requests: 1, tokens: 1_000 }))
      assert.deepStrictEqual(yield* interrupted(500, 0), [["interrupted", 0]])
      assert.deepStrictEqual(yield* leftovers(all, ["a", "b"]), [])
    }).pipe(Effect.scoped, Effect.provide(rig({ ...two, meters: () => [Meter.tokens(1_000, "10 seconds")] }))))

  it.effect("asks a circuit that rejects it, and says that all is well, a few times and not for ever", () => {
    const asked: Array<string> = []
    return Effect.gen(function*() {
      const all = world(() => ({ took: 0 }))
      const error = errorOf(yield* run("chat", sending(all, 0)))
      assert(error instanceof RouterError.RouterError)
      assert.match(error.message, /a: Failed; b: Failed/)
      assert.deepStrictEqual(asked, [...Array.from({ length: 8 }, () => "a"), "b"])
      assert.deepStrictEqual(yield* leftovers(all, ["a", "b"]), [])
    }).pipe(Effect.provide(rig({ ...two, circuits: closedTo(new Set(["a", "b"]), asked) })))
  })
})

describe("what an offer holds open", () => {
  it.effect("is sent or withdrawn, one of both, whichever operation of the call an interruption comes before", () =>
    Effect.gen(function*() {
      for (const operations of [2, 3, 4, 5, 6, 7, 11]) {
        for (let turns = 0; turns < 60; turns++) {
          const all = world(() => ({ took: 1 }))
          const call = Effect.provideService(run("chat", sending(all, 1)), References.MaxOpsBeforeYield, operations)
          const fiber = yield* Effect.forkChild(call, { startImmediately: true })
          yield* Effect.repeat(Effect.yieldNow, { times: turns })
          yield* Fiber.interrupt(fiber)
          assert.deepStrictEqual(yield* leftovers(all, ["a", "b"]), [], `after ${turns} turns of ${operations}`)
        }
      }
    }).pipe(Effect.provide(rig(two))))

  it.effect("nothing, where it has nothing to withdraw: it is interrupted as a whole", () =>
    Effect.gen(function*() {
      const router = yield* ModelRouter.ModelRouter
      const { offer, ...call } = sending(world(() => ({ took: 0 })), 0)
      const ended: Array<boolean> = []
      const fiber = yield* Effect.forkChild(
        Effect.scoped(router.run("chat", {
          ...call,
          offer: (target) => ({
            cost: offer(target).cost,
            send: () => Effect.onExit(Effect.never, (exit) => Effect.sync(() => ended.push(Exit.hasInterrupts(exit))))
          })
        })),
        { startImmediately: true }
      )
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(ended, [true])
    }).pipe(Effect.provide(rig(two))))
})

describe("what a rejected answer holds open", () => {
  const levels: RigOptions = {
    targets: { small: {}, large: {} },
    routes: {
      chat: { policy: { difficulty: [{ level: "easy", to: "small" }, { level: "hard", to: "large" }], by: "guess" } }
    },
    functions: { classify: { guess: () => "easy" } }
  }
  /** What is still open right after a call whose first answer was rejected, in a scope that goes on. */
  const openAfter = Effect.fnUntraced(function*(
    all: World,
    check: Sending.Sending<string, Fault, never>["check"],
    interrupt: boolean
  ) {
    const router = yield* ModelRouter.ModelRouter
    const open: Array<string> = []
    const call = sending(all, 0, { check })
    const offer = (target: Target.BuiltTarget) => {
      const own = call.offer(target)
      const opened = Effect.acquireRelease(
        Effect.sync(() => open.push(target.name)),
        () => Effect.sync(() => open.splice(open.indexOf(target.name), 1))
      )
      return { ...own, send: (granted: Sending.Granted) => Effect.andThen(opened, own.send(granted)) }
    }
    const fiber = yield* Effect.forkChild(router.run("chat", { ...call, offer }))
    yield* TestClock.adjust(500)
    assert.deepStrictEqual(open, ["small", "large"])
    if (interrupt) yield* Fiber.interrupt(fiber)
    yield* TestClock.adjust("1 minute")
    yield* Fiber.await(fiber)
    return [...open]
  }, Effect.scoped)

  const slow = () => world((target) => ({ took: target === "large" ? 1_000 : 0 }))

  it.effect("is closed when the next answer's check fails", () =>
    Effect.gen(function*() {
      const open = yield* openAfter(
        slow(),
        (answer) => answer === "small" ? Effect.succeed(false) : Effect.fail(fault("caller")),
        false
      )
      assert.deepStrictEqual(open, [])
    }).pipe(Effect.provide(rig(levels))))

  it.effect("is closed when the call is interrupted", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* openAfter(slow(), () => Effect.succeed(false), true), [])
    }).pipe(Effect.provide(rig(levels))))

  it.effect("stays open where nobody does better: it is the answer", () =>
    Effect.gen(function*() {
      const all = world((target) => target === "large" ? { took: 1_000, fails: fault("gone") } : { took: 0 })
      assert.deepStrictEqual(yield* openAfter(all, () => Effect.succeed(false), false), ["small"])
    }).pipe(Effect.provide(rig(levels))))
})
