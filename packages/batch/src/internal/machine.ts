// What comes next for a batch, and what an event does to its journal: two pure functions. Nothing here reads a clock, a bucket or Bedrock.
import type { BatchJournal, Job, Late, Part, Problem, Tally, Upload } from "../BatchJournal.ts"
import type { RecordError } from "../BatchRecord.ts"
import { gone, isLast, isLasting } from "./jobStatus.ts"

// -----------------------------------------------------------------------------
// Models
// -----------------------------------------------------------------------------

/** A part's name. */
interface Named {
  readonly round: number
  readonly part: number
}

/**
 * What is to be done now. All of them may be done twice.
 *
 * - `submit`: write down the job, and create it.
 * - `stop`: its job. `collect`: count its outputs.
 * - `form`: upload the parts of a round, of what failed in the one before.
 * - `late`: ask on demand what is left.
 * - `wait`: for jobs. `over`: there is nothing to do any more.
 */
export type Command =
  | { readonly _tag: "submit" | "stop" | "collect"; readonly part: Part }
  | { readonly _tag: "form"; readonly round: number }
  | { readonly _tag: "late"; readonly late: typeof Late.Type }
  | { readonly _tag: "settle"; readonly event: Event }
  | { readonly _tag: "wait" }
  | { readonly _tag: "over" }

/** What happened. */
export type Event =
  | { readonly _tag: "uploaded"; readonly upload: Upload; readonly input: BatchJournal["input"] }
  | { readonly _tag: "sealed" }
  | { readonly _tag: "submitting"; readonly of: Named; readonly job: Job }
  | { readonly _tag: "created"; readonly of: Named; readonly arn: string }
  /** It was not created, and may be later. */
  | { readonly _tag: "crowded"; readonly of: Named }
  /** It was not created, and never will be as things are. */
  | { readonly _tag: "refused"; readonly of: Named; readonly message: string }
  /** Bedrock shows none of that name, or does not know it. */
  | { readonly _tag: "missed"; readonly of: Named; readonly at: number }
  | { readonly _tag: "seen"; readonly of: Named; readonly status: string; readonly message?: string | undefined }
  | { readonly _tag: "collected"; readonly of: Named; readonly tally: Tally }
  | { readonly _tag: "formed"; readonly round: number; readonly uploads: ReadonlyArray<Upload> }
  | { readonly _tag: "late"; readonly late: typeof Late.Type }
  | { readonly _tag: "answered" }
  | { readonly _tag: "cancelled" }
  | { readonly _tag: "overdue" }
  | { readonly _tag: "resumed" }
  | { readonly _tag: "ended"; readonly state: "done" | "failed" | "cancelled" }

// -----------------------------------------------------------------------------
// What comes next
// -----------------------------------------------------------------------------

/** The most that a job may be given, in hours (API reference). */
const mostHours = 168

/**
 * A job that Bedrock does not show is looked for this long. A request to create one may be under way for a minute, and no promise is made of when a listing has
 * it: what is too long costs minutes of a batch that takes hours, and what is too short has a job paid for that nobody reads.
 */
const patienceMillis = 10 * 60_000

/** Records that were asked and not answered, and may be. */
const wanting = ({ rest, tally }: Part): number =>
  tally === undefined || rest !== undefined ? 0 : tally.failed + tally.missing

const isLive = ({ phase }: Part): boolean => phase === "submitting" || phase === "running"

/** Nobody waits for new jobs any more: the batch is cancelled, or late. */
const isWindingDown = ({ late, state }: BatchJournal): boolean => state === "cancelling" || late !== undefined

/** Whether jobs are asked for. */
export const isAsking = (journal: BatchJournal): boolean => journal.problem === undefined && !isWindingDown(journal)

const isTooSmall = ({ limits }: BatchJournal, { records }: Part): boolean => records < limits.minimumRecords

