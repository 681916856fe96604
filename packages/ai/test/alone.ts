// A program that needs only this package and its peers. `pnpm packages` runs it in an empty project.
import { AiErrors } from "@caprock/ai"
import { Option } from "effect"
import * as AiError from "effect/ai/AiError"

const error = AiError.make({ module: "Alone", method: "test", reason: new AiError.RateLimitError({}) })
if (Option.isSome(AiErrors.toBedrock(error))) throw new Error("it was made of nothing of Bedrock's")
