// What becomes of every operation under every fault that the emulator has. An operation or a fault without a line here is an error of the
// compiler. `faults.test.ts` of this package runs it with one request for each call, that of `bedrock` with quotas and retries.
import { type BedrockClient, BidirectionalStream } from "@caprock/client"
import { Fault } from "@caprock/emulator"
import type { BedrockError } from "@caprock/errors/BedrockError"
import type * as Verdict from "@caprock/errors/Verdict"
import { type Effect, Stream } from "effect"

// -----------------------------------------------------------------------------
// Operations
// -----------------------------------------------------------------------------

/** Every operation that the client has. */
export type Name = Exclude<keyof BedrockClient.Service, "region" | "listAsyncInvokesAll">

/**
 * How an operation answers, as far as faults can tell it:
 *
 * - `members`: JSON with members that an answer must have; `nothing`: JSON that may be empty;
 * - `bytes`: the model's own format, which nobody but the caller reads;
 * - `events`: a stream; `session`: a stream over HTTP/2, while the request is still being sent.
 */
export type Shape = "members" | "nothing" | "bytes" | "events" | "session"

type Outcome = Effect.Effect<unknown, BedrockError> | Stream.Stream<object, BedrockError>

/** What is known of an operation. */
export interface Operation {
  /** Where an operation stands here more than once. */
  readonly family?: string
  readonly shape: Shape
  readonly emulated: Fault.Operation
  /** Events that come after all that a fault can strike. */
  readonly after?: number
  /** The model whose quota meters it. */
  readonly meteredBy?: string
  /** Whether an event of its stream is a part of the answer. */
  readonly isContent?: (event: object) => boolean
  /** Whether events are a whole answer. */
  readonly isWhole?: (events: ReadonlyArray<object>) => boolean
  /** The text in an event. */
  readonly textIn?: (event: object) => string
}

/** `job` is the ARN of an asynchronous invocation that there is. */
export interface Asked<N extends Name> extends Operation {
  readonly ask: (service: Pick<BedrockClient.Service, N>, job: string) => Outcome
}

const nova = "amazon.nova-lite-v1:0"
const claude = "anthropic.claude-sonnet-4-5-20250929-v1:0"
const llama = "meta.llama3-1-70b-instruct-v1:0"
const sonic = "amazon.nova-sonic-v1:0"

/** What is asked for at most, of each model. */
const maxTokens = 60

const conversation = {
  messages: [{ role: "user" as const, content: [{ text: "Why is the sky blue?" }] }],
  inferenceConfig: { maxTokens }
}

const toClaude = {
  modelId: claude,
  contentType: "application/json",
  body: JSON.stringify({
    anthropic_version: "bedrock-2023-05-31",
    max_tokens: maxTokens,
    messages: [{ role: "user", content: "Why is the sky blue?" }]
  })
}

const toLlama = {
  modelId: llama,
  contentType: "application/json",
  body: JSON.stringify({ prompt: "Why is the sky blue?", max_gen_len: maxTokens })
}

const outputDataConfig = { s3OutputDataConfig: { s3Uri: "s3://bucket/answers" } }

export const job = { modelId: "amazon.nova-reel-v1:1", modelInput: { text: "Hi" }, outputDataConfig }

const speech = [
  { sessionStart: { inferenceConfiguration: { maxTokens } } },
  { promptStart: { promptName: "p", textOutputConfiguration: { mediaType: "text/plain" } } },
  { contentStart: { promptName: "p", contentName: "c", type: "TEXT", interactive: true, role: "USER" } },
  { textInput: { promptName: "p", contentName: "c", content: "Why is the sky blue?" } },
  { contentEnd: { promptName: "p", contentName: "c" } },
  { promptEnd: { promptName: "p" } },
  { sessionEnd: {} }
]

const at = (value: unknown, ...path: ReadonlyArray<string>): unknown =>
  path.reduce(
    (inner: unknown, key) => typeof inner === "object" && inner !== null ? Reflect.get(inner, key) : undefined,
    value
  )

const text = (value: unknown): string => typeof value === "string" ? value : ""

/** The JSON in a chunk. */
const inChunk = (event: object): unknown =>
  BidirectionalStream.json(event as Parameters<typeof BidirectionalStream.json>[0])

const has = (events: ReadonlyArray<object>, key: string): boolean => events.some((event) => key in event)

