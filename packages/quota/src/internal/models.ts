/**
 * The rows of the catalogue.
 *
 * Burndown: "How tokens are counted in Amazon Bedrock" as quoted in September and October 2026 (BEDROCK.md §3.2): Claude 4.8 15;
 * Opus 5.5, Opus 5, Sonnet 5, Fable 5.1 10; other Anthropic from 3.7 to 4.7 5; GPT-5.6, GPT-6 Astra, GPT-6.1 Sol and Kimi K3 10; else 1.
 * Largest output: the models' cards in the Bedrock user guide. K is 1,000 there for some and 1,024 for others, which the cards don't
 * say; the larger is reserved.
 * Quota labels: names in Service Quotas, exactly (BEDROCK.md §3.3 and appendix A).
 */
import type { Row } from "../Catalogue.ts"

const cards = "Bedrock user guide, model cards; quotas-token-burndown as quoted"
const k = 1024

const claude = (
  ids: ReadonlyArray<string>,
  name: string,
  burndown: number,
  maxOutputTokens: number | undefined,
  quotaLabel: string | undefined,
  onDemand: boolean
): Row => ({ ids, name, burndown, maxOutputTokens, quotaLabel, onDemand, source: cards, asOf: "2026-10-06" })

const anthropic: ReadonlyArray<Row> = [
  claude(["anthropic.claude-opus-5-5"], "Claude Opus 5.5", 10, 128 * k, "Anthropic Claude Opus 5.5", false),
  claude(["anthropic.claude-opus-5"], "Claude Opus 5", 10, 128 * k, "Anthropic Claude Opus 5", false),
  claude(["anthropic.claude-sonnet-5"], "Claude Sonnet 5", 10, 128 * k, "Anthropic Claude Sonnet 5", true),
  claude(["anthropic.claude-fable-5-1"], "Claude Fable 5.1", 10, 128 * k, undefined, true),
  // Its burndown is in no source; its successor's is the cautious one.
  claude(["anthropic.claude-fable-5"], "Claude Fable 5", 10, 128 * k, undefined, true),
  claude(["anthropic.claude-mythos-5"], "Claude Mythos 5", 15, 128 * k, undefined, true),
  claude(["anthropic.claude-opus-4-8"], "Claude Opus 4.8", 15, 128 * k, "Anthropic Claude Opus 4.8", false),
  claude(["anthropic.claude-opus-4-7"], "Claude Opus 4.7", 5, 128 * k, "Anthropic Claude Opus 4.7", false),
  claude(["anthropic.claude-opus-4-6"], "Claude Opus 4.6", 5, 128 * k, "Anthropic Claude Opus 4.6 V1", true),
  claude(["anthropic.claude-sonnet-4-6"], "Claude Sonnet 4.6", 5, 128 * k, "Anthropic Claude Sonnet 4.6", true),
  claude(["anthropic.claude-opus-4-5"], "Claude Opus 4.5", 5, 64 * k, "Anthropic Claude Opus 4.5", false),
  claude(["anthropic.claude-sonnet-4-5"], "Claude Sonnet 4.5", 5, 64 * k, "Anthropic Claude Sonnet 4.5 V1", false),
  claude(["anthropic.claude-haiku-4-5"], "Claude Haiku 4.5", 5, 64 * k, "Anthropic Claude Haiku 4.5", false),
  claude(["anthropic.claude-opus-4-1"], "Claude Opus 4.1", 5, 32 * k, "Anthropic Claude Opus 4.1", false),
  claude(["anthropic.claude-opus-4"], "Claude Opus 4", 5, 32 * k, "Anthropic Claude Opus 4 V1", false),
  claude(["anthropic.claude-sonnet-4"], "Claude Sonnet 4", 5, 64 * k, "Anthropic Claude Sonnet 4 V1", false),
  claude(["anthropic.claude-3-7-sonnet"], "Claude 3.7 Sonnet", 5, 128 * k, "Anthropic Claude 3.7 Sonnet V1", true),
  claude(
    ["anthropic.claude-3-5-sonnet-20240620-v1:0"],
    "Claude 3.5 Sonnet",
    1,
    8 * k,
    "Anthropic Claude 3.5 Sonnet",
    true
  ),
  claude(
    ["anthropic.claude-3-5-sonnet-20241022-v2:0"],
    "Claude 3.5 Sonnet v2",
    1,
    8 * k,
    "Anthropic Claude 3.5 Sonnet V2",
    true
  ),
  claude(["anthropic.claude-3-5-haiku"], "Claude 3.5 Haiku", 1, 8 * k, "Anthropic Claude 3.5 Haiku", true),
  claude(["anthropic.claude-3-haiku"], "Claude 3 Haiku", 1, 4 * k, "Anthropic Claude 3 Haiku", true),
  claude(["anthropic.claude-3-sonnet"], "Claude 3 Sonnet", 1, 4 * k, "Anthropic Claude 3 Sonnet", true)
]

export const rows: ReadonlyArray<Row> = [...anthropic]
