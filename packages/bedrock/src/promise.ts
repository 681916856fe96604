/**
 * Bedrock with its quota kept, for programs without Effect: the same operations as Promises and async iterables, with
 * `AbortSignal`, and errors as classes.
 *
 * **When to use**
 *
 * Use in code that is not written with Effect, and in applications that are still on Effect 3. In a program on Effect 4 use
 * `Bedrock`: it composes, and costs less.
 *
 * **Details**
 *
 * A client is one set of books: make one for the process, and share it. It opens nothing before its first call, keeps no process
 * alive while no call is under way, and is closed by `close` or `await using`.
 *
 * **Gotchas**
 *
 * Set `maxTokens`: what it reserves and does not use is not free for others until the answer is there. Do not retry around a call,
 * and let no `AbortSignal.timeout` stand for a limit on the wait: `maxWait` fails before anything is sent.
 *
 * **Example** (Three lines to a call)
 *
 * ```ts
 * import { createBedrock } from "@caprock/bedrock/promise"
 *
 * await using bedrock = createBedrock({ region: "us-east-1", quotas: { default: { tokensPerMinute: 200_000 } } })
 *
 * const answer = await bedrock.converse({
 *   modelId: "us.amazon.nova-lite-v1:0",
 *   messages: [{ role: "user", content: [{ text: "Why is the sky blue?" }] }],
 *   inferenceConfig: { maxTokens: 500 }
 * })
 * console.log(answer.stopReason) // => end_turn
 * ```
 *
 * @since 0.1.0
 */
/// <reference lib="esnext.disposable" preserve="true" />
import type {
  ApplyGuardrailCommandInput,
  ApplyGuardrailCommandOutput,
  AsyncInvokeSummary,
  ConverseCommandInput,
  ConverseCommandOutput,
  ConverseStreamCommandInput,
  ConverseStreamOutput,
  CountTokensCommandInput,
  CountTokensCommandOutput,
  GetAsyncInvokeCommandInput,
  GetAsyncInvokeCommandOutput,
  InvokeGuardrailChecksCommandInput,
  InvokeGuardrailChecksCommandOutput,
  InvokeModelCommandInput,
  InvokeModelCommandOutput,
  InvokeModelWithBidirectionalStreamCommandInput,
  InvokeModelWithBidirectionalStreamOutput,
  InvokeModelWithResponseStreamCommandInput,
  ListAsyncInvokesCommandInput,
  ListAsyncInvokesCommandOutput,
  ResponseStream,
  StartAsyncInvokeCommandInput,
  StartAsyncInvokeCommandOutput
} from "@aws-sdk/client-bedrock-runtime"
import type { BedrockError } from "./internal/facade/errors.ts"
import { make } from "./internal/facade/make.ts"
import type { RouteFile } from "./internal/facade/routeFile.ts"
import type { Told } from "./internal/told.ts"

export {
  AccessError,
  AdmissionError,
  BedrockError,
  ConflictError,
  type Failure,
  InterruptedStreamError,
  NotFoundError,
  OptionsError,
  type PartialAnswer,
  ResourceQuotaError,
  ServerError,
  ThrottlingError,
  TimeoutError,
  TransportError,
  UnknownError,
  ValidationError
} from "./internal/facade/errors.ts"

export type { Policy, Route, RouteFile, Target } from "./internal/facade/routeFile.ts"

// -----------------------------------------------------------------------------
// Models
// -----------------------------------------------------------------------------

/**
 * A length of time: milliseconds, or a number with its unit.
 *
 * @category models
 * @since 0.1.0
 */
export type Duration =
  | number
  | `${number} ${"milli" | "millis" | "second" | "seconds" | "minute" | "minutes" | "hour" | "hours" | "day" | "days"}`
  | "Infinity"

/**
 * Which calls go first when not all can: one of three classes by name, or any number, where more goes first. By number `interactive`
 * is 1, `standard` 0 and `bulk` -1.
 *
 * @category models
 * @since 0.1.0
 */
export type Priority = "interactive" | "standard" | "bulk" | number

