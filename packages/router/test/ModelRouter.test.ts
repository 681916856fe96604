import { Meter, RateLimiter } from "@caprock/rate-limiter"
import {
  Fence,
  Health,
  LastResort,
  ModelRouter,
  RouterError,
  type RouterEvent,
  type Sending,
  type Target
} from "@caprock/router"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  accountOf,
  errorOf,
  Fault,
  fault,
  leftovers,
  lines,
  rig,
  type RigOptions,
  run,
  sending,
  two,
  within,
  type World,
  world
} from "./rig.ts"

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const Did = Schema.Struct({
  took: between(0, 1_500),
  kind: Schema.Literals(["well", "well", "limited", "sick", "sick", "caller", "here", "gone"]),
  retryAfter: Schema.NullOr(between(0, 2_000))
})

const nonEmpty = (
  [first = "", ...others]: ReadonlyArray<string> = []
): readonly [string, ...Array<string>] => [first, ...others]

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

  describe("failing over", () => {
    it.effect("a limit is waited for here where that is sooner than anything elsewhere", () =>
      Effect.gen(function*() {
        // Nobody else is there: it comes back when it was told to.
        const all = world((_, __, ___, attempt) => ({
          took: 0,
          fails: attempt === 1 ? fault("limited", 700) : undefined
        }))
        const fiber = yield* Effect.forkChild(run("alone", sending(all, 0)))
        yield* TestClock.adjust("10 seconds")
        const account = accountOf(yield* Fiber.join(fiber))
        assert.strictEqual(account?.target, "a")
        assert.isAtLeast(all.sent[1]?.at ?? 0, 700)
        assert.isAtMost(all.sent[1]?.at ?? 0, 1_800)
        assert.strictEqual(account?.waitedMillis, all.sent[1]?.at)
      }).pipe(Effect.provide(rig({
        targets: { a: {} },
        routes: { alone: { policy: "a" } }
      }))))

    it.effect("what nobody elsewhere can do better is tried here again, and nowhere else", () =>
      Effect.gen(function*() {
        const all = world((_, __, ___, attempt) => ({ took: 0, fails: attempt < 3 ? fault("here") : undefined }))
        const fiber = yield* Effect.forkChild(run("chat", sending(all, 0)))
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(accountOf(yield* Fiber.join(fiber))?.target, "a")
        assert.deepStrictEqual(all.sent.map(({ target }) => target), ["a", "a", "a"])
      }).pipe(Effect.provide(rig(two))))

    it.effect("a target that an error does not go to is not asked", () =>
      Effect.gen(function*() {
        const all = world((target) => ({ took: 0, fails: target === "a" ? fault("gone") : undefined }))
        const exit = yield* run("three", sending(all, 0, { goes: (_, __, other) => other.region !== "same" }))
        assert.strictEqual(accountOf(exit)?.target, "c")
        assert.deepStrictEqual(all.sent.map(({ target }) => target), ["a", "c"])
      }).pipe(Effect.provide(rig({
        targets: { a: { region: "same" }, b: { region: "same" }, c: {} },
        routes: { three: { policy: { ordered: ["a", "b", "c"] } } }
      }))))

    it.effect("what an error means is for the caller to say", () =>
      Effect.gen(function*() {
        const all = world(() => ({ took: 0, fails: fault("sick") }))
        yield* run("chat", sending(all, 0, { judge: () => "caller" }))
        assert.strictEqual(all.sent.length, 1)
      }).pipe(Effect.provide(rig(two))))

    it.effect("as many requests as are told, over all targets together", () =>
      Effect.gen(function*() {
        const all = world(() => ({ took: 0, fails: fault("sick") }))
        const fiber = yield* Effect.forkChild(run("chat", sending(all, 0)))
        yield* TestClock.adjust("1 minute")
        const exit = yield* Fiber.join(fiber)
        assert.strictEqual(all.sent.length, 3)
        assert.strictEqual(accountOf(exit)?.attempts, 3)
        assert.deepStrictEqual(all.sent.map(({ target }) => target).slice(0, 2), ["a", "b"])
      }).pipe(Effect.provide(rig({ ...two, backoff: { attempts: 3 } }))))

    it.effect("another try at the same target draws on the budget of retries, one elsewhere does not", () =>
      Effect.gen(function*() {
        const all = world(() => ({ took: 0, fails: fault("limited") }))
        const fiber = yield* Effect.forkChild(run("chat", sending(all, 0)))
        yield* TestClock.adjust("1 minute")
        const exit = yield* Fiber.join(fiber)
        assert.deepStrictEqual(all.sent.map(({ target }) => target), ["a", "b"])
        assert(errorOf(exit) instanceof Fault)
        assert.deepStrictEqual(yield* leftovers(all, ["a", "b"]), [])
        // What was admitted for it, and not sent, is given back.
        const limiter = yield* RateLimiter.RateLimiter
        const free = ["a", "b"].map((pool) => limiter.headroomUnsafe({ pool, requests: 1, tokens: 1 }).free)
        assert.deepStrictEqual(free, [1, 1])
      }).pipe(Effect.provide(rig({ ...two, retries: 0 }))))

    it.effect("tells the most telling error: what was wrong with a target before a limit, and that before a refusal", () =>
      Effect.gen(function*() {
        const all = world((target) => ({
          took: 0,
          fails: target === "a" ? fault("limited", 1_000, "a") : fault("gone", undefined, target)
        }))
        const fiber = yield* Effect.forkChild(run(
          "three",
          sending(all, 0, { cost: ({ name }) => ({ tokens: name === "c" ? 9_999_999 : 100 }) })
        ))
        yield* TestClock.adjust("1 minute")
        const exit = yield* Fiber.join(fiber)
        const error = errorOf(exit)
        assert(error instanceof Fault)
        assert.strictEqual(error.message, "b")
        assert.deepStrictEqual(
          accountOf(exit)?.trials.map(({ outcome, target }) => [target, outcome]),
          [["a", { failed: "Fault", message: "a" }], ["b", { failed: "Fault", message: "b" }]]
        )
      }).pipe(Effect.provide(rig({
        targets: { a: {}, b: {}, c: {} },
        routes: { three: { policy: { ordered: ["a", "b", "c"] } } },
        retries: 0
      }))))
  })

  describe("waiting", () => {
    const full = { meters: () => [Meter.tokens(100, "10 seconds")] }

    it.effect("goes to the first target that has room, and gives back its place in all other lines", () =>
      Effect.gen(function*() {
        const all = world(() => ({ took: 10 }))
        const fibers = yield* Effect.forEach(
          [0, 1, 2, 3],
          (call) => Effect.forkChild(run("even", sending(all, call)), { startImmediately: true })
        )
        assert.strictEqual(all.sent.length, 2)
        assert.strictEqual(all.open, 4)
        yield* TestClock.adjust("11 seconds")
        yield* Effect.forEach(fibers, Fiber.join)
        assert.strictEqual(all.sent.length, 4)
        assert.deepStrictEqual(yield* leftovers(all, ["a", "b"]), [])
      }).pipe(Effect.provide(rig({ ...two, ...full, routes: { even: { policy: { headroom: ["a", "b"] } } } }))))

    it.effect("stands in a second line only after its patience, and keeps its place in the first", () =>
      Effect.gen(function*() {
        const all = world(() => ({ took: 10 }))
        yield* run("chat", sending(all, 0)).pipe(Effect.forkChild)
        yield* TestClock.adjust(9_500)
        // It would be admitted in some 800 ms: no reason to go elsewhere.
        const fiber = yield* Effect.forkChild(run("chat", sending(all, 1)))
        yield* TestClock.adjust(2_000)
        assert.strictEqual(accountOf(yield* Fiber.join(fiber))?.target, "a")
        // Ten seconds are.
        const other = yield* Effect.forkChild(run("chat", sending(all, 2)))
        yield* TestClock.adjust(20)
        assert.strictEqual(accountOf(yield* Fiber.join(other))?.target, "b")
      }).pipe(Effect.provide(rig({ ...two, ...full }))))

    it.effect("no request begins at the deadline or after it", () =>
      Effect.gen(function*() {
        const all = world(() => ({ took: 10 }))
        yield* run("chat", sending(all, 0)).pipe(Effect.forkChild)
        yield* run("chat", sending(all, 1)).pipe(Effect.forkChild)
        yield* TestClock.adjust(20)
        const fiber = yield* Effect.forkChild(run("chat", sending(all, 2, { deadline: 4_000 })))
        yield* TestClock.adjust(4_000)
        const exit = yield* Fiber.join(fiber)
        const error = errorOf(exit)
        assert(error instanceof RouterError.RouterError && error.reason._tag === "NoTarget")
        assert.isAbove(Duration.toMillis(error.retryAfter ?? 0), 5_000)
        assert.match(
          error.message,
          /route chat: none of its targets can take the call: a: TooLate; b: TooLate\. Try again in/
        )
        assert.strictEqual(all.sent.length, 2)
        assert.deepStrictEqual(yield* leftovers(all, ["a", "b"]), [])
      }).pipe(Effect.provide(rig({ ...two, ...full }))))

    it.effect("what a small call would wait says nothing of a large one", () =>
      Effect.gen(function*() {
        const all = world(() => ({ took: 10 }))
        const router = yield* ModelRouter.ModelRouter
        const ask = { input: 60, output: 0, needs: [], leftMillis: Infinity }
        yield* (yield* RateLimiter.RateLimiter).reserve({ pool: "a", requests: 1, tokens: 50 })
        const small = yield* router.describe("patient", { ...ask, input: 10 })
        assert.strictEqual(small.candidates[0]?.waitMillis, 0)
        const fiber = yield* Effect.forkChild(run("patient", sending(all, 0, { ask })))
        yield* TestClock.adjust(20)
        assert.strictEqual(accountOf(yield* Fiber.join(fiber))?.target, "b")
      }).pipe(
        Effect.scoped,
        Effect.provide(
          rig({ ...two, ...full, routes: { patient: { policy: { ordered: ["a", "b"], patience: "5 seconds" } } } })
        )
      ))

    it.effect("two targets of one pool are one line", () =>
      Effect.gen(function*() {
        const all = world(() => ({ took: 10 }))
        const cost = () => ({ pool: "both" })
        yield* run("chat", sending(all, 0, { cost })).pipe(Effect.forkChild)
        yield* TestClock.adjust(20)
        const fiber = yield* Effect.forkChild(run("chat", sending(all, 1, { cost })))
        yield* TestClock.adjust(5_000)
        assert.strictEqual((yield* (yield* RateLimiter.RateLimiter).snapshot("both")).waiting, 1)
        yield* TestClock.adjust(6_000)
        assert.strictEqual(accountOf(yield* Fiber.join(fiber))?.target, "a")
        assert.deepStrictEqual(yield* leftovers(all, ["both"]), [])
      }).pipe(Effect.provide(rig({ ...two, ...full, pool: () => "both" }))))

    it.effect("what the limiter refuses at one target goes to the others", () =>
      Effect.gen(function*() {
        const all = world(() => ({ took: 0 }))
        const limiter = yield* RateLimiter.RateLimiter
        yield* limiter.park("a", "1 hour")
        assert.strictEqual(accountOf(yield* run("chat", sending(all, 0)))?.target, "b")
        yield* limiter.park("b", "1 hour")
        const error = errorOf(yield* run("chat", sending(all, 1)))
        assert(error instanceof RouterError.RouterError)
        assert.match(error.message, /a: Refused; b: Refused/)
        assert.strictEqual(Duration.toMillis(error.retryAfter ?? 0), 3_600_000)
      }).pipe(Effect.provide(rig(two))))

    it.effect("a target that is parked while a call waits there is out for it", () =>
      Effect.gen(function*() {
        const all = world(() => ({ took: 10 }))
        yield* run("alone", sending(all, 0)).pipe(Effect.forkChild)
        yield* TestClock.adjust(20)
        const fiber = yield* Effect.forkChild(run("alone", sending(all, 1)), { startImmediately: true })
        yield* (yield* RateLimiter.RateLimiter).park("a", "1 hour")
        yield* TestClock.adjust(1)
        const error = errorOf(yield* Fiber.join(fiber))
        assert(error instanceof Fault)
        assert.strictEqual(error.message, "PoolParked")
        assert.deepStrictEqual(yield* leftovers(all, ["a"]), [])
      }).pipe(Effect.provide(rig({ ...full, targets: { a: {} }, routes: { alone: { policy: "a" } } }))))

    it.effect("leaves the line of a target as soon as its circuit opens, and no other", () =>
      Effect.gen(function*() {
        const all = world(() => ({ took: 10 }))
        const health = yield* Health.Health
        yield* Effect.forEach([0, 1], (call) => Effect.forkChild(run("even", sending(all, call))))
        yield* TestClock.adjust(20)
        const fiber = yield* Effect.forkChild(run("even", sending(all, 2)), { startImmediately: true })
        assert.deepStrictEqual(yield* lines(["a", "b"]), [1, 1])
        yield* Effect.repeat(Effect.ignore(health.watch("a", () => "sick")(Effect.fail("no"))), { times: 5 })
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(yield* lines(["a", "b"]), [0, 1])
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(yield* leftovers(all, ["a", "b"]), [])
      }).pipe(Effect.provide(rig({ ...two, ...full, routes: { even: { policy: { headroom: ["a", "b"] } } } }))))
  })

  describe("when all are sick", () => {
    it.effect("waits for the first that may be back, a few times, and not for ever", () =>
      Effect.gen(function*() {
        const all = world((_, at) => ({ took: 10, fails: at < 1_500 ? fault("sick") : undefined }))
        const opened = yield* Effect.forEach([0, 1, 2, 3, 4, 5], (call) =>
          Effect.forkChild(run("alone", sending(all, call))))
        yield* TestClock.adjust(100)
        const fiber = yield* Effect.forkChild(run("alone", sending(all, 9)))
        yield* TestClock.adjust("1 minute")
        const exit = yield* Fiber.join(fiber)
        yield* Effect.forEach(opened, Fiber.join)
        assert.strictEqual(accountOf(exit)?.target, "a")
        assert.isAbove(accountOf(exit)?.waitedMillis ?? 0, 1_800)
        assert.strictEqual(accountOf(exit)?.attempts, 1)
      }).pipe(Effect.provide(rig({ targets: { a: {} }, routes: { alone: { policy: "a" } } }))))

    it.effect("fails with when to come back, if that is beyond its deadline", () =>
      Effect.gen(function*() {
        const health = yield* Health.Health
        const sick = health.watch("a", () => "sick", { retryAfter: () => Duration.seconds(30) })(Effect.fail("no"))
        yield* Effect.repeat(Effect.ignore(sick), { times: 5 })
        const all = world(() => ({ took: 10 }))
        const exit = yield* run("alone", sending(all, 0, { deadline: 5_000 }))
        const error = errorOf(exit)
        assert(error instanceof RouterError.RouterError)
        assert.strictEqual(Duration.toMillis(error.retryAfter ?? 0), 30_000)
        assert.isTrue(error.retryable)
        assert.strictEqual(all.sent.length, 0)
      }).pipe(Effect.provide(rig({ targets: { a: {} }, routes: { alone: { policy: "a" } } }))))
  })

  it.effect("a long answer makes no target sick, unless it is the first content of a stream that takes as long", () =>
    Effect.gen(function*() {
      const all = world(() => ({ took: 60_000 }))
      const health = yield* Health.Health
      const ask = { input: 50, output: 1_000, needs: [], leftMillis: Infinity }
      const standingAfter = Effect.fnUntraced(function*(ask: Sending.Sending<string, Fault, never>["ask"]) {
        const calls = yield* Effect.forEach(
          [0, 1, 2, 3, 4],
          (call) => Effect.forkChild(run("chat", sending(all, call, { ask })))
        )
        yield* TestClock.adjust("1 minute")
        yield* Effect.forEach(calls, Fiber.join)
        return health.standingUnsafe("a")._tag
      })
      assert.strictEqual(yield* standingAfter(ask), "Closed")
      assert.strictEqual(yield* standingAfter({ ...ask, needs: ["streaming"] }), "Open")
    }).pipe(Effect.provide(rig(two))))

  describe("difficulty", () => {
    const levels: RigOptions = {
      targets: { small: {}, large: {} },
      routes: {
        chat: { policy: { difficulty: [{ level: "easy", to: "small" }, { level: "hard", to: "large" }], by: "guess" } }
      },
      functions: { classify: { guess: ({ input }) => input > 100 ? "hard" : "easy" } }
    }

    it.effect("an answer that is rejected goes on to the next level, once for each", () =>
      Effect.gen(function*() {
        const all = world(() => ({ took: 0 }))
        const exit = yield* run("chat", sending(all, 0, { check: (answer) => Effect.succeed(answer === "large") }))
        assert(Exit.isSuccess(exit))
        assert.strictEqual(exit.value.value, "large")
        assert.deepStrictEqual(exit.value.account.trials.map(({ outcome }) => outcome), ["rejected", "answered"])
        assert.isFalse(exit.value.account.rejected)
        assert.strictEqual(exit.value.account.usd, 2)
      }).pipe(Effect.provide(rig(levels))))

    it.effect("what nobody does better is given with a word that it was rejected", () =>
      Effect.gen(function*() {
        const all = world(() => ({ took: 0 }))
        const exit = yield* run("chat", sending(all, 0, { check: () => Effect.succeed(false) }))
        assert(Exit.isSuccess(exit))
        assert.strictEqual(exit.value.value, "large")
        assert.isTrue(exit.value.account.rejected)
        assert.deepStrictEqual(all.sent.map(({ target }) => target), ["small", "large"])
      }).pipe(Effect.provide(rig(levels))))

    it.effect("an answer that was rejected is better than none", () =>
      Effect.gen(function*() {
        const all = world((target) => ({ took: 0, fails: target === "large" ? fault("gone") : undefined }))
        const exit = yield* run("chat", sending(all, 0, { check: () => Effect.succeed(false) }))
        assert(Exit.isSuccess(exit))
        assert.strictEqual(exit.value.value, "small")
        assert.isTrue(exit.value.account.rejected)
      }).pipe(Effect.provide(rig(levels))))

    it.effect("hard work goes to the hard level at once, and a check that fails ends the call", () =>
      Effect.gen(function*() {
        const all = world(() => ({ took: 0 }))
        const ask = { input: 200, output: 0, needs: [], leftMillis: Infinity }
        const exit = yield* run("chat", sending(all, 0, { ask, check: () => Effect.fail(fault("caller")) }))
        assert.deepStrictEqual(all.sent.map(({ target }) => target), ["large"])
        assert(errorOf(exit) instanceof Fault)
        assert.deepStrictEqual(yield* leftovers(all, ["small", "large"]), [])
      }).pipe(Effect.provide(rig(levels))))
  })

  describe("a last resort", () => {
    it.effect("gets the reason, and its answer counts", () =>
      Effect.gen(function*() {
        const all = world(() => ({ took: 0, fails: fault("gone", 4_000) }))
        let heard: LastResort.Exhausted<Fault> | undefined
        const exit = yield* run(
          "chat",
          sending(all, 0, {
            lastResort: (reason) => {
              heard = reason
              return LastResort.tryAgain((after) => Effect.succeed(`in ${Duration.toSeconds(after)} s`))(reason)
            }
          })
        )
        assert(Exit.isSuccess(exit))
        assert.strictEqual(exit.value.value, "in 4 s")
        assert.isTrue(exit.value.account.lastResort)
        assert.isUndefined(exit.value.account.target)
        assert(heard?.error instanceof Fault)
        assert.deepStrictEqual(heard.excluded.map(({ target, why }) => [target.name, why._tag]), [["a", "Failed"], [
          "b",
          "Failed"
        ]])
        assert.strictEqual(heard.account.attempts, 2)
      }).pipe(Effect.provide(rig(two))))

    it.effect("for some calls only: the others fail with what went wrong", () =>
      Effect.gen(function*() {
        const all = world(() => ({ took: 0, fails: fault("gone") }))
        const lastResort = LastResort.onlyFor<string, Fault, never>(
          ({ ask }) => ask.priority === "bulk",
          () => Effect.succeed("later")
        )
        const ask = { input: 1, output: 1, needs: [], leftMillis: Infinity }
        const bulk = yield* run("chat", sending(all, 0, { ask: { ...ask, priority: "bulk" }, lastResort }))
        assert(Exit.isSuccess(bulk))
        assert(errorOf(yield* run("chat", sending(all, 1, { ask, lastResort }))) instanceof Fault)
      }).pipe(Effect.provide(rig(two))))

    it.effect("is not asked after an error that is the caller's", () =>
      Effect.gen(function*() {
        const all = world(() => ({ took: 0, fails: fault("caller") }))
        const exit = yield* run("chat", sending(all, 0, { lastResort: () => Effect.succeed("never") }))
        assert.isTrue(Exit.isFailure(exit))
      }).pipe(Effect.provide(rig(two))))

    it.effect("stays inside the fence of its route", () =>
      Effect.gen(function*() {
        const all = world((target) => ({ took: 0, fails: target === "a" ? fault("gone") : undefined }))
        const router = yield* ModelRouter.ModelRouter
        const exit = yield* run(
          "fenced",
          sending(all, 0, {
            lastResort: () => within(router, "open", sending(all, 1))
          })
        )
        const error = errorOf(exit)
        assert(error instanceof RouterError.RouterError && error.reason._tag === "OutsideFence")
        assert.deepStrictEqual(error.reason.fence, ["eu-*"])
        assert.deepStrictEqual(all.sent.map(({ target }) => target), ["a"])
      }).pipe(Effect.provide(rig({
        targets: { a: { residency: ["eu-west-1"] }, b: { residency: ["us-east-1"] }, c: {} },
        routes: { fenced: { policy: "a", fence: ["eu-*"] }, open: { policy: { ordered: ["b", "c"] } } }
      }))))
  })

  it.effect("what the last resort of a call with a fence of its own sends stays inside that one too", () =>
    Effect.gen(function*() {
      const all = world((target) => ({ took: 0, fails: target === "a" ? fault("gone") : undefined }))
      const router = yield* ModelRouter.ModelRouter
      const ask = { input: 1, output: 1, needs: [], leftMillis: Infinity }
      const exit = yield* run(
        "fenced",
        sending(all, 0, {
          ask: { ...ask, fence: ["eu-west-1"] },
          lastResort: () => within(router, "open", sending(all, 1))
        })
      )
      const error = errorOf(exit)
      assert(error instanceof RouterError.RouterError && error.reason._tag === "OutsideFence")
      assert.deepStrictEqual(error.reason.fence, ["eu-west-1"])
    }).pipe(Effect.provide(rig({
      targets: { a: { residency: ["eu-west-1"] }, b: { residency: ["eu-north-1"] } },
      routes: { fenced: { policy: "a", fence: ["eu-*"] }, open: { policy: "b" } }
    }))))

  it.effect("what a check asks of others stays inside the fence of its call and its route", () =>
    Effect.gen(function*() {
      const all = world(() => ({ took: 0 }))
      const router = yield* ModelRouter.ModelRouter
      const exit = yield* run(
        "fenced",
        sending(all, 0, {
          check: () =>
            Effect.scoped(router.run("judge", sending(all, 1))).pipe(
              Effect.as(true),
              Effect.catch(({ error }) => Effect.succeed(!(error instanceof RouterError.RouterError)))
            )
        })
      )
      assert.deepStrictEqual(all.sent.map(({ target }) => target), ["a"])
      assert.isTrue(accountOf(exit)?.rejected)
    }).pipe(Effect.provide(rig({
      targets: { a: { residency: ["eu-west-1"] }, b: { residency: ["us-east-1"] } },
      routes: { fenced: { policy: "a", fence: ["eu-*"] }, judge: { policy: "b" } }
    }))))

  it.effect("what a rejected answer holds open is closed when there is a better one", () =>
    Effect.gen(function*() {
      const all = world(() => ({ took: 0 }))
      const router = yield* ModelRouter.ModelRouter
      const open = new Set<string>()
      const call = sending(all, 0, { check: (answer) => Effect.succeed(answer === "large") })
      const offer = (target: Target.BuiltTarget) => {
        const own = call.offer(target)
        const opened = Effect.acquireRelease(
          Effect.sync(() => open.add(target.name)),
          () => Effect.sync(() => open.delete(target.name))
        )
        return { ...own, send: (granted: Sending.Granted) => Effect.andThen(opened, own.send(granted)) }
      }
      const then = yield* Effect.scoped(
        Effect.map(router.run("chat", { ...call, offer }), ({ account }) => [account.target, ...open])
      )
      assert.deepStrictEqual(then, ["large", "large"])
    }).pipe(Effect.provide(rig({
      targets: { small: {}, large: {} },
      routes: {
        chat: { policy: { difficulty: [{ level: "easy", to: "small" }, { level: "hard", to: "large" }], by: "guess" } }
      },
      functions: { classify: { guess: () => "easy" } }
    }))))

  describe("streams", () => {
    /** A stream: its first content ends the request, the rest lives in the scope. */
    const streaming = (
      all: World,
      fails: (target: string) => "before" | "after" | undefined,
      closed: Array<string>
    ) => {
      const plain = sending(all, 0)
      return {
        ...plain,
        offer: (target: Target.BuiltTarget) => {
          const offer = plain.offer(target)
          return {
            ...offer,
            send: (granted: Sending.Granted) =>
              Effect.gen(function*() {
                yield* Effect.addFinalizer(() => Effect.sync(() => closed.push(target.name)))
                yield* offer.send(granted)
                return fails(target.name) === "before"
                  ? yield* fault("sick")
                  : Stream.concat(
                    Stream.make(`${target.name} 1`),
                    fails(target.name) === "after" ? Stream.fail(fault("sick")) : Stream.make(`${target.name} 2`)
                  )
              })
          }
        }
      }
    }

    const read = (all: World, fails: (target: string) => "before" | "after" | undefined, closed: Array<string>) =>
      Effect.gen(function*() {
        const router = yield* ModelRouter.ModelRouter
        const { check: _, lastResort: __, ...others } = streaming(all, fails, closed)
        const { account, value } = yield* router.run("chat", others)
        const heard: Array<string> = []
        const exit = yield* Effect.exit(Stream.runForEach(value, (text) => Effect.sync(() => heard.push(text))))
        return { account, heard, exit, open: [...closed] }
      }).pipe(Effect.scoped)

    it.effect("change their target until the first content: what was opened in vain is closed before", () =>
      Effect.gen(function*() {
        const all = world(() => ({ took: 0 }))
        const closed: Array<string> = []
        const { account, heard, open } = yield* read(all, (target) => target === "a" ? "before" : undefined, closed)
        assert.strictEqual(account.target, "b")
        assert.deepStrictEqual(heard, ["b 1", "b 2"])
        assert.deepStrictEqual(open, ["a"])
        assert.deepStrictEqual(closed, ["a", "b"])
      }).pipe(Effect.provide(rig(two))))

    it.effect("never change it after", () =>
      Effect.gen(function*() {
        const all = world(() => ({ took: 0 }))
        const { account, exit, heard } = yield* read(all, (target) => target === "a" ? "after" : undefined, [])
        assert.strictEqual(account.target, "a")
        assert.deepStrictEqual(heard, ["a 1"])
        assert.isTrue(Exit.isFailure(exit))
        assert.deepStrictEqual(all.sent.map(({ target }) => target), ["a"])
      }).pipe(Effect.provide(rig(two))))
  })

  it.effect("describes what it then does first", () =>
    Effect.gen(function*() {
      const router = yield* ModelRouter.ModelRouter
      const all = world(() => ({ took: 0 }))
      const { ask } = sending(all, 0)
      const { candidates } = yield* router.describe("chat", ask)
      assert.deepStrictEqual(candidates.map(({ target }) => target.name), ["a", "b"])
      assert.strictEqual(accountOf(yield* run("chat", sending(all, 0)))?.target, "a")
      const unknown = yield* Effect.flip(router.describe("none", ask))
      assert.strictEqual(unknown.message, "route none: there is no such route: there are chat")
      const error = errorOf(yield* run("none", sending(all, 1)))
      assert(error instanceof RouterError.RouterError && error.reason._tag === "UnknownRoute")
    }).pipe(Effect.provide(rig(two))))

  it.effect("tells what happens to its calls", () =>
    Effect.gen(function*() {
      const router = yield* ModelRouter.ModelRouter
      const heard: Array<RouterEvent.RouterEvent> = []
      yield* Effect.forkChild(Stream.runForEach(router.events, (event) => Effect.sync(() => heard.push(event))), {
        startImmediately: true
      })
      const all = world((target) => ({ took: 0, fails: target === "a" ? fault("sick") : undefined }))
      yield* run("chat", sending(all, 0))
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(
        heard.map((event) => event._tag === "Ended" ? [event._tag, event.how, event.account.target] : [event._tag]),
        [["Sent"], ["Failed"], ["Sent"], ["Ended", "answered", "b"]]
      )
    }).pipe(Effect.provide(rig(two))))

  it.effect.prop(
    "no request leaves its fences, whatever a function of the user's chooses and whoever fails",
    [
      Schema.Array(Schema.Array(Schema.Literals(["eu-1", "eu-2", "us-1", "ap-1"])).check(Schema.isBetweenLength(1, 3)))
        .check(Schema.isBetweenLength(1, 6)),
      Schema.Array(Schema.Literals(["eu-*", "us-*", "eu-1", "*", "ap-1"])).check(Schema.isBetweenLength(1, 2)),
      Schema.Array(Schema.Literals(["t0", "t1", "t2", "t3", "t4", "t5", "no", ""])).check(Schema.isMaxLength(8)),
      Schema.Array(Schema.Boolean).check(Schema.isMaxLength(6))
    ],
    ([residencies, fence, chosen, fails]) => {
      const names = residencies.map((_, index) => `t${index}`)
      const admits = (places: ReadonlyArray<string>) =>
        places.every((place) =>
          fence.some((one) => one === place || one.endsWith("*") && place.startsWith(one.slice(0, -1)))
        )
      const [first = "*", ...others] = fence
      return Effect.gen(function*() {
        const all = world((target) => ({
          took: 0,
          fails: fails[names.indexOf(target)] === true ? fault("gone") : undefined
        }))
        const ask = { input: 1, output: 1, needs: [], leftMillis: Infinity, fence: [first, ...others] as const }
        yield* run("chat", sending(all, 0, { ask }))
        const outer = run("chat", sending(all, 1))
        yield* Effect.provideService(outer, Fence.CurrentFence, [first, ...others])
        for (const { target } of all.sent) assert.isTrue(admits(residencies[names.indexOf(target)] ?? []))
      }).pipe(Effect.provide(rig({
        targets: Object.fromEntries(names.map((name, index) => [name, { residency: nonEmpty(residencies[index]) }])),
        routes: { chat: { policy: { choose: names, by: "any" } } },
        functions: { choose: { any: () => chosen } }
      })))
    },
    { arbitrary: { runs: 2_000 } }
  )

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
          // A request may have been sent beside it, and nobody is asked after it.
          const didOf = (attempt: number) => script.calls[call]?.did[attempt - 1]
          const callers = own.find(({ attempt }) => didOf(attempt)?.kind === "caller")
          const ended = (callers?.at ?? Infinity) + (didOf(callers?.attempt ?? 0)?.took ?? 0)
          assert.strictEqual(own.filter(({ at, attempt }) => at > ended && attempt !== callers?.attempt).length, 0)
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
