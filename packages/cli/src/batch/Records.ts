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
import * as PromptLine from "../run/PromptLine.ts"
import { maxLineBytes } from "../run/Runner.ts"
import { CliFailure } from "../terminal/CliFailure.ts"

/**
 * One record for each line. A line that can't be asked, or that names another model, ends it: what was uploaded by then is not uploaded again.
 *
 * @category reading
 * @since 0.1.0
 */
export const read = (
  input: Input.Input,
  defaults: PromptLine.Defaults & { readonly model: string }
): Stream.Stream<BatchRecord, CliFailure> =>
  lines.split(input.bytes, { maxBytes: maxLineBytes }).pipe(
    Stream.filterMap((raw) => {
      const text = raw.bytes === undefined ? undefined : lines.decode(raw.bytes)
      return text?.trim() === "" ? Result.fail(undefined) : Result.succeed({ number: raw.number, text })
    }),
    Stream.mapEffect(({ number, text }) => Effect.fromResult(recordOf(number, text, defaults)))
  )

const recordOf = (
  number: number,
  text: string | undefined,
  defaults: PromptLine.Defaults & { readonly model: string }
): Result.Result<BatchRecord, CliFailure> => {
  if (text === undefined) return wrong(`line ${number} is no text, or longer than ${maxLineBytes} bytes`)
  const parsed = PromptLine.parse(text, number, defaults)
  if (Result.isFailure(parsed)) return wrong(parsed.failure.message)
  const { id, input: { modelId: _, ...input }, model } = parsed.success
  return model === defaults.model
    ? Result.succeed({ id: String(id), input: toJson(input) })
    : wrong(`line ${number} names the model ${model}, and a batch has one: ${defaults.model}`)
}

const wrong = (message: string): Result.Result<never, CliFailure> =>
  Result.fail(
    new CliFailure({
      problem: `${message}.`,
      remedy: "Mend it, and submit again: records that are in the bucket are not uploaded twice."
    })
  )

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
