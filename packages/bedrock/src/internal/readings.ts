// Where the answers of each operation tell what they cost.
import * as AnswerContent from "@caprock/client/AnswerContent"
import type { BedrockClient } from "@caprock/client/BedrockClient"
import * as BidirectionalStream from "@caprock/client/BidirectionalStream"
import type { ResponseHead } from "@caprock/client/CallObserver"
import * as Usage from "@caprock/client/Usage"
import * as Family from "@caprock/quota/Family"
import type * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type * as Stream from "effect/Stream"
import type { Served } from "./attempt.ts"
import type { Reading } from "./streaming.ts"

type Operations = BedrockClient["Service"]
type ConverseEvent = Stream.Success<ReturnType<Operations["converseStream"]>>
type Conversed = Effect.Success<ReturnType<Operations["converse"]>>
type SessionEvent = Stream.Success<ReturnType<Operations["invokeModelWithBidirectionalStream"]>>
type ChunkEvent = Stream.Success<ReturnType<Operations["invokeModelWithResponseStream"]>>

const metricsKey = "amazon-bedrock-invocationMetrics"

/** @internal */
export const conversed = ({ metrics, usage }: Conversed): Served => ({
  usage: Usage.fromTokenUsage(usage),
  latencyMillis: millis(metrics?.latencyMs)
})

/** @internal */
export const converse: Reading<ConverseEvent> = {
  isContent: AnswerContent.inConverse,
  servedBy: ({ metadata }) =>
    metadata === undefined ? undefined : {
      usage: Usage.fromTokenUsage(metadata.usage),
      latencyMillis: millis(metadata.metrics?.latencyMs)
    },
  usageAtEnd: () => undefined
}

/**
 * The chunks of InvokeModelWithResponseStream. Bedrock's own metrics are in the last; where they are missing, the family's own
 * counts are followed from chunk to chunk.
 */
export const chunks = (family: Family.Family = Family.unknown): Reading<ChunkEvent> => {
  const follow = Family.follow(family)
  let followed: Served["usage"]
  return {
    isContent: AnswerContent.inChunk,
    servedBy: ({ chunk }) => {
      const text = chunk?.bytes === undefined ? "" : new TextDecoder().decode(chunk.bytes)
      // Few chunks tell anything of tokens: the others are not parsed.
      if (!text.includes("oken") && !text.includes(metricsKey)) return undefined
      const json = parse(text)
      followed = follow(json)
      if (!Predicate.hasProperty(json, metricsKey)) return undefined
      const metrics = json[metricsKey]
      const latency = Predicate.hasProperty(metrics, "invocationLatency") ? metrics.invocationLatency : undefined
      return {
        usage: Usage.fromInvocationMetrics(metrics),
        latencyMillis: millis(latency)
      }
    },
    usageAtEnd: () => followed
  }
}

/** A conversation tells what it has cost so far, again and again. What was begun is not asked for again, whatever it was. @internal */
export const session: Reading<SessionEvent> = {
  isContent: () => true,
  servedBy: (event) => {
    const bytes = event.chunk?.bytes
    // Most events are speech.
    if (bytes === undefined || bytes.length > largestUsage) return undefined
    const said = BidirectionalStream.json(event)
    const named = Predicate.hasProperty(said, "event") ? said.event : undefined
    return Predicate.hasProperty(named, "usageEvent")
      ? { usage: Usage.fromUsageEvent(named.usageEvent), latencyMillis: undefined }
      : undefined
  },
  usageAtEnd: () => undefined
}

/** A `usageEvent` has about 600 bytes. */
const largestUsage = 4_000

/** An answer of 128,000 tokens is below 1 MB: what is larger holds vectors or pictures, and has its usage in the headers. */
const largestRead = 4_000_000

/**
 * InvokeModel tells its usage and latency in headers that its output leaves out. Where they are missing, or garbage, most families
 * tell the usage in the body as well: only then is it parsed.
 */
export const invoked = (
  head: ResponseHead | undefined,
  body: Uint8Array | undefined,
  family: Family.Family = Family.unknown
): Served => {
  const headers = head?.headers ?? {}
  return {
    usage: Usage.fromHeaders(headers, family) ?? usageInBody(body, family),
    latencyMillis: millis(Number(headers["x-amzn-bedrock-invocation-latency"]))
  }
}

const usageInBody = (body: Uint8Array | undefined, family: Family.Family): Served["usage"] =>
  body === undefined || body.length > largestRead || family.usage.length === 0
    ? undefined
    : Family.usage(family, parse(new TextDecoder().decode(body)))

/** A time that the server has measured, where it is one: nobody has checked what it wrote. */
const millis = (value: unknown): number | undefined => typeof value === "number" && value >= 0 ? value : undefined

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
