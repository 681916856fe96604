/**
 * What the InvokeModel bodies of each model family look like: where a request limits its output, and where an answer tells what it
 * used. One table of dated data; everything that knows a family's bodies reads it.
 *
 * **When to use**
 *
 * With InvokeModel and its stream. Converse has one form for all models.
 *
 * **Details**
 *
 * The family is told by the model id, and by the body's keys where the id says nothing (imported, custom and provisioned models,
 * application profiles). A body that fits none is of the family {@link unknown}: all of it is input, the largest of all limits that it might be
 * setting counts, and its answer is searched for usage in the form of every family.
 *
 * Bedrock tells usage in headers, and in the last chunk of a stream, for nearly all models. The places here are for where it does not.
 *
 * @since 0.1.0
 */
import type * as Accounting from "./Accounting.ts"
import { anyImage, rows } from "./internal/families.ts"

/**
 * Where counts of tokens stand: for each the places to look, in order. A place is the keys from the top, `usage.input_tokens`; the items of a
 * list on the way are added up.
 *
 * @category models
 * @since 0.1.0
 */
export interface Counts {
  readonly input: ReadonlyArray<string>
  /** None where nothing is generated. */
  readonly output?: ReadonlyArray<string>
  readonly cacheRead?: ReadonlyArray<string>
  readonly cacheWrite?: ReadonlyArray<string>
  /** Whether `input` counts what was read from the cache as well. */
  readonly inputHasCacheRead?: boolean
  /** A key at the top that tells another form, of which these counts are a part. */
  readonly unless?: string
}

/**
 * What an image costs: a token for so many pixels, after scaling its longer edge down to `longEdge`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Image {
  readonly pixelsPerToken: number
  /** In pixels. */
  readonly longEdge: number
  readonly least: number
  readonly most: number
  /** Where its size can't be read. */
  readonly unknown: number
}

/**
 * One row: what a source said of the bodies of a family of models at a date.
 *
 * @category models
 * @since 0.1.0
 */
export interface Family {
  readonly name: string
  /** How its model ids begin; of all that fit an id the longest counts. */
  readonly models: ReadonlyArray<string>
  /** Sets of keys, each of which tells a request body of this family where the model id doesn't. */
  readonly marks: ReadonlyArray<ReadonlyArray<string>>
  /** Whether it answers in tokens. Embeddings, scores and pictures are none: nothing is reserved or charged for output. */
  readonly generates: boolean
  /** Places of the limit on output in a request body. */
  readonly limits: ReadonlyArray<string>
  /** Places of how many answers are asked for, each as long as the limit. */
  readonly answers: ReadonlyArray<string>
  readonly image: Image
  /** Usage in the body of an answer, in each form that it may have; empty where it tells none. */
  readonly usage: ReadonlyArray<Counts>
  /** Usage in the chunks of a stream: what a later chunk says replaces what an earlier one said. */
  readonly chunks: ReadonlyArray<Counts>
  /** Where it was read. */
  readonly source: string
  /** When the source said so. */
  readonly asOf: string
}

/**
 * All families, specific before general: of two that fit a body the first is taken.
 *
 * @category constants
 * @since 0.1.0
 */
export const all: ReadonlyArray<Family> = rows

/**
 * The family of a body that is like none that is known.
 *
 * @category constants
 * @since 0.1.0
 */
export const unknown: Family = {
  name: "unknown",
  models: [],
  marks: [],
  generates: true,
  limits: [
    ...new Set([
      ...rows.flatMap(({ limits }) => limits),
      "max_output_tokens",
      "inference_config.max_new_tokens",
      "parameters.max_new_tokens",
      "parameters.max_tokens"
    ])
  ],
  answers: [...new Set(rows.flatMap(({ answers }) => answers))],
  image: anyImage,
  usage: rows.flatMap(({ usage }) => usage),
  chunks: rows.flatMap(({ chunks }) => chunks),
  source: "none: cautious",
  asOf: "2026-11-21"
}

const byBeginning = rows.flatMap((family) => family.models.map((beginning) => ({ beginning, family }))).toSorted(
  (one, other) => other.beginning.length - one.beginning.length
)

/** By its keys alone a family is less sure: limits and answers may be in the form of another. */
const byMarks = rows.flatMap((family) => {
  const likely: Family = {
    ...family,
    limits: unknown.limits,
    answers: unknown.answers,
    usage: [...family.usage, ...unknown.usage],
    chunks: [...family.chunks, ...unknown.chunks]
  }
  return family.marks.map((keys) => ({ keys, family: likely }))
})

/**
 * The family of a bare model id (`Pool.model`, `ModelId.modelOf`), or of the parsed body where the id says nothing. Under a microsecond.
 *
 * **Example** (By its id, and by its body)
 *
 * ```ts
 * import { Family } from "@caprock/quota"
 *
 * const body = { prompt: "Why is the sky blue?", max_gen_len: 200 }
 * const imported = "arn:aws:bedrock:us-east-1:111122223333:imported-model/a1b2c3"
 * console.log(Family.of("mistral.mistral-large-2402-v1:0", body).name) // => Mistral AI
 * console.log(Family.of(imported, body).name) // => Meta Llama
 * console.log(Family.of(imported, { question: "Why?" }).name) // => unknown
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const of = (model: string, body: unknown): Family => {
  const byId = byBeginning.find(({ beginning }) => model.startsWith(beginning))
  if (byId !== undefined) return byId.family
  if (!isObject(body)) return unknown
  return byMarks.find(({ keys }) => keys.every((key) => Object.hasOwn(body, key)))?.family ?? unknown
}

/**
 * The limit on output that a parsed body sets, for all answers that it asks for: the largest where it sets several. 0 where
 * nothing is generated, `undefined` where the body leaves it to the model.
 *
 * @category accessors
 * @since 0.1.0
 */
