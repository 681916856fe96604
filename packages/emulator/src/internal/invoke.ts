/**
 * InvokeModel: which format a body has, and what goes around it. The family shows in the model id; a model that is not known
 * here is recognised by its body.
 */
import type { Answer, Timings } from "./answer.ts"
import type * as Converse from "./converse.ts"
import * as Embedding from "./embedding.ts"
import * as EventStream from "./eventStream.ts"
import type { Format } from "./format.ts"
import * as Generating from "./generating.ts"
import * as Json from "./json.ts"
import * as Prompt from "./prompt.ts"

export interface Request extends Converse.Request {
  readonly format: Format
  readonly body: Json.Json
  readonly dimensions: number
}

const formats = [...Embedding.formats, ...Generating.formats]

export const formatOf = (model: string, body: Json.Json): Format =>
  formats.find(({ models }) => models.test(model)) ?? formats.find(({ fits }) => fits(body)) ?? Generating.chat

/** Counts a body that has been validated. */
export const read = (format: Format, body: Json.Json, cached: boolean): Request => {
  const builder = Prompt.make(cached)
  const maxTokens = format.read(builder, body)
  return {
    prompt: builder.build(),
    maxTokens,
    format,
    body,
    dimensions: Json.count(asked(body)) ?? format.sizes?.[0] ?? 1024
  }
}

const asked = (body: Json.Json): unknown =>
  body["dimensions"] ?? body["output_dimension"] ?? Json.record(body["embeddingConfig"])["outputEmbeddingLength"]
    ?? Json.record(body["singleEmbeddingParams"])["embeddingDimension"]

/** What is wrong with a body. */
export const validate = (format: Format, body: Json.Json): string | undefined => {
  const dimensions = asked(body)
  return format.validate(body) ?? (
    format.sizes === undefined || dimensions === undefined || format.sizes.some((size) => size === dimensions)
      ? undefined
      : `Malformed input request: ${
        JSON.stringify(dimensions)
      } is not a valid enum value, please reformat your input and try again.`
  )
}

/** The body of an answer in one piece. `vector` is the embedding of what it is given. */
export const format = (
  { body, format }: Request,
  answer: Answer,
  latencyMs: number,
  vector: (input: unknown) => ReadonlyArray<number>
): string => JSON.stringify(format.whole(answer, { latencyMs, vector, body }))

/** What is told outside the body: the latency, and unless `counts` is false the usage, as far as the family tells it. */
export const headers = ({ format }: Request, answer: Answer, latencyMs: number, counts: boolean): Array<string> => {
  const headers = ["x-amzn-bedrock-invocation-latency", String(latencyMs)]
  if (!counts || format.headers === "none") return headers
  headers.push("x-amzn-bedrock-input-token-count", String(answer.usage.inputTokens))
  if (format.headers === "both") headers.push("x-amzn-bedrock-output-token-count", String(answer.usage.outputTokens))
  if (answer.usage.caching) {
    headers.push("x-amzn-bedrock-cache-read-input-token-count", String(answer.usage.cacheReadTokens))
    headers.push("x-amzn-bedrock-cache-write-input-token-count", String(answer.usage.cacheWriteTokens))
  }
  return headers
}

const chunk = (json: unknown): Buffer =>
  EventStream.event("chunk", { bytes: Buffer.from(JSON.stringify(json), "utf8").toString("base64") })

export const streamHead = ({ format }: Request, answer: Answer): ReadonlyArray<Buffer> => format.head(answer).map(chunk)

export const streamPiece = ({ format }: Request, answer: Answer, piece: string, index: number): Buffer =>
  chunk(format.piece(answer, piece, index))

const metrics = (answer: Answer, timings: Timings): Json.Json => ({
  "amazon-bedrock-invocationMetrics": {
    inputTokenCount: answer.usage.inputTokens,
    outputTokenCount: answer.usage.outputTokens,
    invocationLatency: timings.latencyMs,
    firstByteLatency: timings.firstByteMs,
    ...(answer.usage.caching
      ? {
        cacheReadInputTokenCount: answer.usage.cacheReadTokens,
        cacheWriteInputTokenCount: answer.usage.cacheWriteTokens
      }
      : {})
  }
})

/** What comes after the last piece; unless `counts` is false its last chunk carries the invocation metrics. */
export const streamTail = (
  { format }: Request,
  answer: Answer,
  timings: Timings,
  counts: boolean
): ReadonlyArray<Buffer> => {
  const tail = format.tail(answer, timings)
  const carried = counts ? metrics(answer, timings) : {}
  return tail.map((json, index) => chunk(index === tail.length - 1 ? { ...json, ...carried } : json))
}