/**
 * One event of a call. Times are milliseconds. `pool` is the key of the model's pool; of a call that passes no limiter, such as
 * `ApplyGuardrail`, the name of the operation, and there is no `Waiting`, `Admitted`, `Left` or `Settled`.
 *
 * - `Waiting`: an attempt asks for admission; `tokens` are what the server is thought to reserve for it.
 * - `Admitted`: it may send now, `waitedMillis` after it asked.
 * - `Left`: it does not wait there any more, and was not admitted: refused, given up, or admitted to another pool of its route. Each `Waiting` of a pool is
 *   followed by exactly one `Admitted` or `Left` of it, before `CallEnded`.
 * - `Routed`: an attempt of a call by a route goes to this target, and why. `Hedged`: the same of a second one, beside one that takes long.
 * - `AttemptFailed`: it failed with `error`; whether another follows is decided after this.
 * - `Settled`: of `reserved` by the server and `booked` by us, `charged` was what it cost. Only where that is known.
 * - `CallEnded`: exactly one for each call, whatever its end; a model id of which no pool is known fails before it is one. Of a call by a route, `account`
 *   says who answered and what was tried.
 * - `Adapted`: what of a request was changed for the target of its route that it is sent to.
 *
 * @category models
 * @since 0.1.0
 */
export type CallEvent = Told<BedrockError>

/**
 * How the pool of a model stands, and what its answers advise.
 *
 * @category models
 * @since 0.1.0
 */
export interface Snapshot {
  readonly pool: string
  /** Requests that wait for admission, and the tokens that they wait for. */
  readonly waiting: number
  readonly waitingTokens: number
  /** The same by class and tenant. */
  readonly line: ReadonlyArray<{
    readonly priority: Priority
    readonly tenant: string
    readonly requests: number
    readonly tokens: number
  }>
  /** In what time the next of them is admitted, if nothing is refunded before; `undefined` when nobody waits, or nobody can tell. */
  readonly nextAdmissionMillis: number | undefined
  readonly meters: ReadonlyArray<{
    /** `"requests"`, `"tokens"`, or a unit of the quota's own. */
    readonly unit: string
    readonly limit: number
    /** 0 for what is in flight. */
    readonly windowMillis: number
    /** What is charged inside the window now. */
    readonly used: number
    /** What of it is booked for somebody else, or was refused. */
    readonly foreign: number
    /** The limit that was told, where `limit` was learned from refusals. */
    readonly told?: number | undefined
  }>
  /** How long nobody is admitted yet, since the tokens of the day are used up; `undefined` when the pool is open. */
  readonly parkedMillis: number | undefined
  /** How long a charge now stays booked beyond its window. */
  readonly guardMillis: number
  /** What `maxTokens` should be; `undefined` before there are enough answers to tell. */
  readonly advice: {
    /** Answers that it rests on. */
    readonly samples: number
    readonly median: number
    readonly p99: number
    readonly largest: number
    /** Part of the answers that ended at their limit, and would have been longer. */
    readonly truncated: number
    /** Output tokens reserved per output token used. */
    readonly reservedPerUsed: number
    /** The limit that the numbers support. */
    readonly maxTokens: number
  } | undefined
}

/**
 * The limits of one pool.
 *
 * @category models
 * @since 0.1.0
 */
export interface Quota {
  readonly requestsPerMinute?: number
  readonly tokensPerMinute?: number
  readonly tokensPerDay?: number
  readonly concurrentRequests?: number
}

/**
 * What signs the requests.
 *
 * @category models
 * @since 0.1.0
 */
export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
  readonly expiration?: Date
}

// -----------------------------------------------------------------------------
// Options
// -----------------------------------------------------------------------------

