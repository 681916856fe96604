/** What came back: the lines of outputs, each with the place of its record and what it ended in. */
import type * as Reason from "@caprock/errors/Reason"
import * as Family from "@caprock/quota/Family"
import * as ModelId from "@caprock/quota/ModelId"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Corrupt, StoreFailed } from "../BatchError.ts"
import type { RecordError } from "../BatchRecord.ts"
import type { Settled } from "../BatchSettings.ts"
import type { Listed } from "../ObjectStore.ts"
import type { Place } from "./place.ts"
import * as Reading from "./reading.ts"
import * as RecordId from "./recordId.ts"

export interface Answer {
  readonly index: number
  readonly input: Schema.Json
  /** Why there is none; then `output` means nothing. */
  readonly error: RecordError | undefined
  readonly output: Schema.Json
  readonly via: "batch" | "on-demand"
}

/** The outputs below a prefix. Manifests are none; file names are not guessed. */
export const files = ({ store }: Place, prefix: string): Stream.Stream<Listed, StoreFailed> =>
  Stream.filter(
    store.list(prefix),
    ({ key }) => key.endsWith(".out") && !key.slice(key.lastIndexOf("/") + 1).startsWith("manifest.")
  )

/** All their lines. */
export const lines = (place: Place, prefix: string): Stream.Stream<Buffer, StoreFailed | Corrupt> =>
  Reading.linesOfAll(place, files(place, prefix))

/** The record that a line is of; `undefined` where it is none of ours. */
export const indexOf = (line: Buffer): number | undefined => RecordId.indexOfLine(line) ?? of(line)?.index

const isObject = (value: unknown): value is { readonly [key: string]: Schema.Json } =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** `undefined` where it is the line of no record of ours. */
export const of = (line: Buffer): Answer | undefined => {
  const parsed = Reading.parse(line)
  if (!isObject(parsed)) return undefined
  const index = RecordId.indexOf(parsed["recordId"])
  if (index === undefined) return undefined
  const { modelInput: input = null, modelOutput: output = null } = parsed
  return {
    index,
    input,
    error: "modelOutput" in parsed ? undefined : errorOf(parsed["error"]),
    output,
    via: parsed["via"] === "on-demand" ? "on-demand" : "batch"
  }
}

/** Of all of the client's own faults these pass: a timeout, a dependency of the model, a throttle. */
const passing: ReadonlySet<number> = new Set([408, 424, 429])

const errorOf = (error: Schema.Json | undefined): RecordError => {
  if (!isObject(error)) return { kind: "service", message: "the output has neither an answer nor an error" }
  const { errorCode: code, errorMessage: message } = error
  const rejected = typeof code === "number" && code >= 400 && code < 500 && !passing.has(code)
  return {
    kind: rejected ? "rejected" : "service",
    ...(typeof code === "number" || typeof code === "string" ? { code: String(code) } : {}),
    message: typeof message === "string" ? message : "the output does not say why"
  }
}

/** What an answer says that it used. */
export const usageOf = ({ model }: Settled): (output: Schema.Json) => typeof Reason.Usage.Type | undefined => {
  const parsed = ModelId.parse(model)
  const bare = Result.isSuccess(parsed) ? ModelId.modelOf(parsed.success) : undefined
  const family = Family.of(bare ?? model, undefined)
  return (output) => {
    const { cacheReadInputTokens, cacheWriteInputTokens, inputTokens, outputTokens } = Family.usage(family, output) ??
      Family.usage(Family.unknown, output) ?? {}
    return inputTokens === undefined || outputTokens === undefined ? undefined : {
      inputTokens,
      outputTokens,
      ...(cacheReadInputTokens === undefined ? {} : { cacheReadInputTokens }),
      ...(cacheWriteInputTokens === undefined ? {} : { cacheWriteInputTokens })
    }
  }
}