/** With a deadline, what jobs never answered may be asked otherwise; what was too little for one may not. */
export const isUnbegun = ({ settings }: BatchJournal, { job, rest }: Part): boolean =>
  settings.deadline !== undefined && rest?.kind === "job" && job !== undefined

/** Whether what is left of a part may be asked in another round: what nobody asked, and what somebody kept a job from answering, is no try. */
export const mayAgain = ({ settings }: BatchJournal, { job, round }: Part): boolean =>
  round + 1 < settings.rounds || job === undefined || job.status === "Stopped" ||
  (job.status === "Failed" && isLasting(job))

const sum = (parts: ReadonlyArray<Part>, count: (part: Part) => number): number =>
  parts.reduce((so, part) => so + count(part), 0)

/** What is left when all parts of the last round are collected. */
const afterRound = (journal: BatchJournal): Command => {
  const { late, limits, parts, round, settings } = journal
  const over: Command = { _tag: "settle", event: { _tag: "ended", state: "done" } }
  // Of what a round left, each later one took some up.
  const records = sum(parts, wanting) - sum(parts.filter(({ round }) => round > 0), ({ records }) => records) +
    sum(parts.filter((part) => isUnbegun(journal, part)), ({ tally }) => tally?.missing ?? 0)
  if (late !== undefined) return late.done ? over : { _tag: "late", late: { ...late, records } }
  const again = sum(parts.filter((part) => part.round === round && mayAgain(journal, part)), wanting)
  if (again >= limits.minimumRecords) return { _tag: "form", round: round + 1 }
  if (again > 0 && settings.small === "on-demand") return { _tag: "late", late: { why: "small", records, done: false } }
  if (records === 0 || settings.deadline === undefined) return over
  return { _tag: "late", late: { why: "deadline", records, done: false } }
}

const forPart = (journal: BatchJournal, part: Part, room: () => boolean): ReadonlyArray<Command> => {
  switch (part.phase) {
    case "uploaded": {
      if (isWindingDown(journal) || isTooSmall(journal, part)) {
        const { part: number, records, round } = part
        return [{ _tag: "settle", event: { _tag: "collected", of: { round, part: number }, tally: unasked(records) } }]
      }
      return isAsking(journal) && room() ? [{ _tag: "submit", part }] : []
    }
    case "submitting":
      return []
    case "running":
      return isWindingDown(journal) && part.job?.status !== "Stopping" ? [{ _tag: "stop", part }] : []
    case "ended":
      return part.tally === undefined ? [{ _tag: "collect", part }] : []
    case "collected":
      return []
  }
}

/** Nobody asked for these records. */
const unasked = (records: number): Tally => ({
  succeeded: 0,
  rejected: 0,
  failed: 0,
  missing: records,
  foreign: 0,
  repeated: 0,
  inputTokens: 0,
  outputTokens: 0
})

/** What is to be done now, in any order. */
export const next = (journal: BatchJournal): ReadonlyArray<Command> => {
  const { limits, parts, problem, state } = journal
  if (state === "done" || state === "failed" || state === "cancelled") return [{ _tag: "over" }]
  let live = parts.filter(isLive).length
  const room = () => live++ < limits.jobs
  const commands = parts.flatMap((part) => forPart(journal, part, room))
  // What came of a job may be that no other is to be begun.
  const collecting = commands.filter(({ _tag }) => _tag === "collect")
  if (collecting.length > 0) return collecting
  if (commands.length > 0) return commands
  if (parts.some(isLive)) return [{ _tag: "wait" }]
  const ended = (state: "failed" | "cancelled"): ReadonlyArray<Command> => [{
    _tag: "settle",
    event: { _tag: "ended", state }
  }]
  if (state === "cancelling") return ended("cancelled")
  if (problem !== undefined) return ended("failed")
  // More input may come.
  if (!journal.input.sealed) return [{ _tag: "wait" }]
  return [afterRound(journal)]
}

// -----------------------------------------------------------------------------
// What an event does
// -----------------------------------------------------------------------------