/**
 * Everything that {@link createBedrock} takes; all of it can be left out.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface Options {
  /** Such as `"us-east-1"`. Where it is left out, the SDK finds it: `AWS_REGION`, the profile. */
  readonly region?: string | undefined
  /** A URL, for a VPC endpoint or an emulator. */
  readonly endpoint?: string | undefined
  /** Where they are left out, the SDK finds them. Where they are given, a bearer token in the environment is not looked at. */
  readonly credentials?: Credentials | (() => Promise<Credentials>) | undefined
  /** A Bedrock API key; wins over `credentials`. */
  readonly token?: string | undefined
  /** Of the shared configuration files. */
  readonly profile?: string | undefined
  /** For all calls together; further ones wait in order, and are signed when it is their turn. @default 1024 */
  readonly maxConnections?: number | undefined
  /**
   * How long is waited for credentials and for the server: `credentials` 1 min, `connect` 10 s, `firstToken` 60 min,
   * `betweenTokens` 5 min, `call` 61 min.
   */
  readonly timeouts?: {
    readonly credentials?: Duration | undefined
    readonly connect?: Duration | undefined
    readonly firstToken?: Duration | undefined
    readonly betweenTokens?: Duration | undefined
    readonly call?: Duration | undefined
  } | undefined
  /**
   * The quotas of the account: entries by model id, inference profile or ARN, and `default` for every pool without one of its own.
   * For a pool without a quota see `withoutQuota`.
   */
  readonly quotas?: Readonly<Record<string, Quota>> | undefined
  /** What counts as a minute and a day (for emulators), and meters that are shorter. */
  readonly meters?: {
    readonly window?: Duration | undefined
    readonly day?: Duration | undefined
    readonly burst?: { readonly share: number; readonly window: Duration } | undefined
  } | undefined
  /**
   * What holds for a pool without a quota: `"probe"` finds its limits by what Bedrock refuses, beginning with 100 requests a minute;
   * `"unlimited"` sends everything at once. @default "probe"
   */
  readonly withoutQuota?: "probe" | "unlimited" | undefined
  /** How long a charge stays booked beyond its window. @default 250 */
  readonly guard?: Duration | undefined
  /** Who goes first: `priority` and `tenant` of a call say whose it is. */
  readonly order?: {
    /** A class that is lower by 1 gets a turn each so long, whatever comes in above. @default 30000 */
    readonly ageing?: Duration | undefined
    /** Of a tenant, 1 unless told: its part of what there is. */
    readonly weight?: ((tenant: string) => number) | undefined
    /** Shares that are kept for a class or a tenant, from 0 to 1. */
    readonly guarantees?:
      | ReadonlyArray<{
        readonly priority?: Priority | undefined
        readonly tenant?: string | undefined
        readonly share: number
      }>
      | undefined
  } | undefined
  /** How many calls may wait for one pool, and for how many tokens together. No bounds unless set. */
  readonly room?: { readonly requests?: number | undefined; readonly tokens?: number | undefined } | undefined
  /** The account's id, or any name for it. @default "default" */
  readonly account?: string | undefined
  /** Model behind an application inference profile, custom model or other id that does not say it. */
  readonly resolve?: Readonly<Record<string, string>> | undefined
  /**
   * Targets and routes, or the text of a file of them. A route's name stands for a model's id in `converse`, `converseStream` and both `invokeModel`s; who answered,
   * and what was tried before, is in the `account` of the event `CallEnded`. Policies that ask a function (`by`) are for programs with Effect.
   */
  readonly routes?: RouteFile | string | undefined
  /** Attempts (4), and the waits between them: `base` 1 s, doubled each time, at most `cap` 20 s, for `elapsed` 5 min. */
  readonly backoff?: {
    readonly attempts?: number | undefined
    readonly base?: Duration | undefined
    readonly factor?: number | undefined
    readonly cap?: Duration | undefined
    readonly jitter?: "full" | "equal" | "decorrelated" | "none" | undefined
    readonly elapsed?: Duration | undefined
  } | undefined
  /** Bounds the retries of all calls together, for each pool. */
  readonly retryBudget?: {
    /** Retries that one call pays for. @default 0.2 */
    readonly ratio?: number
    /** Retries in a second that are there without any call. @default 1 */
    readonly perSecond?: number
    /** The largest balance, and the one to begin with. @default 100 */
    readonly capacity?: number
  } | undefined
  /** Longest wait for quota, of each attempt. No limit unless set. */
  readonly maxWait?: Duration | undefined
  /** For each call as a whole, its waits and retries included. No limit unless set. */
  readonly deadline?: Duration | undefined
  /** Whether a throttled request stays counted against requests per minute. @default true */
  readonly countThrottled?: boolean | undefined
  /** Is told what happens to calls, in the middle of them: it must return at once. What it throws harms no call. */
  readonly onEvent?: ((event: CallEvent) => void) | undefined
  /**
   * Is told what would be a line on standard error otherwise: that a call gave up retrying, and why (the error that it rejects with
   * says it too), or that `onEvent` threw.
   */
  readonly onWarning?: ((message: string, details: Readonly<Record<string, unknown>>) => void) | undefined
}

/**
 * What can be said of one call.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface CallOptions {
  /**
   * Ends the call where it stands: it leaves the queue, or its connection is closed at once. It rejects with the signal's
   * `reason`. What the server may have charged stays booked.
   */
  readonly signal?: AbortSignal | undefined
  /**
   * For the whole call, from when it is made: its waits for quota, its attempts, the waits between them, and of a stream the time
   * of its reader too. Nothing is begun that can't be done by then.
   */
  readonly deadline?: Duration | undefined
  /** Longest wait for quota, of each attempt: a call whose predicted wait is longer fails at once, with nothing sent. */
  readonly maxWait?: Duration | undefined
  /** Higher classes are admitted first. @default "standard" */
  readonly priority?: Priority | undefined
  /** Within a class, tenants share the quota fairly, by what they take of it. Calls without one are one tenant's. */
  readonly tenant?: string | undefined
}

