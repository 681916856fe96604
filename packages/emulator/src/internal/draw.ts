/** What a request is answered: its length, its text, and the shape that its operation gives it. */
import { error, type Fault } from "../Fault.ts"
import * as OutputModel from "../OutputModel.ts"
import * as TokenCounter from "../TokenCounter.ts"
import type * as Answer from "./answer.ts"
import * as Converse from "./converse.ts"
import type * as Generation from "./generation.ts"
import * as Invoke from "./invoke.ts"
import type * as Random from "./random.ts"
import type { Reading } from "./reading.ts"
import * as Scripted from "./scripted.ts"

/** The labels keep the draws of one request independent of each other. */
export const label = { output: 0, latency: 1, text: 2, fault: 3 } as const

/** What an answer says, cut off at its maximum. */
export interface Drawn {
  readonly outputTokens: number
  /** Absent: pseudo-text is to be made. */
  readonly text: string | undefined
  readonly toolUse: OutputModel.Output["toolUse"]
  readonly content?: OutputModel.Output["content"]
  readonly more?: OutputModel.Output["more"]
  readonly stopReason: string
}

type Model = OutputModel.OutputModel | OutputModel.OutputFunction

/** Calls a function of the user's; what it throws must not take the server with it. */
const call = (
  model: OutputModel.OutputFunction,
  reading: Reading,
  random: Random.Random
): OutputModel.Output | Fault => {
  try {
    const output = model({
      operation: reading.operation,
      modelId: reading.ref.raw,
      prompt: reading.prompt.last,
      inputTokens: reading.prompt.tokens,
      maxTokens: reading.maxTokens,
      body: reading.body
    }, random)
    return output.outputTokens === undefined || Number.isFinite(output.outputTokens)
      ? output
      : error("ModelErrorException", { message: `The output function gave ${output.outputTokens} outputTokens.` })
  } catch (thrown) {
    return error("ModelErrorException", { message: `The output function threw ${String(thrown)}` })
  }
}

/** Draws an answer, or the fault that a broken output function is. */
export const draw = (
  model: Model,
  reading: Reading,
  maxTokens: number,
  steered: number | undefined,
  random: Random.Random
): Drawn | Fault => {
  if (reading.invoke?.format.generates === false) {
    return { outputTokens: 0, text: "", toolUse: undefined, stopReason: "end_turn" }
  }
  const given: OutputModel.Output | Fault = typeof model === "function"
    ? call(model, reading, random)
    : { outputTokens: OutputModel.draw(model, reading.maxTokens, random) }
  if ("_tag" in given) return given
  const { content, more, toolUse } = given
  const text = given.text ?? (content === undefined ? undefined : Scripted.textOf(content))
  const written = content !== undefined
    ? Scripted.writtenOf(content)
    : toolUse === undefined
    ? text ?? ""
    : JSON.stringify(toolUse.input ?? {})
  const wanted = steered ?? given.outputTokens ?? TokenCounter.count(written)
  const outputTokens = Math.min(Math.max(0, Math.round(wanted)), maxTokens)
  const cutOff = wanted >= maxTokens
  return {
    outputTokens,
    text: text === undefined || wanted <= maxTokens
      ? text
      : text.slice(0, Math.floor(text.length * maxTokens / wanted)),
    toolUse,
    content,
    more,
    stopReason: given.stopReason ??
      (cutOff ? "max_tokens" : toolUse === undefined && !Scripted.calls(content) ? "end_turn" : "tool_use")
  }
}

/** The shape that an operation gives to an answer. `vector` is the embedding of what it is given. */
export const shapeOf = (
  reading: Reading,
  answer: Answer.Answer,
  vector: (input: unknown) => ReadonlyArray<number>,
  usageHeaders: boolean
): Generation.Shape => {
  const { invoke, operation } = reading
  const stream = operation === "ConverseStream" || operation === "InvokeModelWithResponseStream"
  const eventStream = ["content-type", "application/vnd.amazon.eventstream"]
  if (invoke === undefined) {
    return {
      stream,
      whole: (latencyMs) => ({ headers: [], body: JSON.stringify(Converse.format(answer, latencyMs)) }),
      headers: eventStream,
      head: Converse.streamHead,
      piece: (piece, index) => Converse.streamPiece(answer, piece, index),
      ...(answer.content === undefined ? {} : { pieces: Scripted.frames(answer.content) }),
      tail: ({ latencyMs }) => Converse.streamTail(answer, latencyMs)
    }
  }
  const tier = answer.serviceTier === undefined ? [] : ["x-amzn-bedrock-service-tier", answer.serviceTier]
  return {
    stream,
    whole: (latencyMs) => ({
      headers: [...Invoke.headers(invoke, answer, latencyMs, usageHeaders), ...tier],
      body: Invoke.format(invoke, answer, latencyMs, vector)
    }),
    headers: [...eventStream, "x-amzn-bedrock-content-type", "application/json", ...tier],
    head: () => Invoke.streamHead(invoke, answer),
    piece: (piece, index) => [Invoke.streamPiece(invoke, answer, piece, index)],
    tail: (timings) => Invoke.streamTail(invoke, answer, timings, usageHeaders)
  }
}
