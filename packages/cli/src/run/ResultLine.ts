/**
 * One line of the output: an answer or a typed error, for exactly one line of the input.
 *
 * @since 0.1.0
 */
import type { ContentBlock } from "@aws-sdk/client-bedrock-runtime"
import * as ConverseJson from "@caprock/client/ConverseJson"
import type { BedrockError } from "@caprock/errors/BedrockError"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { Usage } from "../internal/usage.ts"
import type { InputError } from "./InputError.ts"
import type { Answer } from "./Target.ts"

const Id = Schema.Union([Schema.String, Schema.Int])

/**
 * What the calls for one line took.
 *
 * @category models
 * @since 0.1.0
 */
export interface Effort {
  /** Requests sent. */
  readonly attempts: number
  /** Milliseconds spent waiting for quota, over all attempts. */
  readonly waitedMillis: number
  /** Milliseconds from sending to the end of the answer, over all attempts. */
  readonly serviceMillis: number
}

const Tried = Schema.Array(Schema.Struct({ target: Schema.String, reason: Schema.String }))

const effort = {
  attempts: Schema.Int,
  waitedMillis: Schema.Int,
  serviceMillis: Schema.Int,
  /** Of a line by a route: the targets that failed, in their order; only where there are any. */
  tried: Schema.optionalKey(Tried)
}

/**
 * @category models
 * @since 0.1.0
 */
export const AnswerLine = Schema.Struct({
  id: Id,
  line: Schema.Int,
  model: Schema.String,
  /** Of a line whose model is a route: who answered. */
  target: Schema.optionalKey(Schema.String),
  text: Schema.String,
  stopReason: Schema.String,
  usage: Usage,
  ...effort,
  digest: Schema.String.check(Schema.isPattern(/^[0-9a-f]{16}$/)),
  /** The whole content, where it is more than text: tool use, reasoning, images (bytes as base64). */
  content: Schema.optionalKey(Schema.Array(Schema.Unknown))
})

/**
 * @category models
 * @since 0.1.0
 */
export const ErrorLine = Schema.Struct({
  id: Id,
  line: Schema.Int,
  error: Schema.Struct({
    /** The tag of `BedrockError`'s reason, or `InputError` for a line that was not asked. */
    reason: Schema.String,
    /** Which of that reason's kinds; for a throttle, which quota. */
    kind: Schema.optionalKey(Schema.String),
    message: Schema.String,
    /** Whether asking again may help. Error lines are asked again by the next run either way. */
    retryable: Schema.Boolean,
    /** What had arrived of an answer that was cut off. */
    partialText: Schema.optionalKey(Schema.String)
  }),
  ...effort
})

/**
 * @category models
 * @since 0.1.0
 */
export type ResultLine = typeof AnswerLine.Type | typeof ErrorLine.Type

/**
 * The line as it is written, with its line feed. `id` comes first: it is how a torn line is known for one of ours.
 *
 * @category encoding
 * @since 0.1.0
 */
export const encode = (line: ResultLine): string => `${JSON.stringify(line)}\n`

/**
 * With what every line begins.
 *
 * @category encoding
 * @since 0.1.0
 */
export const prefix = "{\"id\":"

/**
 * What a continued run needs to know of a line that is already there.
 *
 * @category models
 * @since 0.1.0
 */
export type Known =
  | { readonly _tag: "Answered"; readonly id: string; readonly digest: string; readonly model: string }
  | { readonly _tag: "Failed"; readonly id: string }

const decodeAnswer = Schema.decodeUnknownResult(Schema.Struct({
  id: Id,
  digest: AnswerLine.fields.digest,
  model: Schema.String,
  text: Schema.String
}))
const decodeError = Schema.decodeUnknownResult(Schema.Struct({
  id: Id,
  error: Schema.Struct({ reason: Schema.String, message: Schema.String })
}))

/**
 * Reads a line that an earlier run has written; `undefined` for text that no run has written.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decode = (text: string): Known | undefined => {
  if (!text.startsWith(prefix)) return undefined
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return undefined
  }
  const answer = decodeAnswer(json)
  if (Result.isSuccess(answer)) {
    const { digest, id, model } = answer.success
    return { _tag: "Answered", id: String(id), digest, model }
  }
  const error = decodeError(json)
  return Result.isSuccess(error) ? { _tag: "Failed", id: String(error.success.id) } : undefined
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const fromAnswer = (
  prompt: { readonly id: string | number; readonly line: number; readonly model: string; readonly digest: string },
  answer: Answer,
  effort: Effort
): ResultLine => ({
  id: prompt.id,
  line: prompt.line,
  model: prompt.model,
  ...(answer.route?.target === undefined ? {} : { target: answer.route.target }),
  text: textOf(answer.content),
  stopReason: answer.stopReason,
  usage: answer.usage,
  ...rounded(effort),
  ...triedOf(answer.route?.tried),
  digest: prompt.digest,
  ...(answer.content.every((block) => block.text !== undefined)
    ? {}
    : { content: ConverseJson.encodeContent(answer.content) })
})

/**
 * @category constructors
 * @since 0.1.0
 */
export const fromBedrockError = (
  prompt: { readonly id: string | number; readonly line: number },
  error: BedrockError,
  effort: Effort
): ResultLine => {
  const { reason } = error
  const kind = kindOf(error)
  return {
    id: prompt.id,
    line: prompt.line,
    error: {
      reason: reason._tag,
      ...(kind === undefined ? {} : { kind }),
      message: error.message,
      retryable: error.retryable,
      ...("partial" in reason ? { partialText: reason.partial.text } : {})
    },
    ...rounded(effort),
    ...triedOf(error.tried)
  }
}

const triedOf = (tried: typeof Tried.Type = []) =>
  tried.length === 0 ? {} : { tried: tried.map(({ reason, target }) => ({ target, reason })) }

const kindOf = ({ reason }: BedrockError): string | undefined =>
  "kind" in reason ? reason.kind : "limit" in reason ? reason.limit : undefined

/**
 * An error's reason and kind in one word, of which there is a bounded number.
 *
 * @category rendering
 * @since 0.1.0
 */
export const nameOf = (error: BedrockError): string => {
  const kind = kindOf(error)
  return kind === undefined ? error.reason._tag : `${error.reason._tag}/${kind}`
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const fromInputError = (id: string | number, error: InputError): ResultLine => ({
  id,
  line: error.line,
  error: { reason: error._tag, kind: error.kind, message: error.message, retryable: false },
  attempts: 0,
  waitedMillis: 0,
  serviceMillis: 0
})

/**
 * The text of an answer: its text blocks, with and without citations, one after the other.
 *
 * @category encoding
 * @since 0.1.0
 */
export const textOf = (content: ReadonlyArray<ContentBlock>): string =>
  content.map(({ citationsContent, text }) =>
    text ?? citationsContent?.content?.map((part) => part.text ?? "").join("") ?? ""
  ).join("")

const rounded = (effort: Effort): Effort => ({
  attempts: effort.attempts,
  waitedMillis: Math.round(effort.waitedMillis),
  serviceMillis: Math.round(effort.serviceMillis)
})