// -----------------------------------------------------------------------------
// The client
// -----------------------------------------------------------------------------

/**
 * Bedrock's operations, with the SDK's own input and output types.
 *
 * All reject with a {@link BedrockError}, and a call after `close` with an `AdmissionError` of kind `shutting-down`.
 *
 * Those that give events send nothing until the first is asked for, ask for each when it is wanted, and end the request when the
 * reader leaves (`break`, `return`). Each can be read once: its second reader gets a `TypeError`, and not a second answer that
 * has to be paid for. A stream that is cut ends with an `InterruptedStreamError`, with what had arrived in `partial`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Bedrock {
  /** One answer of a model. */
  readonly converse: (input: ConverseCommandInput, options?: CallOptions) => Promise<ConverseCommandOutput>
  /** The same as it is written. Ends well only after `messageStop` and `metadata`. */
  readonly converseStream: (
    input: ConverseStreamCommandInput,
    options?: CallOptions
  ) => AsyncIterable<ConverseStreamOutput>
  /** One answer in the model's own format, in bytes. */
  readonly invokeModel: (input: InvokeModelCommandInput, options?: CallOptions) => Promise<InvokeModelCommandOutput>
  /** The same as it is written. Ends well only after the family's own last word. */
  readonly invokeModelWithResponseStream: (
    input: InvokeModelWithResponseStreamCommandInput,
    options?: CallOptions
  ) => AsyncIterable<ResponseStream>
  /**
   * A conversation in which both sides speak at once. `body` is read only as fast as the server takes it, and left (`return`) when the
   * output ends. What it throws, the output throws.
   */
  readonly invokeModelWithBidirectionalStream: (
    input: InvokeModelWithBidirectionalStreamCommandInput,
    options?: CallOptions
  ) => AsyncIterable<InvokeModelWithBidirectionalStreamOutput>
  /** How many tokens a request would have. Free of charge. */
  readonly countTokens: (input: CountTokensCommandInput, options?: CallOptions) => Promise<CountTokensCommandOutput>
  /** What a guardrail of the account says of a content. */
  readonly applyGuardrail: (
    input: ApplyGuardrailCommandInput,
    options?: CallOptions
  ) => Promise<ApplyGuardrailCommandOutput>
  /** What the checks that are named in the request itself say of messages. */
  readonly invokeGuardrailChecks: (
    input: InvokeGuardrailChecksCommandInput,
    options?: CallOptions
  ) => Promise<InvokeGuardrailChecksCommandOutput>
  /** Starts a job whose answer is written to S3; one job, however often it is tried. */
  readonly startAsyncInvoke: (
    input: StartAsyncInvokeCommandInput,
    options?: CallOptions
  ) => Promise<StartAsyncInvokeCommandOutput>
  /** How a job stands. */
  readonly getAsyncInvoke: (
    input: GetAsyncInvokeCommandInput,
    options?: CallOptions
  ) => Promise<GetAsyncInvokeCommandOutput>
  /** One page of the account's jobs. */
  readonly listAsyncInvokes: (
    input: ListAsyncInvokesCommandInput,
    options?: CallOptions
  ) => Promise<ListAsyncInvokesCommandOutput>
  /** The jobs of all pages: a call for each page, when the reader wants it. */
  readonly listAsyncInvokesAll: (
    input?: ListAsyncInvokesCommandInput,
    options?: CallOptions
  ) => AsyncIterable<AsyncInvokeSummary>
  /** How the pool of a model id, profile or ARN stands. Sends nothing. */
  readonly snapshot: (modelId: string) => Promise<Snapshot>
  /**
   * Ends the calls that are under way, closes every connection, and is done when the last one is closed. Closing it again is
   * the same end.
   */
  readonly close: () => Promise<void>
  /** {@link Bedrock.close}, for `await using`. */
  readonly [Symbol.asyncDispose]: () => Promise<void>
}

/**
 * Makes a client. Sends nothing, opens nothing, and looks for credentials only at the first call.
 *
 * What is not given is read from the environment, as `Bedrock.layerConfig` does: the variables of AWS, and `CAPROCK_TPM` and the others.
 * Throws an {@link OptionsError} that names all that is wrong.
 *
 * @category constructors
 * @since 0.1.0
 */
export const createBedrock = (options: Options = {}): Bedrock => make(options)
