/**
 * A line as it stands in the input: bytes that may be a prompt, nothing, or something that can't be asked.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import * as format from "../internal/format.ts"
import * as lines from "../internal/lines.ts"
import { InputError } from "./InputError.ts"
import * as PromptLine from "./PromptLine.ts"

/**
 * Longest line by default. Bedrock takes at most 25 MB in one request (the `body` of InvokeModel, service model of
 * August 2026), and base64 makes that 34 MB.
 *
 * @category constants
 * @since 0.1.0
 */
export const maxLineBytes = 34 * 1024 * 1024

/**
 * What a line asks, or what is wrong with it; `undefined` where nothing stands on it.
 *
 * @category parsing
 * @since 0.1.0
 */
export const read = (
  raw: lines.RawLine,
  defaults: PromptLine.Defaults,
  maxBytes: number = maxLineBytes
): Result.Result<PromptLine.Prompt, InputError> | undefined => {
  const text = raw.bytes === undefined ? undefined : lines.decode(raw.bytes)
  if (text === undefined) return Result.fail(unreadable(raw, maxBytes))
  return text.trim() === "" ? undefined : PromptLine.parse(text, raw.number, defaults)
}

/**
 * The id of the line that is wrong.
 *
 * @category accessors
 * @since 0.1.0
 */
export const idOf = (error: InputError): string | number => error.id ?? PromptLine.derivedId(error.line)

const unreadable = (raw: lines.RawLine, maxBytes: number): InputError =>
  raw.bytes === undefined
    ? new InputError({
      line: raw.number,
      kind: "too-long",
      message: `line ${raw.number} is ${format.bytes(raw.length)} long, and a request can't be larger than ${
        format.bytes(maxBytes)
      }. Split it, or put its media into S3 and refer to them with s3Location`
    })
    : new InputError({
      line: raw.number,
      kind: "not-text",
      message: `line ${raw.number} is not UTF-8. Convert the file, with \`iconv -t UTF-8\` for instance`
    })
