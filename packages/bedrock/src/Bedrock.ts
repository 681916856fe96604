/**
 * Bedrock with its quota kept: the runtime's operations, admitted by the limiter, retried by one policy, and sent by
 * the tuned client.
 *
 * **When to use**
 *
 * Use in place of the SDK's client wherever a program sends more than a handful of requests. Callers send what they like, when
 * they like; each call waits just as long as the quota asks for.
 *
 * **Details**
 *
 * A call goes through three stages. *Backoff* owns its attempts: at most four requests, about 1 s, 2 s and 4 s apart, only for
 * what is worth another try. For each attempt the *limiter* reserves on the pool of the model: input, as learned from earlier
 * answers, and `maxTokens` (the model's maximum where it is not set), or the predicted charge where burndown makes that more.
 * The *client* sends it, and the usage that comes back settles the reservation. A stream may be asked for again until its
 * first content, never after.
 *
 * **Gotchas**
 *
 * Set `maxTokens`: what it reserves and does not use is not free for others until the answer is there. The limiter knows
 * what passes through this layer, and no other program on the same account.
 *
 * **Example** (Three lines to a call)
 *
 * ```ts
 * import { Bedrock } from "@caprock/bedrock"
 * import { Effect } from "effect"
 *
 * const program = Bedrock.Bedrock.use((bedrock) =>
 *   bedrock.converse({
 *     modelId: "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
 *     messages: [{ role: "user", content: [{ text: "Why is the sky blue?" }] }],
 *     inferenceConfig: { maxTokens: 500 }
 *   })
 * )
 *
 * const BedrockLive = Bedrock.layer({
 *   region: "us-east-1",
 *   quotas: { default: { requestsPerMinute: 200, tokensPerMinute: 200_000 } }
 * })
 *
 * export const main = program.pipe(Effect.provide(BedrockLive))
 * ```
 *
 * @since 0.1.0
 */
import type * as Backoff from "@caprock/backoff/Backoff"
import * as RetryBudget from "@caprock/backoff/RetryBudget"
import * as BedrockClient from "@caprock/client/BedrockClient"
import type * as BedrockClientTest from "@caprock/client/BedrockClientTest"
import * as Operations from "@caprock/client/Operations"
import * as Settings from "@caprock/client/Settings"
import type { BedrockError } from "@caprock/errors/BedrockError"
import type * as OutputPredictor from "@caprock/quota/OutputPredictor"
import * as Pool from "@caprock/quota/Pool"
import * as Quotas from "@caprock/quota/Quotas"
import type { LimiterStore } from "@caprock/rate-limiter/LimiterStore"
import type * as Order from "@caprock/rate-limiter/Order"
import * as RateLimiter from "@caprock/rate-limiter/RateLimiter"
import type { Decision } from "@caprock/router/Decision"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as calls from "./internal/calls.ts"
import * as copies from "./internal/copies.ts"
import * as desks from "./internal/desk.ts"
import * as fencing from "./internal/fencing.ts"
import * as settings from "./internal/options.ts"
import * as questions from "./internal/questions.ts"
import * as readings from "./internal/readings.ts"
import * as routable from "./internal/routable.ts"
import * as routing from "./internal/routing.ts"
import * as session from "./internal/session.ts"
import * as Routes from "./Routes.ts"

// -----------------------------------------------------------------------------
// Models
// -----------------------------------------------------------------------------

/**
 * How the pool of a model stands, and what its answers advise.
 *
 * @category models
 * @since 0.1.0
 */
export interface Snapshot extends RateLimiter.Snapshot {
  readonly pool: string
  /** What the answers so far say about output lengths; `undefined` before there are enough of them. */
  readonly advice: OutputPredictor.Advice | undefined
}

// -----------------------------------------------------------------------------
// Options
// -----------------------------------------------------------------------------

/**
 * How quotas are kept.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface QuotaOptions {
  /**
   * The quotas of the account: entries by model id, inference profile or ARN, and `default` for every pool without one of its
   * own, as in a quota file; or `Quotas` made of them. For a pool without a quota see
   * `withoutQuota`; an entry without limits, `{}`, is not limited. None unless given.
   *
   * An entry that makes no sense fails the layer, as any option does.
   */
  readonly quotas?: Quotas.Quotas | Readonly<Record<string, Quotas.Quota>> | undefined
  /** Meters that are shorter than a minute, and the length of the minute itself (for emulators). */
  readonly meters?: Quotas.MeterOptions | undefined
  /**
   * What holds for a pool without a quota: `"probe"` finds its limits by what Bedrock refuses, beginning with 100 requests in
   * a minute; `"unlimited"` sends everything at once. @default "probe"
   */
  readonly withoutQuota?: "probe" | "unlimited" | undefined
  /** How long a charge stays booked beyond its window. @default 250 millis */
  readonly guard?: Duration.Input | undefined
  /** Who goes first: ageing, weights of tenants, shares that are kept. `CallTurn` says whose a call is. */
  readonly order?: Order.Options | undefined
  /** How many calls may wait for one pool. No bounds unless set. */
  readonly room?: Order.RoomOptions | undefined
}

