/**
 * The rows of the catalogue.
 *
 * - Burndown: "How tokens are counted in Amazon Bedrock" (quotas-token-burndown), as three public sources quote it in
 *   September and October 2026: Claude 4.8 15; Opus 5.5, Opus 5, Sonnet 5, Fable 5.1 10; other Anthropic models from 3.7 to 4.7 5; GPT-5.6, GPT-6 Astra
 *   and GPT-6.1 Sol (their cards) and Kimi K3 10; everything else 1. Models that came later, and are named by none, have none here.
 * - Largest output: the models' cards in the Bedrock user guide (copies from April to October 2026), and where they give no figure the pages of
 *   their inference parameters (model-parameters-*, copies of 2026). A K is read as 1,024: none of them says, and too much is the safe side. Where
 *   neither gives a figure, there is none here.
 * - Quota labels: names in Service Quotas, letter for letter (awslabs/bedrock-usage-analyzer, April 2026;
 *   aws-samples/sample-bedrock-quota-checker, October 2026).
 * - On demand: models whose card or quotas know inference profiles only are marked.
 */
import type { Row } from "../Catalogue.ts"

const k = 1024
const card = (asOf: string) => ({ source: "Bedrock user guide: model card, quotas-token-burndown as quoted", asOf })
const october = card("2026-10-09")
const september = card("2026-09-22")
const april = card("2026-04-30")

