/**
 * How a batch stands, in words.
 *
 * @since 0.1.0
 */
import type { Status } from "@caprock/batch/BatchJournal"
import * as format from "../internal/format.ts"

const states: Readonly<Record<Status["state"], string>> = {
  open: "its input has not come to an end",
  running: "running",
  cancelling: "being cancelled",
  done: "done",
  failed: "stopped by a problem",
  cancelled: "cancelled"
}

/** What a batch waits for, or what to do about it. */
const advice = (status: Status, bucket: string): string | undefined => {
  const command = (name: string) => `caprock batch ${name} ${status.name} --bucket ${bucket}`
  switch (status.state) {
    case "open":
      return "Whoever submits it is at work, or died: the same `caprock batch submit` again goes on where it was."
    case "running":
    case "cancelling":
      return `Its jobs go on by themselves; what comes after them needs somebody: \`${command("resume")}\`.`
    case "failed":
      return `Mend that, and \`${command("resume")}\`: what was answered stays.`
    case "done":
    case "cancelled":
      return `Its answers: \`${command("results")} --out <file>\`.`
  }
}

/**
 * One line: how far it is.
 *
 * @category rendering
 * @since 0.1.0
 */
export const line = (status: Status): string => {
  const jobs = new Map<string, number>()
  for (const { phase, status: word } of status.parts) {
    const told = phase === "collected" ? "collected" : word ?? phase
    jobs.set(told, (jobs.get(told) ?? 0) + 1)
  }
  return [
    `${status.name}: ${states[status.state]}`,
    `${format.count(status.records)} records`,
    `${format.count(status.succeeded)} answered`,
    ...(status.parts.length === 0 ? [] : [
      `parts: ${[...jobs].map(([told, count]) => `${format.count(count)} ${told}`).join(", ")}`
    ])
  ].join(" · ")
}

/**
 * All that is worth knowing: how far it is, what is wrong, and what to do.
 *
 * @category rendering
 * @since 0.1.0
 */
export const lines = (status: Status, bucket: string): ReadonlyArray<string> => {
  const told = [line(status)]
  if (status.refused > 0) told.push(`  ${format.plural(status.refused, "record")} can't be sent: results say why.`)
  if (status.rejected > 0) told.push(`  The model refused ${format.plural(status.rejected, "record")}.`)
  if (status.round > 0) told.push(`  Round ${status.round + 1}: what failed is sent again, alone.`)
  if (status.late !== undefined) {
    told.push(
      `  ${format.plural(status.late.records, "record")} ${status.late.done ? "were" : "are"} asked on demand: ${
        status.late.why === "small" ? "too few for a job" : "the deadline has passed"
      }.`
    )
  }
  for (const { arn, message, status: word } of status.parts) {
    if (message !== undefined) told.push(`  ${arn ?? "a job"} is ${word}: ${message}`)
  }
  if (status.problem !== undefined) told.push(`  ${status.problem.job}: ${status.problem.message}`)
  const what = advice(status, bucket)
  if (what !== undefined) told.push(`  ${what}`)
  return told
}
