/**
 * The rows of the table of families.
 *
 * - Requests and limits: the pages "Inference request parameters and response fields" of the Bedrock user guide
 *   (model-parameters-*, copies of 2026), and of the Nova user guide (complete-request-schema, embeddings-schema, copies of 2026).
 * - Usage in answers: the same pages, and answers of Bedrock that public test suites recorded (cassettes of DataDog/dd-trace-py,
 *   open-telemetry/opentelemetry-python-contrib and traceloop/openllmetry, January 2024 to October 2026). In all of them InvokeModel has both counts in
 *   its headers where the model generates text, AI21 and Cohere Command included, the input alone where it embeds, and none where it ranks;
 *   streams end with `amazon-bedrock-invocationMetrics`.
 * - Images: Anthropic, "Vision" (2026-08-29): 1,568 pixels and tokens, and 2,576 pixels and 4,784 tokens from Claude 4.7 on. Nova user guide,
 *   "Image understanding" (2026): five sizes and their tokens, 506 to 692 pixels a token. Bedrock user guide, "Cohere Embed v4" (2026): pixels / 784 × 4.
 *   OpenAI: measured, up to 14,364 tokens for 12 megapixels (JOHNISKING/image-token-cost, 2026).
 */
import type { Counts, Family, Image } from "../Family.ts"

/** Most models have no rule of their own that is public. What can't be read is thought to be as large as most pictures. */
export const anyImage: Image = { pixelsPerToken: 750, longEdge: 2576, least: 1, most: 4784, unknown: 1600 }
const standardClaude: Image = { pixelsPerToken: 750, longEdge: 1568, least: 1, most: 1600, unknown: 1600 }
const latestClaude: Image = { ...anyImage, unknown: 4784 }
const nova: Image = { pixelsPerToken: 625, longEdge: 8000, least: 800, most: 102_400, unknown: 2600 }
const cohereEmbed: Image = { pixelsPerToken: 196, longEdge: Infinity, least: 16, most: 12_544, unknown: 12_544 }
const openai: Image = { pixelsPerToken: 750, longEdge: Infinity, least: 1, most: 16_000, unknown: 1600 }

const anthropicUsage = (at: string): Counts => ({
  input: [`${at}.input_tokens`],
  output: [`${at}.output_tokens`],
  cacheRead: [`${at}.cache_read_input_tokens`],
  cacheWrite: [`${at}.cache_creation_input_tokens`]
})

const novaUsage = (at: string): Counts => ({
  input: [`${at}.inputTokens`],
  output: [`${at}.outputTokens`],
  cacheRead: [`${at}.cacheReadInputTokenCount`, `${at}.cacheReadInputTokens`],
  cacheWrite: [`${at}.cacheWriteInputTokenCount`, `${at}.cacheWriteInputTokens`]
})

/** `prompt_tokens` has in it what was read from the cache (OpenAI API reference, "The chat completion object", 2026). */
const openaiUsage: Counts = {
  input: ["usage.prompt_tokens"],
  output: ["usage.completion_tokens"],
  cacheRead: ["usage.prompt_tokens_details.cached_tokens"],
  inputHasCacheRead: true
}

const cohereUsage = (at: string): Counts => ({
  input: [`${at}.tokens.input_tokens`, `${at}.billed_units.input_tokens`],
  output: [`${at}.tokens.output_tokens`, `${at}.billed_units.output_tokens`]
})

const llamaUsage: Counts = { input: ["prompt_token_count"], output: ["generation_token_count"] }

const base = {
  marks: [],
  generates: true,
  limits: [],
  answers: [],
  image: anyImage,
  usage: [],
  chunks: [],
  asOf: "2026-09"
}

const page = (name: string): string => `Bedrock user guide: ${name}`

const anthropic = {
  ...base,
  limits: ["max_tokens", "max_tokens_to_sample"],
  usage: [anthropicUsage("usage")],
  // The first chunk has the input, the last but one the output, and in newer models both.
  chunks: [{
    input: ["usage.input_tokens", "message.usage.input_tokens"],
    output: ["usage.output_tokens"],
    cacheRead: ["usage.cache_read_input_tokens", "message.usage.cache_read_input_tokens"],
    cacheWrite: ["usage.cache_creation_input_tokens", "message.usage.cache_creation_input_tokens"]
  }],
  source: page("model-parameters-anthropic-claude-messages-request-response")
}

const chat = {
  ...base,
  limits: ["max_tokens", "max_completion_tokens"],
  answers: ["n"],
  usage: [openaiUsage],
  chunks: [openaiUsage]
}