const anthropic: ReadonlyArray<Row> = [
  {
    ids: ["anthropic.claude-opus-5-5"],
    name: "Claude Opus 5.5",
    burndown: 10,
    maxOutputTokens: 128 * k,
    quotaLabel: "Anthropic Claude Opus 5.5",
    onDemand: false,
    ...october
  },
  {
    ids: ["anthropic.claude-opus-5"],
    name: "Claude Opus 5",
    burndown: 10,
    maxOutputTokens: 128 * k,
    quotaLabel: "Anthropic Claude Opus 5",
    onDemand: false,
    ...october
  },
  { ids: ["anthropic.claude-sonnet-5-5"], name: "Claude Sonnet 5.5", maxOutputTokens: 128 * k, ...october },
  {
    ids: ["anthropic.claude-sonnet-5"],
    name: "Claude Sonnet 5",
    burndown: 10,
    maxOutputTokens: 128 * k,
    quotaLabel: "Anthropic Claude Sonnet 5",
    ...october
  },
  { ids: ["anthropic.claude-haiku-5-5"], name: "Claude Haiku 5.5", maxOutputTokens: 128 * k, ...october },
  {
    ids: ["anthropic.claude-fable-5-1"],
    name: "Claude Fable 5.1",
    burndown: 10,
    maxOutputTokens: 128 * k,
    onDemand: false,
    ...october
  },
  { ids: ["anthropic.claude-fable-5"], name: "Claude Fable 5", maxOutputTokens: 128 * k, onDemand: false, ...october },
  { ids: ["anthropic.claude-mythos-5"], name: "Claude Mythos 5", maxOutputTokens: 128 * k, ...september },
  {
    ids: ["anthropic.claude-opus-4-8"],
    name: "Claude Opus 4.8",
    burndown: 15,
    maxOutputTokens: 128 * k,
    quotaLabel: "Anthropic Claude Opus 4.8",
    onDemand: false,
    ...october
  },
  {
    ids: ["anthropic.claude-opus-4-7"],
    name: "Claude Opus 4.7",
    burndown: 5,
    maxOutputTokens: 128 * k,
    quotaLabel: "Anthropic Claude Opus 4.7",
    onDemand: false,
    ...october
  },
  {
    ids: ["anthropic.claude-opus-4-6"],
    name: "Claude Opus 4.6",
    burndown: 5,
    maxOutputTokens: 128 * k,
    quotaLabel: "Anthropic Claude Opus 4.6 V1",
    ...october
  },
  {
    ids: ["anthropic.claude-sonnet-4-6"],
    name: "Claude Sonnet 4.6",
    burndown: 5,
    // The card says 64K; the Anthropic API takes 128,000 (Effect's release notes of July 2026). The larger is the safe side.
    maxOutputTokens: 128 * k,
    quotaLabel: "Anthropic Claude Sonnet 4.6",
    ...october
  },
  {
    ids: ["anthropic.claude-opus-4-5"],
    name: "Claude Opus 4.5",
    burndown: 5,
    maxOutputTokens: 64 * k,
    quotaLabel: "Anthropic Claude Opus 4.5",
    onDemand: false,
    ...october
  },
  {
    ids: ["anthropic.claude-sonnet-4-5"],
    name: "Claude Sonnet 4.5",
    burndown: 5,
    maxOutputTokens: 64 * k,
    quotaLabel: "Anthropic Claude Sonnet 4.5 V1",
    onDemand: false,
    ...october
  },
  {
    ids: ["anthropic.claude-haiku-4-5"],
    name: "Claude Haiku 4.5",
    burndown: 5,
    maxOutputTokens: 64 * k,
    quotaLabel: "Anthropic Claude Haiku 4.5",
    onDemand: false,
    ...october
  },
  {
    ids: ["anthropic.claude-opus-4-1"],
    name: "Claude Opus 4.1",
    burndown: 5,
    maxOutputTokens: 32 * k,
    quotaLabel: "Anthropic Claude Opus 4.1",
    onDemand: false,
    ...october
  },
  {
    ids: ["anthropic.claude-opus-4"],
    name: "Claude Opus 4",
    burndown: 5,
    quotaLabel: "Anthropic Claude Opus 4 V1",
    onDemand: false,
    ...april
  },
  {
    ids: ["anthropic.claude-sonnet-4"],
    name: "Claude Sonnet 4",
    burndown: 5,
    maxOutputTokens: 64 * k,
    quotaLabel: "Anthropic Claude Sonnet 4 V1",
    onDemand: false,
    ...october
  },
  {
    ids: ["anthropic.claude-3-7-sonnet"],
    name: "Claude 3.7 Sonnet",
    burndown: 5,
    quotaLabel: "Anthropic Claude 3.7 Sonnet V1",
    ...april
  },
  {
    ids: ["anthropic.claude-3-5-haiku"],
    name: "Claude 3.5 Haiku",
    burndown: 1,
    quotaLabel: "Anthropic Claude 3.5 Haiku",
    ...april
  },
  // Two versions with a quota each, so neither stands for the family.
  {
    ids: ["anthropic.claude-3-5-sonnet-20241022-v2:0"],
    name: "Claude 3.5 Sonnet v2",
    burndown: 1,
    quotaLabel: "Anthropic Claude 3.5 Sonnet V2",
    ...april
  },
  {
    ids: ["anthropic.claude-3-5-sonnet-20240620-v1:0"],
    name: "Claude 3.5 Sonnet",
    burndown: 1,
    quotaLabel: "Anthropic Claude 3.5 Sonnet",
    ...april
  },
  {
    ids: ["anthropic.claude-3-haiku"],
    name: "Claude 3 Haiku",
    burndown: 1,
    maxOutputTokens: 4 * k,
    quotaLabel: "Anthropic Claude 3 Haiku",
    ...october
  },
  {
    ids: ["anthropic.claude-3-sonnet"],
    name: "Claude 3 Sonnet",
    burndown: 1,
    quotaLabel: "Anthropic Claude 3 Sonnet",
    ...april
  }
]