/**
 * What holds where processes share the quotas: what happens when their store is away, how long a process is believed without a word, and how often it
 * asks. See `RateLimiter.SharedOptions`.
 *
 * @category configuration
 * @since 0.1.0
 */
export type SharingOptions = Pick<RateLimiter.SharedOptions, "onLoss" | "lease" | "beat">

/**
 * How calls are made.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface CallOptions extends Routes.RouteOptions {
  /** The account's id, or any name for it: services on one limiter that name the same account share its pools. @default "default" */
  readonly account?: string | undefined
  /** Model behind an application inference profile, custom model or other id that does not say it. */
  readonly resolve?: ReadonlyMap<string, string> | undefined
  /** Attempts, and the waits between them. */
  readonly backoff?: Omit<Backoff.Options, "budget" | "pool"> | undefined
  /**
   * Longest wait for quota, of each attempt. No limit unless set: what is sent first has to go first, and how long that takes
   * is the callers' own doing. A caller sets its own by `CallLimits`.
   */
  readonly maxWait?: Duration.Input | undefined
  /**
   * For each call as a whole, its waits and retries included. No limit unless set: a batch that waits for its quota the
   * whole night is as right as a page that can't wait ten seconds. A caller sets its own by `CallLimits`.
   */
  readonly deadline?: Duration.Input | undefined
  /** Whether a throttled request stays counted against requests per minute. @default true */
  readonly countThrottled?: boolean | undefined
}

/**
 * What {@link layer} takes, but for the client's own.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface ServiceOptions extends QuotaOptions, CallOptions {
  /** Bounds the retries of all calls of this layer together, for each pool: see `RetryBudget`. */
  readonly retryBudget?: RetryBudget.Options | undefined
}

/**
 * Everything that {@link layer} takes.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface Options extends ServiceOptions, BedrockClient.Options {}

/**
 * The variables that {@link layerConfig} reads, with those of the client: ours before those of AWS.
 *
 * @category configuration
 * @since 0.1.0
 */
export const variables: ReadonlyArray<Settings.Variable> = settings.variables

/**
 * The options that are given, and for all others what is found in {@link variables} by the current `ConfigProvider`. Fails with
 * all that is wrong with them.
 *
 * @category configuration
 * @since 0.1.0
 */
export const config = (options: Options = {}): Effect.Effect<Options, Settings.OptionsError> => settings.load(options)

// -----------------------------------------------------------------------------
// Service
// -----------------------------------------------------------------------------

/**
 * The operations of `BedrockClient`, with the SDK's own input and output types. Those that ask a model pass the limiter; the others
 * (`countTokens`, guardrails, jobs), which no model's quota meters, are sent at once, and retried like the rest.
 *
 * `startAsyncInvoke` makes one job, however often it is tried: without a `clientRequestToken` in the input, the call makes one
 * of Effect's `Random`, the same for all its attempts.
 *
 * All fail with `BedrockError`. Its `attempts` are the requests that were sent for the call. Beyond the client's own reasons
 * there is `ValidationError` of kind `exceeds-quota`, at once, for a request that is larger than its whole quota, and
 * `AdmissionError` where `maxWait` is set and the predicted wait is longer, or `room` is and too many wait.
 *
 * Interrupting a call at any point leaves no waiter, reservation, fiber or socket behind; what the server may have charged
 * stays booked until it leaves the window.
 *
 * @category models
 * @since 0.1.0
 */
export interface Service extends Operations.Operations {
  /** The jobs of all pages of `listAsyncInvokes`: a call for each page, when the consumer wants it. */
  readonly listAsyncInvokesAll: BedrockClient.Service["listAsyncInvokesAll"]
  /**
   * A conversation, admitted as one request and the tokens that others of its pool have cost (5,000 at first), and settled by the last
   * usage that it tells. One that breaks off stays charged with what was booked, or what it had told if that is more. It is tried again
   * only if nothing was sent: what was said can't be said again.
   */
  readonly invokeModelWithBidirectionalStream: BedrockClient.Service["invokeModelWithBidirectionalStream"]
  /** How the pool of a model id, profile or ARN stands. */
  readonly snapshot: (modelId: string) => Effect.Effect<Snapshot, BedrockError>
  /** Where a conversation that names a route would go now, in which order, and why: what its call begins with. Nothing is sent. */
  readonly describe: (input: Parameters<Operations.Operations["converse"]>[0]) => Effect.Effect<Decision, BedrockError>
}

