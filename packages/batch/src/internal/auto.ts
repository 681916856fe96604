// A batch, or on demand: the one decision about records that nobody has counted yet.
import { Bedrock } from "@caprock/bedrock/Bedrock"
import * as TokenEstimator from "@caprock/quota/TokenEstimator"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as BatchPlan from "../BatchPlan.ts"
import type { BatchRecord } from "../BatchRecord.ts"
import type { BatchSettings, Settled } from "../BatchSettings.ts"

/** So many are held in memory at most while it is not known how many there are: hundreds of megabytes where records are large. */
const mostHeld = 10_000

/** Where a record does not say how long its answer may be: what the CLI's examples ask for, and most answers stay below. */
const usualOutput = 1_000

/** What the quota of a model has left, by what went through this process lately. At least a hundredth: others end some day. */
export const quotaOf = (model: string): Effect.Effect<BatchPlan.Quota, never, Bedrock> =>
  Effect.gen(function*() {
    const bedrock = yield* Bedrock
    const { meters } = yield* Effect.orElseSucceed(bedrock.snapshot(model), () => ({ meters: [] }))
    const perMinute = (unit: string): number | undefined => {
      const rates = meters.filter((meter) => meter.unit === unit && meter.windowMillis > 0)
        .map(({ limit, used, windowMillis }) => Math.max(limit - used, limit / 100) * 60_000 / windowMillis)
      return rates.length === 0 ? undefined : Math.min(...rates)
    }
    return { requestsPerMinute: perMinute("requests"), tokensPerMinute: perMinute("tokens") }
  })

/** What these records need, in the mean. */
const perRecordOf = (
  { invocationType, model }: Pick<BatchSettings, "invocationType" | "model">,
  records: ReadonlyArray<BatchRecord>
): BatchPlan.PerRecord => {
  let inputTokens = 0
  let outputTokens = 0
  for (const { input } of records) {
    const object: Readonly<Record<string, unknown>> = typeof input === "object" && input !== null ? { ...input } : {}
    if (invocationType === "InvokeModel") {
      const body = TokenEstimator.body(JSON.stringify(input), model)
      inputTokens += body.tokens
      outputTokens += body.maxTokens ?? usualOutput
    } else {
      inputTokens += TokenEstimator.converse(object, model)
      const { maxTokens = usualOutput } = { maxTokens: undefined, ...Object(object["inferenceConfig"]) }
      outputTokens += typeof maxTokens === "number" ? maxTokens : usualOutput
    }
  }
  const count = Math.max(1, records.length)
  return {
    inputTokens: inputTokens / count,
    outputTokens: outputTokens / count,
    reservation: Math.max(1, (inputTokens + outputTokens) / count)
  }
}

/** Reads what has to be seen to decide, and no more; and all records, from the first on. */
export const peeked = Effect.fnUntraced(function*<E, R>(
  settings: BatchSettings,
  records: Stream.Stream<BatchRecord, E, R>,
  question: Pick<BatchPlan.Question, "limits" | "prices" | "urgency"> & { readonly quota: BatchPlan.Quota }
) {
  const pull = yield* Stream.toPull(records)
  const seen: Array<BatchRecord> = []
  const state = { more: true }
  const read = (wanted: number) =>
    Effect.whileLoop({
      while: () => state.more && seen.length < wanted,
      body: () =>
        Effect.catchIf(
          Effect.map(pull, (some) => void seen.push(...some)),
          (error): error is Extract<typeof error, Cause.Done> => Cause.isDone(error),
          () =>
            Effect.sync(() => {
              state.more = false
            })
        ),
      step: () => {}
    })
  // As many as a job needs tell what one is like.
  yield* read(question.limits.minimumRecords)
  const known = { ...question, perRecord: perRecordOf(settings, seen) }
  yield* read(Math.min(BatchPlan.enough(known), mostHeld))
  return {
    decision: BatchPlan.decide({ ...known, records: seen.length, more: state.more }),
    records: state.more
      ? Stream.concat(Stream.fromIterable(seen), Stream.fromPull(Effect.succeed(pull)))
      : Stream.fromIterable(seen)
  }
})

/** What makes a batch one without jobs. */
export const onDemand = { small: "on-demand", deadline: 0 } as const satisfies Partial<BatchSettings>

/** What was decided when it was begun is not decided anew: half of it may be paid for. */
export const begun = ({ deadline }: Settled, decision: BatchPlan.Decision): BatchPlan.Decision => {
  const path = deadline !== undefined && Duration.isZero(deadline) ? "on-demand" : "batch"
  if (path === decision.path) return decision
  const { onDemandTime } = decision
  const as = path === "batch" ? "a batch" : "calls on demand"
  return { path, onDemandTime, because: [`It has been begun as ${as}, and goes on as such.`] }
}
