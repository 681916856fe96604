import { ModelId, Pool } from "@caprock/quota"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, Schema } from "effect"

const region = "us-east-1"
const of = (id: string, options?: Partial<Pool.Options>) =>
  Result.flatMap(ModelId.parse(id), (modelId) => Pool.of(modelId, { region, ...options }))
const pool = (id: string, options?: Partial<Pool.Options>) => Result.getOrThrow(of(id, options))
const key = (id: string, options?: Partial<Pool.Options>) => Pool.key(pool(id, options))
const application = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123def456"

describe("Pool", () => {
  it("says all that AWS meters by", () => {
    assert.deepStrictEqual(pool("amazon.nova-lite-v1:0"), {
      account: "default",
      region: "us-east-1",
      model: "amazon.nova-lite-v1:0",
      path: "on-demand",
      capacity: "shared",
      resolved: true
    })
    assert.deepStrictEqual(pool("us.amazon.nova-lite-v1:0", { account: "prod", tier: "reserved", variant: "1m" }), {
      account: "prod",
      region: "us-east-1",
      model: "amazon.nova-lite-v1:0",
      path: "cross-region",
      capacity: "reserved",
      variant: "1m",
      resolved: true
    })
  })

  it("has three for a model: bare, geographic, global", () => {
    const model = "anthropic.claude-haiku-4-5-20251001-v1:0"
    const keys = [model, `us.${model}`, `global.${model}`].map((id) => key(id))
    assert.strictEqual(new Set(keys).size, 3)
    assert.deepStrictEqual(keys, [
      `default|us-east-1|on-demand|shared|${model}`,
      `default|us-east-1|cross-region|shared|${model}`,
      `default|us-east-1|global|shared|${model}`
    ])
  })

  it("is one for all geographic prefixes and for id and ARN", () => {
    const model = "anthropic.claude-haiku-4-5-20251001-v1:0"
    assert.strictEqual(key(`us.${model}`), key(`apac.${model}`))
    assert.strictEqual(
      key(`us.${model}`),
      key(`arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.${model}`)
    )
    assert.strictEqual(key(model), key(`arn:aws:bedrock:us-east-1::foundation-model/${model}`))
    assert.strictEqual(key(model), key(`arn:aws:bedrock:::foundation-model/${model}`))
  })

  it("is one for the tiers default, priority and flex, another for reserved", () => {
    const id = "us.amazon.nova-lite-v1:0"
    for (const tier of ["default", "priority", "flex"] as const) assert.strictEqual(key(id, { tier }), key(id))
    assert.notStrictEqual(key(id, { tier: "reserved" }), key(id))
  })

  it.each<[string, Pool.AccessPath, boolean]>([
    ["provisioned-model/abc", "provisioned", true],
    ["imported-model/abc", "on-demand", true],
    ["custom-model/amazon.nova-lite-v1:0/abc", "on-demand", false],
    ["custom-model-deployment/abc", "on-demand", false],
    ["application-inference-profile/abc", "on-demand", false],
    ["prompt/ABCDEFGHIJ", "on-demand", false],
    ["prompt-router/abc", "on-demand", false]
  ])("%s is metered by itself until it is mapped", (resource, path, resolved) => {
    const id = `arn:aws:bedrock:us-east-1:123456789012:${resource}`
    assert.deepInclude(pool(id), { model: id, path, resolved })
  })

  it("a marketplace endpoint is capacity of its own", () => {
    const id = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/mine"
    assert.deepInclude(pool(id), { model: id, path: "provisioned", resolved: true })
  })

  it("a name is unresolved", () => {
    assert.deepInclude(pool("my-model"), { model: "my-model", path: "on-demand", resolved: false })
  })

  describe("resolve", () => {
    it("puts an application profile into the pool of its source", () => {
      const resolve = new Map([[application, "us.amazon.nova-lite-v1:0"]])
      assert.strictEqual(key(application, { resolve }), key("us.amazon.nova-lite-v1:0"))
      assert.isTrue(pool(application, { resolve }).resolved)
    })

    it("applies to the id as it is used, and to no other", () => {
      const resolve = new Map([["other", "us.amazon.nova-lite-v1:0"]])
      assert.isFalse(pool(application, { resolve }).resolved)
    })

    it("refuses a map to what names no model", () => {
      const bad = Result.getOrThrow(Result.flip(of(application, { resolve: new Map([[application, "us."]]) })))
      assert.isTrue(bad._tag === "PoolError" && bad.reason === "unresolvable")
      assert.include(bad.message, "provider included")
      const chain = Result.getOrThrow(Result.flip(of(application, { resolve: new Map([[application, "a-name"]]) })))
      assert.isTrue(chain._tag === "PoolError" && chain.reason === "unresolvable")
      assert.include(chain.message, "Map it to a model id")
    })
  })

  it("refuses an ARN of another Region, and says both", () => {
    const error = Result.getOrThrow(Result.flip(of(application, { region: "eu-west-1" })))
    assert.isTrue(error._tag === "PoolError" && error.reason === "region-mismatch")
    assert.include(error.message, "belongs to us-east-1")
    assert.include(error.message, "sent to eu-west-1. Use the ARN of eu-west-1, or a client for us-east-1")
  })

  it("refuses to guess a Region", () => {
    const error = Result.getOrThrow(Result.flip(of("amazon.nova-lite-v1:0", { region: "" })))
    assert.isTrue(error._tag === "PoolError" && error.reason === "region-missing")
    assert.include(error.message, "Set the Region")
  })

  it("reads the long-context variant from the request's own fields", () => {
    assert.strictEqual(Pool.variantOf({ anthropic_beta: ["x", "context-1m-2025-08-07"] }), "1m")
    assert.isUndefined(Pool.variantOf({ anthropic_beta: ["x"] }))
    assert.isUndefined(Pool.variantOf({ anthropic_beta: "context-1m-2025-08-07" }))
    assert.isUndefined(Pool.variantOf({}))
    assert.isUndefined(Pool.variantOf(null))
    assert.isUndefined(Pool.variantOf("context-1m-2025-08-07"))
  })

  // Few letters, so that parts of two pools often run into each other when joined.
  const Part = Schema.String.check(Schema.isPattern(/^[a|%7C]{0,4}$/))
  const AnyPool = Schema.Struct({
    account: Part,
    region: Part,
    model: Part,
    path: Schema.Literals(["on-demand", "cross-region", "global", "provisioned"]),
    capacity: Schema.Literals(["shared", "reserved"]),
    variant: Schema.optionalKey(Part),
    resolved: Schema.Boolean
  })
  it.effect.prop(
    "pools have the same key only where they are the same",
    [AnyPool, AnyPool],
    ([a, b]) =>
      Effect.sync(() => {
        const { resolved: _, ...left } = a
        const { resolved: __, ...right } = b
        const same = JSON.stringify(Object.entries(left).sort()) === JSON.stringify(Object.entries(right).sort())
        assert.strictEqual(Pool.key(a) === Pool.key(b), same)
        assert.strictEqual(Pool.key({ ...a, resolved: !a.resolved }), Pool.key(a))
        assert.deepStrictEqual(Pool.fromKey(Pool.key(a)), { ...a, resolved: true })
      }),
    { arbitrary: { runs: 2000 } }
  )

  it("has the variant last in its key", () => {
    const id = "us.amazon.nova-lite-v1:0"
    assert.strictEqual(key(id, { variant: "1m" }), `${key(id)}|1m`)
  })

  it("is read back from its key", () => {
    const plain = pool("us.amazon.nova-lite-v1:0")
    assert.deepStrictEqual(Pool.fromKey(Pool.key(plain)), plain)
    for (const path of ["on-demand", "cross-region", "global", "provisioned"] as const) {
      for (const capacity of ["shared", "reserved"] as const) {
        const any = { ...plain, account: "a|%7C|b%25", path, capacity, variant: "1m|%" }
        assert.deepStrictEqual(Pool.fromKey(Pool.key(any)), any)
      }
    }
  })

  it.each([
    "",
    "a|r|on-demand|shared",
    "a|r|elsewhere|shared|m",
    "a|r||shared|m",
    "a|r|on-demand|lent|m",
    "a|r|on-demand||m",
    "a|r|on-demand|shared|m|v|more"
  ])("%s is no key", (text) => {
    assert.isUndefined(Pool.fromKey(text))
  })

  it("escapes what separates the parts", () => {
    const base = { region: "r", path: "global", capacity: "shared", resolved: true } as const
    assert.notStrictEqual(
      Pool.key({ ...base, account: "a|r", model: "m" }),
      Pool.key({ ...base, account: "a", model: "r|m" })
    )
    assert.notStrictEqual(
      Pool.key({ ...base, account: "a|", model: "m" }),
      Pool.key({ ...base, account: "a%7C", model: "m" })
    )
    assert.notStrictEqual(
      Pool.key({ ...base, account: "a", model: "m", variant: "v" }),
      Pool.key({ ...base, account: "a", model: "m|v" })
    )
  })
})