/**
 * Bedrock with its quota kept.
 *
 * @category services
 * @since 0.1.0
 */
export class Bedrock extends Context.Service<Bedrock, Service>()("@caprock/bedrock/Bedrock") {}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Assembles the service from the client, limiter and retry budget of its context.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  options: CallOptions = {}
): Effect.fn.Return<
  Bedrock["Service"],
  Settings.OptionsError,
  BedrockClient.BedrockClient | RateLimiter.RateLimiter | RetryBudget.RetryBudget | Scope.Scope
> {
  yield* Settings.check(settings.CallOptions, options)
  yield* copies.warned
  const client = yield* BedrockClient.BedrockClient
  const desk = yield* desks.make(client.region, options)

  const unmetered = <Input, Output>(
    operation: string,
    send: (input: Input) => Effect.Effect<Output, BedrockError>
  ) => calls.unmetered(desk, operation, send)
  const startAsyncInvoke = unmetered("StartAsyncInvoke", client.startAsyncInvoke)
  const listAsyncInvokes = unmetered("ListAsyncInvokes", client.listAsyncInvokes)

  const plain: Service = {
    converse: (input) =>
      calls.unary(
        desk,
        () => questions.converse("Converse", input),
        () => client.converse(input),
        readings.conversed
      ),
    converseStream: (input) =>
      calls.streamed(
        desk,
        () => questions.converse("ConverseStream", input),
        () => client.converseStream(input),
        () => readings.converse
      ),
    invokeModel: (input) =>
      calls.unary(
        desk,
        () => questions.invokeModel("InvokeModel", input),
        () => client.invokeModel(input),
        (answer, attempt, { family }) => readings.invoked(attempt.head(), answer.body, family)
      ),
    invokeModelWithResponseStream: (input) =>
      calls.streamed(
        desk,
        () => questions.invokeModel("InvokeModelWithResponseStream", input),
        () => client.invokeModelWithResponseStream(input),
        ({ family }) => readings.chunks(family)
      ),
    invokeModelWithBidirectionalStream: (input) => session.converse(desk, client, input),
    countTokens: unmetered("CountTokens", client.countTokens),
    applyGuardrail: unmetered("ApplyGuardrail", client.applyGuardrail),
    invokeGuardrailChecks: unmetered("InvokeGuardrailChecks", client.invokeGuardrailChecks),
    startAsyncInvoke: (input) => Effect.flatMap(questions.tokened(input), startAsyncInvoke),
    getAsyncInvoke: unmetered("GetAsyncInvoke", client.getAsyncInvoke),
    listAsyncInvokes,
    listAsyncInvokesAll: Operations.listAsyncInvokesAll({ listAsyncInvokes }),
    snapshot: (modelId) => desks.snapshot(desk, modelId),
    describe: (input) => Effect.fail(desks.unknownRoute(desk, input.modelId))
  }
  // Who has none pays nothing for them. But a last resort may ask any service.
  if (options.routes === undefined) return Bedrock.of(fencing.over(plain, desk.region, undefined))
  const routes = yield* routing.make(desk, client, options)
  return Bedrock.of(routable.over(fencing.over(plain, desk.region, routes.table), routes))
})

// -----------------------------------------------------------------------------
// Layers
// -----------------------------------------------------------------------------

