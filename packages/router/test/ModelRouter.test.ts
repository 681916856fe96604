import { Meter, RateLimiter } from "@caprock/rate-limiter"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Schema } from "effect"
import { TestClock } from "effect/testing"
import { accountOf, errorOf, Fault, fault, leftovers, rig, type RigOptions, run, sending, world } from "./rig.ts"

const two: RigOptions = { targets: { a: {}, b: {} }, routes: { chat: { policy: { ordered: ["a", "b"] } } } }

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const Did = Schema.Struct({
  took: between(0, 1_500),
  kind: Schema.Literals(["well", "well", "limited", "sick", "sick", "caller", "here", "gone"]),
  retryAfter: Schema.NullOr(between(0, 2_000))
})

describe("ModelRouter", () => {
  it.effect("sends a call to the first target, and tells it", () =>
    Effect.gen(function*() {
      const all = world(() => ({ took: 0 }))
      const exit = yield* run("chat", sending(all, 0))
      assert(Exit.isSuccess(exit))
      assert.strictEqual(exit.value.value, "a")
      assert.deepStrictEqual(exit.value.account, {
        route: "chat",
        target: "a",
        trials: [{
          target: "a",
          why: { _tag: "Preferred" },
          attempt: 1,
          waitedMillis: 0,
          tookMillis: 0,
          outcome: "answered"
        }],
        waitedMillis: 0,
        usd: 1,
        adapted: [],
        hedged: false,
        rejected: false,
        lastResort: false,
        attempts: 1
      })
      assert.deepStrictEqual(yield* leftovers(all, ["a", "b"]), [])
    }).pipe(Effect.provide(rig(two))))

  it.effect("what is sick is asked last: the next target gets the call at once", () =>
    Effect.gen(function*() {
      const all = world((target) => ({ took: 100, fails: target === "a" ? fault("sick") : undefined }))
      const fiber = yield* Effect.forkChild(run("chat", sending(all, 0)))
      yield* TestClock.adjust(200)
      const account = accountOf(yield* Fiber.join(fiber))
      assert.strictEqual(account?.target, "b")
      assert.strictEqual(account?.waitedMillis, 0)
      assert.deepStrictEqual(all.sent.map(({ at, target }) => [target, at]), [["a", 0], ["b", 100]])
    }).pipe(Effect.provide(rig(two))))

  it.effect("an error that is the caller's ends the call: nobody else is asked", () =>
    Effect.gen(function*() {
      const all = world(() => ({ took: 0, fails: fault("caller") }))
      const exit = yield* run("chat", sending(all, 0))
      const error = errorOf(exit)
      assert(error instanceof Fault)
      assert.strictEqual(error.kind, "caller")
      assert.strictEqual(all.sent.length, 1)
    }).pipe(Effect.provide(rig(two))))

  it.effect.prop(
    "every call ends in exactly one way, within its requests and its deadline, and leaves nothing behind",
    [Schema.Struct({
      policy: Schema.Literals(["ordered", "headroom", "cheapest"]),
      targets: between(1, 4),
      attempts: between(1, 5),
      hedge: Schema.Boolean,
      limits: Schema.Tuple([between(100, 600), between(100, 600), between(100, 600), between(100, 600)]),
      calls: Schema.Array(Schema.Struct({
        after: between(0, 400),
        deadline: Schema.NullOr(between(0, 5_000)),
        interrupt: Schema.NullOr(between(0, 4_000)),
        did: Schema.Tuple([Did, Did, Did, Did, Did])
      })).check(Schema.isMaxLength(12))
    })],
    ([script]) => {
      const names = ["a", "b", "c", "d"].slice(0, script.targets)
      const options: RigOptions = {
        targets: Object.fromEntries(names.map((name, index) => [name, { price: { input: index, output: index } }])),
        routes: {
          chat: {
            policy: script.policy === "ordered"
              ? { ordered: names, patience: "300 millis" }
              : script.policy === "headroom"
              ? { headroom: names }
              : { cheapest: names },
            ...(script.hedge ? { hedge: {} } : {})
          }
        },
        meters: (
          pool
        ) => [Meter.tokens(script.limits[names.indexOf(pool)] ?? 100, "1 second"), Meter.requests(50, "1 second")],
        backoff: { attempts: script.attempts, base: "200 millis" },
        health: { open: "2 seconds" }
      }
      return Effect.gen(function*() {
        const all = world((_, __, call, attempt) => {
          const did = script.calls[call]?.did[attempt - 1]
          return {
            took: did?.took ?? 0,
            fails: did === undefined || did.kind === "well" ? undefined : fault(did.kind, did.retryAfter ?? undefined)
          }
        })
        const fibers = yield* Effect.forEach(
          script.calls,
          ({ after, deadline, interrupt }, call) =>
            Effect.gen(function*() {
              yield* TestClock.adjust(after)
              const at = Number(
                yield* TestClock.testClockWith((clock) => Effect.succeed(clock.monotonicTimeNanosUnsafe()))
              ) / 1e6
              const more = deadline === null ? {} : { deadline: at + deadline }
              const fiber = yield* Effect.forkChild(run("chat", sending(all, call, more)), { startImmediately: true })
              if (interrupt !== null) {
                yield* Effect.forkChild(Effect.andThen(Effect.sleep(interrupt), Fiber.interrupt(fiber)))
              }
              return { fiber, call, until: deadline === null ? Infinity : at + deadline }
            })
        )
        yield* TestClock.adjust("10 minutes")
        for (const { call, fiber, until } of fibers) {
          const exit = yield* Fiber.await(fiber)
          const own = all.sent.filter((sent) => sent.call === call)
          assert.isAtMost(own.length, script.attempts)
          for (const { at } of own) assert.isBelow(at, until)
          const callers = own.findIndex(({ attempt }) => script.calls[call]?.did[attempt - 1]?.kind === "caller")
          if (callers >= 0) assert.strictEqual(own.slice(callers + 1).filter(({ hedge }) => !hedge).length, 0)
          if (Exit.isFailure(exit)) continue
          const account = accountOf(exit.value)
          assert.strictEqual(account?.attempts, own.length)
          assert.strictEqual(account?.trials.length, own.length)
          const answers = account?.trials.filter(({ outcome }) => outcome === "answered").length
          assert.strictEqual(answers, Exit.isSuccess(exit.value) ? 1 : 0)
        }
        assert.deepStrictEqual(yield* leftovers(all, names), [])
        assert.strictEqual(all.settled, all.sent.length)
        // No reservation is open, or this would wait for it.
        const limiter = yield* RateLimiter.RateLimiter
        const idle = yield* Effect.forkChild(limiter.shutdown("1 minute"), { startImmediately: true })
        assert.isDefined(idle.pollUnsafe())
      }).pipe(Effect.provide(rig(options)))
    },
    { arbitrary: { runs: 200 } }
  )
})