export const maxTokens = (family: Family, body: unknown): number | undefined => {
  if (!family.generates) return 0
  const limit = largestAt(body, family.limits)
  if (limit === undefined) return undefined
  const answers = Math.max(1, largestAt(body, family.answers) ?? 1)
  return Math.min(Number.MAX_SAFE_INTEGER, Math.ceil(limit) * Math.ceil(answers))
}

/** The largest positive number at any of the places. */
const largestAt = (body: unknown, places: ReadonlyArray<string>): number | undefined => {
  let largest: number | undefined
  for (const place of places) {
    const value = at(body, place)
    // JSON has numbers that are read as infinite.
    if (typeof value === "number" && value > (largest ?? 0) && value < Infinity) largest = value
  }
  return largest
}

/**
 * The usage that the parsed body of an answer tells; `undefined` where it tells none that is whole. What is no whole number of 0 or more
 * is not taken for a count.
 *
 * **Example** (Titan)
 *
 * ```ts
 * import { Family } from "@caprock/quota"
 *
 * const family = Family.of("amazon.titan-text-express-v1", {})
 * const answer = { inputTextTokenCount: 5, results: [{ tokenCount: 9, outputText: "Hello! How are you?" }] }
 * console.log(Family.usage(family, answer)) // => { inputTokens: 5, outputTokens: 9 }
 * ```
 *
 * @category accessors
 * @since 0.1.0
 */
export const usage = (family: Family, answer: unknown): Accounting.Usage | undefined => {
  for (const counts of family.usage) {
    // Stryker disable next-line ConditionalExpression: no answer has the key "undefined"
    if (counts.unless !== undefined && member(answer, counts.unless) !== undefined) continue
    const found = whole(counts, read(counts, answer))
    if (found !== undefined) return found
  }
  return undefined
}

/**
 * Follows the chunks of one stream, each parsed, and gives what they have told so far. It is what was used once the stream
 * has come to its end; before, an answer may have grown beyond it.
 *
 * @category accessors
 * @since 0.1.0
 */
export const follow = (family: Family): (chunk: unknown) => Accounting.Usage | undefined => {
  const told = family.chunks.map((counts) => ({ counts, found: noneFound }))
  return (chunk) => {
    for (const form of told) form.found = { ...form.found, ...read(form.counts, chunk) }
    for (const { counts, found } of told) {
      const used = whole(counts, found)
      if (used !== undefined) return used
    }
    return undefined
  }
}

interface Found {
  readonly input?: number
  readonly output?: number
  readonly cacheRead?: number
  readonly cacheWrite?: number
}

const noneFound: Found = {}

const read = (counts: Counts, json: unknown): Found => {
  const input = countAt(json, counts.input)
  const output = countAt(json, counts.output)
  const cacheRead = countAt(json, counts.cacheRead)
  const cacheWrite = countAt(json, counts.cacheWrite)
  return {
    ...(input === undefined ? {} : { input }),
    ...(output === undefined ? {} : { output }),
    ...(cacheRead === undefined ? {} : { cacheRead }),
    ...(cacheWrite === undefined ? {} : { cacheWrite })
  }
}

const whole = (counts: Counts, { cacheRead, cacheWrite, input, output }: Found): Accounting.Usage | undefined => {
  const outputTokens = counts.output === undefined ? 0 : output
  if (input === undefined || outputTokens === undefined) return undefined
  return {
    inputTokens: counts.inputHasCacheRead === true ? Math.max(0, input - (cacheRead ?? 0)) : input,
    outputTokens,
    ...(cacheRead === undefined ? {} : { cacheReadInputTokens: cacheRead }),
    ...(cacheWrite === undefined ? {} : { cacheWriteInputTokens: cacheWrite })
  }
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** Places are few, and each is asked of every answer. */
const keys = new Map<string, ReadonlyArray<string>>()
const keysOf = (place: string): ReadonlyArray<string> => {
  const known = keys.get(place)
  if (known !== undefined) return known
  const split = place.split(".")
  keys.set(place, split)
  return split
}

/** What stands at a place; an array where a list stands on the way. */
const at = (json: unknown, place: string): unknown => {
  let value = json
  for (const key of keysOf(place)) {
    if (Array.isArray(value)) value = value.map((item) => member(item, key))
    else value = member(value, key)
  }
  return value
}

const member = (value: unknown, key: string): unknown =>
  isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined

/** A hundred times what the largest context windows hold (ten million tokens in 2026): such a count is damage, and no cost. */
const mostTokens = 1e9

const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && Number(value) >= 0 && Number(value) < mostTokens

/** The first of the places that has a count, or a list of counts. */
const countAt = (json: unknown, places: ReadonlyArray<string> | undefined): number | undefined => {
  if (places === undefined) return undefined
  for (const place of places) {
    const value = at(json, place)
    if (isCount(value)) return value
    if (Array.isArray(value) && value.length > 0 && value.every(isCount)) {
      return value.reduce((sum, count) => sum + count, 0)
    }
  }
  return undefined
}
