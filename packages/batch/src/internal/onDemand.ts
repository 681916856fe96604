/** Records that are asked one by one, behind all other calls of the account: too few for a job, or too late for one. */
import { Bedrock } from "@caprock/bedrock/Bedrock"
import { CallTurn } from "@caprock/bedrock/CallTurn"
import * as ConverseJson from "@caprock/client/ConverseJson"
import { BedrockError } from "@caprock/errors/BedrockError"
import * as Reason from "@caprock/errors/Reason"
import type * as Verdict from "@caprock/errors/Verdict"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { ServiceFailed } from "../BatchError.ts"
import type { BatchRecord } from "../BatchRecord.ts"
import type { Settled } from "../BatchSettings.ts"
import * as Reading from "./reading.ts"
import * as RecordId from "./recordId.ts"

export type Asked = BatchRecord & { readonly index: number }

export interface Options {
  /** Whose turn it is: batches share what is left fairly. */
  readonly batch: string
  readonly settings: Pick<Settled, "invocationType" | "model">
  /** Ends while it is this process's to ask: before each call, since each is paid for. */
  readonly sure: Effect.Effect<void>
}

/** A line of an output, as a job would have written it, and what it says. */
export interface Line {
  readonly text: string
  readonly outcome: "answered" | "failed" | "rejected"
}

/** How many lines there were of each kind. */
export type Tally = Readonly<Record<Line["outcome"], number>>

/** Enough to use a quota of 10,000 requests per minute up where an answer takes less than half a second, and few enough to hold in memory. */
const concurrency = 64

/** Written at least so often: what a process that dies had answers to, and had not written, is asked and paid for again. */
const flush = { answers: 100, every: "5 seconds" } as const

/**
 * Of what passes by itself, after the attempts of the call are used up: 10, 20, 40, 80 and twice 120 seconds, more or less. What lasts longer stops all, and
 * nothing is lost by it.
 */
const patience = Schedule.min([Schedule.exponential("10 seconds"), Schedule.spaced("2 minutes")]).pipe(
  Schedule.jittered,
  Schedule.upTo({ times: 6 })
)

/**
 * What an error means for its record, when the attempts of its call are used up.
 *
 * - `rejected`: it is the record's own fault.
 * - `failed`: it was this record's bad luck.
 * - `wait`: it is nothing of the record, and passes.
 * - `stop`: it is nothing of the record, and the next one would fail by it too.
 */
type Fate = "failed" | "rejected" | "stop" | "wait"

const fates = {
  "ThrottlingError/requests": "wait",
  "ThrottlingError/tokens": "wait",
  "ThrottlingError/tokens-per-day": "stop",
  "ThrottlingError/guardrails": "wait",
  "ThrottlingError/unknown": "wait",
  "ServerError/internal": "failed",
  "ServerError/unavailable": "wait",
  "ServerError/overloaded": "wait",
  "ServerError/model": "failed",
  "ServerError/model-refused": "rejected",
  "ServerError/model-timeout": "failed",
  "ServerError/not-ready": "wait",
  "ServerError/connections": "wait",
  "ValidationError/exceeds-quota": "rejected",
  "ValidationError/context-overflow": "rejected",
  "ValidationError/max-tokens": "rejected",
  "ValidationError/on-demand-unsupported": "stop",
  "ValidationError/unknown-model": "stop",
  "ValidationError/payload-too-large": "rejected",
  "ValidationError/no-region": "stop",
  "ValidationError/malformed": "rejected",
  "AccessError/denied": "stop",
  "AccessError/no-credentials": "stop",
  "AccessError/expired-credentials": "stop",
  "AccessError/invalid-credentials": "stop",
  "AccessError/provider-failed": "stop",
  "AccessError/provider-unavailable": "wait",
  "AccessError/clock-skew": "stop",
  "AccessError/clock-skew-corrected": "failed",
  "AccessError/agreement-pending": "stop",
  "NotFoundError/resource": "stop",
  "NotFoundError/form-not-filled": "stop",
  ResourceQuotaError: "rejected",
  ConflictError: "failed",
  "TransportError/connect": "wait",
  "TransportError/dns": "wait",
  "TransportError/reset": "failed",
  "TransportError/protocol": "failed",
  "TransportError/closed": "failed",
  "TransportError/tls": "stop",
  "TimeoutError/credentials": "stop",
  "TimeoutError/connect": "wait",
  "TimeoutError/first-token": "failed",
  "TimeoutError/between-tokens": "failed",
  "TimeoutError/call": "failed",
  "TimeoutError/deadline": "failed",
  "InterruptedStreamError/content": "failed",
  "InterruptedStreamError/empty": "failed",
  "AdmissionError/wait-too-long": "wait",
  "AdmissionError/room-full": "wait",
  "AdmissionError/store-unavailable": "wait",
  "AdmissionError/no-target": "stop",
  "AdmissionError/shutting-down": "stop",
  "UnknownError/aborted": "failed",
  UnknownError: "failed"
} as const satisfies Readonly<Record<Verdict.Row, Fate>>

