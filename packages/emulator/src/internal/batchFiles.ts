/** The files of a batch job: found and checked, and answered line by line, in memory that does not grow with them. */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { createHash } from "node:crypto"
import type { BatchConfig } from "./config.ts"
import * as Json from "./json.ts"
import type * as Random from "./random.ts"
import type * as Store from "./store.ts"

/** Why a job fails, as `GetModelInvocationJob` tells it. */
export class Refused extends Data.TaggedError("Refused")<{ readonly message: string }> {}

interface File {
  readonly key: string
  /** Below the folder that the job names. */
  readonly name: string
}

/** What was found right. */
export interface Input {
  readonly bucket: string
  readonly files: ReadonlyArray<File>
  readonly records: number
  /** Equal for equal bytes. */
  readonly digest: string
}

/** A line of the input. */
interface Line {
  readonly recordId: string
  readonly modelInput: Json.Json
  readonly text: string
}

/** What a record was answered: the member of the output line that says so, as JSON. */
export interface Answered {
  readonly json: string
  readonly failed: boolean
  readonly input: number
  readonly output: number
}

export interface Counts {
  readonly processed: number
  readonly succeeded: number
  readonly failed: number
  readonly input: number
  readonly output: number
}

const refused = (message: string): Effect.Effect<never, Refused> => Effect.fail(new Refused({ message }))

const unreadable = (what: string) => (error: Store.StoreError): Refused =>
  new Refused({ message: `${what}: ${error.kind}: ${error.message}` })

const linesOf = (bytes: Stream.Stream<Uint8Array, Store.StoreError>): Stream.Stream<string, Store.StoreError> =>
  bytes.pipe(Stream.decodeText, Stream.splitLines)

const isRecordLine = (text: string): boolean => Json.isRecord(Json.parseText(text)?.["modelInput"])

/** The files that a URI stands for: itself, or every `.jsonl` of the folder. */
const filesAt = (place: Store.Place, listed: ReadonlyArray<Store.Listed>): ReadonlyArray<File & Store.Listed> => {
  if (place.key.endsWith(".jsonl")) {
    const name = place.key.slice(place.key.lastIndexOf("/") + 1)
    return listed.filter(({ key }) => key === place.key).map((object) => ({ ...object, name }))
  }
  const folder = folderOf(place.key)
  return listed.filter(({ key }) => key.startsWith(folder) && key.endsWith(".jsonl"))
    .map((object) => ({ ...object, name: object.key.slice(folder.length) }))
}

const folderOf = (key: string): string => key === "" || key.endsWith("/") ? key : `${key}/`

const count = (n: number): string => n.toLocaleString("en-US")

/** Reads all of the input once. The texts of refusals are ours: AWS publishes none. */
export const check = (
  store: Store.Store,
  place: Store.Place,
  limits: BatchConfig["limits"]
): Effect.Effect<Input, Refused> =>
  Effect.gen(function*() {
    const at = `s3://${place.bucket}/${place.key}`
    const listed = yield* Effect.mapError(store.list(place), unreadable(`The input at ${at} cannot be read`))
    const files = filesAt(place, listed)
    if (files.length === 0) return yield* refused(`There is no .jsonl file at ${at}.`)
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0)
    const large = files.find((file) => file.bytes > limits.bytesPerFile)
    if (large !== undefined) {
      return yield* refused(`The input file ${large.key} is larger than ${count(limits.bytesPerFile)} bytes.`)
    }
    if (bytes > limits.bytesPerJob) {
      return yield* refused(`The input of the job is larger than ${count(limits.bytesPerJob)} bytes.`)
    }
    const digest = createHash("sha1")
    let records = 0
    for (const { key } of files) {
      let number = 0
      let ofFile = 0
      let wrong: number | undefined
      yield* linesOf(store.read({ bucket: place.bucket, key })).pipe(
        Stream.runForEachArray((lines) =>
          Effect.sync(() => {
            for (const text of lines) {
              number++
              if (text.trim() === "") continue
              ofFile++
              digest.update(text).update("\n")
              if (wrong === undefined && !isRecordLine(text)) wrong = number
            }
          })
        ),
        Effect.mapError(unreadable(`The input file ${key} cannot be read`))
      )
      if (wrong !== undefined) {
        return yield* refused(`Line ${wrong} of ${key} is not a JSON object with the member modelInput.`)
      }
      if (ofFile > limits.recordsPerFile) {
        return yield* refused(`The input file ${key} has more than ${count(limits.recordsPerFile)} records.`)
      }
      records += ofFile
    }
    if (records > limits.recordsPerJob) {
      return yield* refused(`The job has ${count(records)} records, and may have ${count(limits.recordsPerJob)}.`)
    }
    if (records < limits.minimumRecords) {
      return yield* refused(
        `The job has ${count(records)} records, and must have at least ${count(limits.minimumRecords)}.`
      )
    }
    return { bucket: place.bucket, files, records, digest: digest.digest("hex") }
  })

