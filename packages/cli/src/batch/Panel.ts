/**
 * What a batch shows of itself while it goes: pure functions from what is known to text.
 *
 * @since 0.1.0
 */
import type { Status } from "@caprock/batch/BatchJournal"
import * as BatchPlan from "@caprock/batch/BatchPlan"
import * as format from "../internal/format.ts"
import * as Told from "./Told.ts"

/**
 * What Bedrock says of a job, and what it said of it when it was first seen at work. Times are milliseconds since 1970.
 *
 * @category models
 * @since 0.1.0
 */
export interface Job {
  readonly submittedAt: number
  readonly expiresAt?: number | undefined
  readonly counts?: Counts | undefined
  readonly seenAt: number
  readonly first?: { readonly at: number; readonly processed: number } | undefined
}

interface Counts {
  readonly total: number
  readonly processed: number
  readonly failed: number
}

/**
 * Everything a panel shows.
 *
 * @category models
 * @since 0.1.0
 */
export interface View {
  readonly name: string
  /** None until the first look. */
  readonly status: Status | undefined
  /** Of who uploads. */
  readonly reading: Reading | undefined
  /** By their ARNs: those that are shown. */
  readonly jobs: ReadonlyMap<string, Job>
  /** Calls that were made on demand since it began. */
  readonly calls: { readonly answered: number; readonly failed: number }
  readonly prices: BatchPlan.Prices | undefined
  /** Milliseconds since 1970. */
  readonly now: number
  readonly elapsedMillis: number
  readonly stopping: boolean
}

/**
 * How far the input is read. Sizes are bytes.
 *
 * @category models
 * @since 0.1.0
 */
export interface Reading {
  readonly records: number
  /** Of those, lines that can't be asked. */
  readonly bad: number
  readonly bytes: number
  /** Of the whole; `undefined` where the end is not known. */
  readonly size: number | undefined
  /** How long it has been read, or how long it took. */
  readonly millis: number
}

/**
 * Jobs that have a row of their own: a panel has to fit, and each costs a request now and then.
 *
 * @category constants
 * @since 0.1.0
 */
export const maxJobs = 8

const barWidth = 24

/**
 * The parts whose jobs are at work, and have a row.
 *
 * @category accessors
 * @since 0.1.0
 */
export const shown = (status: Status): Status["parts"] => live(status).slice(0, maxJobs)

const live = ({ parts }: Status): Status["parts"] => parts.filter(({ phase }) => phase === "running")

/**
 * The live panel.
 *
 * @category rendering
 * @since 0.1.0
 */
export const render = (view: View): ReadonlyArray<string> => {
  const { reading, status } = view
  return [
    `${view.name}: ${stateOf(view)}, ${format.duration(view.elapsedMillis)}`,
    ...(reading === undefined || status?.sealed === true ? [] : [readingRow(reading)]),
    ...(status === undefined ? [] : statusRows(view, status)),
    ...(view.stopping ? ["Stopping: what has begun is put down. Ctrl-C again stops at once."] : [])
  ]
}

const stateOf = ({ reading, status }: View): string =>
  status === undefined
    ? "looking at the bucket"
    : status.state === "open" && reading !== undefined
    ? "uploading"
    : Told.states[status.state]

/**
 * The same on one line, for a log.
 *
 * @category rendering
 * @since 0.1.0
 */
export const renderLine = ({ name, reading, status }: View): string | undefined => {
  const read = reading === undefined ? "" : `${format.count(reading.records)} records read (${rate(reading)})`
  if (status === undefined) return read === "" ? undefined : `${name}: ${read}`
  return `${Told.line(status)}${read === "" || status.sealed ? "" : ` · ${read}`}`
}

const statusRows = (view: View, status: Status): ReadonlyArray<string> => {
  const jobs = shown(status)
  const hidden = live(status).length - jobs.length
  return [
    row(
      "uploaded",
      `${format.plural(status.records, "record")} in ${
        format.plural(status.parts.filter(({ round }) => round === 0).length, "part")
      }`,
      ...(status.round > 0 ? [`round ${status.round + 1}: ${again(status)} sent again`] : [])
    ),
    ...(status.parts.length === 0 ? [] : [row("jobs", Told.phases(status))]),
    ...jobs.map((part) => jobRow(view, status, part)),
    ...(hidden === 0 ? [] : [row("", `and ${format.count(hidden)} more`)]),
    answeredRow(view, status),
    ...(status.inputTokens + status.outputTokens === 0 ? [] : [moneyRow(view, status)]),
    row("next", next(status))
  ]
}

const row = (name: string, ...texts: ReadonlyArray<string>): string =>
  `${name.padEnd(9)} ${texts.join("   ")}`.trimEnd()

const rate = ({ millis, records }: Reading): string =>
  `${format.count(millis < 1000 ? records : records * 1000 / millis)} per second`

