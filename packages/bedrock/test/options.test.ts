// What a layer is told, in code and by its environment, and what it says where that makes no sense.
import { RetryBudget } from "@caprock/backoff"
import { Bedrock } from "@caprock/bedrock"
import { BedrockClient, type Settings } from "@caprock/client"
import { BedrockError, Reason } from "@caprock/errors"
import { Quotas } from "@caprock/quota"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"

const modelId = "amazon.nova-lite-v1:0"

const messages = <A>(layer: Layer.Layer<A, Settings.OptionsError>) =>
  Layer.build(layer).pipe(Effect.scoped, Effect.flip, Effect.map((error) => error.message.split("\n")))

const environment = (env: Record<string, string>) =>
  Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))

const whole = "a whole number, 0 or more (leave the field out when there is no such limit)"
const wait = "a duration, such as \"30 seconds\" or \"Infinity\""
const limit = "a duration of more than 0, such as \"30 seconds\" or \"Infinity\""
const span = "a duration of more than 0, such as \"1 minute\""

/** Written where no types look. */
const wrong: ReadonlyArray<readonly [options: object, message: string]> = [
  [
    { quotas: { default: { tpm: 400_000 } } },
    "quotas.default.tpm is not known. There are requestsPerMinute, tokensPerMinute, tokensPerDay, concurrentRequests."
  ],
  [
    { quotas: { default: { tokenPerMinute: 400_000 } } },
    "quotas.default.tokenPerMinute is not known. quotas.default.tokensPerMinute is."
  ],
  [
    { quotas: { [modelId]: { tokensPerMinute: Number.NaN } } },
    `quotas.${modelId}.tokensPerMinute is NaN, and must be ${whole}.`
  ],
  [
    { quotas: { "no model": {} } },
    "quotas: Entry \"no model\" is not a model id: it has a space or another character that no id has " +
    "(letters, digits, and . : - _ are allowed, / in ARNs)."
  ],
  [
    { quotas: 5 },
    "quotas is 5, and must be quotas by model id, such as {\"default\":{\"tokensPerMinute\":200000}}."
  ],
  [{ meters: { window: 0 } }, `meters.window is 0, and must be ${span}.`],
  [{ meters: { day: "Infinity" } }, `meters.day is "Infinity", and must be ${span}.`],
  [
    { meters: { burst: { share: 2, window: 1000 } } },
    "meters.burst.share is 2, and must be a number above 0 and up to 1."
  ],
  [{ guard: -1 }, `guard is -1, and must be ${wait}.`],
  [{ order: 5 }, "order is 5, and must be an object."],
  [{ order: { agening: "1 minute" } }, "order.agening is not known. order.ageing is."],
  [{ order: { ageing: 0 } }, `order.ageing is 0, and must be ${limit}.`],
  [{ order: { weight: 2 } }, "order.weight is 2, and must be a function from a tenant to its weight."],
  [
    { order: { guarantees: [{ share: 2 }] } },
    "order.guarantees.0.share is 2, and must be a number above 0 and up to 1."
  ],
  [
    { order: { guarantees: [{ priority: "urgent", share: 0.5 }] } },
    "order.guarantees.0.priority is \"urgent\", and must be a number, or one of interactive, standard, bulk."
  ],
  [
    { order: { guarantees: [{ share: 0.75 }, { tenant: "a", share: 0.5 }] } },
    "order.guarantees: their shares add up to 1.25, and at most 1 can be kept."
  ],
  [{ room: { requests: 0 } }, "room.requests is 0, and must be a whole number of at least 1."],
  [{ account: "" }, "account is \"\", and must be a text without space around it, and not an empty one."],
  [{ resolve: {} }, "resolve is an object, and must be a Map from ids to model ids."],
  [{ backoff: { attempts: 0 } }, "backoff.attempts is 0, and must be a whole number of at least 1."],
  [{ backoff: { base: "soon" } }, `backoff.base is "soon", and must be ${wait}.`],
  [{ backoff: { factor: Number.NaN } }, "backoff.factor is NaN, and must be a number of at least 0."],
  [
    { backoff: { jitter: "some" } },
    "backoff.jitter is \"some\", and must be one of \"full\", \"equal\", \"decorrelated\", \"none\"."
  ],
  [{ backoff: { tries: 3 } }, "backoff.tries is not known. There are base, factor, cap, jitter, attempts, elapsed."],
  [{ maxWait: Number.NaN }, `maxWait is NaN, and must be ${wait}.`],
  [{ deadline: 0 }, `deadline is 0, and must be ${limit}.`],
  [{ countThrottled: "no" }, "countThrottled is \"no\", and must be true or false."],
  [{ retryBudget: { ratio: -1 } }, "retryBudget.ratio is -1, and must be a value greater than or equal to 0."],
  [{ dedline: "1 minute" }, "dedline is not known. deadline is."]
]

