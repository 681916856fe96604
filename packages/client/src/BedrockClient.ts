/**
 * Bedrock's runtime operations as typed Effects and Streams: one call is one HTTP request.
 *
 * The requests are made by the unmodified AWS SDK, whose retries are off: who wants retries owns them
 * (`@caprock/backoff`, or the assembled `@caprock/bedrock`). Its transport is replaced, because the default one opens a
 * connection for every request, has no timeouts, and ends a cut stream as if it were complete.
 *
 * **Example** (Asking a question)
 *
 * ```ts
 * import { BedrockClient } from "@caprock/client"
 * import { Console, Effect } from "effect"
 *
 * export const main = Effect.gen(function*() {
 *   const client = yield* BedrockClient.BedrockClient
 *   const answer = yield* client.converse({
 *     modelId: "us.amazon.nova-lite-v1:0",
 *     messages: [{ role: "user", content: [{ text: "What is a caprock?" }] }],
 *     inferenceConfig: { maxTokens: 500 }
 *   })
 *   yield* Console.log(answer.stopReason) // => end_turn
 * }).pipe(
 *   Effect.catchReason("BedrockError", "ThrottlingError", (reason) => Console.log(reason.message)),
 *   Effect.provide(BedrockClient.layer({ region: "us-east-1" }))
 * )
 * ```
 *
 * @since 0.1.0
 */
import {
  type AsyncInvokeSummary,
  BedrockRuntimeClient,
  type BedrockRuntimeClientConfig,
  InvokeModelWithBidirectionalStreamCommand,
  type ListAsyncInvokesCommandInput
} from "@aws-sdk/client-bedrock-runtime"
import type { BedrockError } from "@caprock/errors/BedrockError"
import { toEndpointV1 } from "@smithy/core/transport"
import type { AwsCredentialIdentity, AwsCredentialIdentityProvider } from "@smithy/types"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import * as Test from "./BedrockClientTest.ts"
import type * as BidirectionalStream from "./BidirectionalStream.ts"
import { collect } from "./internal/bounds.ts"
import { providerOf, Search } from "./internal/credentials.ts"
import { eventStreams } from "./internal/events.ts"
import { once } from "./internal/once.ts"
import * as operations from "./internal/operations.ts"
import { limitsOf } from "./internal/patience.ts"
import * as scripted from "./internal/scripted.ts"
import * as session from "./internal/session.ts"
import { Sha256 } from "./internal/sha256.ts"
import * as Transport from "./internal/transport.ts"
import * as Operations from "./Operations.ts"
import * as Settings from "./Settings.ts"
import * as Timeouts from "./Timeouts.ts"

// -----------------------------------------------------------------------------
// Options
// -----------------------------------------------------------------------------

/**
 * What holds where an option is not set. Those of time are `Timeouts.defaults`.
 *
 * @category configuration
 * @since 0.1.0
 */
export const defaults = {
  /**
   * Over HTTP/1.1 a connection carries one call at a time, and 10,000 requests per minute, the largest default quota
   * (Bedrock endpoints and quotas, copy of 2026-04), of 6 s each are 1,000 at once. Connections are opened when they are
   * needed, so the number costs nothing until then.
   */
  maxConnections: 1_024
} as const

/**
 * Where requests go, as whom, and over how many connections. What is left out is found by the SDK as it always does:
 * `AWS_REGION`, `AWS_ENDPOINT_URL_BEDROCK_RUNTIME`, `AWS_BEARER_TOKEN_BEDROCK`, the credential provider chain.
 *
 * - `region`: such as `"us-east-1"`.
 * - `endpoint`: a URL, for a VPC endpoint or an emulator. `http:` and `https:`.
 * - `credentials`: for signing. Where they are given, a bearer token in the environment is not looked at.
 * - `token`: a Bedrock API key; wins over `credentials`.
 * - `profile`: of the shared configuration files.
 * - `maxConnections`: for all calls together; further ones wait in order, and are signed when it is their turn. Default 1,024.
 * - `timeouts`: see `Timeouts`.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface Options {
  readonly region?: string | undefined
  readonly endpoint?: string | undefined
  readonly credentials?: AwsCredentialIdentity | AwsCredentialIdentityProvider | undefined
  readonly token?: Redacted.Redacted | undefined
  readonly profile?: string | undefined
  readonly maxConnections?: number | undefined
  readonly timeouts?: Timeouts.Timeouts | undefined
}

/**
 * What is allowed for each option, whether it is given in code or by a variable.
 *
 * @category configuration
 * @since 0.1.0
 */
export const Options = Schema.Struct({
  region: Schema.optionalKey(Settings.region),
  endpoint: Schema.optionalKey(Settings.endpoint),
  credentials: Schema.optionalKey(Settings.credentials),
  token: Schema.optionalKey(Settings.secret),
  profile: Schema.optionalKey(Settings.name),
  maxConnections: Schema.optionalKey(Settings.count),
  timeouts: Schema.optionalKey(Schema.Struct({
    credentials: Schema.optionalKey(Settings.timeLimit),
    connect: Schema.optionalKey(Settings.timeLimit),
    firstToken: Schema.optionalKey(Settings.timeLimit),
    betweenTokens: Schema.optionalKey(Settings.timeLimit),
    call: Schema.optionalKey(Settings.timeLimit)
  }))
})

