import { ModelId, Pool, Quotas } from "@caprock/quota"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Result, Schema } from "effect"

const pool = (id: string, options?: Partial<Pool.Options>) =>
  Result.getOrThrow(
    Result.flatMap(ModelId.parse(id), (modelId) => Pool.of(modelId, { region: "us-east-1", ...options }))
  )
const read = (entries: unknown) => Quotas.fromJson(JSON.stringify(entries))
const failure = (text: string) => Result.getOrThrow(Result.flip(Quotas.fromJson(text)))
const minute = Duration.minutes(1)

describe("Quotas", () => {
  const quotas = () =>
    Result.getOrThrow(read({
      default: { requestsPerMinute: 1 },
      "us.anthropic.claude-sonnet-4-6": { tokensPerMinute: 2 },
      "amazon.nova-lite-v1:0": { tokensPerMinute: 3 },
      "us.anthropic.claude-sonnet-4-6@1m": { tokensPerMinute: 4 },
      "us.anthropic.claude-sonnet-4-6@reserved": { tokensPerMinute: 5 },
      "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc": { tokensPerMinute: 6 }
    }))

  it("finds an entry by the pool that its key draws on", () => {
    const tokens = (id: string, options?: Partial<Pool.Options>) =>
      Quotas.lookup(quotas(), pool(id, options))?.tokensPerMinute
    assert.strictEqual(tokens("us.anthropic.claude-sonnet-4-6"), 2)
    assert.strictEqual(tokens("eu.anthropic.claude-sonnet-4-6"), 2)
    assert.strictEqual(
      tokens("arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-6"),
      2
    )
    assert.strictEqual(tokens("amazon.nova-lite-v1:0"), 3)
    assert.strictEqual(tokens("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"), 6)
  })

  it("has a default for the others", () => {
    for (
      const id of ["anthropic.claude-sonnet-4-6", "global.anthropic.claude-sonnet-4-6", "us.amazon.nova-lite-v1:0"]
    ) {
      assert.deepStrictEqual(Quotas.lookup(quotas(), pool(id)), { requestsPerMinute: 1 })
    }
  })

  it("knows variants and reserved capacity, which otherwise use the model's", () => {
    const id = "us.anthropic.claude-sonnet-4-6"
    const tokens = (options: Partial<Pool.Options>, of = id) =>
      Quotas.lookup(quotas(), pool(of, options))?.tokensPerMinute
    assert.strictEqual(tokens({ variant: "1m" }), 4)
    assert.strictEqual(tokens({ tier: "reserved" }), 5)
    assert.strictEqual(tokens({ variant: "2m" }), 2)
    assert.strictEqual(tokens({ variant: "1m", tier: "reserved" }), 4)
    assert.strictEqual(tokens({ tier: "reserved", variant: "1m" }, "amazon.nova-lite-v1:0"), 3)
  })

  it("without entry and default there is no limit", () => {
    const none = Result.getOrThrow(read({}))
    assert.isUndefined(Quotas.lookup(none, pool("amazon.nova-lite-v1:0")))
    assert.deepStrictEqual(Quotas.metersOf(undefined), [])
  })

  it("uniform holds for every pool", () => {
    const quota = { requestsPerMinute: 7 }
    assert.deepStrictEqual(Quotas.lookup(Quotas.uniform(quota), pool("amazon.nova-lite-v1:0")), quota)
  })

  describe("a bad file says where and what", () => {
    it.each([
      ["{", "json", "Not JSON"],
      ["[]", "shape", "Expected object"],
      [`{"default":3}`, "shape", `["default"]`],
      [`{"default":{"tokensPerMinute":"many"}}`, "shape", `at ["default"]["tokensPerMinute"]`],
      [`{"default":{"tokensPerMinute":-1}}`, "shape", "0 or more"],
      [`{"default":{"tokensPerMinute":1.5}}`, "shape", "integer"],
      [`{"default":{"tokensPerMinute":1e300}}`, "shape", `["tokensPerMinute"]`],
      [`{"default":{"tpm":1}}`, "shape", "requestsPerMinute, tokensPerMinute, tokensPerDay, concurrentRequests"],
      [`{"@1m":{}}`, "model-id", "it is empty"],
      [`{"us.":{}}`, "model-id", `Entry "us." is not a model id`],
      [`{"defalt":{}}`, "model-id", `Entry "defalt" is not a model id, and neither "default" nor "account"`],
      [`{"Default":{}}`, "model-id", `Entry "Default" is not a model id, and neither "default" nor "account"`],
      [`{"defaultModel":{},"x":{}}`, "model-id", `Entry "x" is not a model id, and neither`],
      [`{"defaultquot":{}}`, "model-id", `Entry "defaultquot" is not a model id, and neither`],
      [`{"us.amazon.nova-lite-v1:0@":{},"a b":{}}`, "model-id", `"a b"`],
      [
        `{"us.amazon.nova-lite-v1:0":{},"eu.amazon.nova-lite-v1:0":{}}`,
        "duplicate",
        `"us.amazon.nova-lite-v1:0" and "eu.amazon.nova-lite-v1:0" are the same pool`
      ]
    ])("%s", (text, reason, part) => {
      const error = failure(text)
      assert.strictEqual(error.reason, reason)
      assert.include(error.message, part)
    })

    it("counts those that run by themselves, whatever a minute is", () => {
      const meters = Quotas.metersOf({ concurrentRequests: 3 }, {
        window: "1 second",
        burst: { share: 0.1, window: "1 second" }
      })
      assert.deepStrictEqual(meters, [{ unit: "concurrency", limit: 3, window: Duration.zero }])
    })

    it("tells all that is wrong at once", () => {
      const { message } = failure(`{"default":{"tokensPerMinute":-1,"requestsPerMinute":"x"}}`)
      assert.include(message, `["tokensPerMinute"]`)
      assert.include(message, `["requestsPerMinute"]`)
    })
  })

  it("an account has tokens per day, and nothing else", () => {
    const { message, reason } = failure(JSON.stringify({ account: { tokensPerDay: 1, tokensPerMinute: 2 } }))
    assert.strictEqual(reason, "account")
    assert.strictEqual(
      message,
      "Entry \"account\" can't have tokensPerMinute: all models of an account have only tokensPerDay together. " +
        "Limits of each model go into its own entry, or into \"default\""
    )
  })

  describe("metersFor", () => {
    const day = { unit: "tokens", limit: 9, window: Duration.days(1) }
    const shared = { ...day, shared: "default/us-east-1" }
    const quotas = () =>
      Result.getOrThrow(read({ account: { tokensPerDay: 9 }, "a.b": { requestsPerMinute: 1, tokensPerDay: 9 } }))

    it("are of the pool, and of its account", () => {
      assert.deepStrictEqual(Quotas.metersFor(quotas(), pool("a.b")), [
        { unit: "requests", limit: 1, window: minute },
        day,
        shared
      ])
      assert.deepStrictEqual(Quotas.metersFor(quotas(), pool("a.b", { region: "eu-west-1", account: "1" })).at(-1), {
        ...day,
        shared: "1/eu-west-1"
      })
    })

    it("are the given ones, and the account's, of a pool without a quota", () => {
      const withoutQuota = Quotas.metersOfUnknown()
      assert.deepStrictEqual(Quotas.metersFor(quotas(), pool("c.d")), [shared])
      assert.deepStrictEqual(Quotas.metersFor(quotas(), pool("c.d"), { withoutQuota }), [...withoutQuota, shared])
      assert.deepStrictEqual(Quotas.metersFor(Quotas.uniform({}), pool("c.d"), { withoutQuota }), [])
      assert.deepStrictEqual(Quotas.metersFor({ default: undefined, pools: new Map() }, pool("c.d")), [])
    })
  })

  describe("metersOf", () => {
    const quota = { requestsPerMinute: 10, tokensPerMinute: 1001, tokensPerDay: 5000 }

    it("makes a meter of each limit", () => {
      assert.deepStrictEqual(Quotas.metersOf(quota), [
        { unit: "requests", limit: 10, window: minute },
        { unit: "tokens", limit: 1001, window: minute },
        { unit: "tokens", limit: 5000, window: Duration.hours(24) }
      ])
      assert.deepStrictEqual(Quotas.metersOf({ tokensPerMinute: 0 }), [{ unit: "tokens", limit: 0, window: minute }])
      assert.deepStrictEqual(Quotas.metersOf({}), [])
    })

    it("takes another minute and another day", () => {
      const windows = Quotas.metersOf(quota, { window: "6 seconds", day: "1 hour" }).map((meter) => meter.window)
      assert.deepStrictEqual(windows, [Duration.seconds(6), Duration.seconds(6), Duration.hours(1)])
    })

    it("adds a burst meter per minute's limit, never of nothing and never of more", () => {
      assert.deepStrictEqual(Quotas.metersOf(quota, { burst: { share: 0.25, window: "5 seconds" } }), [
        { unit: "requests", limit: 10, window: minute },
        { unit: "requests", limit: 2, window: Duration.seconds(5) },
        { unit: "tokens", limit: 1001, window: minute },
        { unit: "tokens", limit: 250, window: Duration.seconds(5) },
        { unit: "tokens", limit: 5000, window: Duration.hours(24) }
      ])
      const limits = (share: number, requestsPerMinute: number) =>
        Quotas.metersOf({ requestsPerMinute }, { burst: { share, window: "1 second" } }).map((meter) => meter.limit)
      assert.deepStrictEqual(limits(0.001, 10), [10, 1])
      assert.deepStrictEqual(limits(3, 10), [10, 10])
      assert.deepStrictEqual(limits(0.5, 0), [0, 0])
    })
  })

  const Tokens = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }))
  it.effect.prop(
    "what is written is what is metered",
    [Tokens, Tokens, Tokens],
    ([rpm, tpm, tpd]) =>
      Effect.sync(() => {
        const quota = { requestsPerMinute: rpm, tokensPerMinute: tpm, tokensPerDay: tpd }
        const back = Result.getOrThrow(read({ default: quota }))
        assert.deepStrictEqual(Quotas.metersOf(Quotas.lookup(back, pool("a.b"))).map((it) => it.limit), [rpm, tpm, tpd])
      })
  )
})
