/**
 * The target of a run as it is used: the layered `Bedrock`.
 *
 * @since 0.1.0
 */
import type { Quotas } from "@caprock/quota/Quotas"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { CliFailure } from "../CliFailure.ts"
import { Target } from "./Target.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly region: string | undefined
  readonly endpoint: string | undefined
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined
  readonly quotas: Quotas
  readonly window: Duration.Duration
  readonly maxConnections: number
  /** Whether answers are streamed, so that what arrived of one that was cut is known. */
  readonly stream: boolean
}

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<Target, CliFailure> =>
  Layer.effect(
    Target,
    Effect.fail(new CliFailure({ problem: `not built yet ${options.maxConnections}`, remedy: "" }))
  )
