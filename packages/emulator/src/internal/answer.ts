/** One answer, before it takes the shape of an operation. */
import type * as OutputModel from "../OutputModel.ts"

interface AnswerUsage {
  readonly inputTokens: number
  readonly outputTokens: number
  readonly cacheReadTokens: number
  readonly cacheWriteTokens: number
  /** Whether the request had cache checkpoints, so that usage names them. */
  readonly caching: boolean
}

export interface Answer {
  readonly id: string
  readonly modelId: string
  readonly text: string
  readonly toolUse: { readonly name: string; readonly input: unknown } | undefined
  readonly toolUseId: string
  /** All of its blocks and its other members, where they were given. */
  readonly content?: OutputModel.Output["content"]
  readonly more?: OutputModel.Output["more"]
  readonly stopReason: string
  readonly usage: AnswerUsage
  readonly serviceTier: string | undefined
}

/** What a stream sends piece by piece: the text, or the tool's input as JSON text. */
export const streamed = (answer: Answer): string =>
  answer.toolUse === undefined ? answer.text : JSON.stringify(answer.toolUse.input ?? {})

export interface Timings {
  readonly latencyMs: number
  readonly firstByteMs: number
}