export const operations: { readonly [N in Name]: ReadonlyArray<Asked<N>> } = {
  converse: [{
    shape: "members",
    emulated: "Converse",
    meteredBy: nova,
    ask: ({ converse }) => converse({ modelId: nova, ...conversation })
  }],
  converseStream: [{
    shape: "events",
    emulated: "ConverseStream",
    meteredBy: nova,
    ask: ({ converseStream }) => converseStream({ modelId: nova, ...conversation }),
    isContent: (event) => "contentBlockDelta" in event,
    isWhole: (events) => has(events, "messageStop") && has(events, "metadata"),
    textIn: (event) => text(at(event, "contentBlockDelta", "delta", "text"))
  }],
  invokeModel: [{
    shape: "bytes",
    emulated: "InvokeModel",
    meteredBy: claude,
    ask: ({ invokeModel }) => invokeModel(toClaude)
  }],
  invokeModelWithResponseStream: [
    {
      family: "anthropic",
      shape: "events",
      emulated: "InvokeModelWithResponseStream",
      meteredBy: claude,
      ask: ({ invokeModelWithResponseStream }) => invokeModelWithResponseStream(toClaude),
      isContent: (event) =>
        text(at(inChunk(event), "type")).startsWith("content_block_") &&
        at(inChunk(event), "type") !== "content_block_stop",
      isWhole: (events) => events.some((event) => at(inChunk(event), "type") === "message_stop"),
      textIn: (event) => text(at(inChunk(event), "delta", "text"))
    },
    {
      family: "llama",
      shape: "events",
      emulated: "InvokeModelWithResponseStream",
      meteredBy: llama,
      ask: ({ invokeModelWithResponseStream }) => invokeModelWithResponseStream(toLlama),
      isContent: (event) => text(at(inChunk(event), "generation")) !== "",
      isWhole: (events) => events.some((event) => text(at(inChunk(event), "stop_reason")) !== ""),
      textIn: (event) => text(at(inChunk(event), "generation"))
    }
  ],
  invokeModelWithBidirectionalStream: [{
    shape: "session",
    emulated: "InvokeModelWithBidirectionalStream",
    after: 1,
    meteredBy: sonic,
    ask: ({ invokeModelWithBidirectionalStream }) =>
      invokeModelWithBidirectionalStream({
        modelId: sonic,
        body: Stream.fromIterable(speech).pipe(Stream.map((event) => BidirectionalStream.chunk({ event })))
      }),
    isContent: (event) => at(inChunk(event), "event", "textOutput") !== undefined,
    isWhole: (events) => events.some((event) => at(inChunk(event), "event", "completionEnd") !== undefined)
  }],
  countTokens: [{
    shape: "members",
    emulated: "CountTokens",
    ask: ({ countTokens }) => countTokens({ modelId: nova, input: { converse: { messages: conversation.messages } } })
  }],
  applyGuardrail: [{
    shape: "members",
    emulated: "ApplyGuardrail",
    ask: ({ applyGuardrail }) =>
      applyGuardrail({
        guardrailIdentifier: "abc123def456",
        guardrailVersion: "1",
        source: "INPUT",
        content: [{ text: { text: "Hi" } }]
      })
  }],
  invokeGuardrailChecks: [{
    shape: "members",
    emulated: "InvokeGuardrailChecks",
    ask: ({ invokeGuardrailChecks }) =>
      invokeGuardrailChecks({
        messages: [{ role: "user", content: [{ text: "Hi" }] }],
        checks: { promptAttack: { categories: [{ category: "JAILBREAK" }] } }
      })
  }],
  startAsyncInvoke: [{
    shape: "members",
    emulated: "StartAsyncInvoke",
    ask: ({ startAsyncInvoke }) => startAsyncInvoke(job)
  }],
  getAsyncInvoke: [{
    shape: "members",
    emulated: "GetAsyncInvoke",
    ask: ({ getAsyncInvoke }, invocationArn) => getAsyncInvoke({ invocationArn })
  }],
  listAsyncInvokes: [{
    shape: "nothing",
    emulated: "ListAsyncInvokes",
    ask: ({ listAsyncInvokes }) => listAsyncInvokes({})
  }]
}

// -----------------------------------------------------------------------------
// Faults
// -----------------------------------------------------------------------------

/**
 * What becomes of one request: it is answered, or fails with a reason of this row of `Verdict.table`. In a stream that is what
 * happens before its first content; after it, an `InterruptedStreamError` has it for its origin. `InterruptedStreamError/empty` is
 * the end without an error.
 */
