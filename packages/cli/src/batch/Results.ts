/**
 * The results of a batch, as the lines that `caprock run` writes.
 *
 * @since 0.1.0
 */
import type { Status } from "@caprock/batch/BatchJournal"
import * as BatchPlan from "@caprock/batch/BatchPlan"
import type { BatchResult } from "@caprock/batch/BatchRecord"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as format from "../internal/format.ts"
import { stableJson } from "../internal/stableJson.ts"
import { digestOf } from "../run/IdTable.ts"
import type { ResultLine } from "../run/ResultLine.ts"
import { CliFailure } from "../terminal/CliFailure.ts"
import * as Told from "./Told.ts"

const Content = Schema.Array(Schema.Record(Schema.String, Schema.Unknown))
const Answer = Schema.Struct({
  output: Schema.Struct({ message: Schema.Struct({ content: Content }) }),
  stopReason: Schema.optionalKey(Schema.String)
})
const decodeAnswer = Schema.decodeUnknownResult(Answer)

const Prompt = Schema.Struct({
  messages: Schema.Tuple([
    Schema.Struct({
      role: Schema.Literal("user"),
      content: Schema.Tuple([Schema.Struct({ text: Schema.String })])
    })
  ]),
  system: Schema.optionalKey(Schema.Tuple([Schema.Struct({ text: Schema.String })])),
  inferenceConfig: Schema.optionalKey(
    Schema.Struct({ maxTokens: Schema.optionalKey(Schema.Int), temperature: Schema.optionalKey(Schema.Finite) })
  )
})
const decodePrompt = Schema.decodeUnknownResult(Prompt, { onExcessProperty: "error" })

/**
 * The line of a result. `line` is the number of its record, from 1; nothing is known of waits.
 *
 * @category rendering
 * @since 0.1.0
 */
export const lineOf = (result: BatchResult, model: string): ResultLine => {
  const common = { id: result.id, line: result.index + 1 }
  const effort = { attempts: result.attempts, waitedMillis: 0, serviceMillis: 0 }
  if (result._tag === "Failure") {
    const { kind, message } = result.error
    return {
      ...common,
      error: {
        reason: kind === "refused" ? "InputError" : "BatchRecord",
        kind,
        message,
        retryable: kind !== "refused" && kind !== "rejected"
      },
      ...effort
    }
  }
  const answer = decodeAnswer(result.output)
  const content = Result.isSuccess(answer) ? answer.success.output.message.content : []
  const text = content.map((block) => typeof block["text"] === "string" ? block["text"] : "").join("")
  return {
    ...common,
    model,
    text: Result.isSuccess(answer) ? text : JSON.stringify(result.output),
    stopReason: Result.isSuccess(answer) ? answer.success.stopReason ?? "" : "",
    usage: result.usage ?? { inputTokens: 0, outputTokens: 0 },
    ...effort,
    digest: digestOfInput(result.input),
    ...(content.every((block) => typeof block["text"] === "string") ? {} : { content })
  }
}

/** The same as of the line that it came from, so that `caprock run` goes on with a file of these. */
const digestOfInput = (input: Schema.Json | undefined): string => {
  const prompt = decodePrompt(input)
  if (Result.isSuccess(prompt)) {
    const { inferenceConfig, messages: [{ content: [{ text }] }], system } = prompt.success
    return digestOf(stableJson([text, system?.[0].text ?? null, inferenceConfig?.temperature ?? null]))
  }
  const request: Readonly<Record<string, unknown>> = typeof input === "object" && input !== null ? { ...input } : {}
  const { inferenceConfig = {}, ...question } = request
  const { maxTokens: _, ...asked } = { maxTokens: undefined, ...Object(inferenceConfig) }
  return digestOf(stableJson({ ...question, inferenceConfig: asked }))
}

/**
 * What the results came to.
 *
 * @category models
 * @since 0.1.0
 */
