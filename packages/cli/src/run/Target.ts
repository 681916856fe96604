/**
 * What a run asks: the layered `Bedrock`, seen as a question and an answer.
 *
 * @since 0.1.0
 */
import type { ContentBlock, ConverseCommandInput } from "@aws-sdk/client-bedrock-runtime"
import type { CallEvent } from "@caprock/bedrock/CallEvents"
import type { BedrockError } from "@caprock/errors/BedrockError"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { Usage } from "../internal/usage.ts"

/**
 * A complete answer.
 *
 * @category models
 * @since 0.1.0
 */
export interface Answer {
  readonly content: ReadonlyArray<ContentBlock>
  readonly stopReason: string
  readonly usage: Usage
  /** Of a call by a route: who answered, and who had failed before. */
  readonly route?: { readonly target: string | undefined; readonly tried: ReadonlyArray<Tried> } | undefined
}

/**
 * A target that a call by a route was sent to, and how it failed.
 *
 * @category models
 * @since 0.1.0
 */
export interface Tried {
  readonly target: string
  readonly reason: string
}

/**
 * A pool as its ledger has it now.
 *
 * @category models
 * @since 0.1.0
 */
export interface PoolSnapshot {
  readonly waiting: number
  /** It stands for the pools of a route, which are not shown. */
  readonly several?: boolean
  readonly meters: ReadonlyArray<{
    readonly unit: "requests" | "tokens"
    readonly limit: number
    readonly windowMillis: number
    readonly used: number
  }>
}

/**
 * @category services
 * @since 0.1.0
 */
export class Target extends Context.Service<Target, {
  /** Waits for quota, asks, and asks again where that helps. `onEvent` is called in the order of what happens. */
  readonly ask: (
    input: ConverseCommandInput,
    onEvent: (event: CallEvent) => void
  ) => Effect.Effect<Answer, BedrockError>
  readonly snapshot: (modelId: string) => Effect.Effect<PoolSnapshot>
}>()("@caprock/cli/run/Target") {}
