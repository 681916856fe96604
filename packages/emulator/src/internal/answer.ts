/** One answer, before it takes the shape of an operation. */

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