/**
 * The variables that {@link layerConfig} reads, ours before those of AWS. What else AWS has, such as `AWS_PROFILE` and the
 * credentials, the SDK reads itself, as its documentation says.
 *
 * @category configuration
 * @since 0.1.0
 */
export const variables: ReadonlyArray<Settings.Variable> = [
  ...Settings.regionVariables,
  ...Settings.endpointVariables("CAPROCK_ENDPOINT", "BEDROCK_RUNTIME"),
  ...["CAPROCK_TOKEN", "AWS_BEARER_TOKEN_BEDROCK"].map((name) => ({
    name,
    option: "token",
    read: Settings.readers.secret,
    example: "bedrock-api-key-1",
    unless: ["credentials"]
  })),
  { name: "CAPROCK_PROFILE", option: "profile", read: Settings.readers.text, example: "production" },
  { name: "CAPROCK_MAX_CONNECTIONS", option: "maxConnections", read: Settings.readers.number, example: "200" },
  {
    name: "CAPROCK_TIMEOUT_CREDENTIALS",
    option: "timeouts.credentials",
    read: Settings.readers.text,
    example: "20 seconds"
  },
  { name: "CAPROCK_TIMEOUT_CONNECT", option: "timeouts.connect", read: Settings.readers.text, example: "5 seconds" },
  {
    name: "CAPROCK_TIMEOUT_FIRST_TOKEN",
    option: "timeouts.firstToken",
    read: Settings.readers.text,
    example: "2 minutes"
  },
  {
    name: "CAPROCK_TIMEOUT_BETWEEN_TOKENS",
    option: "timeouts.betweenTokens",
    read: Settings.readers.text,
    example: "30 seconds"
  },
  { name: "CAPROCK_TIMEOUT_CALL", option: "timeouts.call", read: Settings.readers.text, example: "5 minutes" }
]

/**
 * The options that are given, and for all others what is found in {@link variables} by the current `ConfigProvider`. Fails with
 * all that is wrong with them.
 *
 * @category configuration
 * @since 0.1.0
 */
export const config = (options: Options = {}): Effect.Effect<Options, Settings.OptionsError> =>
  Settings.load(Options, variables, options)

// -----------------------------------------------------------------------------
// Service
// -----------------------------------------------------------------------------

/**
 * What the service does. Inputs and outputs are the SDK's own types.
 *
 * Interrupting a call, or leaving a stream early, ends its request and closes its connection at once. A stream ends in
 * success only when the whole answer was seen; else it fails, and when anything of the answer had been given, with an
 * `InterruptedStreamError` that carries the partial text (so a stream holds the text of its answer in memory).
 *
 * @category models
 * @since 0.1.0
 */
export interface Service extends Operations.Operations {
  /** The Region that requests go to; `undefined` where neither the options nor the SDK's own sources name one. */
  readonly region: string | undefined
  /** The jobs of all pages of `listAsyncInvokes`: one request for a page, when the consumer wants it. */
  readonly listAsyncInvokesAll: (
    input?: ListAsyncInvokesCommandInput
  ) => Stream.Stream<AsyncInvokeSummary, BedrockError>
  /** A conversation in which both sides speak at once: see `BidirectionalStream`. */
  readonly invokeModelWithBidirectionalStream: BidirectionalStream.Operation
}

/**
 * Bedrock's runtime operations.
 *
 * @category services
 * @since 0.1.0
 */
export class BedrockClient extends Context.Service<BedrockClient, Service>()("@caprock/client/BedrockClient") {}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Makes a client that lives as long as the scope. Closing it ends the calls that are still running, and closes every
 * connection. Sends nothing, and looks for credentials only at the first call. Fails where an option makes no sense.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options = {}): Effect.Effect<Service, Settings.OptionsError, Scope.Scope> =>
  Effect.gen(function*() {
    yield* Settings.check(Options, options)
    const maxConnections = options.maxConnections ?? defaults.maxConnections
    const limits = limitsOf(options.timeouts, Timeouts.defaults)
    const transport = yield* Effect.acquireRelease(
      Effect.sync(() =>
        Transport.make({
          maxConnections,
          connectMillis: socketMillis(limits.connect),
          // The SDK makes three tries.
          searchMillis: socketMillis(limits.credentials / 3)
        })
      ),
      (transport) => transport.close
    )
    const runFork = Effect.runForkWith(yield* Effect.context<never>())
    const search = new Search((message) => runFork(Effect.logWarning(message)))
    const client = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const client = clientOf(configurationOf(options, transport), search.logger)
        search.watch(client)
        return client
      }),
      (client) => Effect.sync(() => client.destroy())
    )
    // Most programs never hold a conversation, and a client of the SDK is not free.
    const duplex = yield* lazily(() => clientOf(duplexConfigurationOf(options, transport, client), search.logger))
    const region = yield* regionOf(client)
    return serviceOf(
      region,
      operations.make({ client, limits, region, seats: transport }),
      session.make({
        limits,
        region,
        seats: transport,
        send: (input, options) =>
          duplex().send(new InvokeModelWithBidirectionalStreamCommand(input), options).then(({ body }) => body)
      })
    )
  })