export type End = "answered" | Verdict.Row

export interface Row {
  readonly name: string
  readonly fault: (place: Fault.Place) => Fault.Fault
  /** What becomes of each shape; what is left out can't be befallen by it. */
  readonly ends: { readonly [S in Shape]?: End }
  /** Where in a stream it is let loose: anywhere, before each frame and after the last, or before the first, one in the middle and the last. */
  readonly places: "any" | "each" | "each frame" | "some frames"
  /** Whether it leaves all frames of a stream as they were, or breaks into them where nobody can tell before. */
  readonly spares?: "all" | "some"
  /** How virtual time goes on: a time limit passes, or a minute for each byte. */
  readonly waits?: "limit" | "bytes"
}

const all = (end: End): Row["ends"] => ({ members: end, nothing: end, bytes: end, events: end, session: end })

const streams = (end: End): Row["ends"] => ({ events: end, session: end })

/** Sessions have no faults of this kind. */
const noSession = (end: End, other: Row["ends"] = {}): Row["ends"] => ({
  members: end,
  nothing: end,
  bytes: end,
  events: end,
  ...other
})

const errors: Readonly<Record<Fault.ErrorName, Verdict.Row>> = {
  ThrottlingException: "ThrottlingError/requests",
  ModelNotReadyException: "ServerError/not-ready",
  ServiceUnavailableException: "ServerError/unavailable",
  InternalServerException: "ServerError/internal",
  ModelTimeoutException: "ServerError/model-timeout",
  ModelErrorException: "ServerError/model",
  ModelStreamErrorException: "ServerError/model",
  ServiceQuotaExceededException: "ResourceQuotaError",
  ValidationException: "ValidationError/malformed",
  AccessDeniedException: "AccessError/denied",
  ResourceNotFoundException: "NotFoundError/resource",
  ConflictException: "ConflictError",
  ExpiredTokenException: "AccessError/expired-credentials",
  UnrecognizedClientException: "AccessError/invalid-credentials",
  InvalidSignatureException: "AccessError/invalid-credentials",
  MissingAuthenticationTokenException: "AccessError/no-credentials",
  IncompleteSignature: "AccessError/invalid-credentials",
  RequestExpired: "AccessError/clock-skew",
  InternalFailure: "ServerError/internal",
  FTUFormNotFilled: "NotFoundError/form-not-filled",
  MPAgreementBeingCreated: "AccessError/agreement-pending",
  UnknownOperationException: "NotFoundError/resource",
  BadGateway: "ServerError/unavailable",
  GatewayTimeout: "ServerError/unavailable",
  Overloaded: "ServerError/overloaded"
}

/** Exceptions inside a stream, by their names there. */
const exceptions: ReadonlyArray<readonly [name: string, frame: "exception" | "error", row: Verdict.Row]> = [
  ["throttlingException", "exception", "ThrottlingError/unknown"],
  ["internalServerException", "exception", "ServerError/internal"],
  ["modelStreamErrorException", "exception", "ServerError/model"],
  ["serviceUnavailableException", "exception", "ServerError/unavailable"],
  ["validationException", "exception", "ValidationError/malformed"],
  // In the union of InvokeModelWithResponseStream alone.
  ["modelTimeoutException", "exception", "ServerError/model-timeout"],
  ["neverHeardOfException", "exception", "UnknownError"],
  ["InternalFailure", "error", "ServerError/internal"],
  ["ThrottlingException", "error", "ThrottlingError/unknown"]
]

const damages: Readonly<Record<Fault.Damage, Verdict.Row>> = {
  "payload": "TransportError/protocol",
  "message-checksum": "TransportError/protocol",
  "prelude-checksum": "TransportError/protocol",
  // It takes what follows for its own, and the stream ends within it.
  "longer": "TransportError/closed",
  "shorter": "TransportError/protocol",
  "zero": "TransportError/protocol",
  "huge": "TransportError/protocol",
  "headers": "TransportError/protocol",
  "json": "TransportError/protocol",
  "null": "TransportError/protocol",
  "garbage": "TransportError/protocol"
}