/** Outputs have no order that can be relied on: each line may come as much later as this. */
const window = 256

/** So many records are answered in one turn of the event loop, at 0.03 to 0.3 ms each: calls that come meanwhile are as much late. */
const atOnce = 8

/** Gives lines back in another order, holding at most `window` of them. */
const shuffler = (random: Random.Random) => {
  const held: Array<string> = []
  const takeAny = (): string => {
    const at = Math.floor(random() * held.length)
    const line = held[at] ?? ""
    const last = held.pop()
    if (last !== undefined && at < held.length) held[at] = last
    return line
  }
  return {
    next: (line: string): string => {
      held.push(line)
      return held.length > window ? takeAny() : ""
    },
    rest: (): string => {
      let text = ""
      while (held.length > 0) text += takeAny()
      return text
    }
  }
}

/** Reads a line that was found right. The service gives an id to a record that has none. */
const lineOf = (text: string, number: number): Line => {
  const { modelInput, recordId } = Json.parseText(text) ?? {}
  return {
    recordId: typeof recordId === "string" ? recordId : `CALL${String(number).padStart(7, "0")}`,
    modelInput: Json.record(modelInput),
    text
  }
}

/** Answers records as they are due, each file into one of its own below `to`, and writes the manifest. */
export const answer = (options: {
  readonly store: Store.Store
  readonly input: Input
  readonly to: Store.Place
  readonly random: Random.Random
  /** Waits until so many records are due, and tells how many there will be: where that is fewer, no more are answered. */
  readonly due: (records: number) => Effect.Effect<number>
  readonly answerTo: (line: Line) => Answered
}): Effect.Effect<Counts, Refused> =>
  Effect.gen(function*() {
    const { answerTo, due, input, random, store, to } = options
    const counts = { processed: 0, succeeded: 0, failed: 0, input: 0, output: 0 }
    const output = (name: string): Store.Place => ({ bucket: to.bucket, key: `${folderOf(to.key)}${name}` })
    const taken = (text: string): string => {
      counts.processed++
      const line = lineOf(text, counts.processed)
      const answered = answerTo(line)
      if (answered.failed) counts.failed++
      else counts.succeeded++
      counts.input += answered.input
      counts.output += answered.output
      const { modelInput, recordId } = line
      return `${JSON.stringify({ recordId, modelInput }).slice(0, -1)},${answered.json}}\n`
    }
    let over = false
    for (const { key, name } of input.files) {
      const before = counts.processed
      const sink = yield* store.write(output(`${name}.out`))
      const lines = shuffler(random)
      yield* linesOf(store.read({ bucket: input.bucket, key })).pipe(
        Stream.takeWhile(() => !over),
        Stream.runForEachArray((texts) =>
          Effect.gen(function*() {
            const records = texts.filter((text) => text.trim() !== "")
            if (records.length === 0) return
            const most = yield* due(counts.processed + records.length)
            let written = ""
            for (const text of records) {
              over = counts.processed >= most
              if (over) break
              written += lines.next(taken(text))
              if (counts.processed % atOnce === 0) yield* Effect.yieldNow
            }
            yield* sink.write(written)
          })
        )
      )
      // Of a file of which nothing was answered there is no output.
      if (over && counts.processed === before) break
      yield* sink.write(lines.rest())
      yield* sink.end
    }
    const manifest = yield* store.write(output("manifest.json.out"))
    yield* manifest.write(JSON.stringify({
      totalRecordCount: input.records,
      processedRecordCount: counts.processed,
      successRecordCount: counts.succeeded,
      errorRecordCount: counts.failed,
      inputTokenCount: counts.input,
      outputTokenCount: counts.output
    }))
    yield* manifest.end
    return counts
  }).pipe(
    Effect.scoped,
    Effect.mapError(unreadable(`The output at s3://${options.to.bucket}/${options.to.key} cannot be written`))
  )
