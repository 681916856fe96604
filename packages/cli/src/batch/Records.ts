/**
 * The records of a batch, from the same lines that `caprock run` reads.
 *
 * @since 0.1.0
 */
import type { BatchRecord } from "@caprock/batch/BatchRecord"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as lines from "../internal/lines.ts"
import type * as Input from "../run/Input.ts"
import { InputError } from "../run/InputError.ts"
import * as InputLine from "../run/InputLine.ts"
import type * as PromptLine from "../run/PromptLine.ts"
import { CliFailure } from "../terminal/CliFailure.ts"

/**
 * How an input is read.
 *
 * - `strict`: a line that can't be asked ends it.
 * - `onRead`: hears of each record, with the bytes of the input up to its end. `onBad`: what is wrong with one.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface Options {
  readonly defaults: PromptLine.Defaults & { readonly model: string }
  readonly strict: boolean
  readonly onRead: (end: number, isBad: boolean) => void
  readonly onBad: (error: InputError) => Effect.Effect<void>
}

/**
 * One record for each line. One for a line that can't be asked, or that names another model, says what is wrong with it, and is not sent.
 *
 * @category reading
 * @since 0.1.0
 */
export const read = (
  input: Input.Input,
  { defaults, onBad, onRead, strict }: Options
): Stream.Stream<BatchRecord, CliFailure> =>
  lines.split(input.bytes, { maxBytes: InputLine.maxLineBytes }).pipe(
    // As many at a time as there are: an effect for each record would cost more than the record.
    Stream.mapArrayEffect((raws) => {
      const records: Array<BatchRecord> = []
      const bad: Array<InputError> = []
      for (const raw of raws) {
        const line = InputLine.read(raw, defaults)
        if (line === undefined) continue
        const record = Result.flatMap(line, (prompt) => recordOf(prompt, defaults.model))
        onRead(raw.end, Result.isFailure(record))
        if (Result.isFailure(record)) bad.push(record.failure)
        records.push(Result.getOrElse(record, refused))
      }
      const [first] = bad
      if (first === undefined) return Effect.succeed([records])
      return strict
        ? Effect.fail(ended(first))
        : Effect.as(Effect.forEach(bad, onBad, { discard: true }), [records])
    }),
    Stream.flattenIterable
  )

const recordOf = (prompt: PromptLine.Prompt, own: string): Result.Result<BatchRecord, InputError> => {
  const { id, input: { modelId: _, ...input }, line, model } = prompt
  if (model === own) return Result.succeed({ id: String(id), input: toJson(input) })
  return Result.fail(
    new InputError({
      line,
      id,
      kind: "other-model",
      message: `line ${line} names the model ${model}, and a batch has one: ${own}. Submit its lines as another batch`
    })
  )
}

const refused = (error: InputError): BatchRecord => ({
  id: String(InputLine.idOf(error)),
  input: null,
  refused: error.message
})

const ended = ({ message }: InputError): CliFailure =>
  new CliFailure({
    problem: `${message}.`,
    remedy: "Mend it, and submit again: records that are in the bucket are not uploaded twice. " +
      "Or leave --strict out, and each such line ends in an error."
  })

/** As a request stands in JSON: bytes are base64. */
const toJson = (value: unknown): Schema.Json => {
  if (value instanceof Uint8Array) return Base64.encode(value)
  if (Array.isArray(value)) return value.map(toJson)
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(
      Object.entries(value).filter(([, field]) => field !== undefined).map(([key, field]) => [key, toJson(field)])
    )
  }
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? value : null
}
