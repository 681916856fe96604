/**
 * Asynchronous invocations: jobs that take their time, and write nothing anywhere.
 *
 * Patterns and lengths are those of the service model (API version 2023-09-30, botocore of 2026-08). GetAsyncInvoke has no
 * ResourceNotFoundException there: a job that is not known is a ValidationException.
 */
import { Constraints } from "./constraints.ts"
import * as Jobs from "./jobs.ts"
import * as Json from "./json.ts"
import * as Listing from "./listing.ts"
import type * as ModelId from "./modelId.ts"
import * as Steering from "./steering.ts"
import type { Gone, House, Visit } from "./visit.ts"
import * as WireError from "./wireError.ts"

export interface AsyncInvokes {
  readonly start: (visit: Visit) => Gone
  readonly get: (visit: Visit) => Gone
  readonly list: (visit: Visit) => Gone
}

const arnPattern = /^arn:aws(-[^:]+)?:bedrock:[a-z0-9-]{1,20}:[0-9]{12}:async-invoke\/[a-z0-9]{12}$/
const statuses = ["InProgress", "Completed", "Failed"]

interface Invocation extends Jobs.Job {
  readonly modelArn: string
  readonly outputDataConfig: unknown
  readonly endsAt: number
  /** Why it will have failed; `undefined` where it will not. */
  readonly failure: string | undefined
}

export const make = (
  { clock, config }: House,
  modelOf: (name: string) => ModelId.ModelRef | undefined
): AsyncInvokes => {
  const jobs = Jobs.make<Invocation>(Jobs.remembered)
  const nextId = Jobs.ids(config.seed, "async invocations")
  let sequence = 0

  const nowMillis = (): number => clock.currentTimeMillisUnsafe()

  const statusOf = (job: Invocation): string =>
    nowMillis() < job.endsAt ? "InProgress" : job.failure === undefined ? "Completed" : "Failed"

  const summaryOf = (job: Invocation) => {
    const status = statusOf(job)
    const ended = status !== "InProgress"
    return {
      invocationArn: job.arn,
      modelArn: job.modelArn,
      ...(job.token === undefined ? {} : { clientRequestToken: job.token }),
      status,
      ...(status === "Failed" ? { failureMessage: job.failure } : {}),
      submitTime: Listing.iso(job.submittedAt),
      lastModifiedTime: Listing.iso(ended ? job.endsAt : job.submittedAt),
      ...(ended ? { endTime: Listing.iso(job.endsAt) } : {}),
      outputDataConfig: job.outputDataConfig
    }
  }

  const start = (visit: Visit): Gone => {
    const body = Json.parse(visit.exchange.body)
    if (body === undefined) return visit.invalid(Json.malformed)
    const { clientRequestToken, modelId, modelInput, outputDataConfig, tags, ...others } = body
    visit.modelId = Json.text(modelId)
    const constraints = new Constraints()
    constraints.text("clientRequestToken", clientRequestToken, { min: 1, max: 256, pattern: /^[!-~]*$/ })
    if (constraints.given("modelId", modelId)) {
      constraints.text("modelId", modelId, { min: 1, max: 256, pattern: /^[a-zA-Z_.\-/0-9:]+$/ })
    }
    constraints.given("modelInput", modelInput)
    if (constraints.given("outputDataConfig", outputDataConfig)) {
      const s3 = Json.record(Json.record(outputDataConfig)["s3OutputDataConfig"])
      const path = "outputDataConfig.s3OutputDataConfig"
      if (constraints.given(`${path}.s3Uri`, s3["s3Uri"])) {
        constraints.text(`${path}.s3Uri`, s3["s3Uri"], {
          min: 1,
          max: 1024,
          pattern: /^s3:\/\/[a-z0-9][.\-a-z0-9]{1,61}[a-z0-9](\/.*)?$/
        })
      }
      constraints.text(`${path}.bucketOwner`, s3["bucketOwner"], { pattern: /^[0-9]{12}$/ })
    }
    constraints.tags(tags)
    const wrong = constraints.message
    if (wrong !== undefined) return visit.invalid(wrong)
    const ref = modelOf(encodeURIComponent(Json.text(modelId)))
    if (ref === undefined) return visit.invalid("The provided model identifier is invalid.")

    const fault = visit.fault(ref)
    // These two befall a request before it is understood; what comes later may lose the answer, and not the job.
    if (fault?._tag === "Error" || fault?._tag === "Reset") return visit.answer(() => "", fault)
    const { owner } = visit
    const token = typeof clientRequestToken === "string" ? clientRequestToken : undefined
    const asked = Json.canonical({ modelId, modelInput, outputDataConfig, tags, ...others })
    const known = token === undefined ? undefined : jobs.withToken(owner, token)
    if (known !== undefined && known.asked !== asked) return visit.refuse({ name: "ConflictException" })
    const job = known ?? accept(visit, ref, { owner, token, asked, modelInput, outputDataConfig })
    return visit.answer(() => JSON.stringify({ invocationArn: job.arn }), fault)
  }

  const accept = (
    { accountId, caller: { region } }: Visit,
    { model, path, raw }: ModelId.ModelRef,
    { modelInput, ...asked }: Pick<Invocation, "asked" | "outputDataConfig" | "owner" | "token"> & {
      readonly modelInput: unknown
    }
  ): Invocation => {
    const steered = config.steering ? Steering.read(JSON.stringify(modelInput)) : Steering.none
    const submittedAt = nowMillis()
    const job: Invocation = {
      ...asked,
      arn: `arn:aws:bedrock:${region}:${accountId}:async-invoke/${nextId()}`,
      sequence: sequence++,
      modelArn: path === "provisioned" ? raw : `arn:aws:bedrock:${region}::foundation-model/${model}`,
      submittedAt,
      endsAt: submittedAt + (steered.latency ?? config.jobDuration),
      failure: steered.fault?._tag === "Error" ? WireError.messageOf(steered.fault) : undefined
    }
    jobs.add(job)
    return job
  }

  const get = (visit: Visit): Gone => {
    const constraints = new Constraints()
    constraints.text("invocationArn", visit.modelId, { min: 1, max: 2048, pattern: arnPattern })
    const wrong = constraints.message
    if (wrong !== undefined) return visit.invalid(wrong)
    const job = jobs.find(visit.owner, visit.modelId)
    if (job === undefined) return visit.invalid("The provided invocation ARN is that of no invocation.")
    return visit.answer(() => JSON.stringify(summaryOf(job)), visit.fault(undefined))
  }

  const list = (visit: Visit): Gone => {
    const page = Listing.page(visit, {
      all: () => jobs.of(visit.owner),
      statuses,
      statusOf,
      sortBy: "SubmissionTime"
    })
    if (typeof page === "string") return visit.invalid(page)
    const body = JSON.stringify({
      asyncInvokeSummaries: page.items.map(summaryOf),
      ...(page.nextToken === undefined ? {} : { nextToken: page.nextToken })
    })
    return visit.answer(() => body, visit.fault(undefined))
  }

  return { start, get, list }
}
