// Calls by a route, through the whole service and the unmodified SDK, to an emulator that counts every Region by itself.
import { Bedrock, CallAccount } from "@caprock/bedrock"
import { Emulator, Fault, LatencyModel, type Options, OutputModel } from "@caprock/emulator"
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
      const window = 1_000
      const { bedrock, emulator } = yield* house({ requests: 10, window, emulator: { latency: LatencyModel.fixed(5) } })
      const from = yield* Clock.currentTimeMillis
      const answers = yield* Effect.forEach(Arr.range(1, 120), () => bedrock.converse(ask("chat")), {
        concurrency: "unbounded"
      })
      const took = (yield* Clock.currentTimeMillis) - from
      const { throttled } = yield* emulator.stats
      assert.strictEqual(throttled.total, 0)
      const by = regions.map((region) => answers.filter((answer) => who(answer) === region).length)
      assert.deepStrictEqual(by, [40, 40, 40])
      // Of three quotas it is the fourth window; of one it would be the twelfth, which begins after eleven with their guards.
      assert.isBelow(took, 11 * (window + 250))
    }).pipe(Effect.scoped), 20_000)

  it.live("what was bought goes first, and the rest overflows only while that is full", () =>
    Effect.gen(function*() {
      const { bedrock } = yield* house({
        requests: 5,
        window: 2_000,
        bedrock: {
          routes: {
            targets,
            routes: { chat: { policy: { ordered: ["us-east-1", "us-west-2"], patience: 0 } } }
          }
        }
      })
      const first = yield* Effect.forEach(Arr.range(1, 5), () => bedrock.converse(ask("chat")), { concurrency: 2 })
      assert.deepStrictEqual(first.map(who), Arr.replicate("us-east-1", 5))
      const overflow = yield* Effect.forEach(Arr.range(1, 3), () => bedrock.converse(ask("chat")))
      assert.deepStrictEqual(overflow.map(who), Arr.replicate("us-west-2", 3))
      const { trials } = CallAccount.of(overflow[0] ?? {}) ?? { trials: [] }
      assert.strictEqual(trials[0]?.why._tag, "Overflow")
      yield* Effect.sleep(2_300)
      assert.strictEqual(who(yield* bedrock.converse(ask("chat"))), "us-east-1")
    }).pipe(Effect.scoped), 20_000)

  it.live(
    "an outage of the first in the middle of a load loses no call, and its load comes back",
    () =>
      Effect.gen(function*() {
        const { bedrock, emulator } = yield* house({ bedrock: { backoff: { base: "200 millis" } } })
        const ends: Array<{ readonly at: number; readonly took: number; readonly target: string | undefined }> = []
        const one = Effect.gen(function*() {
          const begun = yield* Clock.currentTimeMillis
          const answer = yield* bedrock.converse(ask("chat"))
          const at = yield* Clock.currentTimeMillis
          ends.push({ at, took: at - begun, target: who(answer) })
        })
        const load = yield* Effect.forkChild(
          Effect.all(Arr.replicate(Effect.forever(one), 10), { concurrency: "unbounded" })
        )
        while (ends.length < 50) yield* Effect.sleep(10)
        assert.isTrue(ends.every(({ target }) => target === "us-east-1"))
        const outage = 1_500
        const from = yield* Clock.currentTimeMillis
        yield* emulator.outage({ duration: outage, region: "us-east-1" })
        const since = ends.length
        yield* Effect.sleep(outage)
        // Those that were under way when it began may have been answered, and those that end later may have been asked again.
        const during = ends.slice(since).filter(({ at, took }) => at - took > from && at < from + outage)
        assert.isNotEmpty(during)
        assert.deepStrictEqual([...new Set(during.map(({ target }) => target))], ["us-west-2"])
        assert.isBelow(Math.max(...during.map(({ took }) => took)), 2_000)
        const back = ends.length
        while (!ends.slice(back).some(({ target }) => target === "us-east-1")) yield* Effect.sleep(20)
        assert.isBelow((yield* Clock.currentTimeMillis) - from - outage, 30_000)
        // One that had failed would have ended them.
        assert.isUndefined(load.pollUnsafe())
        yield* Fiber.interrupt(load)
      }).pipe(Effect.scoped),
    40_000
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