const openai: ReadonlyArray<Row> = [
  { ids: ["openai.gpt-6.1-sol"], name: "GPT-6.1 Sol", burndown: 10, maxOutputTokens: 131_072, ...october },
  {
    ids: ["openai.gpt-6-astra"],
    name: "GPT-6 Astra",
    burndown: 10,
    maxOutputTokens: 128_000,
    quotaLabel: "GPT-6 Astra",
    onDemand: false,
    ...october
  },
  { ids: ["openai.gpt-6-sol"], name: "GPT-6 Sol", maxOutputTokens: 128_000, ...october },
  { ids: ["openai.gpt-6-luna"], name: "GPT-6 Luna", maxOutputTokens: 128_000, ...october },
  {
    ids: ["openai.gpt-5.6-sol"],
    name: "GPT-5.6 Sol",
    burndown: 10,
    maxOutputTokens: 128_000,
    onDemand: false,
    ...october
  },
  {
    ids: ["openai.gpt-5.6-terra"],
    name: "GPT-5.6 Terra",
    burndown: 10,
    maxOutputTokens: 128_000,
    onDemand: false,
    ...october
  },
  {
    ids: ["openai.gpt-5.6-luna"],
    name: "GPT-5.6 Luna",
    burndown: 10,
    maxOutputTokens: 128_000,
    onDemand: false,
    ...october
  },
  {
    ids: ["openai.gpt-oss-120b-1:0"],
    name: "gpt-oss-120b",
    burndown: 1,
    maxOutputTokens: 16 * k,
    quotaLabel: "OpenAI GPT OSS 120B",
    ...october
  },
  {
    ids: ["openai.gpt-oss-20b-1:0"],
    name: "gpt-oss-20b",
    burndown: 1,
    maxOutputTokens: 16 * k,
    quotaLabel: "OpenAI GPT OSS 20B",
    ...october
  },
  {
    ids: ["openai.gpt-oss-safeguard-120b"],
    name: "GPT OSS Safeguard 120B",
    burndown: 1,
    maxOutputTokens: 16 * k,
    ...october
  },
  {
    ids: ["openai.gpt-oss-safeguard-20b"],
    name: "GPT OSS Safeguard 20B",
    burndown: 1,
    maxOutputTokens: 16 * k,
    quotaLabel: "GPT OSS Safeguard 20B",
    ...october
  }
]

/** Models whose output is charged once. `maxOutputTokens` 0: they answer with vectors, scores or pictures. */
const plain = (
  id: string,
  name: string,
  maxOutputTokens: number | undefined,
  quotaLabel: string | undefined,
  onDemand?: boolean
): Row => ({ ids: [id], name, burndown: 1, maxOutputTokens, quotaLabel, onDemand, ...april })

const amazon: ReadonlyArray<Row> = [
  plain("amazon.nova-2-lite", "Nova 2 Lite", 64 * k, "Amazon Nova 2 Lite", false),
  // The Nova user guide says 5K of them (complete-request-schema, 2026); public model lists have up to 10,000.
  plain("amazon.nova-premier", "Nova Premier", 10_000, "Amazon Nova Premier V1", false),
  plain("amazon.nova-pro", "Nova Pro", 10_000, "Amazon Nova Pro"),
  plain("amazon.nova-lite", "Nova Lite", 10_000, "Amazon Nova Lite"),
  plain("amazon.nova-micro", "Nova Micro", 10_000, "Amazon Nova Micro"),
  plain("amazon.nova-canvas", "Nova Canvas", 0, "Amazon Nova Canvas"),
  plain("amazon.nova-2-sonic", "Nova 2 Sonic", 64 * k, undefined),
  plain(
    "amazon.nova-2-multimodal-embeddings",
    "Nova Multimodal Embeddings",
    0,
    "Amazon Nova 2 Multimodal Embeddings V1"
  ),
  plain("amazon.titan-text-express", "Titan Text G1 - Express", 8 * k, undefined),
  plain("amazon.titan-text-lite", "Titan Text G1 - Lite", 4 * k, undefined),
  plain("amazon.titan-text-premier", "Titan Text G1 - Premier", 3 * k, undefined),
  plain("amazon.titan-image-generator-v1", "Titan Image Generator G1", 0, "Amazon Titan Image Generator G1"),
  plain("amazon.titan-image-generator-v2:0", "Titan Image Generator G1 v2", 0, "Amazon Titan Image Generator G1 V2"),
  plain("amazon.titan-embed-text-v1", "Titan Embeddings G1 - Text", 0, "Amazon Titan Text Embeddings"),
  plain("amazon.titan-embed-text-v2:0", "Titan Text Embeddings V2", 0, "Amazon Titan Text Embeddings V2"),
  plain("amazon.titan-embed-image", "Titan Multimodal Embeddings G1", 0, "Amazon Titan Multimodal Embeddings G1"),
  plain("amazon.rerank", "Rerank 1.0", 0, "Amazon Rerank 1.0")
]

