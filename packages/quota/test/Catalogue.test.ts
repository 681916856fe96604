import { Catalogue, type Pool } from "@caprock/quota"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { quotaNames } from "./quotaNames.ts"

const lookup = (model: string) => Catalogue.lookup(Catalogue.builtIn, model)

describe("Catalogue", () => {
  it.each([
    // quotas-token-burndown, as quoted in October 2026: see internal/models.ts
    ["anthropic.claude-opus-4-8", 15],
    ["anthropic.claude-opus-5-5", 10],
    ["anthropic.claude-opus-5", 10],
    ["anthropic.claude-sonnet-5", 10],
    ["anthropic.claude-fable-5-1", 10],
    ["anthropic.claude-opus-4-7", 5],
    ["anthropic.claude-opus-4-6-v1", 5],
    ["anthropic.claude-sonnet-4-6", 5],
    ["anthropic.claude-opus-4-5-20251101-v1:0", 5],
    ["anthropic.claude-sonnet-4-5-20250929-v1:0", 5],
    ["anthropic.claude-haiku-4-5-20251001-v1:0", 5],
    ["anthropic.claude-opus-4-1-20250805-v1:0", 5],
    ["anthropic.claude-opus-4-20250514-v1:0", 5],
    ["anthropic.claude-sonnet-4-20250514-v1:0", 5],
    ["anthropic.claude-3-7-sonnet-20250219-v1:0", 5],
    ["anthropic.claude-3-5-sonnet-20241022-v2:0", 1],
    ["anthropic.claude-3-5-haiku-20241022-v1:0", 1],
    ["anthropic.claude-3-haiku-20240307-v1:0", 1],
    ["openai.gpt-5.6-sol", 10],
    ["openai.gpt-5.6-terra", 10],
    ["openai.gpt-5.6-luna", 10],
    ["openai.gpt-6-astra", 10],
    ["openai.gpt-6.1-sol", 10],
    ["openai.gpt-oss-120b-1:0", 1],
    ["moonshotai.kimi-k3", 10],
    ["moonshotai.kimi-k2.5", 1],
    ["amazon.nova-lite-v1:0", 1],
    ["meta.llama3-3-70b-instruct-v1:0", 1],
    ["deepseek.v3.2", 1]
  ])("%s burns %i", (model, burndown) => {
    const entry = lookup(model)
    assert.deepInclude(entry, { known: true, burndown, burndownKnown: true })
  })

  it.each([
    ["anthropic.claude-opus-5-5", 128],
    ["anthropic.claude-sonnet-4-5-20250929-v1:0", 64],
    ["anthropic.claude-opus-4-1-20250805-v1:0", 32],
    ["anthropic.claude-3-haiku-20240307-v1:0", 4],
    ["amazon.nova-2-lite-v1:0", 64],
    ["qwen.qwen3-coder-480b-a35b-v1:0", 16],
    ["deepseek.v3.2", 8],
    ["amazon.titan-embed-text-v2:0", 0]
  ])("%s writes at most %i K", (model, k) => {
    assert.deepInclude(lookup(model), { maxOutputTokens: k * 1024, maxOutputKnown: true })
  })

  it("names a family's versions and nothing else", () => {
    const name = (model: string) => lookup(model).name
    assert.strictEqual(name("anthropic.claude-opus-4"), "Claude Opus 4")
    assert.strictEqual(name("anthropic.claude-opus-4-20250514"), "Claude Opus 4")
    assert.strictEqual(name("anthropic.claude-opus-4-v1"), "Claude Opus 4")
    assert.strictEqual(name("anthropic.claude-opus-4:0"), "Claude Opus 4")
    assert.strictEqual(name("anthropic.claude-opus-4-20250514-v1:0"), "Claude Opus 4")
    for (
      const other of [
        "anthropic.claude-opus-4-9",
        "anthropic.claude-opus-4-20250514-v1:0-beta",
        "anthropic.claude-opus-40",
        "anthropic.claude-opus-4-2025",
        "x.anthropic.claude-opus-4",
        "anthropic.claude-opus",
        "claude-opus-4"
      ]
    ) assert.isFalse(lookup(other).known, other)
    // A version that has a row of its own does not stand for the others.
    assert.strictEqual(name("anthropic.claude-3-5-sonnet-20241022-v2:0"), "Claude 3.5 Sonnet v2")
    assert.isFalse(lookup("anthropic.claude-3-5-sonnet-20250101-v3:0").known)
  })

  it("is cautious about what it does not know, and says so", () => {
    const cautious = { known: false, burndownKnown: false, maxOutputKnown: false, maxOutputTokens: 131_072 }
    assert.deepInclude(lookup("anthropic.claude-opus-9"), { ...cautious, burndown: 15, quotaLabel: undefined })
    assert.deepInclude(lookup("acme.sage"), { source: "none: cautious figures", asOf: "2026-11-21" })
    assert.deepInclude(lookup("openai.gpt-9"), { ...cautious, burndown: 10 })
    assert.deepInclude(lookup("moonshotai.kimi-k9"), { ...cautious, burndown: 10 })
    assert.deepInclude(lookup("moonshot.kimi-k9"), { ...cautious, burndown: 10 })
    assert.deepInclude(lookup("acme.sage-v1:0"), { ...cautious, burndown: 1, name: "acme.sage-v1:0" })
    assert.deepInclude(lookup("arn:aws:bedrock:us-east-1:123456789012:imported-model/x"), { ...cautious, burndown: 1 })
    assert.deepInclude(lookup(""), { ...cautious, burndown: 1 })
    // Known, but not how much it burns or writes.
    assert.deepInclude(lookup("anthropic.claude-haiku-5-5"), { known: true, burndown: 15, burndownKnown: false })
    assert.deepInclude(lookup("moonshotai.kimi-k3"), { known: true, maxOutputTokens: 131_072, maxOutputKnown: false })
  })

  it("is never less cautious than any row of the provider", () => {
    for (const row of Catalogue.builtIn.rows) {
      const provider = row.ids[0]?.split(".")[0]
      const unknown = lookup(`${provider}.of-tomorrow`)
      assert.isAtLeast(unknown.burndown, row.burndown ?? 0, row.name)
      assert.isAtLeast(unknown.maxOutputTokens, row.maxOutputTokens ?? 0, row.name)
    }
  })

  it("has one row per id, each with its source and a date", () => {
    const ids = Catalogue.builtIn.rows.flatMap((row) => row.ids)
    assert.strictEqual(new Set(ids).size, ids.length)
    for (const row of Catalogue.builtIn.rows) {
      assert.match(row.asOf, /^2026-\d\d-\d\d$/)
      assert.isNotEmpty(row.source)
      assert.include([undefined, 1, 5, 10, 15], row.burndown)
    }
  })

  it("has labels only that Service Quotas has", () => {
    const paths = ["on-demand", "cross-region", "global"] as const
    for (const row of Catalogue.builtIn.rows) {
      if (row.quotaLabel === undefined) continue
      const entry = lookup(row.ids[0] ?? "")
      const names = paths.flatMap((path) => [
        Catalogue.quotaName(entry, path, "requests"),
        Catalogue.quotaName(entry, path, "tokens")
      ])
      const found = names.filter((name) =>
        name !== undefined && (quotaNames.has(name) || quotaNames.has(name.replace("Cross-region", "Cross-Region")))
      )
      assert.isNotEmpty(found, row.quotaLabel)
      // What can be reached by profiles only has no on-demand quota.
      if (row.onDemand === false) {
        assert.isFalse(quotaNames.has(Catalogue.quotaName(entry, "on-demand", "tokens") ?? ""), row.name)
      }
    }
  })

  it("spells quota names as AWS does", () => {
    const entry = lookup("anthropic.claude-sonnet-4-5-20250929-v1:0")
    assert.strictEqual(
      Catalogue.quotaName(entry, "cross-region", "tokens"),
      "Cross-region model inference tokens per minute for Anthropic Claude Sonnet 4.5 V1"
    )
    assert.strictEqual(
      Catalogue.quotaName(entry, "global", "requests"),
      "Global cross-region model inference requests per minute for Anthropic Claude Sonnet 4.5 V1"
    )
    assert.strictEqual(
      Catalogue.quotaName(lookup("amazon.nova-lite-v1:0"), "on-demand", "tokens"),
      "On-demand model inference tokens per minute for Amazon Nova Lite"
    )
    assert.isUndefined(Catalogue.quotaName(entry, "provisioned", "tokens"))
    assert.isUndefined(Catalogue.quotaName(lookup("acme.sage"), "global", "tokens"))
  })

  it("hints at profiles where the bare id does not do", () => {
    const model = "anthropic.claude-sonnet-4-5-20250929-v1:0"
    const hint = Catalogue.accessHint(lookup(model), "on-demand", model)
    assert.include(hint, `us.${model}`)
    assert.include(hint, "Claude Sonnet 4.5 can't be invoked by its own id (Bedrock user guide")
    assert.include(hint, `global.${model}`)
    assert.isUndefined(Catalogue.accessHint(lookup(model), "cross-region", model))
    assert.isUndefined(Catalogue.accessHint(lookup("amazon.nova-lite-v1:0"), "on-demand", "amazon.nova-lite-v1:0"))
    assert.isUndefined(Catalogue.accessHint(lookup("acme.sage"), "on-demand", "acme.sage"))
  })

  describe("extend", () => {
    const row: Catalogue.Row = {
      ids: ["anthropic.claude-opus-4-8", "acme.sage"],
      name: "Ours",
      burndown: 2.5,
      maxOutputTokens: 100,
      source: "measured",
      asOf: "2026-11-20"
    }
    const extended = Catalogue.extend(Catalogue.builtIn, [row])

    it("adds rows and overrides by id", () => {
      const ours = { known: true, name: "Ours", burndown: 2.5, maxOutputTokens: 100, source: "measured" }
      assert.deepInclude(Catalogue.lookup(extended, "acme.sage-v1:0"), ours)
      assert.deepInclude(Catalogue.lookup(extended, "anthropic.claude-opus-4-8"), ours)
      assert.deepInclude(Catalogue.lookup(extended, "anthropic.claude-opus-4-7"), { burndown: 5 })
    })

    it("leaves the original alone", () => {
      assert.isFalse(lookup("acme.sage").known)
      assert.strictEqual(lookup("anthropic.claude-opus-4-8").burndown, 15)
    })

    it.effect("applies where it is provided", () =>
      Effect.gen(function*() {
        const burndown = Effect.map(Catalogue.Current, (it) => Catalogue.lookup(it, "acme.sage").burndown)
        assert.strictEqual(yield* burndown, 1)
        assert.strictEqual(yield* Effect.provideService(burndown, Catalogue.Current, extended), 2.5)
      }))
  })

  it("looks up what no id could be", () => {
    assert.isFalse(lookup("anthropic.claude-opus-4\n").known)
  })

  it.effect.prop("anything can be looked up", [Schema.String], ([model]) =>
    Effect.sync(() => {
      const entry = lookup(model)
      assert.isAtLeast(entry.burndown, 1)
      assert.isAtLeast(entry.maxOutputTokens, 0)
      const paths: ReadonlyArray<Pool.AccessPath> = ["on-demand", "global"]
      for (const path of paths) Catalogue.accessHint(entry, path, model)
    }))
})
