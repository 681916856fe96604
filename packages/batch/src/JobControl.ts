/**
 * Batch inference jobs, as Bedrock's control plane has them.
 *
 * @since 0.1.0
 */
import type { BedrockError } from "@caprock/errors/BedrockError"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import * as aws from "./internal/aws.ts"
import type { Credentials } from "./ObjectStore.ts"

// -----------------------------------------------------------------------------
// Models
// -----------------------------------------------------------------------------

/**
 * A job that is to be created. `token`: a job that was asked for with the same one is that job, and no other is created.
 *
 * @category models
 * @since 0.1.0
 */
export interface Request {
  readonly name: string
  readonly token: string
  readonly model: string
  readonly roleArn: string
  readonly invocationType: "Converse" | "InvokeModel"
  readonly hours: number
  /** URIs of a folder each. */
  readonly input: string
  readonly output: string
  readonly tags?: Readonly<Record<string, string>> | undefined
  readonly kmsKeyId?: string | undefined
  readonly bucketOwner?: string | undefined
}

/**
 * A job. `status` is Bedrock's own word, and may be one that we don't know.
 *
 * @category models
 * @since 0.1.0
 */
export interface Job {
  readonly arn: string
  readonly name: string
  readonly status: string
  readonly message?: string | undefined
}

/**
 * A job, looked at by itself: how many records it has done. Older jobs don't say.
 *
 * @category models
 * @since 0.1.0
 */
export interface Described extends Job {
  readonly counts?: {
    readonly total: number
    readonly processed: number
    readonly succeeded: number
    readonly failed: number
  } | undefined
}

// -----------------------------------------------------------------------------
// Options
// -----------------------------------------------------------------------------

/**
 * Options of {@link make}. Without them, the SDK looks where it always does.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface Options {
  readonly region?: string | undefined
  readonly endpoint?: string | undefined
  readonly credentials?: Credentials | undefined
}

// -----------------------------------------------------------------------------
// Service
// -----------------------------------------------------------------------------

/**
 * The jobs of an account in a Region.
 *
 * - `create`: gives the job's ARN. When it fails with something that is worth another try, the job may be there: asked again with its token, it is found.
 * - `get`: nothing where there is no such job.
 * - `list`: those whose name contains a text.
 * - `stop`: nothing happens to a job that has ended.
 *
 * @category services
 * @since 0.1.0
 */
export class JobControl extends Context.Service<JobControl, {
  readonly create: (request: Request) => Effect.Effect<string, BedrockError>
  readonly get: (arn: string) => Effect.Effect<Described | undefined, BedrockError>
  readonly list: (nameContains: string) => Stream.Stream<Job, BedrockError>
  readonly stop: (arn: string) => Effect.Effect<void, BedrockError>
}>()("@caprock/batch/JobControl") {}

// -----------------------------------------------------------------------------
// Constructors and layers
// -----------------------------------------------------------------------------

/**
 * Bedrock's control plane. What may pass is tried again, up to four times.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options = {}): Effect.Effect<JobControl["Service"], never, Scope.Scope> =>
  aws.jobs(options)

/**
 * Bedrock's control plane.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options = {}): Layer.Layer<JobControl> => Layer.effect(JobControl, make(options))
