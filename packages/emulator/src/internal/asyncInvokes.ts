/**
 * Asynchronous invocations: jobs that take their time, and write nothing anywhere.
 *
 * Patterns and lengths are those of the service model (API version 2023-09-30, botocore of 2026-08). GetAsyncInvoke has no
 * ResourceNotFoundException there: a job that is not known is a ValidationException.
 */
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import { Constraints } from "./constraints.ts"
import * as Jobs from "./jobs.ts"
import * as Json from "./json.ts"
import type * as ModelId from "./modelId.ts"
import * as Random from "./random.ts"
import * as Steering from "./steering.ts"
import type { Gone, House, Visit } from "./visit.ts"
import * as WireError from "./wireError.ts"

export interface AsyncInvokes {
  readonly start: (visit: Visit) => Gone
  readonly get: (visit: Visit) => Gone
  readonly list: (visit: Visit) => Gone
}

/** As many jobs are remembered; then the oldest is forgotten. */
const remembered = 100_000

/** Our choice: the service's own default is not documented. */
const pageSize = 100

const arnPattern = /^arn:aws(-[^:]+)?:bedrock:[a-z0-9-]{1,20}:[0-9]{12}:async-invoke\/[a-z0-9]{12}$/
const statuses = ["InProgress", "Completed", "Failed"]

/** The same text for the same JSON, in whatever order its members stand. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_, member: unknown) =>
    Json.isRecord(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => a < b ? -1 : 1))
      : member)

const iso = (millis: number): string => DateTime.formatIso(DateTime.makeUnsafe(millis))

const millisOf = (text: string): number | undefined =>
  Option.match(DateTime.make(text), { onNone: () => undefined, onSome: DateTime.toEpochMillis })

export const make = (
  { clock, config }: House,
  modelOf: (name: string) => ModelId.ModelRef | undefined
): AsyncInvokes => {
  const jobs = Jobs.make(remembered)
  const ids = Random.fromSeed(Random.seedOf(`${config.seed.join()} async invocations`))
  let sequence = 0

  const nowMillis = (): number => clock.currentTimeMillisUnsafe()
  const ownerOf = ({ caller: { account, region } }: Visit): string => `${account}/${region}`
  const nextId = (): string => Array.from({ length: 12 }, () => Math.floor(ids() * 36).toString(36)).join("")

  const statusOf = (job: Jobs.Job): string =>
    nowMillis() < job.endsAt ? "InProgress" : job.failure === undefined ? "Completed" : "Failed"

  const summaryOf = (job: Jobs.Job) => {
    const status = statusOf(job)
    const ended = status !== "InProgress"
    return {
      invocationArn: job.arn,
      modelArn: job.modelArn,
      ...(job.token === undefined ? {} : { clientRequestToken: job.token }),
      status,
      ...(status === "Failed" ? { failureMessage: job.failure } : {}),
      submitTime: iso(job.submittedAt),
      lastModifiedTime: iso(ended ? job.endsAt : job.submittedAt),
      ...(ended ? { endTime: iso(job.endsAt) } : {}),
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
    for (const [path, { key, value }] of constraints.list("tags", tags, { max: 200 })) {
      if (constraints.given(`${path}.key`, key)) constraints.text(`${path}.key`, key, { min: 1, max: 128 })
      if (constraints.given(`${path}.value`, value)) constraints.text(`${path}.value`, value, { max: 256 })
    }
    const wrong = constraints.message
    if (wrong !== undefined) return visit.invalid(wrong)
    const ref = modelOf(encodeURIComponent(Json.text(modelId)))
    if (ref === undefined) return visit.invalid("The provided model identifier is invalid.")

    const fault = visit.fault(ref)
    // These two befall a request before it is understood; what comes later may lose the answer, and not the job.
    if (fault?._tag === "Error" || fault?._tag === "Reset") return visit.answer(() => "", fault)
    const owner = ownerOf(visit)
    const token = typeof clientRequestToken === "string" ? clientRequestToken : undefined
    const asked = canonical({ modelId, modelInput, outputDataConfig, tags, ...others })
    const known = token === undefined ? undefined : jobs.withToken(owner, token)
    if (known !== undefined && known.asked !== asked) return visit.refuse({ name: "ConflictException" })
    const job = known ?? accept(visit, ref, { owner, token, asked, modelInput, outputDataConfig })
    return visit.answer(() => JSON.stringify({ invocationArn: job.arn }), fault)
  }

  const accept = (
    { accountId, caller: { region } }: Visit,
    { model, path, raw }: ModelId.ModelRef,
    { modelInput, ...asked }: Pick<Jobs.Job, "asked" | "outputDataConfig" | "owner" | "token"> & {
      readonly modelInput: unknown
    }
  ): Jobs.Job => {
    const steered = config.steering ? Steering.read(JSON.stringify(modelInput)) : Steering.none
    const submittedAt = nowMillis()
    const job: Jobs.Job = {
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
    const job = jobs.find(ownerOf(visit), visit.modelId)
    if (job === undefined) return visit.invalid("The provided invocation ARN is that of no invocation.")
    return visit.answer(() => JSON.stringify(summaryOf(job)), visit.fault(undefined))
  }

  const list = (visit: Visit): Gone => {
    const query = new URLSearchParams(visit.route.query)
    const value = (name: string): string | undefined => query.get(name) ?? undefined
    const constraints = new Constraints()
    const time = (name: string): number | undefined => {
      const text = value(name)
      const millis = text === undefined ? undefined : millisOf(text)
      if (text !== undefined && millis === undefined) constraints.wrong(name, "be a timestamp")
      return millis
    }
    const after = time("submitTimeAfter") ?? -Infinity
    const before = time("submitTimeBefore") ?? Infinity
    const status = value("statusEquals")
    constraints.text("statusEquals", status, { values: statuses })
    constraints.text("sortBy", value("sortBy"), { values: ["SubmissionTime"] })
    const order = value("sortOrder")
    constraints.text("sortOrder", order, { values: ["Ascending", "Descending"] })
    const maxResults = value("maxResults")
    const most = maxResults === undefined ? pageSize : Number(maxResults)
    constraints.number("maxResults", most, 1, 1000)
    const nextToken = value("nextToken")
    constraints.text("nextToken", nextToken, { min: 1, max: 2048, pattern: /^\S*$/ })
    const wrong = constraints.message
    if (wrong !== undefined) return visit.invalid(wrong)
    const ascending = order === "Ascending"
    const last = nextToken === undefined ? (ascending ? -1 : Infinity) : placeOf(nextToken)
    if (last === undefined) return visit.invalid("The provided token is invalid.")

    const found = jobs.of(ownerOf(visit)).filter((job) =>
      job.submittedAt > after && job.submittedAt < before &&
      (ascending ? job.sequence > last : job.sequence < last) && (status === undefined || statusOf(job) === status)
    )
    if (!ascending) found.reverse()
    const page = found.slice(0, most)
    const end = page.at(-1)
    const body = JSON.stringify({
      asyncInvokeSummaries: page.map(summaryOf),
      ...(end !== undefined && found.length > most ? { nextToken: tokenOf(end.sequence) } : {})
    })
    return visit.answer(() => body, visit.fault(undefined))
  }

  return { start, get, list }
}

/** A page goes on behind the last job of the one before, whatever was started meanwhile. */
const tokenOf = (sequence: number): string => Buffer.from(`after ${sequence}`).toString("base64url")

const placeOf = (token: string): number | undefined => {
  const place = /^after (\d{1,15})$/.exec(Buffer.from(token, "base64url").toString())?.[1]
  return place === undefined ? undefined : Number(place)
}