const changed = (journal: BatchJournal, { part: number, round }: Named, change: (part: Part) => Part): BatchJournal => {
  let isChanged = false
  const parts = journal.parts.map((part) => {
    if (part.round !== round || part.part !== number) return part
    const now = change(part)
    isChanged ||= now !== part
    return now
  })
  return isChanged ? { ...journal, parts } : journal
}

const without = <K extends keyof Part>(part: Part, ...keys: ReadonlyArray<K>): Part => {
  const copy = { ...part }
  for (const key of keys) Reflect.deleteProperty(copy, key)
  return copy
}

const began = (upload: Upload): Part => ({ ...upload, attempt: 0, phase: "uploaded" })

/** The same files, for another job: what never began is given more time for that. */
const again = ({ settings }: BatchJournal) => (part: Part): Part => {
  const { hours = settings.timeoutHours, job } = part
  const fresh: Part = { ...without(part, "job", "tally", "rest"), attempt: part.attempt + 1, phase: "uploaded" }
  return job?.status === "Expired" ? { ...fresh, hours: Math.min(mostHours, 2 * hours) } : fresh
}

const cancelled = (part: Part): Part => ({
  ...part,
  // One that failed waited to be mended: now for nothing any more.
  phase: "collected",
  ...(wanting(part) > 0
    ? { rest: { kind: "cancelled", message: "the batch was cancelled before it was answered" } }
    : {})
})

const shown = (job: Job): Job => {
  const { missedAt: _, ...rest } = job
  return rest
}

const problemOf = (kind: Problem["kind"], { job, round, part }: Part, message: string): Problem => ({
  kind,
  job: job?.arn ?? job?.name ?? `of part ${round}-${part}`,
  status: job?.status ?? "refused",
  message
})

/** Where a part goes whose job is in its last state, and whose outputs have been counted. */
const judged = (journal: BatchJournal, part: Part, tally: Tally): BatchJournal => {
  const { job } = part
  const of = (change: (part: Part) => Part) => changed(journal, part, change)
  const collected = of((part) => ({ ...part, phase: "collected", tally }))
  const answered = tally.succeeded + tally.rejected + tally.failed
  // They were paid for, and are somewhere else, or were removed: to pay for them again is not ours to decide.
  if (job?.status === "Completed" && answered === 0 && journal.state !== "cancelling") {
    const problem = problemOf("failed", part, "none of its answers are in the bucket")
    return { ...of((part) => ({ ...part, tally })), problem: journal.problem ?? problem }
  }
  // What was to end, or what nobody asked.
  if (isWindingDown(journal)) return collected
  if (job === undefined) {
    if (journal.settings.small === "on-demand" || part.records === 0) return collected
    const { minimumRecords } = journal.limits
    const message = `${part.records} records are too few for a job, which has ${minimumRecords} at least`
    return of((part) => ({ ...part, phase: "collected", tally, rest: { kind: "job", code: "TooFew", message } }))
  }
  const { message = "it does not say why", status = gone } = job
  if (status === "Stopped") return { ...collected, problem: problemOf("stopped", part, message) }
  if (status === "Completed" || status === "PartiallyCompleted") return collected
  if (status === "Failed" && isLasting(job)) {
    const problem = problemOf("failed", part, message)
    return { ...(answered > 0 ? collected : of((part) => ({ ...part, tally }))), problem: journal.problem ?? problem }
  }
  // Some of it was done: the rest goes on in the next round.
  if (answered > 0) return collected
  if (part.attempt + 1 < journal.settings.rounds) return of(again(journal))
  const rest: RecordError = { kind: "job", code: status, message: `its job never answered: ${status}, ${message}` }
  return of((part) => ({ ...part, phase: "collected", tally, rest }))
}

