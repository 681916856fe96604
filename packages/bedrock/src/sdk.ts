/**
 * The limiter in a client of the AWS SDK: for programs that keep their `BedrockRuntimeClient`, and have no Effect.
 *
 * **When to use**
 *
 * Use where the SDK's own client has to stay: in code that sends its commands already, or in a library that takes such a client. Else
 * use `createBedrock` of `@caprock/bedrock/promise`, whose transport and streams are better.
 *
 * **Details**
 *
 * `attach` puts middlewares into the client's stack. Each request that it sends then waits for the quota of its model's pool, is settled with the
 * usage that its answer tells, and is tried again by our policy: about 1 s, 2 s and 4 s apart, only where that is worth it, and within a budget for
 * each pool. They stand in the place of the SDK's own retries, so that there is one owner of them: `maxAttempts`, `retryMode` and `retryStrategy`
 * of the client have no effect any more, the adaptive mode included. All else of the client is as it was: its credentials, its request
 * handler, its timeouts, other middlewares, the types of its commands, and the errors that it throws.
 *
 * **Gotchas**
 *
 * A limiter is one set of books: make one for the process, and attach it to every client. Read every stream to its end, or leave it
 * (`break`): an answer that nobody reads holds its connection and what it has booked. Do not retry around it.
 *
 * **Example** (A client whose quota is kept)
 *
 * ```ts
 * import { BedrockRuntimeClient, ConverseCommand } from "@aws-sdk/client-bedrock-runtime"
 * import { createLimiter } from "@caprock/bedrock/sdk"
 *
 * const limiter = createLimiter({ quotas: { default: { requestsPerMinute: 200, tokensPerMinute: 200_000 } } })
 * const client = limiter.attach(new BedrockRuntimeClient({ region: "us-east-1" }))
 *
 * const answer = await client.send(
 *   new ConverseCommand({
 *     modelId: "us.amazon.nova-lite-v1:0",
 *     messages: [{ role: "user", content: [{ text: "Why is the sky blue?" }] }],
 *     inferenceConfig: { maxTokens: 500 }
 *   })
 * )
 * console.log(answer.stopReason) // => end_turn
 * ```
 *
 * @since 0.1.0
 */
/// <reference lib="esnext.disposable" preserve="true" />
import type { MiddlewareStack } from "@smithy/types"
import { make } from "./internal/sdk/make.ts"
import type { CallOptions, Options as ClientOptions, Snapshot } from "./promise.ts"

export {
  AdmissionError,
  BedrockError,
  OptionsError,
  ThrottlingError,
  ValidationError
} from "./internal/facade/errors.ts"

// -----------------------------------------------------------------------------
// Models
// -----------------------------------------------------------------------------

/**
 * A client of the SDK, as far as it is asked for. `BedrockRuntimeClient` and `BedrockRuntime` are, of every 3.x.
 *
 * @category models
 * @since 0.1.0
 */
export interface SdkClient {
  readonly config: { readonly region: () => Promise<string> }
  readonly middlewareStack: { readonly use: (plugin: Plugin) => void }
}

/**
 * What `middlewareStack.use` takes, of a client or a command.
 *
 * @category models
 * @since 0.1.0
 */
export interface Plugin {
  readonly applyToStack: <Input extends object, Output extends object>(stack: MiddlewareStack<Input, Output>) => void
}

/**
 * Whose turn it is: `priority` (`"standard"`), `tenant`, and `maxWait`, the longest wait for quota of each attempt (that of the
 * limiter's options).
 *
 * @category models
 * @since 0.1.0
 */
export type Turn = Pick<CallOptions, "priority" | "tenant" | "maxWait">

// -----------------------------------------------------------------------------
// Options
// -----------------------------------------------------------------------------

/**
 * Everything that {@link createLimiter} takes; all of it can be left out. Each is what it is for `createBedrock`. What is about
 * connections, credentials and time limits is set on the client itself.
 *
 * @category configuration
 * @since 0.1.0
 */
export type Options = Pick<
  ClientOptions,
  | "quotas"
  | "meters"
  | "withoutQuota"
  | "guard"
  | "order"
  | "room"
  | "account"
  | "resolve"
  | "backoff"
  | "retryBudget"
  | "maxWait"
  | "countThrottled"
  | "onEvent"
  | "onWarning"
>

// -----------------------------------------------------------------------------
// The limiter
// -----------------------------------------------------------------------------

/**
 * One set of books, for any number of clients. What they send to the same account, Region and model shares a quota.
 *
 * @category models
 * @since 0.1.0
 */
export interface Limiter {
  /**
   * Puts the limiter into a client, and returns that client. Once more with another turn replaces the first; what a {@link Limiter.turn}
   * says goes before it.
   *
   * Its commands then fail with what the SDK throws, or before anything is sent, with an {@link AdmissionError} (`maxWait` is shorter than
   * the predicted wait, too many wait, the limiter is closed) or a {@link ValidationError} (larger than the whole quota; a
   * model id of which no pool is known). `$metadata.attempts` says how many requests were sent.
   */
  readonly attach: <Client extends SdkClient>(client: Client, turn?: Turn) => Client
  /** Says whose turn the calls of one command are: `command.middlewareStack.use(limiter.turn({ priority: "interactive" }))`. */
  readonly turn: (turn: Turn) => Plugin
  /** How the pool of a model id, profile or ARN stands, in the Region of a client. Sends nothing. */
  readonly snapshot: (client: SdkClient, modelId: string) => Promise<Snapshot>
  /**
   * Lets nobody in any more: who waits fails with an {@link AdmissionError}, and so does every later call. What is under way goes on: its
   * client owns it. Closing it again is the same end.
   */
  readonly close: () => Promise<void>
  /** {@link Limiter.close}, for `await using`. */
  readonly [Symbol.asyncDispose]: () => Promise<void>
}

/**
 * Makes a limiter. What is not given is read from the environment, as `createBedrock` does: `CAPROCK_TPM` and the others.
 * Throws an {@link OptionsError} that names all that is wrong.
 *
 * @category constructors
 * @since 0.1.0
 */
export const createLimiter = (options: Options = {}): Limiter => make(options)
