// A request that can't be made of a prompt, and why: thrown inside this package, and an `AiError` at its edge.
import * as AiError from "effect/ai/AiError"
import * as Result from "effect/Result"

class Refusal extends Error {
  readonly reason: AiError.AiErrorReason
  constructor(reason: AiError.AiErrorReason) {
    super(reason.message)
    this.reason = reason
  }
}

/** Ends the reading of a prompt: `parameter` says where, `description` what is wrong and what to do about it. */
export const refuse = (parameter: string, description: string): never => {
  throw new Refusal(new AiError.InvalidRequestError({ parameter, description }))
}

/** The same of a tool. */
export const refuseTool = (toolName: string, description: string): never => {
  throw new Refusal(new AiError.ToolConfigurationError({ toolName, description }))
}

/** The same of the schema of an answer. */
export const refuseSchema = (description: string): never => {
  throw new Refusal(new AiError.UnsupportedSchemaError({ description }))
}

/** What `read` gives, or why it was refused. Anything else that is thrown on the way is a prompt that nobody can read. */
export const refused = <A>(read: () => A): Result.Result<A, AiError.AiErrorReason> =>
  Result.try({
    try: read,
    catch: (thrown) =>
      thrown instanceof Refusal
        ? thrown.reason
        : new AiError.InvalidRequestError({ parameter: "prompt", description: `It can't be read: ${String(thrown)}` })
  })
