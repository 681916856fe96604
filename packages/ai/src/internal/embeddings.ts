/**
 * What the embedding models of Bedrock are asked, and how they answer: one row for each form of bodies.
 *
 * - Titan: "Amazon Titan Text Embeddings models", model-parameters-titan-embed-text and -titan-embed-mm of the Bedrock user guide (2026).
 * - Cohere: model-parameters-embed-v3 and -embed-v4 (2026). 2,048 characters are what a text of v3 may have however it is told to be cut off
 *   (deepset-ai/haystack-core-integrations#912), and v4 answers by type even where none is asked for (langgenius/dify-official-plugins#3389).
 * - Nova: embeddings-schema of the Nova user guide (2026). 8,192 characters are what public programs keep to.
 *
 * A model counts tokens as well, which nobody can do before it: what is too long for that is refused by Bedrock.
 */
import * as ModelId from "@caprock/quota/ModelId"
import * as AiError from "effect/ai/AiError"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type { Json } from "effect/Schema"
import type { Overrides, Settings } from "../BedrockEmbeddingModel.ts"

type Purpose = NonNullable<Overrides["purpose"]>
type Truncate = NonNullable<Overrides["truncate"]>
type Body = { readonly [key: string]: Json }

/** The bodies of some models. */
export interface Form {
  /** What their ids begin with. */
  readonly models: ReadonlyArray<string>
  /** The lengths that a vector may have. */
  readonly dimensions: ReadonlyArray<number>
  /** Texts of one request, and characters of one text, at most. */
  readonly texts: number
  readonly characters: number
  /** Whether vectors can be left as they are. */
  readonly normalize: boolean
  /** Their words for where a text is cut off that is too long. */
  readonly truncate: Readonly<Record<Exclude<Truncate, "none">, string>> | undefined
  readonly body: (texts: ReadonlyArray<string>, asked: Asked) => Body
  /** The vectors of an answer, whatever they are. */
  readonly vectors: (answer: Readonly<Record<string, unknown>>) => unknown
}

interface Asked {
  /** Only where it can be said. */
  readonly dimensions: number | undefined
  readonly normalize: boolean | undefined
  readonly purpose: Purpose
  /** In the model's own word. */
  readonly cutOff: string | undefined
  readonly fields: Body
}

/** What is there. */
const given = (fields: Readonly<Record<string, Json | undefined>>): Body =>
  Object.fromEntries(
    Object.entries(fields).filter((entry): entry is [string, Json] => entry[1] !== undefined)
  )

const titan: Form = {
  models: ["amazon.titan-embed-text-v2"],
  dimensions: [1024, 512, 256],
  texts: 1,
  characters: 50_000,
  normalize: true,
  truncate: undefined,
  body: ([inputText], { dimensions, fields, normalize }) => given({ inputText, dimensions, normalize, ...fields }),
  vectors: ({ embedding }) => [embedding]
}

const cohereTypes = {
  document: "search_document",
  query: "search_query",
  classification: "classification",
  clustering: "clustering"
} as const

const cohere: Form = {
  models: ["cohere.embed-english-v3", "cohere.embed-multilingual-v3"],
  dimensions: [1024],
  texts: 96,
  characters: 2_048,
  normalize: false,
  truncate: { start: "START", end: "END" },
  body: (texts, { cutOff: truncate, dimensions: output_dimension, fields, purpose }) =>
    given({ texts, input_type: cohereTypes[purpose], truncate, output_dimension, ...fields }),
  vectors: ({ embeddings }) => Predicate.hasProperty(embeddings, "float") ? embeddings.float : embeddings
}

const novaPurposes = {
  document: "GENERIC_INDEX",
  query: "GENERIC_RETRIEVAL",
  classification: "CLASSIFICATION",
  clustering: "CLUSTERING"
} as const

const rows = {
  "titan-text-v1": {
    ...titan,
    models: ["amazon.titan-embed-text-v1", "amazon.titan-embed-g1-text"],
    dimensions: [1536],
    characters: Infinity,
    normalize: false
  },
  "titan-text-v2": titan,
  "titan-multimodal": {
    ...titan,
    models: ["amazon.titan-embed-image"],
    dimensions: [1024, 384, 256],
    characters: Infinity,
    normalize: false,
    body: ([inputText], { dimensions, fields }) =>
      given({
        inputText,
        embeddingConfig: dimensions === undefined ? undefined : { outputEmbeddingLength: dimensions },
        ...fields
      })
  },
  "cohere-v3": cohere,
  "cohere-v4": {
    ...cohere,
    models: ["cohere.embed-v4"],
    dimensions: [1536, 1024, 512, 256],
    characters: Infinity,
    truncate: { start: "LEFT", end: "RIGHT" }
  },
  "nova": {
    models: ["amazon.nova-2-multimodal-embeddings"],
    dimensions: [3072, 1024, 384, 256],
    texts: 1,
    characters: 8_192,
    normalize: false,
    truncate: { start: "START", end: "END" },
    body: ([value = ""], { cutOff, dimensions, fields, purpose }) => ({
      schemaVersion: "nova-multimodal-embed-v1",
      taskType: "SINGLE_EMBEDDING",
      singleEmbeddingParams: given({
        embeddingPurpose: novaPurposes[purpose],
        embeddingDimension: dimensions,
        text: { truncationMode: cutOff ?? "NONE", value },
        ...fields
      })
    }),
    vectors: ({ embeddings }) =>
      Array.isArray(embeddings)
        ? embeddings.map((one: unknown) => Predicate.hasProperty(one, "embedding") ? one.embedding : undefined)
        : undefined
  }
} satisfies Record<NonNullable<Settings["format"]>, Form>

