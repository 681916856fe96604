/**
 * Jobs for your own tests: they pass through a script of states as the clock goes, and a test can push them about.
 *
 * **Example** (A job that takes an hour)
 *
 * ```ts
 * import { JobControl } from "@caprock/batch"
 * import { Console, Effect } from "effect"
 * import { TestClock } from "effect/testing"
 *
 * export const main = Effect.gen(function*() {
 *   const control = yield* JobControl.JobControl
 *   const arn = yield* control.create({
 *     name: "nightly-0-0-0",
 *     token: "digest",
 *     model: "amazon.nova-lite-v1:0",
 *     invocationType: "Converse",
 *     roleArn: "arn:aws:iam::111122223333:role/batch",
 *     input: "s3://bucket/in/",
 *     output: "s3://bucket/out/",
 *     hours: 72
 *   })
 *   yield* TestClock.adjust("1 minute")
 *   const begun = yield* control.get(arn)
 *   yield* TestClock.adjust("1 hour")
 *   const ended = yield* control.get(arn)
 *   yield* Console.log(begun.status, ended.status) // => InProgress Completed
 * }).pipe(Effect.provide([JobControl.layerTest(), TestClock.layer()]))
 * ```
 *
 * @since 0.1.0
 */
import type { BedrockError } from "@caprock/errors/BedrockError"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type { Counts } from "./BatchJournal.ts"
import type { JobDetail, NewJob } from "./JobControl.ts"

/**
 * An operation of `JobControl`.
 *
 * @category models
 * @since 0.1.0
 */
export type Operation = "create" | "get" | "list" | "stop"

/**
 * A state of a scripted job, and how long it stays in it before the next.
 *
 * @category models
 * @since 0.1.0
 */
export interface Step {
  readonly status: string
  readonly for?: Duration.Input | undefined
  readonly message?: string | undefined
}

/**
 * What jobs of `JobControl.layerTest` pass through.
 *
 * - `steps`: of the job with this number, from 0. By default each waits a minute, works for an hour, and completes.
 * - `stopping`: from a request to stop until the job is stopped. Default a minute.
 *
 * @category models
 * @since 0.1.0
 */
export interface Script {
  readonly steps?: ((job: NewJob, index: number) => ReadonlyArray<Step>) | undefined
  readonly stopping?: Duration.Input | undefined
}

/**
 * What a test does with the jobs of `JobControl.layerTest`.
 *
 * - `created`: what was asked for so far, in its order; a request for a job that there was already counts too.
 * - `become`: puts a job into a state, from which time alone does not move it on. An unknown ARN is a defect.
 * - `forget`: a job that Bedrock knows no more.
 * - `fail`: the next requests of an operation end in these errors, one each. With `after`, what was asked for is done, and only its answer is lost.
 *
 * @category services
 * @since 0.1.0
 */
export class JobControlTest extends Context.Service<JobControlTest, {
  readonly created: Effect.Effect<ReadonlyArray<NewJob>>
  readonly jobs: Effect.Effect<ReadonlyArray<JobDetail>>
  readonly requests: Effect.Effect<Readonly<Record<Operation, number>>>
  readonly become: (
    arn: string,
    status: string,
    said?: { readonly message?: string; readonly counts?: typeof Counts.Type }
  ) => Effect.Effect<void>
  readonly forget: (arn: string) => Effect.Effect<void>
  readonly fail: (
    operation: Operation,
    errors: ReadonlyArray<BedrockError>,
    options?: { readonly after?: boolean }
  ) => Effect.Effect<void>
}>()("@caprock/batch/JobControlTest") {}
