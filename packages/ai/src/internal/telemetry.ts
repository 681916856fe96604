// What the span of a request says, in the words of `effect/ai` and of the OpenTelemetry conventions for models.
import type * as Response from "effect/ai/Response"
import * as Telemetry from "effect/ai/Telemetry"
import type { Span } from "effect/Tracer"
import type { Question } from "./request.ts"

export const asked = (span: Span, { input: { inferenceConfig }, modelId }: Question): void =>
  Telemetry.addGenAIAnnotations(span, {
    operation: { name: "chat" },
    provider: { name: "aws.bedrock" },
    request: {
      model: modelId,
      maxTokens: inferenceConfig?.maxTokens,
      temperature: inferenceConfig?.temperature,
      topP: inferenceConfig?.topP,
      stopSequences: inferenceConfig?.stopSequences
    }
  })

export const answered = (
  span: Span,
  parts: ReadonlyArray<Response.PartEncoded | Response.StreamPartEncoded>
): void => {
  for (const part of parts) {
    if (part.type === "response-metadata") {
      Telemetry.addGenAIAnnotations(span, { response: { id: part.id, model: part.modelId } })
    }
    if (part.type === "finish") finished(span, part)
  }
}

const finished = (span: Span, { reason, usage: { inputTokens, outputTokens } }: Response.FinishPartEncoded): void => {
  Telemetry.addGenAIAnnotations(span, {
    response: { finishReasons: [reason] },
    usage: { inputTokens: inputTokens.total, outputTokens: outputTokens.total }
  })
  // `effect/ai` has no words for these; semantic-conventions-genai, read 2026-11.
  const { cacheRead, cacheWrite } = inputTokens
  if (cacheRead !== undefined) span.attribute("gen_ai.usage.cache_read.input_tokens", cacheRead)
  if (cacheWrite !== undefined) span.attribute("gen_ai.usage.cache_creation.input_tokens", cacheWrite)
}