const heads: Readonly<Record<Fault.Head, Pick<Row, "ends" | "spares">>> = {
  "status-line": { ends: noSession("TransportError/protocol") },
  "header": { ends: noSession("TransportError/protocol") },
  "too-large": { ends: noSession("TransportError/protocol") },
  "lengths": { ends: noSession("TransportError/protocol") },
  // A stream is whole by what it says; all else may go on.
  "longer": { ends: noSession("TransportError/reset", { events: "answered" }), spares: "all" },
  "shorter": { ends: noSession("TransportError/protocol"), spares: "some" },
  "usage": { ends: noSession("answered") },
  "no-type": { ends: noSession("answered") },
  // No answer of a model is a web page.
  "wrong-type": { ends: noSession("answered", { bytes: "TransportError/protocol" }) }
}

const bodies: Readonly<Record<Fault.Body, Pick<Row, "ends" | "spares">>> = {
  "html": { ends: noSession("TransportError/protocol") },
  // As many bytes as were announced: only who knows the model's format can tell.
  "half": {
    ends: noSession("TransportError/protocol", { bytes: "answered", events: "TransportError/closed" }),
    spares: "some"
  },
  "empty": {
    ends: noSession("TransportError/protocol", { nothing: "answered", events: "InterruptedStreamError/empty" })
  },
  "null": { ends: noSession("TransportError/protocol", { bytes: "answered", events: "TransportError/closed" }) }
}

const megabyte = 1_000_000

/** By the tag of the fault. `Job` befalls no request that is made here: it is how a batch job ends. */
export const faults: { readonly [Tag in Exclude<Fault.Fault["_tag"], "Job">]: ReadonlyArray<Row> } = {
  Error: Fault.ErrorName.literals.map((name) => ({
    name,
    fault: () => Fault.error(name),
    ends: all(errors[name]),
    places: "any"
  })),
  Reset: [{ name: "reset", fault: () => Fault.reset, ends: all("TransportError/reset"), places: "any" }],
  Cut: [{ name: "cut", fault: Fault.cut, ends: all("TransportError/reset"), places: "each" }],
  Truncate: [
    { name: "early end", fault: Fault.truncate, ends: streams("InterruptedStreamError/empty"), places: "each" }
  ],
  StreamError: exceptions.map(([name, frame, row], i) => ({
    name: `${frame} ${name}`,
    fault: (at) => Fault.streamError(name, { at, frame }),
    ends: streams(row),
    places: i === 0 ? "each" : "some frames"
  })),
  Silence: [
    {
      name: "silence",
      fault: () => Fault.silence(),
      ends: all("TimeoutError/first-token"),
      places: "any",
      waits: "limit"
    },
    {
      name: "silence within",
      fault: (at) => Fault.silence({ at }),
      ends: streams("TimeoutError/first-token"),
      places: "each",
      waits: "limit"
    }
  ],
  Slow: [{ name: "slow", fault: () => Fault.slow(10), ends: all("answered"), places: "any" }],
  Trickle: [
    { name: "trickle", fault: (at) => Fault.trickle({ at }), ends: noSession("answered"), places: "some frames" },
    {
      name: "trickle without end",
      fault: (at) => Fault.trickle({ at, millis: 60_000 }),
      ends: noSession("TimeoutError/first-token"),
      places: "some frames",
      waits: "bytes"
    }
  ],
  Corrupt: Fault.Damage.literals.map((damage) => ({
    name: `damage: ${damage}`,
    fault: (at) => Fault.corrupt(damage, at),
    ends: streams(damages[damage]),
    places: "each frame"
  })),
  BadHead: Fault.Head.literals.map((head) => ({
    name: `head: ${head}`,
    fault: () => Fault.badHead(head),
    ...heads[head],
    places: "any"
  })),
  BadBody: Fault.Body.literals.map((body) => ({
    name: `body: ${body}`,
    fault: () => Fault.badBody(body),
    ...bodies[body],
    places: "any"
  })),
  Giant: [
    {
      name: "a megabyte",
      fault: (at) => Fault.giant(megabyte, at),
      ends: noSession("answered"),
      places: "some frames"
    },
    {
      name: "25 megabytes",
      fault: (at) => Fault.giant(25 * 1024 * 1024, at),
      ends: { bytes: "answered", events: "TransportError/protocol" },
      places: "any"
    },
    {
      // More than is read of any body. All are read alike, and this takes its time: two are enough.
      name: "70 megabytes",
      fault: (at) => Fault.giant(70 * megabyte, at),
      ends: { nothing: "TransportError/protocol", bytes: "TransportError/protocol" },
      places: "any"
    }
  ]
}
