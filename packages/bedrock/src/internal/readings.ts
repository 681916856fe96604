// Where the answers of each operation tell what they cost.
import type { BedrockClient } from "@caprock/client/BedrockClient"
import type { ResponseHead } from "@caprock/client/CallObserver"
import * as Usage from "@caprock/client/Usage"
import * as Predicate from "effect/Predicate"
import type * as Stream from "effect/Stream"
import type { Served } from "./attempt.ts"
import type { Reading } from "./streaming.ts"

type Operations = BedrockClient["Service"]
type ConverseEvent = Stream.Success<ReturnType<Operations["converseStream"]>>
type ChunkEvent = Stream.Success<ReturnType<Operations["invokeModelWithResponseStream"]>>

const metricsKey = "amazon-bedrock-invocationMetrics"

/** @internal */
export const converse: Reading<ConverseEvent> = {
  isContent: (event) => event.contentBlockDelta !== undefined || event.contentBlockStart?.start !== undefined,
  servedBy: ({ metadata }) =>
    metadata === undefined ? undefined : {
      usage: Usage.fromTokenUsage(metadata.usage),
      latencyMillis: metadata.metrics?.latencyMs
    }
}

/** @internal */
export const chunks: Reading<ChunkEvent> = {
  isContent: (event) => event.chunk !== undefined,
  servedBy: ({ chunk }) => {
    // Only the last chunk carries the metrics; the others are not parsed for their sake.
    const text = chunk?.bytes === undefined ? "" : new TextDecoder().decode(chunk.bytes)
    if (!text.includes(metricsKey)) return undefined
    const json = parse(text)
    if (!Predicate.hasProperty(json, metricsKey)) return undefined
    const metrics = json[metricsKey]
    const latency = Predicate.hasProperty(metrics, "invocationLatency") ? metrics.invocationLatency : undefined
    return {
      usage: Usage.fromInvocationMetrics(metrics),
      latencyMillis: typeof latency === "number" ? latency : undefined
    }
  }
}

/** InvokeModel tells its usage and latency in headers that its output leaves out. @internal */
export const headers = (head: ResponseHead | undefined): Served => {
  const latency = Number(head?.headers["x-amzn-bedrock-invocation-latency"])
  return {
    usage: head === undefined ? undefined : Usage.fromHeaders(head.headers),
    latencyMillis: latency >= 0 ? latency : undefined
  }
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
