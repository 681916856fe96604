/** A length of time as an option. */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

export const DurationInput = Schema.declare(
  (input): input is Duration.Input =>
    Option.match(Duration.fromInput(input as Duration.Input), {
      onNone: () => false,
      onSome: (duration) => Duration.isFinite(duration) && Duration.toMillis(duration) > 0
    }),
  { expected: "a positive duration" }
)
