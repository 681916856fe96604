/**
 * Batch inference: jobs that read records from S3 and write the answers there.
 *
 * Patterns and lengths are those of the service model (API version 2023-04-20, botocore of 2026-08). What AWS does not say is decided so:
 * a token that is known gives the job that it made, and a `ConflictException` for another question; names may repeat; a file is named in the
 * output by its path below the folder.
 */
import * as Deferred from "effect/Deferred"
import * as Batch from "../Batch.ts"
import type * as Stats from "../Stats.ts"
import type { Answered } from "./batchFiles.ts"
import * as BatchJob from "./batchJob.ts"
import * as Bodies from "./bodies.ts"
import { Constraints, type Rules } from "./constraints.ts"
import * as Draw from "./draw.ts"
import * as Jobs from "./jobs.ts"
import * as Json from "./json.ts"
import * as Listing from "./listing.ts"
import type * as ModelId from "./modelId.ts"
import type * as Models from "./models.ts"
import * as Random from "./random.ts"
import * as Reading from "./reading.ts"
import * as Steering from "./steering.ts"
import * as Store from "./store.ts"
import type { Gone, House, Visit } from "./visit.ts"
import * as WireError from "./wireError.ts"

export interface BatchJobs {
  readonly create: (visit: Visit) => Gone
  readonly get: (visit: Visit) => Gone
  readonly list: (visit: Visit) => Gone
  readonly stop: (visit: Visit) => Gone
  readonly stats: () => Stats.JobStats
}

const idPattern = /^(arn:aws(-[^:]+)?:bedrock:[a-z0-9-]{1,20}:[0-9]{12}:model-invocation-job\/)?[a-z0-9]{12}$/
const uri: Rules = {
  min: 1,
  max: 1024,
  pattern: /^s3:\/\/[a-z0-9][-.a-z0-9]{1,61}[a-z0-9](\/[-!_*'().a-z0-9A-Z]+(\/[-!_*'().a-z0-9A-Z]+)*)?\/?$/
}
const name: Rules = { min: 1, max: 63, pattern: /^[a-zA-Z0-9]{1,63}(-*[a-zA-Z0-9+\-.]){0,63}$/ }
const account: Rules = { pattern: /^[0-9]{12}$/ }

const key: Rules = {
  min: 1,
  max: 2048,
  pattern: /^arn:aws(-[^:]+)?:kms:[a-zA-Z0-9-]*:[0-9]{12}:((key\/[a-zA-Z0-9-]{36})|(alias\/[a-zA-Z0-9-_/]+))$/
}

/** What batch inference does not do (User Guide, "Batch inference", 2026-10), by the members of a request that ask for it. */
const missing: ReadonlyArray<readonly [member: string, feature: string]> = [
  ["toolConfig", "tools"],
  ["tools", "tools"],
  ["outputConfig", "structured output"],
  ["output_config", "structured output"],
  ["output_format", "structured output"],
  ["response_format", "structured output"]
]