const readingRow = (reading: Reading): string => {
  const share = reading.size === undefined || reading.size === 0 ? undefined : Math.min(1, reading.bytes / reading.size)
  return row(
    "read",
    ...(share === undefined ? [] : [`${format.bar(share, barWidth)} ${format.percent(share).padStart(5)}`]),
    `${format.plural(reading.records, "record")}${
      reading.bad === 0 ? "" : `, ${format.count(reading.bad)} can't be asked`
    }`,
    rate(reading),
    ...(share === undefined || share === 0 || share === 1
      ? []
      : [`about ${format.duration(reading.millis * (1 - share) / share)} left`])
  )
}

const again = ({ parts, round }: Status): string =>
  format.count(parts.reduce((sum, part) => part.round === round ? sum + part.records : sum, 0))

const jobRow = ({ jobs, now }: View, { round }: Status, part: Status["parts"][number]): string => {
  const job = jobs.get(part.arn ?? "")
  const name = `${round === 0 ? "" : `round ${part.round + 1} `}part ${part.part + 1}${
    part.attempt === 0 ? "" : `, again ${part.attempt}`
  }`
  const counts = job?.counts
  return row(
    "",
    name,
    (part.status ?? "created").padEnd(10),
    ...(job === undefined ? [] : [`${format.duration(Math.max(0, now - job.submittedAt))} old`]),
    ...(counts === undefined || counts.total === 0
      ? []
      : [
        `${format.bar(counts.processed / counts.total, 12)} ${format.percent(counts.processed / counts.total)} of ${
          format.count(counts.total)
        }`
      ]),
    ...(job === undefined ? [] : left(job, now))
  )
}

/** By its pace since it was first seen; else when it is over in any case. */
const left = (job: Job, now: number): ReadonlyArray<string> => {
  const millis = timeLeft(job, now)
  if (millis !== undefined) return [millis < 1000 ? "almost done" : `about ${format.duration(millis)} left`]
  return job.expiresAt === undefined || job.expiresAt <= now
    ? []
    : [`expires in ${format.duration(job.expiresAt - now)}`]
}

/**
 * Milliseconds until a job has answered all, at the pace that it was seen to have; `undefined` until it was seen to move.
 *
 * @category arithmetic
 * @since 0.1.0
 */
export const timeLeft = ({ counts, first, seenAt }: Job, now: number): number | undefined => {
  if (counts === undefined || first === undefined || counts.processed <= first.processed) return undefined
  const pace = (seenAt - first.at) / (counts.processed - first.processed)
  return Math.max(0, (counts.total - counts.processed) * pace - (now - seenAt))
}

const answeredRow = ({ calls, jobs }: View, status: Status): string => {
  // What jobs have answered whose outputs are not read yet is theirs to say.
  const now = status.parts.map(({ arn = "", phase }) => phase === "collected" ? undefined : jobs.get(arn)?.counts)
  const sum = (what: "failed" | "processed") => now.reduce((sum, counts) => sum + (counts?.[what] ?? 0), 0)
  const answered = status.succeeded + sum("processed") - sum("failed") + calls.answered
  const failed = Told.unanswered(status) + sum("failed")
  return row(
    "answered",
    `${format.count(answered)} of ${format.count(status.records)}`,
    ...(calls.answered === 0 ? [] : [`${format.count(calls.answered)} of them on demand`]),
    ...(status.rejected === 0 ? [] : [`rejected ${format.count(status.rejected)}`]),
    ...(status.refused === 0 ? [] : [`refused ${format.count(status.refused)}`]),
    ...(failed === 0 ? [] : [`failed ${format.count(failed)}`])
  )
}

const moneyRow = ({ prices }: View, { inputTokens, outputTokens }: Status): string => {
  const tokens = `${format.count(inputTokens)} tokens in, ${format.count(outputTokens)} out`
  if (prices === undefined) return row("tokens", `${tokens}, at half the price of on demand`)
  const spent = BatchPlan.cost({ inputTokens, outputTokens }, prices, "batch")
  const saved = BatchPlan.cost({ inputTokens, outputTokens }, prices, "on-demand") - spent
  return row("money", `${format.money(spent)} spent, ${format.money(saved)} saved against on demand`, tokens)
}

const next = (status: Status): string => {
  if (status.state === "done" || status.state === "cancelled") return "its results"
  if (status.problem !== undefined) return "nothing new: what is under way is let end, for something has to be mended"
  if (status.state === "cancelling") return "its jobs stop; what was answered stays"
  if (status.late?.done === false) {
    return `${format.plural(status.late.records, "record is", "records are")} asked on demand: ${
      Told.late(status.late)
    }`
  }
  const waiting = status.parts.filter(({ phase }) => phase === "uploaded" || phase === "submitting").length
  if (waiting > 0 && status.sealed) {
    return `${format.plural(waiting, "part")} to be submitted, as soon as there is room for ${
      waiting === 1 ? "its job" : "their jobs"
    }`
  }
  if (!status.sealed) return "the rest of the input"
  const failed = Told.unanswered(status)
  return failed === 0
    ? "its jobs end, and what they answered is read"
    : `${format.plural(failed, "record")} that failed, again and alone, when the jobs of this round have ended`
}
