/**
 * What EventBridge says of batch jobs, read from a queue of SQS: a batch then hears of a job's end within seconds, instead of at its next look.
 *
 * **Example** (A batch that is told)
 *
 * ```ts
 * import { BatchOffload, JobEvents } from "@caprock/batch"
 *
 * // Events are delivered on a best effort: a batch still looks by itself, but rarely.
 * const options: BatchOffload.Options = {
 *   wake: JobEvents.fromQueue({ queueUrl: "https://sqs.us-east-1.amazonaws.com/111122223333/batch-jobs" }),
 *   poll: { min: "5 minutes", max: "30 minutes" }
 * }
 * console.log(Object.keys(options)) // => [ 'wake', 'poll' ]
 * ```
 *
 * @since 0.1.0
 */
import type * as Stream from "effect/Stream"
import * as aws from "./internal/awsEvents.ts"
import type { Credentials } from "./ObjectStore.ts"

// -----------------------------------------------------------------------------
// Models
// -----------------------------------------------------------------------------

/**
 * A job has come into another state. An event may be late, doubled or lost, and of a job that is not of this batch.
 *
 * @category models
 * @since 0.1.0
 */
export interface JobEvent {
  readonly arn: string
  readonly name: string
  /** Bedrock's own word. */
  readonly status: string
}

// -----------------------------------------------------------------------------
// Options
// -----------------------------------------------------------------------------

/**
 * Options of {@link fromQueue}. What is left out is found by the SDK as it always does.
 *
 * - `queueUrl`: of the queue. Each process that drives batches needs one of its own: what one has read, no other sees.
 * - `region`: of the queue, where its URL does not tell.
 * - `endpoint`: of a server that speaks SQS, where it is not in the URL.
 * - `credentials`: for signing. They need `sqs:ReceiveMessage` and `sqs:DeleteMessage`.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface Options {
  readonly queueUrl: string
  readonly region?: string | undefined
  readonly endpoint?: string | undefined
  readonly credentials?: Credentials | undefined
}

/**
 * The pattern of the rule whose target the queue is (User Guide, "Monitor Amazon Bedrock job state changes using Amazon EventBridge", read 2026-11).
 * `jobName` begins the names of the jobs; all of this package begin with `caprock-`.
 *
 * @category configuration
 * @since 0.1.0
 */
export const rule = (jobName = "caprock-") => ({
  source: ["aws.bedrock"],
  "detail-type": ["Batch Inference Job State Change"],
  detail: { batchJobName: [{ prefix: jobName }] }
})

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * The events of a queue, for as long as it is read: a request waits up to 20 seconds for some, and one that fails is sent again, at last every minute. An event
 * is removed from the queue once it was taken; a message that is none stays there, with a warning.
 *
 * It never fails: where the queue is not there or not allowed, it says so in a warning, and ends.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromQueue = (options: Options): Stream.Stream<JobEvent> => aws.events(options)