const fateOf = ({ reason }: BedrockError): Fate => fates[Reason.rowOf(reason)]

/** The lines of all records, in the order of their answers. It ends with the first trouble that concerns all of them. */
const lines = <E, R>(
  { batch, settings, sure }: Options,
  records: Stream.Stream<Asked, E, R>
): Stream.Stream<Line | ServiceFailed, E, Bedrock | R> =>
  records.pipe(
    Stream.mapEffect(
      (record) =>
        Effect.andThen(sure, ask(settings, record)).pipe(
          Effect.retry({ while: (error) => fateOf(error) === "wait", schedule: patience }),
          Effect.map((output) => line(record, { modelOutput: output }, "answered")),
          Effect.catch((error) => {
            const fate = fateOf(error)
            return Effect.succeed(
              fate === "failed" || fate === "rejected"
                ? line(record, { error: errorOf(error, fate) }, fate)
                : new ServiceFailed({ error })
            )
          })
        ),
      { concurrency, unordered: true }
    ),
    Stream.provideService(CallTurn, { priority: "bulk", tenant: batch }),
    Stream.takeUntil(isTrouble)
  )

const isTrouble = (line: Line | ServiceFailed): line is ServiceFailed => line instanceof ServiceFailed

/** Asks all, has their lines written some at a time, and counts them. What was answered before a failure is written, too. */
export const onDemand = <E, R, E2, R2>(
  options: Options,
  records: Stream.Stream<Asked, E, R>,
  write: (lines: Uint8Array) => Effect.Effect<void, E2, R2>
): Effect.Effect<Tally, E | E2 | ServiceFailed, Bedrock | R | R2> =>
  lines(options, records).pipe(
    Stream.groupedWithin(flush.answers, flush.every),
    Stream.runFoldEffect((): Tally => ({ answered: 0, failed: 0, rejected: 0 }), (tally, group) =>
      Effect.gen(function*() {
        const next = { ...tally }
        let text = ""
        for (const line of group) {
          if (isTrouble(line)) {
            continue
          }
          next[line.outcome]++
          text += `${line.text}\n`
        }
        if (text !== "") {
          yield* write(Buffer.from(text))
        }
        const trouble = group.find(isTrouble)
        return trouble === undefined ? next : yield* trouble
      }))
  )

const line = (
  { index, input }: Asked,
  said: { readonly modelOutput: unknown } | { readonly error: unknown },
  outcome: Line["outcome"]
): Line => ({
  text: JSON.stringify({ recordId: RecordId.of(index), modelInput: input, ...said, via: "on-demand" }),
  outcome
})

/** As an output has it, so that it is read the same way: 4xx is the record's fault, and all else is not. */
const errorOf = (error: BedrockError, fate: "failed" | "rejected") => ({
  errorCode: fate === "rejected" ? 400 : 500,
  errorMessage: `${Reason.rowOf(error.reason)}: ${error.reason.message}`
})

/** Gives what a job would have written for it. */
const ask = (settings: Options["settings"], record: Asked): Effect.Effect<unknown, BedrockError, Bedrock> =>
  settings.invocationType === "Converse" ? converse(settings.model, record) : invoke(settings.model, record)

const converse = Effect.fnUntraced(function*(modelId: string, { input }: Asked) {
  const bedrock = yield* Bedrock
  const request = ConverseJson.decode(input)
  if (Result.isFailure(request)) {
    const { path, problem } = request.failure
    const message = `${path.join(".")} ${problem}`
    const reason = new Reason.ValidationError({ kind: "malformed", message })
    return yield* new BedrockError({ operation: "Converse", modelId, attempts: 0, reason })
  }
  const { additionalModelResponseFields, metrics, output, stopReason, usage } = yield* bedrock.converse({
    ...request.success,
    modelId
  })
  const { content = [], role } = output?.message ?? {}
  return {
    output: { message: { role, content: ConverseJson.encodeContent(content) } },
    stopReason,
    usage,
    metrics,
    additionalModelResponseFields
  }
})

const invoke = Effect.fnUntraced(function*(modelId: string, { input }: Asked) {
  const bedrock = yield* Bedrock
  const { body } = yield* bedrock.invokeModel({
    modelId,
    contentType: "application/json",
    accept: "application/json",
    body: JSON.stringify(input)
  })
  const text = Buffer.from(body ?? [])
  // What is no JSON is given as the text that it is, as nothing else can hold it.
  return Reading.parse(text) ?? text.toString("utf8")
})
