// The one file that knows the SDK's client of Bedrock's control plane.
import {
  BedrockClient,
  CreateModelInvocationJobCommand,
  type CreateModelInvocationJobCommandInput,
  GetModelInvocationJobCommand,
  type GetModelInvocationJobCommandOutput,
  ListModelInvocationJobsCommand,
  type ModelInvocationJobSummary,
  StopModelInvocationJobCommand
} from "@aws-sdk/client-bedrock"
import * as Backoff from "@caprock/backoff/Backoff"
import { BedrockError } from "@caprock/errors/BedrockError"
import * as Classification from "@caprock/errors/Classification"
import * as Reason from "@caprock/errors/Reason"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Job, JobControl, JobDetail, NewJob, Options } from "../JobControl.ts"

/** The control plane answers within a second or two; a server that says nothing for so long is asked again. */
const silentMillis = 30_000
const connectMillis = 5_000
/** Credentials have to be found, too, and no setting of the client bounds that. */
const mostMillis = 60_000
/** Its own rates are low, and the account's other programs draw on them: 1, 2 and 4 seconds, less jitter. */
const patience: Backoff.Options = { attempts: 4 }
/** Of one page (API reference, ListModelInvocationJobs, read 2026-11). */
const pageSize = 1000

export const make = (options: Options): Effect.Effect<JobControl["Service"], never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() =>
        new BedrockClient({
          ...(options.region === undefined ? {} : { region: options.region }),
          ...(options.endpoint === undefined ? {} : { endpoint: options.endpoint }),
          ...(options.credentials === undefined
            ? {}
            // Else a bearer token in the environment wins.
            : { credentials: options.credentials, authSchemePreference: ["sigv4"] }),
          maxAttempts: 1,
          requestHandler: { connectionTimeout: connectMillis, socketTimeout: silentMillis }
        })
      ),
      (client) => Effect.sync(() => client.destroy())
    ),
    controlOf
  )

const controlOf = (client: BedrockClient): JobControl["Service"] => {
  const once = <A>(operation: string, send: (abortSignal: AbortSignal) => Promise<A>, modelId?: string) =>
    Effect.tryPromise({
      try: send,
      catch: (error) => Classification.fromUnknown(error, { operation, modelId })
    }).pipe(Effect.timeoutOrElse({
      duration: mostMillis,
      orElse: () => {
        const reason = new Reason.TimeoutError({ kind: "first-token", message: `no answer within ${mostMillis} ms` })
        return Effect.fail(new BedrockError({ operation, attempts: 1, reason }))
      }
    }))
  const sent = <A>(operation: string, send: (abortSignal: AbortSignal) => Promise<A>) =>
    Backoff.retry(once(operation, send), patience)

  const page = (nameContains: string, nextToken: string | undefined) =>
    sent("ListModelInvocationJobs", (abortSignal) =>
      client.send(
        new ListModelInvocationJobsCommand({
          ...(nameContains === "" ? {} : { nameContains }),
          nextToken,
          maxResults: pageSize,
          sortBy: "CreationTime",
          sortOrder: "Descending"
        }),
        { abortSignal }
      )).pipe(
        Effect.map(({ invocationJobSummaries = [], nextToken }) =>
          [invocationJobSummaries.map(jobOf), Option.fromUndefinedOr(nextToken)] as const
        )
      )

  return {
    create: (job) =>
      once(
        "CreateModelInvocationJob",
        (abortSignal) => client.send(new CreateModelInvocationJobCommand(inputOf(job)), { abortSignal }),
        job.model
      ).pipe(Effect.map(({ jobArn }) => jobArn ?? "")),
    get: (jobIdentifier) =>
      sent(
        "GetModelInvocationJob",
        (abortSignal) => client.send(new GetModelInvocationJobCommand({ jobIdentifier }), { abortSignal })
      ).pipe(Effect.map(detailOf)),
    list: (nameContains) => Stream.paginate(undefined as string | undefined, (token) => page(nameContains, token)),
    stop: (jobIdentifier) =>
      sent(
        "StopModelInvocationJob",
        (abortSignal) => client.send(new StopModelInvocationJobCommand({ jobIdentifier }), { abortSignal })
      ).pipe(
        Effect.asVoid,
        Effect.catchIf(isOverAlready, () => Effect.void)
      )
  }
}

// "The resource is in a state in which it can't be stopped."
const isOverAlready = ({ reason }: BedrockError): boolean => reason._tag === "ConflictError"

const inputOf = (job: NewJob): CreateModelInvocationJobCommandInput => {
  const owner = job.bucketOwner === undefined ? {} : { s3BucketOwner: job.bucketOwner }
  return {
    jobName: job.name,
    clientRequestToken: job.token,
    modelId: job.model,
    modelInvocationType: job.invocationType,
    roleArn: job.roleArn,
    inputDataConfig: { s3InputDataConfig: { s3InputFormat: "JSONL", s3Uri: job.input, ...owner } },
    outputDataConfig: {
      s3OutputDataConfig: {
        s3Uri: job.output,
        ...(job.kmsKeyId === undefined ? {} : { s3EncryptionKeyId: job.kmsKeyId }),
        ...owner
      }
    },
    timeoutDurationInHours: job.hours,
    ...(job.tags === undefined ? {} : { tags: Object.entries(job.tags).map(([key, value]) => ({ key, value })) })
  }
}

const jobOf = (summary: ModelInvocationJobSummary | GetModelInvocationJobCommandOutput): Job => ({
  arn: summary.jobArn ?? "",
  name: summary.jobName ?? "",
  status: summary.status ?? "",
  submittedAt: summary.submitTime?.getTime() ?? 0,
  input: summary.inputDataConfig?.s3InputDataConfig?.s3Uri ?? "",
  output: summary.outputDataConfig?.s3OutputDataConfig?.s3Uri ?? "",
  ...(summary.jobExpirationTime === undefined ? {} : { expiresAt: summary.jobExpirationTime.getTime() }),
  ...(summary.message === undefined ? {} : { message: summary.message }),
  ...(summary.clientRequestToken === undefined ? {} : { token: summary.clientRequestToken })
})

const detailOf = (job: GetModelInvocationJobCommandOutput): JobDetail => ({
  ...jobOf(job),
  ...(job.totalRecordCount === undefined ? {} : {
    counts: {
      total: job.totalRecordCount,
      processed: job.processedRecordCount ?? 0,
      succeeded: job.successRecordCount ?? 0,
      failed: job.errorRecordCount ?? 0
    }
  })
})