/** The form of a model's bodies: as it is told, or as its id says. */
export const formOf = (model: string, format: Settings["format"]): Form | undefined => {
  if (format !== undefined) return rows[format]
  const id = Option.getOrUndefined(Option.flatMapNullishOr(Result.getSuccess(ModelId.parse(model)), ModelId.modelOf))
  return id === undefined
    ? undefined
    : Object.values(rows).find(({ models }) => models.some((beginning) => id.startsWith(beginning)))
}

const refused = (parameter: string, description: string): AiError.InvalidRequestError =>
  new AiError.InvalidRequestError({ parameter, description })

/** Texts of one request, in order; `from` is the place of the first. */
export interface Batch {
  readonly from: number
  readonly texts: ReadonlyArray<string>
}

/**
 * Characters of all texts of a request, unless one alone has more: about 100,000 tokens, a third of what Cohere Embed v4 may be sent in a minute
 * by default, so that a request of many texts is not larger than its whole quota.
 */
const mostCharacters = 400_000

/** As few requests as the form allows. */
export const batches = ({ texts: most }: Form, texts: ReadonlyArray<string>): ReadonlyArray<Batch> => {
  const all: Array<Batch> = []
  let batch: Array<string> = []
  let characters = 0
  for (const [index, text] of texts.entries()) {
    if (batch.length > 0 && (batch.length === most || characters + text.length > mostCharacters)) {
      all.push({ from: index - batch.length, texts: batch })
      batch = []
      characters = 0
    }
    batch.push(text)
    characters += text.length
  }
  if (batch.length > 0) all.push({ from: texts.length - batch.length, texts: batch })
  return all
}

/** How an error names the texts of a batch. */
export const nameOf = ({ from, texts }: Batch): string =>
  texts.length === 1 ? `inputs[${from}]` : `inputs[${from}..${from + texts.length - 1}]`

/** As the services count them: an emoji is one, of two units. */
const charactersOf = (text: string): number => {
  let count = 0
  for (const _ of text) count++
  return count
}

/** What is wrong with a text before anything is sent. */
export const tooLong = (
  { characters: most }: Form,
  text: string,
  name: string
): AiError.InvalidRequestError | undefined => {
  const characters = text.length > most ? charactersOf(text) : 0
  return characters <= most ? undefined : new AiError.InvalidRequestError({
    parameter: name,
    constraint: `at most ${most} characters`,
    description: `It has ${characters} characters, and the model takes ${most}: split it`
  })
}

/** What makes the body of a batch, or what of the settings the model can't do. */
export const question = (
  form: Form,
  { dimensions, fields = {}, normalize, purpose = "document", truncate = "none" }: Settings
): Result.Result<(batch: Batch) => string, AiError.InvalidRequestError> => {
  if (dimensions !== undefined && !form.dimensions.includes(dimensions)) {
    const known = form.dimensions.join(", ")
    return Result.fail(refused("dimensions", `The model has vectors of ${known} dimensions, and not of ${dimensions}`))
  }
  if (normalize === false && !form.normalize) {
    return Result.fail(refused("normalize", "The model can't be told to leave its vectors as they are"))
  }
  if (truncate !== "none" && form.truncate === undefined) {
    return Result.fail(refused("truncate", "The model cuts no text off: split it"))
  }
  const asked: Asked = {
    dimensions: form.dimensions.length > 1 ? dimensions : undefined,
    normalize: form.normalize ? normalize : undefined,
    purpose,
    // To say that nothing is cut off, which is how it is anyway, made Cohere's v3 fail (run-llama/llama_index#13442).
    cutOff: truncate === "none" ? undefined : form.truncate?.[truncate],
    fields
  }
  return Result.succeed(({ texts }) => JSON.stringify(form.body(texts, asked)))
}

const isVector = (value: unknown): value is Array<number> =>
  Array.isArray(value) && value.length > 0 && value.every(Number.isFinite)

/** The vectors of an answer, one for each text; a text says what is wrong with it. */
export const answerOf = (
  form: Form,
  { dimensions }: Settings,
  { texts }: Batch,
  body: string
): Array<Array<number>> | string => {
  const vectors = form.vectors(parse(body))
  if (!Array.isArray(vectors) || !vectors.every(isVector)) return "It has no vectors where they ought to be"
  if (vectors.length !== texts.length) return `It has ${vectors.length} vectors for ${texts.length} texts`
  const other = vectors.find((vector) => dimensions !== undefined && vector.length !== dimensions)
  return other === undefined
    ? vectors
    : `It has a vector of ${other.length} dimensions, and ${dimensions} were asked for`
}

const parse = (text: string): Readonly<Record<string, unknown>> => {
  try {
    const json: unknown = JSON.parse(text)
    return Predicate.isObject(json) ? json as Readonly<Record<string, unknown>> : {}
  } catch {
    return {}
  }
}
