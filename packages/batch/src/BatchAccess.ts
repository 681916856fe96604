/**
 * Who has to be allowed what: the policies that batches need, as data, and a check that they work before a gigabyte is uploaded.
 *
 * There are two identities. The *role* is assumed by Bedrock, which reads and writes the bucket as it; the *caller* is whoever runs this program.
 *
 * **Example** (What the role has to be allowed)
 *
 * ```ts
 * import { BatchAccess } from "@caprock/batch"
 *
 * const { role } = BatchAccess.policies({
 *   account: "111122223333",
 *   region: "us-east-1",
 *   bucket: "nightly",
 *   role: "arn:aws:iam::111122223333:role/batch",
 *   model: "amazon.nova-lite-v1:0"
 * })
 * console.log(role.Statement.map(({ Sid }) => Sid)) // => [ 'CaprockBucket', 'CaprockObjects' ]
 * ```
 *
 * @since 0.1.0
 */
import type { BedrockError } from "@caprock/errors/BedrockError"
import * as Classification from "@caprock/errors/Classification"
import * as ModelId from "@caprock/quota/ModelId"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import type { StoreFailed, StoreUnsafe } from "./BatchError.ts"
import { unique } from "./internal/unique.ts"
import { isOver, JobControl, type JobDetail } from "./JobControl.ts"
import { ObjectStore } from "./ObjectStore.ts"

// -----------------------------------------------------------------------------
// Policies
// -----------------------------------------------------------------------------

/**
 * What the policies are made of.
 *
 * - `role`: the ARN of the role that Bedrock assumes.
 * - `prefix`: of all keys of batches. Default `"caprock/"`.
 * - `kmsKeyArn`: of the key that the bucket's objects are encrypted with, if it is one of your own.
 * - `queueArn`: of the queue that events of jobs come through, if there is one.
 *
 * @category models
 * @since 0.1.0
 */
export interface Setup {
  readonly account: string
  readonly region: string
  readonly bucket: string
  readonly role: string
  readonly model: string
  readonly prefix?: string | undefined
  readonly kmsKeyArn?: string | undefined
  readonly queueArn?: string | undefined
}

/**
 * A statement of a policy, in IAM's own words.
 *
 * @category models
 * @since 0.1.0
 */
export interface Statement {
  readonly Sid: string
  readonly Effect: "Allow"
  readonly Principal?: { readonly Service: string }
  readonly Action: string | ReadonlyArray<string>
  readonly Resource?: string | ReadonlyArray<string>
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string | ReadonlyArray<string>>>>>
}

/**
 * A policy, as IAM takes it in JSON.
 *
 * @category models
 * @since 0.1.0
 */
export interface Policy {
  readonly Version: "2012-10-17"
  readonly Statement: ReadonlyArray<Statement>
}

/**
 * All that is needed: `trust` and `role` belong to the role, `caller` to whoever runs batches, `queue` to the queue of events, if there is one.
 *
 * @category models
 * @since 0.1.0
 */
export interface Policies {
  readonly trust: Policy
  readonly role: Policy
  readonly caller: Policy
  readonly queue?: Policy
}

/**
 * The policies, with as little in them as will do (User Guide, "Create a custom service role for batch inference" and "Required permissions for batch
 * inference", read 2026-11). Pure.
 *
 * The caller may call the model too: what is too little for a job is asked on demand.
 *
 * @category policies
 * @since 0.1.0
 */