// -----------------------------------------------------------------------------
// Layers
// -----------------------------------------------------------------------------

/**
 * {@link make} as a layer.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options = {}): Layer.Layer<BedrockClient, Settings.OptionsError> =>
  Layer.effect(BedrockClient, make(options))

/**
 * {@link layer}, with what is not given read from {@link variables}.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (options: Options = {}): Layer.Layer<BedrockClient, Settings.OptionsError> =>
  Layer.effect(BedrockClient, Effect.flatMap(config(options), make))

/**
 * A client that answers from a script, for tests of programs that use one; and what it was asked. No network, no
 * credentials, no timeouts.
 *
 * @see `BedrockClientTest` for scripts and an example.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerTest = (script: Test.Script): Layer.Layer<BedrockClient | Test.BedrockClientTest> =>
  Layer.effectContext(Effect.sync(() => {
    const { operations, requests, session } = scripted.make(script)
    return Context.make(BedrockClient, serviceOf(script.region ?? "us-east-1", operations, session)).pipe(
      Context.add(Test.BedrockClientTest, { requests })
    )
  }))

// -----------------------------------------------------------------------------
// Mechanics
// -----------------------------------------------------------------------------

const serviceOf = (
  region: string | undefined,
  operations: Operations.Operations,
  session: BidirectionalStream.Operation
): Service => ({
  ...operations,
  region,
  listAsyncInvokesAll: Operations.listAsyncInvokesAll(operations),
  invokeModelWithBidirectionalStream: session
})

const configurationOf = (options: Options, transport: Transport.Transport): BedrockRuntimeClientConfig => {
  const { token } = options
  return {
    maxAttempts: 1,
    // Else AWS_RETRY_MODE=adaptive, in the environment or a profile, holds calls back after a throttle, where no one sees it.
    retryStrategy: once,
    requestHandler: transport.handler,
    streamCollector: collect,
    eventStreamSerdeProvider: eventStreams,
    sha256: Sha256,
    ...(options.region === undefined ? {} : { region: options.region }),
    // Of a text it would make a URL for each call, twice.
    ...(options.endpoint === undefined ? {} : { endpoint: toEndpointV1(options.endpoint) }),
    ...(options.profile === undefined ? {} : { profile: options.profile }),
    // Signing comes first in the SDK's order unless the environment holds a bearer token, and then never: what was
    // given in code wins over both.
    ...(options.credentials === undefined
      ? {}
      : { credentials: providerOf(options.credentials), authSchemePreference: ["sigv4"] }),
    ...(token === undefined
      ? {}
      : {
        token: () => Promise.resolve({ token: Redacted.value(token) }),
        authSchemePreference: ["httpBearerAuth"]
      })
  }
}

/**
 * For the operation that needs HTTP/2, whose signature names the host as HTTP/2 does, and for which no API key is accepted (AWS,
 * "API keys reference", read 2026-11).
 */
const duplexConfigurationOf = (
  options: Options,
  transport: Transport.Transport,
  { config }: BedrockRuntimeClient
): BedrockRuntimeClientConfig => ({
  ...configurationOf({ ...options, token: undefined }, transport),
  // What the other client finds is good for both. By itself this one would find it over connections that the SDK makes beside
  // ours, as it does where HTTP/2 is spoken: without a time limit, and left open.
  credentials: config.credentials,
  requestHandler: transport.duplexHandler,
  authSchemePreference: ["sigv4"]
})

const clientOf = (
  configuration: BedrockRuntimeClientConfig,
  logger: NonNullable<BedrockRuntimeClientConfig["logger"]>
): BedrockRuntimeClient => {
  const client = new BedrockRuntimeClient({ ...configuration, logger })
  // It copies every question and answer for a log that nobody has asked for.
  client.middlewareStack.remove("loggerMiddleware")
  return client
}

/** The Region of the options, or where the SDK found one: a variable or a profile, which nobody has looked at yet. */
const regionOf = ({ config }: BedrockRuntimeClient): Effect.Effect<string | undefined, Settings.OptionsError> =>
  Effect.tryPromise({
    try: () => config.region(),
    catch: (cause) => cause instanceof Error ? cause.message : String(cause)
  }).pipe(
    Effect.catch((problem) =>
      problem.startsWith("Region is missing") ? Effect.succeed(undefined) : Settings.fail("region", problem)
    ),
    Effect.tap((region) => Settings.check(Options, { region }))
  )

/** For a timer of Node's: 0 is none, and more than 24 days are too many for it. */
const socketMillis = (millis: number): number => millis === Infinity ? 0 : Math.min(Math.ceil(millis), 2 ** 31 - 1)

const lazily = <A extends { readonly destroy: () => void }>(
  make: () => A
): Effect.Effect<() => A, never, Scope.Scope> => {
  let made: A | undefined
  return Effect.acquireRelease(Effect.succeed(() => made ??= make()), () => Effect.sync(() => made?.destroy()))
}
