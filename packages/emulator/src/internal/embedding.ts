/** The formats of the families that generate nothing: embeddings and scores. */
import * as Format from "./format.ts"
import * as Json from "./json.ts"

const base = {
  headers: "input",
  generates: false,
  inputs: Format.one,
  ...Format.unstreamed
} as const

const novaEmbedding: Format.Format = {
  ...base,
  family: "nova-embedding",
  models: /^amazon\.nova-2-multimodal-embeddings/,
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
  whole: (_, { vector }) => ({ embeddings: [{ embeddingType: "TEXT", embedding: vector() }] })
}

const titanEmbedding: Format.Format = {
  ...base,
  family: "titan-embedding",
  models: /^amazon\.titan-embed/,
  fits: (body) => ("inputText" in body || "inputImage" in body) && !("textGenerationConfig" in body),
  validate: (body) => Format.missing(body, ["inputText", "inputImage"], Format.isText),
  read: (builder, body) => {
    Format.promptText(builder, body["inputText"])
    return undefined
  },
  // Text is all that its tokens are of (model-parameters-titan-embed-mm, 2026).
  whole: ({ usage }, { vector }) => {
    const embedding = vector()
    return { embedding, embeddingsByType: { float: embedding }, inputTextTokenCount: usage.inputTokens }
  }
}

const cohereEmbedding: Format.Format = {
  ...base,
  family: "cohere-embedding",
  models: /^cohere\.embed/,
  fits: (body) => "input_type" in body,
  validate: (body) => Format.missing(body, ["texts", "images", "inputs"], Format.isList),
  inputs: (body) => Json.list(body["texts"] ?? body["images"] ?? body["inputs"]).length,
  read: (builder, body) => {
    const texts = Json.list(body["texts"])
    if (texts.length > 0) Format.promptText(builder, texts.map(Json.text).join("\n"))
    for (const image of Json.list(body["images"])) if (Format.isText(image)) builder.image()
    for (const input of Json.list(body["inputs"])) Format.contentBlocks(builder, Json.record(input)["content"])
    // Its `max_tokens` cuts inputs off, and limits no output.
    return undefined
  },
  whole: ({ id }, { inputs, vector }) => ({
    id,
    embeddings: Array.from({ length: inputs }, vector),
    response_type: "embeddings_floats"
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
  whole: (_, { vector }) => ({ data: { embedding: vector() } })
}

/** No token is metered, none is told (answers recorded in October 2025; Service Quotas has requests only). */
const rerank: Format.Format = {
  ...base,
  family: "rerank",
  models: /^(amazon|cohere)\.rerank/,
  fits: () => false,
  headers: "none",
  validate: (body) => Format.missing(body, ["documents"], Format.isFilled),
  inputs: (body) => Json.list(body["documents"]).length,
  read: (builder, body) => {
    builder.setLast(Json.text(body["query"]))
    return undefined
  },
  whole: (_, { inputs }) => ({
    results: Array.from({ length: inputs }, (_, index) => ({ index, relevance_score: 1 / (index + 1) }))
  })
}

/** In the order in which ids and bodies are tried. */
export const formats: ReadonlyArray<Format.Format> = [novaEmbedding, marengo, titanEmbedding, cohereEmbedding, rerank]
