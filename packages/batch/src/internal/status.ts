// A journal, as its user reads it.
import type { BatchJournal, Status } from "../BatchJournal.ts"

export const statusOf = (journal: BatchJournal, live: ReadonlyMap<string, string> = new Map()): Status => {
  const { createdAt, input, late, name, parts, problem, round, settings, state } = journal
  const sum = (what: "succeeded" | "rejected" | "inputTokens" | "outputTokens") =>
    parts.reduce((sum, { tally }) => sum + (tally?.[what] ?? 0), 0)
  return {
    name,
    settings,
    state,
    createdAt,
    sealed: input.sealed,
    records: input.records,
    refused: input.refused,
    bytes: input.bytes,
    round,
    succeeded: sum("succeeded"),
    rejected: sum("rejected"),
    inputTokens: sum("inputTokens"),
    outputTokens: sum("outputTokens"),
    parts: parts.map(({ attempt, job, part, phase, records, round, tally }) => {
      const { arn, message, status } = job ?? {}
      const now = (phase === "running" && arn !== undefined ? live.get(arn) : undefined) ?? status
      return {
        round,
        part,
        attempt,
        records,
        phase,
        ...(arn === undefined ? {} : { arn }),
        ...(now === undefined ? {} : { status: now }),
        ...(message === undefined ? {} : { message }),
        ...(tally === undefined ? {} : { unanswered: tally.failed + tally.missing })
      }
    }),
    ...(late === undefined ? {} : { late }),
    ...(problem === undefined ? {} : { problem })
  }
}