export const policies = (setup: Setup): Policies => {
  const { account, kmsKeyArn, model, prefix = "caprock/", queueArn, region, role } = setup
  const partition = /^arn:(aws[a-z-]*):/.exec(role)?.[1] ?? "aws"
  const bedrock = (resource: string, where = `${region}:${account}`) => `arn:${partition}:bedrock:${where}:${resource}`
  const bucket = `arn:${partition}:s3:::${setup.bucket}`
  const ours = { StringEquals: { "aws:ResourceAccount": account } }
  const models = [
    bedrock("foundation-model/*", "*:"),
    bedrock("inference-profile/*"),
    bedrock("application-inference-profile/*"),
    bedrock("custom-model/*")
  ]
  const key = kmsKeyArn === undefined ? [] : [allow("Key", ["kms:Decrypt", "kms:GenerateDataKey"], kmsKeyArn)]
  return {
    trust: policy({
      Sid: "CaprockTrust",
      Effect: "Allow",
      Principal: { Service: "bedrock.amazonaws.com" },
      Action: "sts:AssumeRole",
      Condition: {
        StringEquals: { "aws:SourceAccount": account },
        ArnEquals: { "aws:SourceArn": bedrock("model-invocation-job/*") }
      }
    }),
    role: policy(
      allow("Bucket", "s3:ListBucket", bucket, ours),
      allow("Objects", ["s3:GetObject", "s3:PutObject"], `${bucket}/${prefix}*`, ours),
      ...key,
      // A profile is called by the role, in whichever Region it leads to.
      ...(isProfile(model) ? [allow("Models", "bedrock:InvokeModel", models)] : [])
    ),
    caller: policy(
      allow("Jobs", [
        "bedrock:CreateModelInvocationJob",
        "bedrock:GetModelInvocationJob",
        "bedrock:StopModelInvocationJob",
        "bedrock:TagResource"
      ], [...models, bedrock("model-invocation-job/*")]),
      allow("List", "bedrock:ListModelInvocationJobs", "*"),
      allow("OnDemand", "bedrock:InvokeModel", models),
      allow("PassRole", "iam:PassRole", role, { StringEquals: { "iam:PassedToService": "bedrock.amazonaws.com" } }),
      allow("Bucket", ["s3:ListBucket", "s3:ListBucketMultipartUploads"], bucket, ours),
      allow(
        "Objects",
        ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
        `${bucket}/${prefix}*`,
        ours
      ),
      ...key,
      ...(queueArn === undefined ? [] : [allow("Events", ["sqs:ReceiveMessage", "sqs:DeleteMessage"], queueArn)])
    ),
    // User Guide of EventBridge, "Using resource-based policies", read 2026-11.
    ...(queueArn === undefined ? {} : {
      queue: policy({
        ...allow("Rule", "sqs:SendMessage", queueArn, {
          ArnEquals: { "aws:SourceArn": `arn:${partition}:events:${region}:${account}:rule/*` }
        }),
        Principal: { Service: "events.amazonaws.com" }
      })
    })
  }
}

const policy = (...Statement: ReadonlyArray<Statement>): Policy => ({ Version: "2012-10-17", Statement })

const allow = (
  name: string,
  Action: Statement["Action"],
  Resource: NonNullable<Statement["Resource"]>,
  Condition?: NonNullable<Statement["Condition"]>
): Statement => ({
  Sid: `Caprock${name}`,
  Effect: "Allow",
  Action,
  Resource,
  ...(Condition === undefined ? {} : { Condition })
})

const isProfile = (model: string): boolean => {
  const parsed = ModelId.parse(model)
  return Result.isFailure(parsed) || parsed.success._tag !== "FoundationModel"
}

// -----------------------------------------------------------------------------
// Checking
// -----------------------------------------------------------------------------

/**
 * What was looked at, and what came of it. `remedy` says what to do.
 *
 * - `role`: its ARN is one.
 * - `bucket`: it can be listed, written, read and cleaned, and honours conditions.
 * - `jobs`: they can be listed.
 * - `job`: one can be created, and Bedrock reads the bucket as the role.
 *
 * @category models
 * @since 0.1.0
 */
export interface Finding {
  readonly step: "bucket" | "job" | "jobs" | "role"
  readonly ok: boolean
  readonly said: string
  readonly remedy?: string | undefined
}

/**
 * What is checked. `job`: whether one is created, which is the only proof that the role works. It has a single record, and so Bedrock refuses it for being too
 * small as soon as it has read it: it costs nothing, but takes a minute or some.
 *
 * @category models
 * @since 0.1.0
 */
export interface CheckOptions {
  readonly role: string
  readonly model: string
  readonly prefix?: string | undefined
  readonly job?: boolean | undefined
}

/**
 * Tries what a batch will do, with next to nothing in it, and tells what it found. It leaves nothing behind but, with `job`, a job that failed.
 *
 * @category checking
 * @since 0.1.0
 */
export const check = (
  { job = false, model, prefix = "caprock/", role }: CheckOptions
): Effect.Effect<ReadonlyArray<Finding>, never, JobControl | ObjectStore> =>
  Effect.gen(function*() {
    const findings: Array<Finding> = [ofRole(role), yield* bucket(prefix), yield* jobs]
    if (job && findings.every(({ ok }) => ok)) findings.push(yield* created(role, model, prefix))
    return findings
  })

const ofRole = (role: string): Finding =>
  /^arn:aws[a-z-]*:iam::\d{12}:role\/.+$/.test(role)
    ? { step: "role", ok: true, said: `${role} is a role.` }
    : {
      step: "role",
      ok: false,
      said: `${role} is not the ARN of a role.`,
      remedy: "Give the role's ARN, such as arn:aws:iam::111122223333:role/batch."
    }