export interface Account {
  answered: number
  failed: number
  /** By the kind of error. */
  readonly kinds: Map<string, number>
  readonly tokens: Readonly<Record<"batch" | "on-demand", { inputTokens: number; outputTokens: number }>>
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const emptyAccount = (): Account => ({
  answered: 0,
  failed: 0,
  kinds: new Map(),
  tokens: {
    batch: { inputTokens: 0, outputTokens: 0 },
    "on-demand": { inputTokens: 0, outputTokens: 0 }
  }
})

/**
 * @category accounting
 * @since 0.1.0
 */
export const add = (account: Account, result: BatchResult): void => {
  if (result._tag === "Failure") {
    account.failed++
    account.kinds.set(result.error.kind, (account.kinds.get(result.error.kind) ?? 0) + 1)
    return
  }
  account.answered++
  const tokens = account.tokens[result.via]
  tokens.inputTokens += result.usage?.inputTokens ?? 0
  tokens.outputTokens += result.usage?.outputTokens ?? 0
}

/** What to do about records that ended so. */
const remedies: Readonly<Record<string, string>> = {
  refused: "Correct them, and submit them under another name.",
  rejected: "The model refused them, and would again: look at their messages.",
  service: "The service failed each time: submit them under another name.",
  missing: "No output had them: submit them under another name.",
  cancelled: "The batch was cancelled before they were answered.",
  job: "Their job never began, or failed: look at its message with `caprock batch status`."
}

/**
 * What is told at the end: how many were answered, what became of the others, and what it cost.
 *
 * @category rendering
 * @since 0.1.0
 */
export const summary = (account: Account, prices: BatchPlan.Prices | undefined): ReadonlyArray<string> => {
  const { answered, failed, kinds, tokens } = account
  const lines = [`${format.plural(answered, "record")} answered${failed === 0 ? "" : `, ${format.count(failed)} not`}.`]
  for (const [kind, count] of kinds) lines.push(`  ${format.count(count)} ${kind}. ${remedies[kind] ?? ""}`)
  const all = {
    inputTokens: tokens.batch.inputTokens + tokens["on-demand"].inputTokens,
    outputTokens: tokens.batch.outputTokens + tokens["on-demand"].outputTokens
  }
  lines.push(`${format.count(all.inputTokens)} tokens in, ${format.count(all.outputTokens)} out.`)
  if (prices !== undefined) {
    const spent = BatchPlan.cost(tokens.batch, prices, "batch") +
      BatchPlan.cost(tokens["on-demand"], prices, "on-demand")
    const saved = BatchPlan.cost(all, prices, "on-demand") - spent
    lines.push(`Spent ${format.money(spent)}, and saved ${format.money(saved)} of what it would have cost on demand.`)
  }
  return lines
}

/**
 * Records of which nothing was known yet.
 *
 * @category accounting
 * @since 0.1.0
 */
export const missing = ({ answered, failed }: Account, { records }: Status): number =>
  Math.max(0, records - answered - failed)

/**
 * What is told where there are such records.
 *
 * @category rendering
 * @since 0.1.0
 */
export const incomplete = (missing: number, status: Status, command: Told.Command): ReadonlyArray<string> => [
  `${format.count(missing)} of ${format.plural(status.records, "record")} ${
    missing === 1 ? "has" : "have"
  } no result yet. ` +
  `${status.name}: ${Told.states[status.state]}.`,
  `  ${Told.advice(status, command)}`
]

/**
 * How far the reading of results is.
 *
 * @category rendering
 * @since 0.1.0
 */
export const progress = (account: Account, { name, records }: Status) => {
  const row = Effect.sync(() =>
    `${name}: ${format.count(account.answered + account.failed)} of ${format.plural(records, "result")} written`
  )
  return { panel: Effect.map(row, (row) => [row]), line: row }
}

/**
 * Nothing is lost by a file that can't be written.
 *
 * @category errors
 * @since 0.1.0
 */
export const notLost = ({ problem, remedy }: CliFailure) =>
  Effect.fail(
    new CliFailure({
      problem,
      remedy: `${remedy} Nothing is lost: the results stay in the bucket, and can be asked again.`
    })
  )