const others: ReadonlyArray<Row> = [
  plain("ai21.jamba-instruct", "Jamba-Instruct", 4 * k, undefined),
  plain("ai21.jamba-1-5-large", "Jamba 1.5 Large", 4 * k, "AI21 Labs Jamba 1.5 Large"),
  plain("ai21.jamba-1-5-mini", "Jamba 1.5 Mini", 4 * k, "AI21 Labs Jamba 1.5 Mini"),
  // Cohere's own documentation, 2025 (the page of parameters gives no figure).
  plain("cohere.command-r", "Command R", 4 * k, "Cohere Command R"),
  plain("cohere.command-r-plus", "Command R+", 4 * k, "Cohere Command R Plus"),
  plain("cohere.command-text", "Command", 4 * k, undefined),
  plain("cohere.command-light-text", "Command Light", 4 * k, undefined),
  plain("cohere.embed-english", "Embed English", 0, "Cohere Embed English"),
  plain("cohere.embed-multilingual", "Embed Multilingual", 0, undefined),
  plain("cohere.embed-v4:0", "Embed v4", 0, "Cohere Embed V4"),
  plain("cohere.rerank-v3-5:0", "Rerank 3.5", 0, "Cohere Rerank 3.5"),
  // The parameters page of DeepSeek R1 takes up to 32,768 and recommends 8,192, which is what the card says.
  plain("deepseek.r1", "DeepSeek R1", 32 * k, "DeepSeek R1 V1", false),
  plain("deepseek.v3-v1:0", "DeepSeek V3.1", undefined, "DeepSeek V3 V1"),
  plain("deepseek.v3.2", "DeepSeek V3.2", 8 * k, "DeepSeek V3.2"),
  plain("google.gemma-3-4b-it", "Gemma 3 4B", undefined, "Gemma 3 4B"),
  plain("google.gemma-3-12b-it", "Gemma 3 12B", undefined, "Gemma 3 12B"),
  plain("google.gemma-3-27b-it", "Gemma 3 27B", undefined, "Gemma 3 27B"),
  // The parameters page says 2,048 of all Llama 3, the cards of two of them 4K.
  plain("meta.llama3-8b-instruct", "Llama 3 8B Instruct", 4 * k, "Meta Llama 3 8B Instruct"),
  plain("meta.llama3-70b-instruct", "Llama 3 70B Instruct", 4 * k, "Meta Llama 3 70B Instruct"),
  plain("meta.llama3-1-8b-instruct", "Llama 3.1 8B Instruct", 4 * k, "Meta Llama 3.1 8B Instruct"),
  plain("meta.llama3-1-70b-instruct", "Llama 3.1 70B Instruct", 4 * k, "Meta Llama 3.1 70B Instruct"),
  plain("meta.llama3-1-405b-instruct", "Llama 3.1 405B Instruct", 4 * k, "Meta Llama 3.1 405B Instruct"),
  plain("meta.llama3-2-1b-instruct", "Llama 3.2 1B Instruct", 4 * k, "Meta Llama 3.2 1B Instruct", false),
  plain("meta.llama3-2-3b-instruct", "Llama 3.2 3B Instruct", 4 * k, "Meta Llama 3.2 3B Instruct", false),
  plain("meta.llama3-3-70b-instruct", "Llama 3.3 70B Instruct", 4 * k, "Meta Llama 3.3 70B Instruct"),
  plain("meta.llama4-maverick-17b-instruct", "Llama 4 Maverick", undefined, "Meta Llama 4 Maverick V1", false),
  plain("meta.llama4-scout-17b-instruct", "Llama 4 Scout", undefined, "Meta Llama 4 Scout V1", false),
  plain("minimax.minimax-m2", "MiniMax M2", undefined, "Minimax M2"),
  plain("minimax.minimax-m2.1", "MiniMax M2.1", 8 * k, "Minimax M2.1"),
  plain("minimax.minimax-m2.5", "MiniMax M2.5", 8 * k, "MiniMax M2.5"),
  plain("mistral.devstral-2-123b", "Devstral 2 123B", undefined, "Mistral Devstral 2 123b"),
  plain("mistral.magistral-small-2509", "Magistral Small 1.2", undefined, "Magistral Small 1.2"),
  plain("mistral.ministral-3-3b-instruct", "Ministral 3B 3.0", undefined, "Ministral 3B 3.0"),
  plain("mistral.ministral-3-8b-instruct", "Ministral 8B 3.0", undefined, "Ministral 8B 3.0"),
  plain("mistral.ministral-3-14b-instruct", "Ministral 14B 3.0", undefined, "Ministral 14B 3.0"),
  plain("mistral.mistral-large-3-675b-instruct", "Mistral Large 3", undefined, "Mistral Large 3"),
  plain("mistral.mistral-large-2407-v1:0", "Mistral Large 24.07", 8 * k, "Mistral Large 2407"),
  plain("mistral.mistral-large-2402-v1:0", "Mistral Large 24.02", 8 * k, undefined),
  plain("mistral.mistral-small-2402-v1:0", "Mistral Small 24.02", 8 * k, "Mistral AI Mistral Small"),
  plain("mistral.mistral-7b-instruct-v0:2", "Mistral 7B Instruct", 8 * k, undefined),
  plain("mistral.mixtral-8x7b-instruct-v0:1", "Mixtral 8x7B Instruct", 4 * k, undefined),
  plain("mistral.pixtral-large-2502", "Pixtral Large 25.02", 16 * k, "Mistral Pixtral Large 25.02 V1", false),
  plain("mistral.voxtral-mini-3b-2507", "Voxtral Mini 1.0", undefined, "Voxtral Mini 1.0"),
  plain("mistral.voxtral-small-24b-2507", "Voxtral Small 1.0", undefined, "Voxtral Small 1.0"),
  {
    ids: ["moonshotai.kimi-k3"],
    name: "Kimi K3",
    burndown: 10,
    onDemand: false,
    ...september
  },
  plain("moonshotai.kimi-k2.5", "Kimi K2.5", 16 * k, "Moonshot AI Kimi K2.5"),
  plain("moonshot.kimi-k2-thinking", "Kimi K2 Thinking", undefined, "Kimi K2 Thinking"),
  plain("nvidia.nemotron-nano-9b-v2", "Nemotron Nano 9B v2", undefined, "NVIDIA Nemotron Nano 2"),
  plain("nvidia.nemotron-nano-3-30b", "Nemotron Nano 3 30B", undefined, "Nemotron Nano 3 30B"),
  plain("nvidia.nemotron-super-3-120b", "Nemotron 3 Super", 32 * k, "NVIDIA Nemotron 3 Super 120B A12B"),
  plain("qwen.qwen3-235b-a22b-2507", "Qwen3 235B A22B 2507", 8 * k, "Qwen3 235B a22b 2507 V1"),
  plain("qwen.qwen3-32b", "Qwen3 32B", undefined, "Qwen3 32B V1"),
  plain("qwen.qwen3-coder-30b-a3b", "Qwen3 Coder 30B A3B", undefined, "Qwen3 Coder 30B a3b V1"),
  plain("qwen.qwen3-coder-480b-a35b", "Qwen3 Coder 480B A35B", 16 * k, "Qwen3 Coder 480B a35b V1"),
  plain("qwen.qwen3-coder-next", "Qwen3 Coder Next", 16 * k, "Qwen3 Coder Next"),
  plain("qwen.qwen3-next-80b-a3b", "Qwen3 Next 80B A3B", undefined, "Qwen3 Next 80B A3B"),
  plain("qwen.qwen3-vl-235b-a22b", "Qwen3 VL 235B A22B", undefined, "Qwen3 VL 235B A22B"),
  plain("writer.palmyra-vision-7b", "Palmyra Vision 7B", 4 * k, "Writer Palmyra Vision 7B"),
  plain("twelvelabs.marengo-embed-2-7", "Marengo Embed 2.7", 0, undefined),
  plain("twelvelabs.marengo-embed-3-0", "Marengo Embed 3.0", 0, undefined),
  plain("twelvelabs.pegasus-1-2", "Pegasus 1.2", 4 * k, undefined),
  plain("writer.palmyra-x4", "Palmyra X4", 8 * k, undefined, false),
  plain("writer.palmyra-x5", "Palmyra X5", 8 * k, undefined, false),
  plain("zai.glm-4.7", "GLM 4.7", undefined, "Z.ai GLM-4.7"),
  plain("zai.glm-4.7-flash", "GLM 4.7 Flash", undefined, "Z.ai GLM-4.7 Flash"),
  plain("zai.glm-5", "GLM 5", 128 * k, "Z.ai GLM 5")
]

export const rows: ReadonlyArray<Row> = [...anthropic, ...openai, ...amazon, ...others]
