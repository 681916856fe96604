// What each operation asks for, in one form: nothing else of an input decides its pool and its cost.
import type { BedrockClient } from "@caprock/client/BedrockClient"
import type * as Family from "@caprock/quota/Family"
import type * as Pool from "@caprock/quota/Pool"
import * as TokenEstimator from "@caprock/quota/TokenEstimator"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"

type Operations = BedrockClient["Service"]

/** What a caller asks for, as far as it decides the pool and the cost. */
export interface Question {
  readonly operation: string
  readonly modelId: string | undefined
  readonly tier: Pool.Options["tier"]
  /** Fields of the model's own, some of which choose a quota variant. */
  readonly fields: unknown
  /** What it asks for, by the bare id of the model behind its id. */
  readonly measure: (model: string) => Measure
}

/** What a request asks for, as far as it says. */
export interface Measure {
  /** The base estimate of its input. */
  readonly base: number
  readonly maxTokens: number | undefined
  /** Set for a conversation: `base` is then an estimate of all that it will cost. */
  readonly session?: true
  /** What its body was read as, where there is one. */
  readonly family?: Family.Family
}

/** @internal */
export const converse = (
  operation: "Converse" | "ConverseStream",
  input: Parameters<Operations["converse"]>[0]
): Question => ({
  operation,
  modelId: input.modelId,
  tier: input.serviceTier?.type,
  fields: input.additionalModelRequestFields,
  measure: (model) => ({
    base: TokenEstimator.converse(input, model),
    maxTokens: input.inferenceConfig?.maxTokens
  })
})

/** @internal */
export const invokeModel = (
  operation: "InvokeModel" | "InvokeModelWithResponseStream",
  input: Parameters<Operations["invokeModel"]>[0]
): Question => {
  const read = TokenEstimator.read(bytesOf(input.body))
  return {
    operation,
    modelId: input.modelId,
    tier: input.serviceTier,
    fields: read.json,
    measure: (model) => {
      const { family, maxTokens, tokens } = TokenEstimator.body(read, model)
      return { base: tokens, maxTokens, family }
    }
  }
}

/**
 * What a short conversation cost, as the totals of a real one have it: 3,731 tokens in and 897 out (tests of pipecat, read 2026-11).
 * It is what is booked for the first ones of a pool; then they tell.
 */
const sessionTokens = 5_000

/** A conversation says nothing of its length beforehand. @internal */
export const session = (modelId: string | undefined): Question => ({
  operation: "InvokeModelWithBidirectionalStream",
  modelId,
  tier: undefined,
  fields: undefined,
  measure: () => ({ base: sessionTokens, maxTokens: 0, session: true })
})

/** @internal */
export const snapshot = (modelId: string): Question => ({
  operation: "Snapshot",
  modelId,
  tier: undefined,
  fields: undefined,
  measure: () => ({ base: 0, maxTokens: undefined })
})

/**
 * The input with a token: what has one is one job, however often it is sent. The SDK makes a new one for each request, so that a
 * second one after a lost answer would start, and pay for, a second job.
 *
 * @internal
 */
export const tokened = <Input extends { readonly clientRequestToken?: string | undefined }>(
  input: Input
): Effect.Effect<Input> =>
  input.clientRequestToken === undefined
    ? Effect.map(token, (clientRequestToken) => ({ ...input, clientRequestToken }))
    : Effect.succeed(input)

/** 128 bits. @internal */
export const token = Effect.map(
  Effect.replicateEffect(Random.nextIntBetween(0, 2 ** 32 - 1), 4),
  (words) => words.map((word) => word.toString(16).padStart(8, "0")).join("")
)

/** Any of the forms in which the SDK takes a body. */
const bytesOf = (body: unknown): Uint8Array | string =>
  typeof body === "string" || body instanceof Uint8Array
    ? body
    : body instanceof ArrayBuffer
    ? new Uint8Array(body)
    : ArrayBuffer.isView(body)
    ? new Uint8Array(body.buffer, body.byteOffset, body.byteLength)
    : ""
