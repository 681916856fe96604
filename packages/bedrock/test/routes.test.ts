// Calls by a route, through the whole service and the unmodified SDK, to an emulator that counts every Region by itself.
import { Bedrock, CallAccount } from "@caprock/bedrock"
import { Emulator, Fault, LatencyModel, type Options, OutputModel } from "@caprock/emulator"
import { Health } from "@caprock/router"
import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Clock, Context, Effect, Fiber, Layer, Stream } from "effect"

const modelId = "amazon.nova-lite-v1:0"
const credentials = { accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: "secret" }

const ask = (route: string, text = "Hello", maxTokens = 100) => ({
  modelId: route,
  messages: [{ role: "user" as const, content: [{ text }] }],
  inferenceConfig: { maxTokens }
})

const regions = ["us-east-1", "us-west-2", "eu-west-1"] as const

/** The same model in three Regions, each under the name of its Region. */
const targets = Object.fromEntries(regions.map((region) => [region, { model: modelId, region }]))

const house = Effect.fnUntraced(function*(options: {
  readonly emulator?: Options.Options
  readonly bedrock?: Bedrock.Options
  readonly requests?: number
  readonly window?: number
}) {
  const { requests, window = 1_000 } = options
  const emulator = yield* Emulator.make({
    seed: 7,
    window,
    ...(requests === undefined ? {} : { quota: { requests } }),
    latency: LatencyModel.fixed(20),
    log: 10_000,
    ...options.emulator
  })
  const context = yield* Layer.build(Bedrock.layer({
    region: "us-east-1",
    endpoint: emulator.url,
    credentials,
    ...(requests === undefined
      ? { withoutQuota: "unlimited" }
      : { quotas: { default: { requestsPerMinute: requests } } }),
    meters: { window },
    backoff: { base: "20 millis" },
    routes: { targets, routes: { chat: { policy: { ordered: [...regions] } } } },
    ...options.bedrock
  }))
  return { emulator, bedrock: Context.get(context, Bedrock.Bedrock) }
})

const who = (answer: object) => CallAccount.of(answer)?.target

describe("a route's name", () => {
  it.live("stands wherever a model's id does, and the answer says who gave it", () =>
    Effect.gen(function*() {
      const { bedrock } = yield* house({})
      const answer = yield* bedrock.converse(ask("chat"))
      assert.strictEqual(who(answer), "us-east-1")
      assert.notInclude(JSON.stringify(answer), "us-east-1")
      const events = Arr.fromIterable(yield* Stream.runCollect(bedrock.converseStream(ask("chat"))))
      assert.deepStrictEqual(events.map(who).filter((target) => target !== undefined), ["us-east-1"])
      const body = JSON.stringify({
        messages: [{ role: "user", content: [{ text: "Hello" }] }],
        inferenceConfig: { maxTokens: 50 }
      })
      assert.strictEqual(who(yield* bedrock.invokeModel({ modelId: "chat", body })), "us-east-1")
      const chunks = Arr.fromIterable(
        yield* Stream.runCollect(bedrock.invokeModelWithResponseStream({ modelId: "chat", body }))
      )
      assert.deepStrictEqual(chunks.map(who).filter((target) => target !== undefined), ["us-east-1"])
      assert.isUndefined(CallAccount.of(yield* bedrock.converse(ask(modelId))))
    }).pipe(Effect.scoped))
})

