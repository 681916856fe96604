/**
 * How a batch stands, in words.
 *
 * @since 0.1.0
 */
import type { Status } from "@caprock/batch/BatchJournal"
import * as format from "../internal/format.ts"

/**
 * The states of a batch, in words.
 *
 * @category rendering
 * @since 0.1.0
 */
export const states: Readonly<Record<Status["state"], string>> = {
  open: "its input has not come to an end",
  running: "running",
  cancelling: "being cancelled",
  done: "done",
  failed: "stopped by a problem",
  cancelled: "cancelled"
}

/**
 * How a command is written that does something about this batch.
 *
 * @category models
 * @since 0.1.0
 */
export type Command = (name: string) => string

/**
 * What a batch waits for, or what to do about it.
 *
 * @category rendering
 * @since 0.1.0
 */
export const advice = ({ name, parts, state }: Status, command: Command): string => {
  switch (state) {
    case "open":
      return "Whoever submits it is at work, or died: the same `caprock batch submit` again goes on where it was."
    case "cancelling":
      return `Its jobs stop; to bring it to its end needs somebody: \`${command(`resume ${name}`)}\`.`
    case "running":
      return `${
        parts.some(({ phase }) => phase === "running" || phase === "submitting")
          ? "Its jobs go on by themselves; what comes after them"
          : "Nothing of it goes on by itself: what comes next"
      } needs somebody: \`${command(`resume ${name}`)}\`.`
    case "failed":
      return `Mend that, and \`${command(`resume ${name}`)}\`: what was answered stays.`
    case "done":
      return `Its answers: \`${command(`results ${name}`)} --out <file>\`.`
    case "cancelled":
      return `Its answers: \`${command(`results ${name}`)} --out <file>\`. The rest needs another name.`
  }
}

/**
 * How many parts are how far.
 *
 * @category rendering
 * @since 0.1.0
 */
export const phases = ({ parts }: Status): string => {
  const counts = new Map<string, number>()
  for (const { phase, status } of parts) {
    const told = phase === "collected" ? "collected" : status ?? phase
    counts.set(told, (counts.get(told) ?? 0) + 1)
  }
  return [...counts].map(([told, count]) => `${format.count(count)} ${told}`).join(", ")
}

/**
 * Records of the round that is under way, or was the last, that were sent and have no answer; what an earlier round left is in it.
 *
 * @category accessors
 * @since 0.1.0
 */
export const unanswered = ({ parts, round }: Status): number =>
  parts.reduce((sum, part) => part.round === round ? sum + (part.unanswered ?? 0) : sum, 0)

/**
 * Whether some of its records have no answer, or will have none: as far as jobs say. What became of those that were asked on demand is in the results.
 *
 * @category accessors
 * @since 0.1.0
 */
export const isPartial = (status: Status): boolean =>
  status.refused > 0 || status.rejected > 0 || status.state === "cancelled" ||
  (status.state === "done" && status.late === undefined && unanswered(status) > 0)

/**
 * Why records are asked on demand.
 *
 * @category rendering
 * @since 0.1.0
 */
export const late = ({ why }: NonNullable<Status["late"]>): string =>
  why === "small" ? "too few for a job" : "the deadline has passed"

/**
 * One line: how far it is.
 *
 * @category rendering
 * @since 0.1.0
 */
export const line = (status: Status): string =>
  [
    `${status.name}: ${states[status.state]}`,
    `${format.count(status.records)} records`,
    // Those that were asked on demand are counted by nobody until their results are read.
    `${format.count(status.succeeded)} answered${status.late === undefined ? "" : " by jobs"}`,
    ...(status.parts.length === 0 ? [] : [`parts: ${phases(status)}`])
  ].join(" · ")

/**
 * All that is worth knowing: how far it is, what is wrong, and what to do.
 *
 * @category rendering
 * @since 0.1.0
 */
export const lines = (status: Status, command: Command): ReadonlyArray<string> => {
  const told = [line(status)]
  if (status.refused > 0) told.push(`  ${format.plural(status.refused, "record")} can't be sent: results say why.`)
  if (status.rejected > 0) told.push(`  The model refused ${format.plural(status.rejected, "record")}.`)
  if (status.round > 0) told.push(`  Round ${status.round + 1}: what failed is sent again, alone.`)
  if (status.late !== undefined) {
    told.push(
      `  ${format.plural(status.late.records, "record")} ${status.late.done ? "were" : "are"} asked on demand: ${
        late(status.late)
      }.`
    )
  }
  for (const { arn, message, status: word } of status.parts) {
    if (message !== undefined) told.push(`  ${arn ?? "a job"} is ${word}: ${message}`)
  }
  if (status.problem !== undefined) told.push(`  ${status.problem.job}: ${status.problem.message}`)
  told.push(`  ${advice(status, command)}`)
  return told
}