/** Specific before general: of two that fit a body the first is taken. By id, the longest beginning counts. */
export const rows: ReadonlyArray<Family> = [
  {
    ...anthropic,
    name: "Anthropic Claude",
    models: ["anthropic."],
    marks: [["anthropic_version"], ["max_tokens_to_sample"]],
    image: latestClaude
  },
  {
    ...anthropic,
    name: "Anthropic Claude up to 4.6",
    models: [
      "anthropic.claude-3",
      "anthropic.claude-haiku-4",
      "anthropic.claude-instant",
      "anthropic.claude-opus-4-1",
      "anthropic.claude-opus-4-2025",
      "anthropic.claude-opus-4-5",
      "anthropic.claude-opus-4-6",
      "anthropic.claude-sonnet-4-2025",
      "anthropic.claude-sonnet-4-5",
      "anthropic.claude-sonnet-4-6",
      "anthropic.claude-v2"
    ],
    image: standardClaude
  },
  {
    ...base,
    name: "Amazon Nova",
    models: ["amazon.nova"],
    marks: [["messages", "inferenceConfig"], ["messages", "schemaVersion"]],
    limits: ["inferenceConfig.maxTokens", "inferenceConfig.max_new_tokens"],
    image: nova,
    usage: [novaUsage("usage")],
    chunks: [novaUsage("metadata.usage")],
    source: "Nova user guide: complete-request-schema"
  },
  {
    ...base,
    name: "Amazon Nova Multimodal Embeddings",
    models: ["amazon.nova-2-multimodal-embeddings"],
    marks: [["singleEmbeddingParams"]],
    generates: false,
    image: nova,
    usage: [{ input: ["inputTokenCount"] }],
    source: "Nova user guide: embeddings-schema"
  },
  {
    ...base,
    name: "Amazon Nova Canvas, Titan Image Generator",
    models: ["amazon.nova-canvas", "amazon.titan-image"],
    marks: [["taskType", "imageGenerationConfig"]],
    generates: false,
    source: page("model-parameters-titan-image")
  },
  {
    ...base,
    name: "TwelveLabs Marengo",
    models: ["twelvelabs.marengo"],
    marks: [
      ["inputType", "inputText"],
      ["inputType", "mediaSource"],
      ["inputType", "text"],
      ["inputType", "image"],
      ["inputType", "text_image"],
      ["inputType", "multi_input"]
    ],
    generates: false,
    source: page("model-parameters-marengo, model-parameters-marengo-3")
  },
  {
    ...base,
    name: "TwelveLabs Pegasus",
    models: ["twelvelabs."],
    marks: [["inputPrompt"]],
    limits: ["maxOutputTokens"],
    source: page("model-parameters-pegasus")
  },
  {
    ...base,
    name: "Amazon Titan Embeddings",
    models: ["amazon.titan-embed"],
    marks: [
      ["inputText", "dimensions"],
      ["inputText", "normalize"],
      ["inputText", "embeddingTypes"],
      ["embeddingConfig"],
      ["inputImage"]
    ],
    generates: false,
    usage: [{ input: ["inputTextTokenCount"], unless: "results" }],
    source: page("model-parameters-titan-embed-text, model-parameters-titan-embed-mm")
  },
  {
    ...base,
    name: "Amazon Titan Text",
    models: ["amazon.titan"],
    // A bare `inputText` is an embedding as well: what reserves more is assumed.
    marks: [["inputText"]],
    limits: ["textGenerationConfig.maxTokenCount"],
    usage: [{ input: ["inputTextTokenCount"], output: ["results.tokenCount"] }],
    chunks: [{ input: ["inputTextTokenCount"], output: ["totalOutputTextTokenCount"] }],
    source: page("model-parameters-titan-text")
  },
  {
    ...base,
    name: "Cohere Embed",
    models: ["cohere.embed"],
    marks: [["input_type", "texts"], ["input_type", "images"], ["input_type", "inputs"]],
    generates: false,
    // Its `max_tokens` is where an input is cut off, and no output.
    image: cohereEmbed,
    source: page("model-parameters-embed-v3, model-parameters-embed-v4")
  },
  {
    ...base,
    name: "Cohere Rerank, Amazon Rerank",
    models: ["amazon.rerank", "cohere.rerank"],
    generates: false,
    source: page("Cohere Rerank 3.5 (answers as recorded in October 2025)")
  },
  {
    ...base,
    name: "Cohere Command",
    models: ["cohere."],
    marks: [["message"]],
    limits: ["max_tokens"],
    answers: ["num_generations"],
    usage: [cohereUsage("meta")],
    chunks: [cohereUsage("response.meta"), cohereUsage("meta")],
    source: page("model-parameters-cohere-command, model-parameters-cohere-command-r-plus")
  },
  {
    ...base,
    name: "Meta Llama",
    models: ["meta."],
    marks: [["prompt", "max_gen_len"]],
    limits: ["max_gen_len"],
    usage: [llamaUsage],
    chunks: [llamaUsage],
    source: page("model-parameters-meta")
  },
  {
    ...chat,
    name: "Mistral AI",
    models: ["mistral."],
    source: page("model-parameters-mistral-text-completion, model-parameters-mistral-chat-completion")
  },
  {
    ...chat,
    name: "AI21 Labs Jamba",
    models: ["ai21."],
    limits: ["max_tokens", "maxTokens"],
    source: page("model-parameters-jamba")
  },
  {
    ...chat,
    name: "DeepSeek",
    models: ["deepseek."],
    source: page("model-parameters-deepseek")
  },
  {
    ...chat,
    name: "Writer Palmyra",
    models: ["writer."],
    source: page("model-parameters-palmyra-x4, model-parameters-palmyra-x5")
  },
  {
    ...base,
    name: "Stability AI",
    models: ["stability."],
    generates: false,
    source: page("model-parameters-stability-diffusion")
  },
  {
    ...chat,
    name: "OpenAI, and models with its chat completions",
    models: ["google.", "minimax.", "moonshot.", "moonshotai.", "nvidia.", "openai.", "qwen.", "xai.", "zai."],
    marks: [["messages"]],
    image: openai,
    source: page("model-parameters-openai")
  },
  {
    ...base,
    name: "Text completions",
    models: [],
    marks: [["prompt"]],
    limits: ["max_tokens", "max_new_tokens", "maxTokens"],
    answers: ["n", "num_generations"],
    usage: [openaiUsage, llamaUsage],
    chunks: [openaiUsage, llamaUsage],
    source: page(
      "model-parameters-deepseek, model-parameters-mistral-text-completion; imported models as recorded in March 2025"
    )
  }
]
