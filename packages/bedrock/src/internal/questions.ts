// What each operation asks for, in one form: nothing else of an input decides its pool and its cost.
import type { BedrockClient } from "@caprock/client/BedrockClient"
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
  /** The base estimate of its input. */
  readonly base: number
  readonly maxTokens: number | undefined
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
  base: TokenEstimator.converse(input),
  maxTokens: input.inferenceConfig?.maxTokens
})

/** @internal */
export const invokeModel = (
  operation: "InvokeModel" | "InvokeModelWithResponseStream",
  input: Parameters<Operations["invokeModel"]>[0]
): Question => {
  const body = TokenEstimator.body(bytesOf(input.body))
  return {
    operation,
    modelId: input.modelId,
    tier: input.serviceTier,
    fields: body.json,
    base: body.tokens,
    maxTokens: body.maxTokens
  }
}

/** @internal */
export const snapshot = (modelId: string): Question => ({
  operation: "Snapshot",
  modelId,
  tier: undefined,
  fields: undefined,
  base: 0,
  maxTokens: undefined
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

/** 128 bits. */
const token = Effect.map(
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