/**
 * A limiter in memory whose pools have the meters of the quotas.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerLimiter = (
  options: QuotaOptions = {}
): Layer.Layer<RateLimiter.RateLimiter, Settings.OptionsError> =>
  Layer.unwrap(
    Effect.map(settings.check(settings.QuotaOptions, options), (options) => RateLimiter.layer(metered(options)))
  )

/**
 * The same limiter, that shares the quotas with all processes that have the same store. For {@link layerNoDeps}, or see {@link layerShared}.
 * Where nobody knows a quota, each process finds its own part of it.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerLimiterShared = (
  options: QuotaOptions & SharingOptions = {}
): Layer.Layer<RateLimiter.RateLimiter, Settings.OptionsError, LimiterStore> =>
  Layer.unwrap(Effect.map(
    settings.check(settings.SharedQuotaOptions, options),
    ({ beat, lease, onLoss, ...options }) => RateLimiter.layerShared({ ...metered(options), beat, lease, onLoss })
  ))

/**
 * The service on a client, limiter and retry budget of your own: for a limiter that is shared between processes, a scripted
 * client in tests, or a budget that other calls draw on too. A client of your own has to keep the `CallDeadline`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerNoDeps = (
  options: CallOptions = {}
): Layer.Layer<
  Bedrock,
  Settings.OptionsError,
  BedrockClient.BedrockClient | RateLimiter.RateLimiter | RetryBudget.RetryBudget
> => Layer.effect(Bedrock, make(options))

/**
 * The whole service. Needs nothing; looks for Region and credentials where the SDK does, unless they are given. Fails where an
 * option makes no sense, with all that is wrong.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options = {}): Layer.Layer<Bedrock, Settings.OptionsError> =>
  Layer.unwrap(Effect.map(settings.check(settings.Options, options), assembled))

/**
 * The whole service, whose quotas are shared with all processes that have the same store: together they stay within them. It is the same program as with
 * {@link layer}; give it `LimiterStore.layerRedis` or `LimiterStore.layerLocal` of `@caprock/rate-limiter`. Processes that are to share name
 * the same account, or none.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerShared = (
  options: Options & SharingOptions = {}
): Layer.Layer<Bedrock, Settings.OptionsError, LimiterStore> =>
  Layer.unwrap(Effect.map(
    settings.check(settings.SharedOptions, options),
    (options) =>
      onClient(options, serviceOn(options, layerLimiterShared(Settings.pick(settings.SharedQuotaOptions, options))))
  ))

/**
 * {@link layer}, with what is not given read from {@link variables}: ours, such as `CAPROCK_TPM`, and those of AWS.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (options: Options = {}): Layer.Layer<Bedrock, Settings.OptionsError> =>
  Layer.unwrap(Effect.map(config(options), assembled))

/**
 * The whole service over a client that answers from a script, for tests of programs that use it. Quotas, waits and retries are
 * the real ones, on the test's clock; no network, no credentials. What the client was asked is in `BedrockClientTest`.
 *
 * @see `BedrockClientTest` of `@caprock/client` for scripts.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerTest = (
  script: BedrockClientTest.Script,
  options: ServiceOptions = {}
): Layer.Layer<Bedrock | BedrockClientTest.BedrockClientTest, Settings.OptionsError> =>
  Layer.unwrap(Effect.map(
    settings.check<ServiceOptions>(settings.ServiceOptions, { withoutQuota: "unlimited", ...options }),
    (options) =>
      // One script for all Regions.
      Layer.provideMerge(
        Layer.unwrap(Effect.map(BedrockClient.BedrockClient, (client) =>
          Layer.provide(
            service(options),
            Layer.succeed(Routes.RegionClients, () => Effect.succeed(client))
          ))),
        BedrockClient.layerTest(script)
      )
  ))

// -----------------------------------------------------------------------------
// Mechanics
// -----------------------------------------------------------------------------

/** The options of a limiter that has the meters of the quotas. */
const metered = (
  { guard, meters, order, room, withoutQuota, ...options }: QuotaOptions
): RateLimiter.Options => {
  const quotas = settings.quotasOf(options)
  const unknown = withoutQuota === "unlimited" ? [] : Quotas.metersOfUnknown(meters)
  return {
    meters: (key) => {
      const pool = Pool.fromKey(key)
      return pool === undefined ? [] : Quotas.metersFor(quotas, pool, { ...meters, withoutQuota: unknown })
    },
    guard,
    order,
    room
  }
}

const serviceOn = <R>(
  options: ServiceOptions,
  limiter: Layer.Layer<RateLimiter.RateLimiter, Settings.OptionsError, R>
): Layer.Layer<Bedrock, Settings.OptionsError, BedrockClient.BedrockClient | R> =>
  layerNoDeps(Settings.pick(settings.CallOptions, options)).pipe(
    // Its options have been checked.
    Layer.provide([limiter, Layer.orDie(RetryBudget.layer(options.retryBudget))])
  )

const service = (
  options: ServiceOptions
): Layer.Layer<Bedrock, Settings.OptionsError, BedrockClient.BedrockClient> =>
  serviceOn(options, layerLimiter(Settings.pick(settings.QuotaOptions, options)))

const assembled = (options: Options): Layer.Layer<Bedrock, Settings.OptionsError> => onClient(options, service(options))

/** A service on the client of its own options; one for each Region where routes have targets in several. */
const onClient = <R>(
  options: Options,
  service: Layer.Layer<Bedrock, Settings.OptionsError, BedrockClient.BedrockClient | R>
): Layer.Layer<Bedrock, Settings.OptionsError, Exclude<R, BedrockClient.BedrockClient>> => {
  const own = Settings.pick(BedrockClient.Options, options)
  return Layer.provide(service, [
    BedrockClient.layer(own),
    Layer.succeed(Routes.RegionClients, (region: string) => BedrockClient.make({ ...own, region }))
  ])
}
