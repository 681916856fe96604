// Routes over scripted clients, in virtual time.
import { Bedrock } from "@caprock/bedrock"
import { BedrockClientTest } from "@caprock/client"
import { BedrockError, Reason } from "@caprock/errors"
import type { Route } from "@caprock/router"
import { Context, Effect, Layer } from "effect"

export const nova = "amazon.nova-lite-v1:0"
export const claude = "anthropic.claude-sonnet-4-5-20250929-v1:0"

export const ask = (route: string, maxTokens = 100) => ({
  modelId: route,
  messages: [{ role: "user" as const, content: [{ text: "Hello" }] }],
  inferenceConfig: { maxTokens }
})

export const file = (
  targets: Route.RouteFile["targets"],
  policy: Route.Policy,
  more: Omit<Route.Route, "policy"> = {}
): Route.RouteFile => ({ targets, routes: { chat: { policy, ...more } } })

/** A layer over scripts, and what was asked. */
export const scripted = Effect.fnUntraced(function*(script: BedrockClientTest.Script, options: Bedrock.ServiceOptions) {
  const context = yield* Layer.build(Bedrock.layerTest(script, { backoff: { base: 0 }, ...options }))
  return {
    bedrock: Context.get(context, Bedrock.Bedrock),
    requests: Context.get(context, BedrockClientTest.BedrockClientTest).requests
  }
})

export const failing = (reason: Reason.Reason) =>
  new BedrockError.BedrockError({ operation: "Converse", attempts: 1, reason })
export const unavailable = failing(new Reason.ServerError({ kind: "unavailable", message: "Try again." }))
