/**
 * What is wrong with one line of the input.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * A line that can't be asked. It ends as an error line in the output, and the others go on.
 *
 * @category errors
 * @since 0.1.0
 */
export class InputError extends Schema.TaggedError<InputError>()("InputError", {
  line: Schema.Int,
  /** Where the line has one that can be read. */
  id: Schema.optionalKey(Schema.Union([Schema.String, Schema.Int])),
  kind: Schema.Literals([
    "not-text",
    "too-long",
    "not-json",
    "wrong-shape",
    "duplicate-id",
    "no-model",
    "malformed-model",
    "other-model"
  ]),
  /** Names the line, what is wrong with it, and what to write instead. */
  message: Schema.String
}) {}
