// An emulator, the whole `Bedrock` with the unmodified SDK on it, and models of `effect/ai` on top: over real sockets.
import { BedrockLanguageModel } from "@caprock/ai"
import { Bedrock } from "@caprock/bedrock"
import { Emulator, LatencyModel, type Options, type OutputModel } from "@caprock/emulator"
import { Context, Effect, Layer } from "effect"
import type { LanguageModel } from "effect/ai"

export const modelId = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"

/** The requests that came, as they were on the wire, and a model that answers them by the script in order. The last answer is given again. */
export const scripted = (...outputs: ReadonlyArray<OutputModel.Output>) => {
  const requests: Array<Wire> = []
  const output: OutputModel.OutputFunction = ({ body }) => {
    const answer = outputs[Math.min(requests.length, outputs.length - 1)] ?? {}
    requests.push(body as Wire)
    return answer
  }
  return { requests, output }
}

/** A request of Converse as JSON. */
interface Wire {
  readonly messages: ReadonlyArray<{ readonly role: string; readonly content: ReadonlyArray<unknown> }>
  readonly system?: ReadonlyArray<unknown>
  readonly toolConfig?: { readonly tools: ReadonlyArray<unknown>; readonly toolChoice?: unknown }
  readonly inferenceConfig?: unknown
  readonly outputConfig?: { readonly textFormat?: unknown; readonly effort?: string }
  readonly [field: string]: unknown
}

/** `settings` of the model; the other options are those of the emulator and of `Bedrock`. */
export const rig = Effect.fnUntraced(function*({ bedrock, emulator: told, model = modelId, settings }: {
  readonly emulator?: Options.Options
  readonly bedrock?: Bedrock.Options
  readonly model?: string
  readonly settings?: BedrockLanguageModel.Settings
}) {
  const emulator = yield* Emulator.make({ seed: 7, latency: LatencyModel.fixed(5), log: 1_000, ...told })
  const context = yield* Layer.build(Bedrock.layer({
    region: "us-east-1",
    endpoint: emulator.url,
    credentials: { accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: "secret" },
    withoutQuota: "unlimited",
    backoff: { base: "5 millis" },
    ...bedrock
  }))
  const lm: LanguageModel.LanguageModel = yield* BedrockLanguageModel.make({
    model,
    config: { maxTokens: 500, ...settings }
  }).pipe(Effect.provide(context))
  return { emulator, lm, bedrock: Context.get(context, Bedrock.Bedrock), context }
})