describe("several Regions", () => {
  it.live("are one pool of capacity: their quotas add up, and nobody is throttled", () =>
    Effect.gen(function*() {
      const window = 2_000
      const { bedrock, emulator } = yield* house({ requests: 10, window, emulator: { latency: LatencyModel.fixed(5) } })
      const answers = yield* Effect.forEach(Arr.range(1, 120), () => bedrock.converse(ask("chat")), {
        concurrency: "unbounded"
      })
      const { throttled } = yield* emulator.stats
      assert.strictEqual(throttled.total, 0)
      const by = regions.map((region) => answers.filter((answer) => who(answer) === region).length)
      assert.deepStrictEqual(by, [40, 40, 40])
      // Of three quotas they are four windows: the last begins after three and their guards. A fifth would come after four.
      const times = (yield* emulator.log).map(({ arrivedAt }) => arrivedAt)
      assert.isBelow(Math.max(...times) - Math.min(...times), 4 * (window + 250))
    }).pipe(Effect.scoped), 20_000)

  it.live("what was bought goes first, and the rest overflows only while that is full", () =>
    Effect.gen(function*() {
      const window = 1_500
      const bought = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcdefghijkl"
      const { bedrock, emulator } = yield* house({
        window,
        emulator: { quotas: { [bought]: { requests: 5 } } },
        bedrock: {
          quotas: { default: { requestsPerMinute: 1_000 }, [bought]: { requestsPerMinute: 5 } },
          routes: {
            targets: { bought: { model: bought, region: "us-east-1" }, spare: { model: modelId, region: "us-west-2" } },
            routes: { chat: { policy: { ordered: ["bought", "spare"], patience: 0 } } }
          }
        }
      })
      const first = yield* Effect.forEach(Arr.range(1, 5), () => bedrock.converse(ask("chat")), { concurrency: 2 })
      assert.deepStrictEqual(first.map(who), Arr.replicate("bought", 5))
      const overflow = yield* Effect.forEach(Arr.range(1, 3), () => bedrock.converse(ask("chat")))
      assert.deepStrictEqual(overflow.map(who), Arr.replicate("spare", 3))
      const { trials } = CallAccount.of(overflow[0] ?? {}) ?? { trials: [] }
      assert.strictEqual(trials[0]?.why._tag, "Overflow")
      // Many windows of too much, with more at the same time than fits.
      yield* Effect.forEach(Arr.range(1, 300), () => bedrock.converse(ask("chat")), { concurrency: 2 })
      yield* Effect.sleep(window + 300)
      assert.strictEqual(who(yield* bedrock.converse(ask("chat"))), "bought")
      assert.strictEqual((yield* emulator.stats).throttled.total, 0)
      const log = yield* emulator.log
      const own = log.filter(({ modelId }) => modelId === bought)
      assert.isAtLeast(own.length, 10)
      // The limiter holds a place for a guard longer than the server, and for as long as it can't know when the request came.
      const counted = (at: number) =>
        own.filter(({ arrivedAt }) => arrivedAt > at - window - 500 && arrivedAt <= at).length
      const over = log.filter(({ modelId }) => modelId !== bought)
      assert.isAbove(over.length, 100)
      assert.deepStrictEqual(over.filter(({ arrivedAt }) => counted(arrivedAt) < 5), [])
    }).pipe(Effect.scoped), 20_000)

  it.live(
    "an outage of the first in the middle of a load loses no call, and its load comes back little by little",
    () =>
      Effect.gen(function*() {
        const health = yield* Layer.build(Health.layer({ open: "1 second", comeback: "3 seconds" }))
        const { bedrock, emulator } = yield* Effect.provide(
          house({ bedrock: { backoff: { base: "200 millis" } } }),
          health
        )
        const [first, second] = regions
        const ends: Array<{ readonly from: number; readonly target: string | undefined }> = []
        const one = Effect.gen(function*() {
          const from = yield* Clock.currentTimeMillis
          const answer = yield* bedrock.converse(ask("chat"))
          ends.push({ from, target: who(answer) })
        })
        const load = yield* Effect.forkChild(
          Effect.all(Arr.replicate(Effect.forever(one), 10), { concurrency: "unbounded" })
        )
        // One that had failed would have ended them.
        const until = (enough: () => boolean) =>
          Effect.gen(function*() {
            while (!enough()) {
              assert.isUndefined(load.pollUnsafe())
              yield* Effect.sleep(10)
            }
          })
        yield* until(() => ends.length >= 50)
        assert.isTrue(ends.every(({ target }) => target === first))
        yield* emulator.outage({ duration: 1_500, region: first })
        const from = yield* Clock.currentTimeMillis
        const since = ends.length
        // Of those that began in it, the first that the first Region answers is what shows that it is back.
        const back = () => ends.findIndex((end) => end.from > from && end.target === first)
        yield* until(() => back() > 0)
        const during = ends.slice(since, back()).filter((end) => end.from > from)
        assert.isAbove(during.length, 50)
        assert.isTrue(during.every(({ target }) => target === second))
        // Few of them went there all the same: what opened the circuit, and probes.
        assert.isAtMost((yield* emulator.stats).errors["ServiceUnavailableException"] ?? 0, 40)

        // The probe's answer is one. Nobody rushes in behind it, and then it has a part of them, and then all.
        const next = () => ends.findIndex(({ target }, index) => index > back() && target === first)
        yield* until(() => next() > 0)
        assert.isAbove(next() - back(), 30)
        const shareOf = (from: number) =>
          ends.slice(from, from + 50).filter(({ target }) => target === first).length / 50
        yield* until(() => ends.length >= next() + 50)
        assert.isBelow(shareOf(next()), 0.5)
        yield* until(() => shareOf(ends.length - 50) === 1)
        yield* Fiber.interrupt(load)
      }).pipe(Effect.scoped),
    40_000
  )

  it.live(
    "second requests are one in twenty calls at most, however many are slow, and who loses is given up on the wire too",
    () =>
      Effect.gen(function*() {
        const calls = 600
        const { bedrock, emulator } = yield* house({
          emulator: { latency: LatencyModel.logNormal(10, 1.5, { maxMillis: 1_000 }) },
          bedrock: {
            routes: {
              targets,
              routes: { chat: { policy: { headroom: ["us-east-1", "us-west-2"] }, hedge: { percentile: 0.8 } } }
            }
          }
        })
        const answers = yield* Effect.forEach(
          Arr.range(1, calls),
          (call) => bedrock.converse(ask("chat", `Hello ${call}`)),
          { concurrency: 8 }
        )
        const accounts = answers.flatMap((answer) => CallAccount.of(answer) ?? [])
        const hedged = accounts.filter(({ hedged }) => hedged)
        assert.isNotEmpty(hedged)
        assert.isTrue(hedged.every(({ attempts, trials }) =>
          attempts >= 2 && trials.some(({ outcome }) => outcome === "lost") &&
          new Set(trials.map(({ target }) => target)).size === 2
        ))
        while ((yield* emulator.stats).inFlight > 0) {
          yield* Effect.sleep(10)
        }
        const { answered, errors, requests } = yield* emulator.stats
        assert.isAtMost(hedged.length, calls / 20)
        // One that lost before its body was there is no request.
        assert.isAtMost(
          requests,
          accounts.reduce((sum, { attempts }) =>
            sum + attempts, 0)
        )
        assert.isAbove(requests, calls)
        // Either it was left, or it was answered in the same instant.
        assert.strictEqual(answered + (errors["Disconnected"] ?? 0), requests)
        assert.isAbove(errors["Disconnected"] ?? 0, 0)
      }).pipe(Effect.scoped),
    30_000
  )

  it.live("where one throttles and its wait is longer than there is patience for, another is asked, and the account says so", () =>
    Effect.gen(function*() {
      const { bedrock, emulator } = yield* house({ bedrock: { backoff: { base: "3 seconds" } } })
      yield* emulator.inject(Fault.error("ThrottlingException"))
      const answer = yield* bedrock.converse(ask("chat"))
      const { attempts, target, trials } = CallAccount.of(answer) ?? {}
      assert.deepStrictEqual([target, attempts], ["us-west-2", 2])
      assert.deepStrictEqual(
        trials?.map(({ outcome, target }) => [target, typeof outcome === "string" ? outcome : outcome.failed]),
        [["us-east-1", "ThrottlingError"], ["us-west-2", "answered"]]
      )
    }).pipe(Effect.scoped))
})

