/**
 * The formats of the families that generate nothing: embeddings and scores.
 *
 * Limits: "Amazon Titan Text Embeddings models", "Cohere Embed v3" and "Cohere Embed v4" of the Bedrock user guide (2026), and what Bedrock says of
 * a longer text (langgenius/dify#3942, deepset-ai/haystack-core-integrations#912). What a tokenizer would refuse passes here.
 */
import * as Format from "./format.ts"
import * as Json from "./json.ts"

const base = {
  headers: "input",
  generates: false,
  ...Format.unstreamed
} as const

const novaInput = (body: Json.Json): unknown => {
  const { audio, image, text, video } = Json.record(body["singleEmbeddingParams"])
  return { audio, image, text: Json.record(text)["value"], video }
}

const novaEmbedding: Format.Format = {
  ...base,
  family: "nova-embedding",
  models: /^amazon\.nova-2-multimodal-embeddings/,
  sizes: [3072, 1024, 384, 256],
  fits: (body) => "singleEmbeddingParams" in body,
  validate: (body) => Format.missing(body, ["singleEmbeddingParams"], Json.isRecord),
  read: (builder, body) => {
    const given = Json.record(body["singleEmbeddingParams"])
    Format.promptText(builder, Json.record(given["text"])["value"])
    if ("image" in given) builder.image()
    for (const medium of [given["video"], given["audio"]]) {
      const { bytes } = Json.record(Json.record(medium)["source"])
      if (typeof bytes === "string") builder.bytes(bytes)
    }
    return undefined
  },
  // It tells no usage in the body (Nova user guide, embeddings-schema, 2026).
  whole: (_, { body, vector }) => ({ embeddings: [{ embeddingType: "TEXT", embedding: vector(novaInput(body)) }] })
}

const titanEmbedding: Format.Format = {
  ...base,
  family: "titan-embedding",
  models: /^amazon\.titan-embed/,
  sizes: [1024, 512, 256],
  fits: (body) => ("inputText" in body || "inputImage" in body) && !("textGenerationConfig" in body),
  validate: (body) =>
    Format.missing(body, ["inputText", "inputImage"], Format.isText) ??
      Format.longer("inputText", [body["inputText"]], 50_000),
  read: (builder, body) => {
    Format.promptText(builder, body["inputText"])
    return undefined
  },
  // Text is all that its tokens are of (model-parameters-titan-embed-mm, 2026).
  whole: ({ usage }, { body, vector }) => {
    const drawn = vector([body["inputText"], body["inputImage"]])
    // Of length 1 unless told otherwise (model-parameters-titan-embed-text, 2026).
    const embedding = body["normalize"] === false ? drawn : normalized(drawn)
    return { embedding, embeddingsByType: { float: embedding }, inputTextTokenCount: usage.inputTokens }
  }
}

const titanEmbedding1: Format.Format = {
  ...titanEmbedding,
  models: /^amazon\.titan-embed-(text-v1|g1)/,
  fits: () => false,
  sizes: [1536]
}

const titanMultimodal: Format.Format = {
  ...titanEmbedding,
  models: /^amazon\.titan-embed-image/,
  fits: () => false,
  sizes: [1024, 384, 256]
}

/** With as many digits as a single-precision number has, which is what these are. */
const normalized = (vector: ReadonlyArray<number>): ReadonlyArray<number> => {
  const length = Math.hypot(...vector)
  return vector.map((value) => Math.round(value / length * 1e8) / 1e8)
}

const cohereInputs = (body: Json.Json): ReadonlyArray<unknown> =>
  Json.list(body["texts"] ?? body["images"] ?? body["inputs"])

const cohereValidate = (body: Json.Json): string | undefined =>
  Format.missing(body, ["input_type"], Format.isText)
    ?? Format.missing(body, ["texts", "images", "inputs"], Format.isList)
    ?? Format.more("texts", cohereInputs(body), 96)

const cohereEmbedding: Format.Format = {
  ...base,
  family: "cohere-embedding",
  models: /^cohere\.embed/,
  sizes: [1024],
  fits: (body) => "input_type" in body,
  validate: (body) => cohereValidate(body) ?? Format.longer("texts", Json.list(body["texts"]), 2_048),
  read: (builder, body) => {
    const texts = Json.list(body["texts"])
    if (texts.length > 0) Format.promptText(builder, texts.map(Json.text).join("\n"))
    for (const image of Json.list(body["images"])) if (Format.isText(image)) builder.image()
    for (const input of Json.list(body["inputs"])) Format.contentBlocks(builder, Json.record(input)["content"])
    // Its `max_tokens` cuts inputs off, and limits no output.
    return undefined
  },
  whole: ({ id }, { body, vector }) => ({
    id,
    embeddings: cohereInputs(body).map(vector),
    response_type: "embeddings_floats"
  })
}

/** It answers by type also where none was asked for, which its page denies (langgenius/dify-official-plugins#3389, July 2026). */
const cohereEmbedding4: Format.Format = {
  ...cohereEmbedding,
  family: "cohere-embedding-4",
  models: /^cohere\.embed-v4/,
  sizes: [1536, 1024, 512, 256],
  fits: () => false,
  validate: cohereValidate,
  whole: ({ id }, { body, vector }) => ({
    id,
    embeddings: { float: cohereInputs(body).map(vector) },
    response_type: "embeddings_by_type"
  })
}

const marengo: Format.Format = {
  ...base,
  family: "marengo",
  models: /^twelvelabs\.marengo/,
  fits: (body) => "inputType" in body,
  validate: (body) => Format.missing(body, ["inputType"], Format.isText),
  read: (builder, body) => {
    const given = Json.record(body[Json.text(body["inputType"])])
    Format.promptText(builder, body["inputText"] ?? given["inputText"])
    if (body["inputType"] !== "text") builder.image()
    return undefined
  },
  whole: (_, { body, vector }) => ({ data: { embedding: vector(body) } })
}

/** No token is metered, none is told (answers recorded in October 2025; Service Quotas has requests only). */
const rerank: Format.Format = {
  ...base,
  family: "rerank",
  models: /^(amazon|cohere)\.rerank/,
  fits: () => false,
  headers: "none",
  validate: (body) => Format.missing(body, ["documents"], Format.isFilled),
  read: (builder, body) => {
    builder.setLast(Json.text(body["query"]))
    return undefined
  },
  whole: (_, { body }) => ({
    results: Json.list(body["documents"]).map((_, index) => ({ index, relevance_score: 1 / (index + 1) }))
  })
}

/** In the order in which ids and bodies are tried. */
export const formats: ReadonlyArray<Format.Format> = [
  novaEmbedding,
  marengo,
  titanEmbedding1,
  titanMultimodal,
  titanEmbedding,
  cohereEmbedding4,
  cohereEmbedding,
  rerank
]