/** Checks what a request to create a job says. */
const problemsOf = (body: Json.Json): string | undefined => {
  const constraints = new Constraints()
  const given = (path: string, value: unknown, rules: Rules): void => {
    if (constraints.given(path, value)) constraints.text(path, value, rules)
  }
  given("jobName", body["jobName"], name)
  given("roleArn", body["roleArn"], { max: 2048, pattern: /^arn:aws(-[^:]+)?:iam::([0-9]{12})?:role\/.+$/ })
  given("modelId", body["modelId"], { min: 1, max: 2048 })
  constraints.text("clientRequestToken", body["clientRequestToken"], {
    min: 1,
    max: 256,
    pattern: /^[a-zA-Z0-9]{1,256}(-*[a-zA-Z0-9]){0,256}$/
  })
  for (const side of ["input", "output"] as const) {
    const data = `${side}DataConfig`
    const path = `${data}.s3${side === "input" ? "Input" : "Output"}DataConfig`
    if (!constraints.given(data, body[data])) continue
    const s3 = s3Of(body, side)
    given(`${path}.s3Uri`, s3["s3Uri"], uri)
    constraints.text(`${path}.s3BucketOwner`, s3["s3BucketOwner"], account)
    if (side === "input") constraints.text(`${path}.s3InputFormat`, s3["s3InputFormat"], { values: ["JSONL"] })
    else constraints.text(`${path}.s3EncryptionKeyId`, s3["s3EncryptionKeyId"], key)
  }
  if (body["vpcConfig"] !== undefined && body["vpcConfig"] !== null) {
    const vpc = Json.record(body["vpcConfig"])
    for (const [name, max] of [["subnetIds", 16], ["securityGroupIds", 5]] as const) {
      const path = `vpcConfig.${name}`
      if (constraints.given(path, vpc[name])) constraints.list(path, vpc[name], { min: 1, max })
    }
  }
  constraints.number("timeoutDurationInHours", body["timeoutDurationInHours"], 24, 168)
  constraints.text("modelInvocationType", body["modelInvocationType"], { values: ["InvokeModel", "Converse"] })
  constraints.tags(body["tags"], { pattern: /^[a-zA-Z0-9\s._:/=+@-]*$/ })
  return constraints.message
}

/** What has been processed is told by the clock, and what of that failed by what was answered: a moment later. */
const countsOf = (processed: number, failed: number) => ({
  processedRecordCount: processed,
  successRecordCount: Math.max(0, processed - failed),
  errorRecordCount: Math.min(processed, failed)
})

const s3Of = (body: Json.Json, side: "input" | "output"): Json.Json =>
  Json.record(
    Json.record(body[`${side}DataConfig`])[`s3${side === "input" ? "Input" : "Output"}DataConfig`]
  )

