import { ModelId } from "@caprock/quota"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, Schema } from "effect"

const parse = (id: string) => Result.getOrThrow(ModelId.parse(id))
const failure = (id: string) => Result.getOrThrow(Result.flip(ModelId.parse(id)))

describe("ModelId", () => {
  describe("bare model ids", () => {
    it.each([
      ["anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic"],
      ["anthropic.claude-sonnet-4-6", "anthropic"],
      ["amazon.nova-lite-v1:0", "amazon"],
      ["amazon.titan-embed-text-v1", "amazon"],
      ["openai.gpt-oss-120b-1:0", "openai"],
      ["openai.gpt-5.6-sol", "openai"],
      ["moonshotai.kimi-k2.5", "moonshotai"],
      ["deepseek.v3.2", "deepseek"],
      ["zai.glm-4.7", "zai"],
      // A provider that nobody knows yet is no prefix.
      ["acme.sage-1.5", "acme"],
      // No context suffix: a version of its own form.
      ["amazon.nova-pro-v1:0:24k-x", "amazon"]
    ])("%s", (id, provider) => {
      assert.deepStrictEqual(parse(id), { _tag: "FoundationModel", id, model: id, provider })
    })

    it.each([
      ["anthropic.claude-3-haiku-20240307-v1:0:200k", "anthropic.claude-3-haiku-20240307-v1:0", "200k"],
      ["amazon.nova-pro-v1:0:24k", "amazon.nova-pro-v1:0", "24k"],
      ["amazon.nova-pro-v1:10:24k", "amazon.nova-pro-v1:10", "24k"],
      ["amazon.titan-embed-image-v1:0:mm", "amazon.titan-embed-image-v1:0", "mm"]
    ])("%s has a context suffix", (id, model, context) => {
      const provider = id.slice(0, id.indexOf("."))
      assert.deepStrictEqual(parse(id), { _tag: "FoundationModel", id, model, provider, context })
    })
  })

  describe("system inference profiles", () => {
    it.each([...ModelId.geographicPrefixes])("%s.", (prefix) => {
      const model = "anthropic.claude-haiku-4-5-20251001-v1:0"
      assert.deepStrictEqual(parse(`${prefix}.${model}`), {
        _tag: "InferenceProfile",
        id: `${prefix}.${model}`,
        model,
        provider: "anthropic",
        prefix,
        scope: "geographic"
      })
    })

    it("global.", () => {
      const parsed = parse("global.amazon.nova-2-lite-v1:0")
      assert.deepStrictEqual(parsed, {
        _tag: "InferenceProfile",
        id: "global.amazon.nova-2-lite-v1:0",
        model: "amazon.nova-2-lite-v1:0",
        provider: "amazon",
        prefix: "global",
        scope: "global"
      })
    })

    it("keeps the dots of a version", () => {
      const parsed = parse("us.openai.gpt-5.6-terra")
      assert.strictEqual(ModelId.modelOf(parsed), "openai.gpt-5.6-terra")
    })

    it("recognises a prefix that is not listed by the provider behind it", () => {
      const parsed = parse("za.anthropic.claude-opus-5")
      assert.isTrue(parsed._tag === "InferenceProfile" && parsed.prefix === "za" && parsed.scope === "geographic")
    })

    it("needs no known provider behind a known prefix", () => {
      assert.isTrue(parse("global.acme.sage")._tag === "InferenceProfile")
      assert.isTrue(parse("us.acme.sage")._tag === "InferenceProfile")
    })

    it("takes no provider for a prefix, whatever follows", () => {
      assert.strictEqual(parse("acme.meta")._tag, "FoundationModel")
      assert.strictEqual(parse("amazon.meta.llama")._tag, "FoundationModel")
      assert.strictEqual(parse("meta.amazon")._tag, "FoundationModel")
    })
  })

  describe("ARNs", () => {
    const account = "123456789012"
    it.each([
      ["application-inference-profile/abc123def456", "ApplicationInferenceProfile"],
      ["provisioned-model/abc123def456", "ProvisionedModel"],
      ["custom-model/amazon.nova-lite-v1:0:300k/abc123def456", "CustomModel"],
      ["custom-model-deployment/abc123def456", "CustomModelDeployment"],
      ["imported-model/abc123def456", "ImportedModel"],
      ["prompt/ABCDEFGHIJ:1", "Prompt"],
      ["prompt-router/abc", "PromptRouter"],
      ["default-prompt-router/anthropic.claude:1", "PromptRouter"]
    ])("%s", (resource, tag) => {
      const id = `arn:aws:bedrock:us-east-1:${account}:${resource}`
      const slash = resource.indexOf("/")
      assert.deepStrictEqual<unknown>(parse(id), {
        _tag: tag,
        id,
        arn: {
          partition: "aws",
          service: "bedrock",
          region: "us-east-1",
          account,
          resourceType: resource.slice(0, slash),
          resource: resource.slice(slash + 1)
        }
      })
      assert.isUndefined(ModelId.modelOf(parse(id)))
    })

    it("an inference profile", () => {
      const parsed = parse(
        `arn:aws:bedrock:eu-west-1:${account}:inference-profile/eu.anthropic.claude-sonnet-4-20250514-v1:0`
      )
      assert.isTrue(parsed._tag === "InferenceProfile")
      assert.deepInclude(parsed, {
        model: "anthropic.claude-sonnet-4-20250514-v1:0",
        prefix: "eu",
        scope: "geographic"
      })
      assert.deepInclude(parsed, {
        arn: {
          partition: "aws",
          service: "bedrock",
          region: "eu-west-1",
          account,
          resourceType: "inference-profile",
          resource: "eu.anthropic.claude-sonnet-4-20250514-v1:0"
        }
      })
    })

    it("a foundation model, with and without a Region", () => {
      const regional = parse("arn:aws:bedrock:us-west-2::foundation-model/amazon.nova-pro-v1:0")
      assert.deepInclude(regional, { _tag: "FoundationModel", model: "amazon.nova-pro-v1:0" })
      const global = parse("arn:aws:bedrock:::foundation-model/anthropic.claude-opus-5")
      assert.isTrue(global._tag === "FoundationModel" && global.arn?.region === "" && global.arn.account === "")
    })

    it.each(["aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "aws-eusc"])(
      "partition %s",
      (partition) => {
        const parsed = parse(`arn:${partition}:bedrock:us-gov-west-1:${account}:provisioned-model/abc123def456`)
        assert.isTrue(parsed._tag === "ProvisionedModel" && parsed.arn.partition === partition)
      }
    )

    it("a marketplace endpoint", () => {
      const parsed = parse(`arn:aws:sagemaker:us-east-1:${account}:endpoint/my-endpoint`)
      assert.strictEqual(parsed._tag, "MarketplaceEndpoint")
    })
  })

  it("a name without a dot is a name", () => {
    assert.deepStrictEqual(parse("my_provisioned-model"), { _tag: "Name", id: "my_provisioned-model" })
    assert.deepStrictEqual(parse("abc123def456"), { _tag: "Name", id: "abc123def456" })
  })

  describe("what is no id says what to do", () => {
    it.each(
      [
        ["", "empty", "Give a model id"],
        ["a".repeat(2049), "too-long", "2,048"],
        ["anthropic.claude opus", "characters", "has a space"],
        ["https://bedrock", "characters", "space or another"],
        ["-claude", "characters", "space or another"],
        ["us.", "no-model", "provider included"],
        ["us.anthropic", "no-model", "provider included"],
        ["us.anthropic.", "no-model", "provider included"],
        ["us..claude", "no-model", "provider included"],
        ["anthropic.", "no-model", "provider included"],
        ["arn:aws:bedrock:us-east-1", "arn-parts", "six parts"],
        ["arn:arn:aws:bedrock:us-east-1:123456789012:provisioned-model/x", "arn-parts", "six parts"],
        ["arn:azure:bedrock:us-east-1:123456789012:provisioned-model/x", "arn-parts", "six parts"],
        ["arn:aws:bedrock:us-east-1:12:provisioned-model/x", "arn-parts", "six parts"],
        ["arn:aws:bedrock:us-east-1::provisioned-model/x", "arn-parts", "six parts"],
        ["arn:aws:bedrock::123456789012:application-inference-profile/x", "arn-parts", "six parts"],
        ["arn:aws:bedrock:us-east-1:123456789012:prompt/a b", "characters", "space"],
        ["arn:aws:bedrock:us-east-1:123456789012:prompt/ABCDEFGHIJ\n", "arn-parts", "six parts"],
        ["arn:aws:bedrock:us-east-1::foundation-model/claude", "no-model", "provider included"],
        ["arn:aws:lambda:us-east-1:123456789012:function/x", "arn-service", "SageMaker"],
        ["arn:aws:sagemaker:us-east-1:123456789012:model/x", "arn-resource", "can't be invoked"],
        ["arn:aws:bedrock:us-east-1:123456789012:guardrail/x", "arn-resource", "inference-profile"],
        ["arn:aws:bedrock:us-east-1:123456789012:inference-profile/global", "no-model", "provider included"]
      ] as const
    )("%s", (id, reason, hint) => {
      const error = failure(id)
      assert.strictEqual(error.reason, reason)
      assert.include(error.message, hint)
      assert.isBelow(error.message.length, 500)
    })

    it("shows enough of a long id to recognise it", () => {
      const exact = `${"a".repeat(119)} `
      assert.include(failure(exact).message, JSON.stringify(exact))
      assert.include(failure(`${exact} `).message, JSON.stringify(`${"a".repeat(117)}...`))
    })

    it("takes the longest that Bedrock takes", () => {
      assert.strictEqual(parse("a".repeat(2048))._tag, "Name")
    })
  })

  const Segment = Schema.String.check(Schema.isPattern(/^[a-z0-9][a-z0-9-]{0,20}$/))
  it.effect.prop("a geographic profile of a model names that model", {
    provider: Schema.Literals(["anthropic", "amazon", "meta", "openai"]),
    prefix: Schema.Literals([...ModelId.geographicPrefixes, "global"]),
    name: Segment
  }, ({ name, prefix, provider }) =>
    Effect.sync(() => {
      const bare = parse(`${provider}.${name}`)
      const profile = parse(`${prefix}.${provider}.${name}`)
      assert.strictEqual(ModelId.modelOf(bare), `${provider}.${name}`)
      assert.strictEqual(ModelId.modelOf(profile), ModelId.modelOf(bare))
      assert.notStrictEqual(profile._tag, bare._tag)
    }))

  it.effect.prop("any string is read or refused, never thrown at", [Schema.String], ([input]) =>
    Effect.sync(() => {
      const result = ModelId.parse(input)
      if (Result.isSuccess(result)) assert.strictEqual(result.success.id, input)
      else assert.strictEqual(result.failure.input, input)
    }))
})