const bucket = (prefix: string): Effect.Effect<Finding, never, ObjectStore> =>
  Effect.gen(function*() {
    const store = yield* ObjectStore
    const remedies = {
      missing: "Make it, in the Region of the jobs, or look at its name.",
      denied: "Allow the caller CaprockBucket and CaprockObjects of the policies, and the key if there is one.",
      unavailable: "Look at the way to it: the endpoint, the network, the Region.",
      other: "What it said should tell."
    }
    return yield* store.prove(prefix).pipe(
      Effect.andThen(Stream.runDrain(Stream.take(store.list(prefix), 1))),
      Effect.as<Finding>({
        step: "bucket",
        ok: true,
        said: `${store.bucket} can be listed, written and cleaned below ${prefix}, and honours conditions.`
      }),
      Effect.catch((failure: StoreFailed | StoreUnsafe) =>
        Effect.succeed<Finding>({
          step: "bucket",
          ok: false,
          said: `${store.bucket}: ${failure.message}.`,
          ...(failure._tag === "StoreUnsafe"
            ? { remedy: "Keep batches in another bucket." }
            // Before there are credentials, nobody is refused anything.
            : isAnswered(failure)
            ? { remedy: remedies[failure.kind] }
            : {})
        })
      )
    )
  })

/** Whether it got as far as being answered, or at least asked: what the program itself lacks is told with the failure. */
const isAnswered = ({ cause, operation }: StoreFailed): boolean => {
  const { reason } = Classification.fromUnknown(cause, { operation })
  return reason._tag === "AccessError"
    ? reason.kind === "denied"
    : reason._tag !== "ValidationError" || reason.kind !== "no-region"
}

const jobs: Effect.Effect<Finding, never, JobControl> = Effect.gen(function*() {
  const control = yield* JobControl
  return yield* Stream.runDrain(Stream.take(control.list("caprock-check-"), 1)).pipe(
    Effect.as<Finding>({ step: "jobs", ok: true, said: "Jobs can be listed." }),
    Effect.catch((error) => Effect.succeed(refused("jobs", error, "Allow the caller CaprockJobs and CaprockList.")))
  )
})

const refused = (step: "job" | "jobs", error: BedrockError, remedy: string): Finding => ({
  step,
  ok: false,
  said: error.message,
  ...((error.reason._tag === "AccessError" && error.reason.kind === "denied") ||
      (error.reason._tag === "ValidationError" && error.reason.kind !== "no-region")
    ? { remedy }
    : {})
})

const created = (
  role: string,
  model: string,
  prefix: string
): Effect.Effect<Finding, never, JobControl | ObjectStore> =>
  Effect.gen(function*() {
    const control = yield* JobControl
    const store = yield* ObjectStore
    const id = (yield* unique).replaceAll("-", "")
    const folder = `${prefix}check/${id}/`
    const key = `${folder}in/records-0.jsonl`
    const url = (folder: string) => `s3://${store.bucket}/${folder}`
    const remedy =
      "Give the role the trust policy and CaprockBucket and CaprockObjects, and the caller CaprockPassRole."
    return yield* store.put(key, record).pipe(
      Effect.andThen(control.create({
        name: `caprock-check-${id.slice(0, 12)}`,
        token: id,
        model,
        invocationType: "Converse",
        roleArn: role,
        input: url(`${folder}in/`),
        output: url(`${folder}out/`),
        hours: 24
      })),
      Effect.flatMap((arn) =>
        control.get(arn).pipe(
          Effect.repeat({ until: ({ status }) => isDecided(status), schedule: patience }),
          Effect.tap(({ status }) => isOver(status) ? Effect.void : control.stop(arn))
        )
      ),
      Effect.map((job) => verdict(job, remedy)),
      Effect.catch((failure) =>
        Effect.succeed<Finding>(
          failure._tag === "BedrockError"
            ? refused("job", failure, remedy)
            : { step: "job", ok: false, said: `${failure.message}.` }
        )
      ),
      Effect.ensuring(Effect.ignore(store.remove([key])))
    )
  })

const record = new TextEncoder().encode(
  `{"recordId":"r0000000000","modelInput":{"messages":[{"role":"user","content":[{"text":"Hello."}]}]}}\n`
)

/** Validation takes a minute or some. */
const patience = Schedule.spaced("5 seconds").pipe(Schedule.upTo({ times: 120 }))

/** Once it is past validation, Bedrock has read the bucket. */
const isDecided = (status: string): boolean => status !== "Submitted" && status !== "Validating"

const verdict = ({ message = "", status }: JobDetail, remedy: string): Finding => {
  // "contains less records (1) than the required minimum of: 100" (public reports, read 2026-11): it has counted them.
  const counted = status === "Failed" && /records/i.test(message) && /minimum|at least|fewer|less/i.test(message)
  if (counted || (isDecided(status) && status !== "Failed")) {
    return {
      step: "job",
      ok: true,
      said:
        "A job can be created, and Bedrock reads the bucket as the role. Whether it may write there, the first job will tell."
    }
  }
  return status === "Failed"
    ? { step: "job", ok: false, said: `A job failed: ${message}`, remedy }
    : {
      step: "job",
      ok: false,
      said: "After ten minutes Bedrock was still looking at a job.",
      remedy: "Try again later."
    }
}