describe("an option that makes no sense", () => {
  it.effect.each(wrong)("%o: %s", ([options, message]) =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* messages(Bedrock.layer(options)), [message])
      assert.deepStrictEqual(yield* messages(Bedrock.layerTest({}, options)), [message])
      assert.deepStrictEqual(yield* messages(Bedrock.layerConfig(options)), [message])
    }))

  it.effect("is named by each layer that takes it, also among the client's", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        (yield* messages(Bedrock.layer({ maxConnections: 0, region: "x", deadline: -1, quotas: { "?": {} } }))).map((
          text
        ) => text.split(" ")[0]).sort(),
        ["deadline", "maxConnections", "quotas:", "region"]
      )
      assert.deepStrictEqual(yield* messages(Bedrock.layerLimiter({ guard: -1 })), [
        `guard is -1, and must be ${wait}.`
      ])
      const parts = Layer.mergeAll(
        BedrockClient.layerTest({}),
        Bedrock.layerLimiter(),
        Layer.orDie(RetryBudget.layer())
      )
      assert.deepStrictEqual(yield* messages(Layer.provide(Bedrock.layerNoDeps({ maxWait: -1 }), parts)), [
        `maxWait is -1, and must be ${wait}.`
      ])
    }))

  it.effect("is none among all that there are", () =>
    Effect.gen(function*() {
      const quotas = yield* Effect.fromResult(Quotas.make({ default: { requestsPerMinute: 0 } }))
      for (const given of [quotas, { default: {} }, {}, undefined]) {
        yield* Effect.scoped(Layer.build(Bedrock.layer({
          quotas: given,
          meters: { window: "6 seconds", day: "1 hour", burst: { share: 1, window: 100 } },
          guard: 0,
          account: "a",
          resolve: new Map([["a", "b"]]),
          backoff: { base: 0, factor: 1.5, cap: Infinity, jitter: "full", attempts: 1, elapsed: 0 },
          maxWait: 0,
          deadline: Duration.infinity,
          countThrottled: false,
          retryBudget: { ratio: 0, perSecond: 0.5, capacity: 0 },
          region: "us-east-1",
          endpoint: "http://127.0.0.1:1",
          timeouts: { call: "Infinity" },
          maxConnections: 1
        })))
      }
    }))
})

const limits = Bedrock.Bedrock.use((bedrock) => bedrock.snapshot(modelId)).pipe(
  Effect.map(({ meters, pool }) => [pool, ...meters.map(({ limit, unit }) => `${limit} ${unit}`)])
)

