import type * as BatchJournal from "@caprock/batch/BatchJournal"
import type { BatchRecord } from "@caprock/batch/BatchRecord"
import * as ObjectStore from "@caprock/batch/ObjectStore"
import { assert } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { collect } from "../src/internal/collect.ts"
import type { Place } from "../src/internal/place.ts"
import * as Resubmit from "../src/internal/resubmit.ts"

import * as Write from "../src/internal/write.ts"
import { journalOf, uploaded } from "./journals.ts"

/** Numbers that look drawn, and are the same for the same seed. */
const drawer = (seed: number) => {
  let state = (seed >>> 0) + 1
  return (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

const shuffled = <A>(items: ReadonlyArray<A>, draw: (below: number) => number): ReadonlyArray<A> => {
  const left = [...items]
  return items.flatMap(() => left.splice(draw(left.length), 1))
}

/** What one line says of a record. */
type Said = "answered" | "failed" | "rejected"

/** What comes of a record that was sent: a line, several, or none. */
const outcomes: ReadonlyArray<ReadonlyArray<Said>> = [
  ["answered"],
  ["answered"],
  ["answered"],
  ["failed"],
  [],
  ["rejected"],
  ["answered", "answered"],
  ["failed", "answered"],
  ["answered", "failed"],
  ["failed", "failed"],
  ["rejected", "failed"]
]

/** The best of what was said. */
const bestOf = (said: ReadonlyArray<Said>): Said | "missing" =>
  (["answered", "rejected", "failed"] as const).find((one) => said.includes(one)) ?? "missing"

const codes = { failed: [500, 503, 429, 408, 424], rejected: [400, 403] }

/** A model of the batch, told by no code of ours. */
export interface Known {
  readonly id: string
  readonly input: unknown
  refused: boolean
  attempts: number
  fate: Said | "missing"
  /** Of the last error that it had. */
  code: string | undefined
  output: unknown
  onDemand: boolean
}

export const usage = { inputTokens: 7, outputTokens: 3 }

const idOf = (index: number): string => `r${index.toString(36).padStart(10, "0")}`

/** A line as the service writes it, with its members in one order or the other. */
const lineOf = (index: number, input: unknown, said: object, first: boolean): string =>
  first
    ? JSON.stringify({ recordId: idOf(index), modelInput: input, ...said })
    : JSON.stringify({ modelInput: input, ...said, recordId: idOf(index) })

const put = ({ store }: Place, key: string, lines: ReadonlyArray<string>, ended = true) =>
  store.put(key, Buffer.from(lines.join("\n") + (ended && lines.length > 0 ? "\n" : "")))

/** A batch in a bucket of its own, whose jobs are answered by chance. */
export const make = Effect.fnUntraced(function*(options: {
  readonly records: ReadonlyArray<BatchRecord>
  readonly limits: Partial<BatchJournal.BatchJournal["limits"]>
  readonly seed: number
}) {
  const place: Place = { store: ObjectStore.makeMemory(), prefix: "caprock/nightly/" }
  const draw = drawer(options.seed)
  const known = options.records.map(({ id, input }): Known => ({
    id,
    input,
    refused: false,
    attempts: 0,
    fate: "missing",
    code: undefined,
    output: undefined,
    onDemand: false
  }))
  let journal = journalOf({ limits: options.limits, state: "running" })
  const written = yield* Stream.runCollect(Write.write(place, journal, Stream.fromIterable(options.records)))
  journal = { ...journal, parts: written.map(({ upload }) => uploaded(upload)) }

  /** What was uploaded of a part, by place. */
  const sentOf = Effect.fnUntraced(function*(part: BatchJournal.Upload) {
    const indices: Array<number> = []
    for (const { key } of part.files) {
      const text = Buffer.from((yield* place.store.read(key))?.bytes ?? []).toString()
      for (const line of text.split("\n")) {
        if (line !== "") indices.push(Number.parseInt((JSON.parse(line) as { recordId: string }).recordId.slice(1), 36))
      }
    }
    return indices
  })

  /** A line about a record; the model is told elsewhere. */
  const speak = (index: number, one: Said, extra: object = {}): { readonly line: string; readonly code: string } => {
    const code = one === "answered" ? 0 : codes[one][draw(codes[one].length)] ?? 0
    const said = one === "answered"
      ? { modelOutput: { text: `answer ${draw(1e6)}`, usage }, ...extra }
      : { error: { errorCode: code, errorMessage: one }, ...extra }
    return { line: lineOf(index, known[index]?.input, said, draw(2) === 0), code: String(code) }
  }

  const outputOf = (line: string): unknown => (JSON.parse(line) as { modelOutput?: unknown }).modelOutput

  /** Ends the jobs of a round, and counts what came of them; what was counted is compared with the model. */
  const answer = Effect.fnUntraced(function*(round: number) {
    const parts: Array<BatchJournal.Part> = []
    for (const part of journal.parts) {
      if (part.round !== round) {
        parts.push(part)
        continue
      }
      const job = `job${round}x${part.part}`
      const lines: Array<string> = ["", "no json", "{\"recordId\":\"CALL0000001\"}", lineOf(9_999_999, {}, {}, true)]
      const expected = { succeeded: 0, rejected: 0, failed: 0, missing: 0, foreign: 3, repeated: 0 }
      for (const index of yield* sentOf(part)) {
        const record = known[index]
        if (record === undefined) throw new Error("nobody asked this")
        record.attempts++
        const said = shuffled(outcomes[draw(outcomes.length)] ?? [], draw).map((one) => ({ one, ...speak(index, one) }))
        const best = bestOf(said.map(({ one }) => one))
        record.fate = best
        lines.push(...said.map(({ line }) => line))
        expected[best === "answered" ? "succeeded" : best]++
        expected.repeated += Math.max(0, said.length - 1)
        record.output = best === "answered"
          ? said.filter(({ one }) => one === best).map(({ line }) => outputOf(line))
          : undefined
        const last = said.findLast(({ one }) => one === best)
        if (best !== "answered" && last !== undefined) record.code = best
      }
      const all = shuffled(lines, draw)
      const half = draw(all.length)
      const folder = `${place.prefix}out/${job}/`
      yield* put(place, `${folder}records-0.jsonl.out`, all.slice(0, half))
      yield* put(place, `${folder}deep/records-1.jsonl.out`, all.slice(half), false)
      yield* put(place, `${folder}manifest.json.out`, ["{\"totalRecordCount\":1}"])
      yield* put(place, `${folder}notes.txt`, ["nothing"])
      const ended: BatchJournal.Part = {
        ...part,
        phase: "collected",
        job: {
          name: job,
          token: job,
          arn: `arn:aws:bedrock:us-east-1:111122223333:model-invocation-job/${job}`
        }
      }
      const tally = yield* collect(place, journal, ended)
      assert.deepStrictEqual(tally, {
        ...expected,
        inputTokens: expected.succeeded * usage.inputTokens,
        outputTokens: expected.succeeded * usage.outputTokens
      })
      parts.push({ ...ended, tally })
    }
    journal = { ...journal, parts }
  })

  /** Uploads the next round, if anything is left for it. */
  const again = Effect.fnUntraced(function*(round: number) {
    const uploads = yield* Resubmit.formRound(place, { ...journal, generation: 1 + round }, round)
    journal = { ...journal, round, parts: [...journal.parts, ...uploads.map(uploaded)] }
    return uploads
  })

  /** Answers some of what is left on demand. */
  const onDemand = Effect.fnUntraced(function*() {
    const left = yield* Stream.runCollect(Resubmit.leftOver(place, journal))
    const asked = left.slice(0, draw(left.length + 1))
    const lines: Array<string> = []
    for (const { index } of asked) {
      const record = known[index]
      if (record === undefined) throw new Error("nobody asked this")
      const one = (["answered", "failed", "rejected"] as const)[draw(3)] ?? "failed"
      const { line } = speak(index, one, { via: "on-demand" })
      record.attempts++
      record.fate = one
      record.onDemand = one === "answered"
      record.output = one === "answered" ? [outputOf(line)] : undefined
      if (one !== "answered") record.code = one
      lines.push(line)
    }
    const half = draw(lines.length + 1)
    yield* put(place, `${place.prefix}late/1-0.jsonl.out`, lines.slice(0, half))
    yield* put(place, `${place.prefix}late/1-1.jsonl.out`, lines.slice(half))
    journal = { ...journal, late: { why: "deadline", records: left.length, done: true } }
    return left
  })

  return {
    place,
    known,
    sentOf,
    answer,
    again,
    onDemand,
    /** Takes the last parts out of the journal: they were uploaded once too often. */
    forget: (parts: number) => {
      journal = { ...journal, parts: journal.parts.slice(0, journal.parts.length - parts) }
    },
    journal: (change: Partial<BatchJournal.BatchJournal> = {}): BatchJournal.BatchJournal => ({
      ...journal,
      ...change
    }),
    /** Those that are worth another try, by the model. */
    open: () =>
      known.flatMap(({ fate, refused }, index) => refused || fate === "answered" || fate === "rejected" ? [] : [index])
  }
})