describe("what fails", () => {
  it.live("a short wait after a throttle is waited for where it was", () =>
    Effect.gen(function*() {
      const { bedrock, emulator } = yield* house({})
      yield* emulator.inject(Fault.error("ThrottlingException"))
      assert.strictEqual(who(yield* bedrock.converse(ask("chat"))), "us-east-1")
    }).pipe(Effect.scoped))

  it.live("a bad request goes nowhere else", () =>
    Effect.gen(function*() {
      const { bedrock, emulator } = yield* house({})
      yield* emulator.inject(Fault.error("ValidationException"))
      const error = yield* Effect.flip(bedrock.converse(ask("chat")))
      assert.deepStrictEqual([error.reason._tag, error.attempts, error.region], ["ValidationError", 1, "us-east-1"])
      assert.strictEqual((yield* emulator.stats).requests, 1)
    }).pipe(Effect.scoped))

  it.live("everywhere: the error says what was tried, and one budget holds for all", () =>
    Effect.gen(function*() {
      const { bedrock, emulator } = yield* house({ bedrock: { backoff: { attempts: 3, base: "20 millis" } } })
      yield* emulator.outage({ duration: "1 hour" })
      const error = yield* Effect.flip(bedrock.converse(ask("chat")))
      assert.strictEqual(error.reason._tag, "ServerError")
      assert.strictEqual(error.attempts, 3)
      assert.deepStrictEqual(error.tried?.map(({ reason, target }) => `${target} ${reason}`), [
        "us-east-1 ServerError",
        "us-west-2 ServerError",
        "eu-west-1 ServerError"
      ])
      assert.include(error.message, "tried us-east-1: ServerError")
    }).pipe(Effect.scoped))

  it.live("a stream changes its target before its first content, and never after", () =>
    Effect.gen(function*() {
      const { bedrock, emulator } = yield* house({ emulator: { output: OutputModel.fixed(60) } })
      yield* emulator.inject(Fault.error("ServiceUnavailableException"))
      const events = Arr.fromIterable(yield* Stream.runCollect(bedrock.converseStream(ask("chat"))))
      assert.deepStrictEqual(events.map(who).filter((target) => target !== undefined), ["us-west-2"])
      assert.strictEqual(events.filter(({ messageStart }) => messageStart !== undefined).length, 1)
      const before = (yield* emulator.stats).requests
      yield* emulator.inject(Fault.truncate(0.5))
      const error = yield* Effect.flip(Stream.runDrain(bedrock.converseStream(ask("chat"))))
      assert.strictEqual(error.reason._tag, "InterruptedStreamError")
      assert.strictEqual((yield* emulator.stats).requests, before + 1)
    }).pipe(Effect.scoped))

  it.live("a stream that is left in the middle is left by its connection", () =>
    Effect.gen(function*() {
      const { bedrock, emulator } = yield* house({
        emulator: { output: OutputModel.fixed(60), latency: LatencyModel.perToken(10, 1_000) }
      })
      yield* bedrock.converseStream(ask("chat")).pipe(Stream.take(2), Stream.runDrain)
      while ((yield* emulator.stats).inFlight > 0) yield* Effect.sleep(10)
    }).pipe(Effect.scoped), 5_000)
})