export const make = (
  { clock, config, faults, now: sinceStart, run }: House,
  models: Models.Models,
  modelOf: (name: string) => ModelId.ModelRef | undefined,
  store: Store.Store | undefined
): BatchJobs => {
  const jobs = Jobs.make<BatchJob.BatchJob>(Jobs.remembered)
  const nextId = Jobs.ids(config.seed, "batch jobs")
  const { batch } = config
  const inputs = Bodies.make()
  const records = { processed: 0, succeeded: 0, failed: 0 }
  const tokens = { input: 0, output: 0 }
  let sequence = 0
  let repeated = 0

  const now = (): number => clock.currentTimeMillisUnsafe()

  const summaryOf = (job: BatchJob.BatchJob) => {
    const processed = BatchJob.processedAt(job, job.status === "InProgress" ? now() : job.modifiedAt)
    return {
      jobArn: job.arn,
      jobName: job.name,
      ...job.echoed,
      ...(job.token === undefined ? {} : { clientRequestToken: job.token }),
      status: job.status,
      ...(job.message === undefined ? {} : { message: job.message }),
      submitTime: Listing.iso(job.submittedAt),
      lastModifiedTime: Listing.iso(job.modifiedAt),
      ...(BatchJob.hasEnded(job) ? { endTime: Listing.iso(job.modifiedAt) } : {}),
      jobExpirationTime: Listing.iso(job.expiresAt),
      ...(job.records === undefined ? {} : { totalRecordCount: job.records }),
      ...(processed === undefined ? {} : countsOf(processed, job.failed))
    }
  }

  const create = (visit: Visit): Gone => {
    const body = Json.parse(visit.exchange.body)
    if (body === undefined) return visit.invalid(Json.malformed)
    visit.modelId = Json.text(body["modelId"])
    const wrong = problemsOf(body)
    if (wrong !== undefined) return visit.invalid(wrong)
    const ref = modelOf(encodeURIComponent(visit.modelId))
    if (ref === undefined) return visit.invalid("The provided model identifier is invalid.")
    if (ref.path === "provisioned") return visit.invalid("Batch inference is not supported for provisioned models.")
    if (store === undefined) return visit.invalid("This emulator has no S3: give it the option batch.s3.")

    const fault = visit.fault(ref)
    // These two befall a request before it is understood; what comes later may lose the answer, and not the job.
    if (fault?._tag === "Error" || fault?._tag === "Reset") return visit.answer(() => "", fault)
    const fate = fault?._tag === "Job" ? fault : undefined
    const { owner } = visit
    const { clientRequestToken, ...question } = body
    const token = typeof clientRequestToken === "string" ? clientRequestToken : undefined
    const asked = Json.canonical(question)
    const known = token === undefined ? undefined : jobs.withToken(owner, token)
    if (known !== undefined) {
      if (known.asked !== asked) return visit.refuse({ name: "ConflictException" })
      repeated++
    } else {
      const open = jobs.of(owner).filter((job) => job.ref.model === ref.model && !BatchJob.hasEnded(job)).length
      if (open >= batch.limits.jobs) {
        return visit.refuse({
          name: "ServiceQuotaExceededException",
          message:
            `The sum of in-progress and submitted batch inference jobs of ${ref.model} exceeds ${batch.limits.jobs}.`
        })
      }
    }
    const job = known ?? accept(visit, body, { owner, token, asked, ref, fate }, store)
    return visit.answer(() => JSON.stringify({ jobArn: job.arn }), fault)
  }

  const accept = (
    { accountId, caller: { region } }: Visit,
    body: Json.Json,
    asked: Pick<BatchJob.BatchJob, "asked" | "fate" | "owner" | "ref" | "token">,
    store: Store.Store
  ): BatchJob.BatchJob => {
    const submittedAt = now()
    const id = nextId()
    const { clientRequestToken: _, jobName, modelInvocationType = "InvokeModel", tags: __, ...others } = body
    const hours = body["timeoutDurationInHours"]
    const out = Store.placeOf(Json.text(s3Of(body, "output")["s3Uri"]))
    const job: BatchJob.BatchJob = {
      ...asked,
      arn: `arn:aws:bedrock:${region}:${accountId}:model-invocation-job/${id}`,
      region,
      sequence: sequence++,
      name: Json.text(jobName),
      type: modelInvocationType === "Converse" ? "Converse" : "InvokeModel",
      echoed: { ...others, modelInvocationType, timeoutDurationInHours: hours ?? Batch.defaults.timeoutHours },
      from: Store.placeOf(Json.text(s3Of(body, "input")["s3Uri"])),
      to: { bucket: out.bucket, key: `${out.key}${out.key === "" || out.key.endsWith("/") ? "" : "/"}${id}` },
      submittedAt,
      expiresAt: submittedAt + batch.hour * (typeof hours === "number" ? hours : Batch.defaults.timeoutHours),
      digest: Random.seedOf(asked.asked),
      stopping: Deferred.makeUnsafe(),
      status: "Submitted",
      message: undefined,
      modifiedAt: submittedAt,
      records: undefined,
      progress: undefined,
      counts: undefined,
      failed: 0
    }
    jobs.add(job)
    run(BatchJob.live(job, {
      clock,
      config: batch,
      store,
      answerTo: ({ modelInput, text }) => {
        const answered = answerTo(job, modelInput, text)
        records.processed++
        records[answered.failed ? "failed" : "succeeded"]++
        if (answered.failed) job.failed++
        tokens.input += answered.input
        tokens.output += answered.output
        return answered
      },
      random: (purpose) => Random.forRequest(config.seed, job.digest, 0, purpose),
      asking: ({ digest }) => inputs.arrive(`${job.ref.raw} ${job.type} ${digest}`)
    }))
    return job
  }

  /** What a model says depends on the record alone; what befalls it, on its job too, so that it can be tried again. */
  const answerTo = (job: BatchJob.BatchJob, modelInput: Json.Json, text: string): Answered => {
    const failed = (error: WireError.WireError): Answered => ({
      json: `"error":${
        JSON.stringify({ errorCode: WireError.statusOf(error.name), errorMessage: WireError.messageOf(error) })
      }`,
      failed: true,
      input: 0,
      output: 0
    })
    const invalid = (message: string): Answered => failed({ name: "ValidationException", message })
    for (const [member, feature] of missing) {
      if (member in modelInput) return invalid(`Batch inference does not support ${feature}.`)
    }
    const reading = Reading.read(job.type, job.ref, modelInput, false)
    if (typeof reading === "string") return invalid(reading)
    const tooMuch = models.tooMuch(reading)
    if (tooMuch !== undefined) return invalid(tooMuch)
    const digest = Random.seedOf(text)
    const steered = config.steering ? Steering.read(reading.prompt.last) : Steering.none
    const { answer, broken, timing, vector } = models.draw(reading, {
      id: digest.map((word) => word.toString(16).padStart(8, "0")).join(""),
      random: (purpose) => Random.forRequest(config.seed, digest, 0, purpose),
      steered,
      input: { inputTokens: reading.prompt.tokens, cacheReadTokens: 0, cacheWriteTokens: 0, caching: false },
      latency: config.latencyOf(job.region),
      serviceTier: undefined
    })
    const fault = broken ?? steered.fault ?? faults.choose(
      sinceStart(),
      "BatchRecord",
      job.ref,
      job.region,
      () => Random.forRequest(Random.seedOf(`${config.seed.join()} ${job.digest.join()}`), digest, 0, Draw.label.fault)
    )
    if (fault?._tag === "Error") return failed(fault)
    const whole = Draw.shapeOf(reading, answer, vector, false).whole(Math.round(timing.total))
    const { inputTokens: input, outputTokens: output } = answer.usage
    return { json: `"modelOutput":${whole.body}`, failed: false, input, output }
  }

  /** The job that a path names, by its ARN or by the id at its end. */
  const named = (visit: Visit): BatchJob.BatchJob | undefined =>
    jobs.find(
      visit.owner,
      visit.modelId.startsWith("arn:")
        ? visit.modelId
        : `arn:aws:bedrock:${visit.caller.region}:${visit.accountId}:model-invocation-job/${visit.modelId}`
    )

  const withJob = (visit: Visit, answer: (job: BatchJob.BatchJob) => Gone): Gone => {
    const constraints = new Constraints()
    constraints.text("jobIdentifier", visit.modelId, { max: 1011, pattern: idPattern })
    const wrong = constraints.message
    if (wrong !== undefined) return visit.invalid(wrong)
    const job = named(visit)
    return job === undefined
      ? visit.refuse({ name: "ResourceNotFoundException", message: "The provided job identifier is that of no job." })
      : answer(job)
  }

  const get = (visit: Visit): Gone =>
    withJob(visit, (job) => visit.answer(() => JSON.stringify(summaryOf(job)), visit.fault(undefined)))

  const stop = (visit: Visit): Gone =>
    withJob(visit, (job) => {
      const fault = visit.fault(undefined)
      if (fault?._tag === "Error" || fault?._tag === "Reset") return visit.answer(() => "", fault)
      if (BatchJob.hasEnded(job)) {
        return visit.refuse({ name: "ConflictException", message: `The job has ended: it is ${job.status}.` })
      }
      if (job.status !== "Stopping") BatchJob.stop(job, now())
      return visit.answer(() => "{}", fault)
    })

  const list = (visit: Visit): Gone => {
    const page = Listing.page(visit, {
      all: () => jobs.of(visit.owner),
      statuses: BatchJob.statuses,
      statusOf: ({ status }) => status,
      sortBy: "CreationTime",
      name: { of: ({ name }) => name, rules: name }
    })
    if (typeof page === "string") return visit.invalid(page)
    const body = JSON.stringify({
      invocationJobSummaries: page.items.map(summaryOf),
      ...(page.nextToken === undefined ? {} : { nextToken: page.nextToken })
    })
    return visit.answer(() => body, visit.fault(undefined))
  }

  const stats = (): Stats.JobStats => {
    const statuses: Record<string, number> = {}
    for (const { status } of jobs.all()) statuses[status] = (statuses[status] ?? 0) + 1
    return {
      accepted: sequence,
      repeated,
      statuses,
      records: { ...records },
      tokens: { ...tokens },
      perInput: inputs.stats()
    }
  }

  return { create, get, list, stop, stats }
}
