/**
 * Why an emulator could not start.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * `options`: an option is wrong, and `message` names it. `listen`: the port could not be opened. `package`: an option needs a
 * package that is not installed, and `message` names both.
 *
 * @category errors
 * @since 0.1.0
 */
export class EmulatorError extends Schema.TaggedError<EmulatorError>()("EmulatorError", {
  kind: Schema.Literals(["options", "listen", "package"]),
  message: Schema.String,
  cause: Schema.optional(Schema.Defect())
}) {}