describe("the environment", () => {
  const read = (env: Record<string, string>, options?: Bedrock.Options) =>
    Bedrock.config(options).pipe(environment(env))

  it.effect("sets each option by its own variable", () =>
    Effect.gen(function*() {
      for (const { example, name, option, read: of } of Bedrock.variables) {
        const options = yield* read({ [name]: example })
        const found = option.split(".").reduce<unknown>((at, key) => Reflect.get(Object(at), key), options)
        assert.strictEqual(String(found), String(of(example)), name)
      }
      assert.includeMembers(
        Bedrock.variables.map(({ name }) => name),
        BedrockClient.variables.map(({ name }) => name)
      )
    }))

  it.effect("gives way to code, option by option, and quotas as a whole", () =>
    Effect.gen(function*() {
      const env = {
        CAPROCK_RPM: "100",
        CAPROCK_TPM: "1000",
        CAPROCK_ATTEMPTS: "2",
        CAPROCK_DEADLINE: "1 minute",
        CAPROCK_QUOTAS: "{\"default\":{\"requestsPerMinute\":5}}"
      }
      assert.deepStrictEqual(yield* read(env), {
        quotas: { default: { requestsPerMinute: 5, tokensPerMinute: 1000 } },
        backoff: { attempts: 2 },
        deadline: "1 minute"
      })
      const given = { quotas: {}, backoff: { base: 5 }, deadline: 10 }
      assert.deepStrictEqual(yield* read(env, given), { ...given, backoff: { base: 5, attempts: 2 } })
      const quotas = yield* Effect.fromResult(Quotas.make({ default: { requestsPerMinute: 7 } }))
      assert.strictEqual((yield* read(env, { quotas })).quotas, quotas)
    }))

  it.effect("makes a layer", () =>
    Effect.gen(function*() {
      const layer = Bedrock.layerConfig({ account: "a" })
      const env = { AWS_DEFAULT_REGION: "us-west-2", CAPROCK_TPM: "1000" }
      const [pool, ...meters] = yield* Effect.provide(limits, layer).pipe(environment(env))
      assert.include(pool, "us-west-2")
      assert.deepStrictEqual(meters, ["1000 tokens"])
    }))

  it.effect("is named by what is wrong with it", () =>
    Effect.gen(function*() {
      const of = (env: Record<string, string>) =>
        Effect.map(Effect.flip(read(env)), (error) => error.message.split("\n").sort())
      assert.deepStrictEqual(
        yield* of({ CAPROCK_RPM: "-5", CAPROCK_TPM: "many", CAPROCK_ATTEMPTS: "0", CAPROCK_RETRY_RATIO: "x" }),
        [
          "CAPROCK_ATTEMPTS is 0, and must be a whole number of at least 1.",
          "CAPROCK_RETRY_RATIO is \"x\", and must be a number.",
          `CAPROCK_RPM is -5, and must be ${whole}.`,
          "CAPROCK_TPM is \"many\", and must be a number."
        ]
      )
      assert.deepStrictEqual(yield* of({ CAPROCK_QUOTAS: "{\"default\":{\"tpm\":1}}" }), [
        "CAPROCK_QUOTAS.default.tpm is not known. There are requestsPerMinute, tokensPerMinute, tokensPerDay, concurrentRequests."
      ])
      assert.deepStrictEqual(yield* of({ CAPROCK_QUOTAS: "{" }), [
        "CAPROCK_QUOTAS is \"{\", and must be quotas by model id, such as {\"default\":{\"tokensPerMinute\":200000}}."
      ])
      assert.deepStrictEqual(yield* of({ CAPROCK_QUOTAS: "{", CAPROCK_RPM: "5" }), [
        "CAPROCK_QUOTAS is \"{\", and must be quotas by model id, such as {\"default\":{\"tokensPerMinute\":200000}}."
      ])
      assert.deepStrictEqual(yield* of({ CAPROCK_RMP: "100", CAPROCK_DEDLINE: "1 minute", CAPROCK_PORT: "80" }), [
        "CAPROCK_DEDLINE is not known. CAPROCK_DEADLINE is.",
        "CAPROCK_RMP is not known. CAPROCK_RPM is."
      ])
    }))
})

describe("retryBudget", () => {
  const unavailable = new BedrockError.BedrockError({
    operation: "Converse",
    attempts: 1,
    httpStatus: 503,
    reason: new Reason.ServerError({ kind: "unavailable", message: "no" })
  })
  const calls = 20

  it.effect("bounds the retries of all calls of a layer, for each pool", () =>
    Effect.gen(function*() {
      const bedrock = yield* Bedrock.Bedrock
      const call = (modelId: string) =>
        Effect.flip(bedrock.converse({ modelId, messages: [{ role: "user", content: [{ text: "hi" }] }] }))
      const all = yield* Effect.forEach(
        Array.from({ length: calls }),
        () => Effect.all([call(modelId), call("us.anthropic.claude-sonnet-4-6")], { concurrency: 2 }),
        { concurrency: "unbounded" }
      ).pipe(Effect.forkChild)
      yield* TestClock.adjust("1 minute")
      const errors = yield* Fiber.join(all)
      for (const pool of [0, 1]) {
        const ofPool = errors.map((both) => both[pool])
        assert.strictEqual(ofPool.reduce((sum, error) => sum + (error?.attempts ?? 0), 0), calls + 7)
        assert.isAtLeast(ofPool.filter((error) => error?.gaveUp === "budget").length, calls - 7)
      }
    }).pipe(
      Effect.provide(
        Bedrock.layerTest({ converse: () => unavailable }, { retryBudget: { capacity: 7, ratio: 0, perSecond: 0 } })
      )
    ))
})