/** The journal after an event. One that says nothing new gives the same journal. */
export const step = (journal: BatchJournal, event: Event): BatchJournal => {
  switch (event._tag) {
    case "uploaded":
      return { ...journal, input: event.input, parts: [...journal.parts, began(event.upload)] }
    case "sealed":
      return journal.input.sealed
        ? journal
        : {
          ...journal,
          input: { ...journal.input, sealed: true },
          state: journal.state === "open" ? "running" : journal.state
        }
    case "submitting":
      return changed(
        journal,
        event.of,
        (part) =>
          part.phase === "uploaded" || (part.phase === "submitting" && part.job?.missedAt !== undefined)
            ? { ...part, phase: "submitting", job: event.job }
            : part
      )
    case "created":
      return changed(journal, event.of, (part) =>
        part.phase === "submitting" && part.job !== undefined
          ? { ...part, phase: "running", job: { ...shown(part.job), arn: event.arn } }
          : part)
    case "missed":
      return changed(journal, event.of, (part) => {
        const { job, phase } = part
        if (job === undefined || (phase !== "submitting" && phase !== "running")) return part
        if (job.missedAt === undefined) return { ...part, job: { ...job, missedAt: event.at } }
        if (event.at - job.missedAt < patienceMillis) return part
        return phase === "submitting"
          ? { ...without(part, "job"), phase: "uploaded" }
          : {
            ...part,
            phase: "ended",
            job: { ...shown(job), status: gone, message: "Bedrock does not know it any more" }
          }
      })
    case "crowded":
      return changed(
        journal,
        event.of,
        (part) => part.phase === "submitting" ? { ...without(part, "job"), phase: "uploaded" } : part
      )
    case "refused": {
      const part = journal.parts.find(({ part, round }) => part === event.of.part && round === event.of.round)
      const back = step(journal, { _tag: "crowded", of: event.of })
      if (part === undefined || back === journal) return journal
      return { ...back, problem: journal.problem ?? problemOf("refused", part, event.message) }
    }
    case "seen":
      return changed(journal, event.of, (part) => {
        const { job, phase } = part
        if (phase !== "running" || job === undefined) return part
        if (job.status === event.status && job.missedAt === undefined) return part
        const seen = {
          ...shown(job),
          status: event.status,
          ...(event.message === undefined ? {} : { message: event.message })
        }
        return { ...part, job: seen, phase: isLast(event.status) ? "ended" : "running" }
      })
    case "collected": {
      const part = journal.parts.find(({ part, round }) => part === event.of.part && round === event.of.round)
      if (part === undefined || part.phase === "collected" || part.phase === "running") return journal
      return judged(journal, part, event.tally)
    }
    case "formed":
      return event.round === journal.round + 1
        ? { ...journal, round: event.round, parts: [...journal.parts, ...event.uploads.map(began)] }
        : journal
    case "late":
      return journal.late?.done === true || journal.late?.records === event.late.records
        ? journal
        : { ...journal, late: { ...event.late, ...journal.late, records: event.late.records } }
    case "answered":
      return journal.late === undefined ? journal : { ...journal, late: { ...journal.late, done: true } }
    case "cancelled":
      return journal.state === "open" || journal.state === "running" ? { ...journal, state: "cancelling" } : journal
    case "overdue":
      return journal.late === undefined && (journal.state === "open" || journal.state === "running")
        ? { ...journal, late: { why: "deadline", records: 0, done: false } }
        : journal
    case "resumed": {
      const { problem, state } = journal
      if (problem === undefined || state === "done" || state === "cancelling" || state === "cancelled") return journal
      const { problem: _, ...mended } = journal
      const parts = journal.parts.map((part) =>
        part.phase === "ended" && part.tally !== undefined ? again(journal)(part) : part
      )
      return { ...mended, parts, state: journal.input.sealed ? "running" : "open" }
    }
    case "ended":
      return event.state === "cancelled"
        ? { ...journal, state: event.state, parts: journal.parts.map(cancelled) }
        : { ...journal, state: event.state }
  }
}
