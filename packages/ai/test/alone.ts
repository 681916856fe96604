// A program that needs only this package and its peers. `pnpm packages` runs it in an empty project.
import { AiErrors, BedrockLanguageModel, BedrockTool } from "@caprock/ai"
import { Layer, Option } from "effect"
import * as AiError from "effect/ai/AiError"
import * as Prompt from "effect/ai/Prompt"

const prompt = Prompt.make([{ role: "user", content: "Hi", options: { bedrock: { cachePoint: true } } }])
const model = BedrockLanguageModel.model("us.amazon.nova-lite-v1:0", { maxTokens: 5 })
if (!Layer.isLayer(model) || model.provider !== "amazon-bedrock" || prompt.content.length !== 1) {
  throw new Error("it is no model")
}
if (BedrockTool.systemTool("nova_grounding").name !== "nova_grounding") throw new Error("it is no tool")

const reason = new AiError.RateLimitError({ metadata: { bedrock: null } })
const error = AiError.make({ module: "Alone", method: "test", reason })
if (Option.isSome(AiErrors.toBedrock(error))) throw new Error("it was made of nothing of Bedrock's")
