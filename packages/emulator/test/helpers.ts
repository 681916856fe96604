import {
  BedrockRuntimeClient,
  type BedrockRuntimeClientConfig,
  ConverseCommand,
  ConverseStreamCommand
} from "@aws-sdk/client-bedrock-runtime"
import type * as Emulator from "@caprock/emulator/Emulator"
import { NodeHttpHandler } from "@smithy/node-http-handler"
import { Data, Effect, type Scope } from "effect"
import * as Http from "node:http"

export const modelId = "anthropic.claude-sonnet-4-5-20250929-v1:0"

export type Transport = "h2" | "h1"

/** The SDK as it comes, or with its HTTP/1.1 handler. One attempt unless a test says otherwise. */
export const client = (
  emulator: Emulator.Service,
  transport: Transport = "h1",
  config: BedrockRuntimeClientConfig = {}
): Effect.Effect<BedrockRuntimeClient, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() =>
      new BedrockRuntimeClient({
        endpoint: emulator.url,
        region: "us-east-1",
        credentials: { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "secret" },
        maxAttempts: 1,
        ...(transport === "h1"
          ? {
            requestHandler: new NodeHttpHandler({ httpAgent: new Http.Agent({ keepAlive: true, maxSockets: 1000 }) })
          }
          : {}),
        ...config
      })
    ),
    (client) => Effect.sync(() => client.destroy())
  )

export const converse = (client: BedrockRuntimeClient, text: string, maxTokens?: number, model = modelId) =>
  Effect.tryPromise({
    try: (signal) =>
      client.send(
        new ConverseCommand({
          modelId: model,
          messages: [{ role: "user", content: [{ text }] }],
          ...(maxTokens === undefined ? {} : { inferenceConfig: { maxTokens } })
        }),
        { abortSignal: signal }
      ),
    catch: failed
  })

/** Any call of the SDK. */
export const sent = <A>(send: (signal: AbortSignal) => Promise<A>) => Effect.tryPromise({ try: send, catch: failed })

/** What a call was refused with. */
export const refusal = (call: Effect.Effect<unknown, Failed>): Effect.Effect<SdkError> =>
  Effect.matchEffect(call, {
    onFailure: ({ error }) => Effect.succeed(error),
    onSuccess: () => Effect.die(new Error("it was answered"))
  })

/** What the SDK threw, as a typed failure. */
export class Failed extends Data.TaggedError("Failed")<{ readonly error: SdkError }> {}

const failed = (error: unknown): Failed => new Failed({ error: error as SdkError })

interface SdkError extends Error {
  readonly $metadata?: { readonly httpStatusCode?: number; readonly requestId?: string; readonly attempts?: number }
  readonly $response?: { readonly headers: Record<string, string> }
}

export const converseStream = (client: BedrockRuntimeClient, text: string, maxTokens?: number) =>
  Effect.tryPromise({
    try: (signal) =>
      client.send(
        new ConverseStreamCommand({
          modelId,
          messages: [{ role: "user", content: [{ text }] }],
          ...(maxTokens === undefined ? {} : { inferenceConfig: { maxTokens } })
        }),
        { abortSignal: signal }
      ),
    catch: failed
  })

/** Reads a stream to its end, or to its error. */
export const collect = <A>(stream: AsyncIterable<A> | undefined) =>
  Effect.promise(async () => {
    const events: Array<A> = []
    try {
      for await (const event of stream ?? []) events.push(event)
      return { events, error: undefined }
    } catch (error) {
      return { events, error: error as SdkError }
    }
  })

/**
 * Lets the event loop turn until something is true of the server. For tests in virtual time, where sockets are real:
 * nothing here waits for a length of time.
 */
export const until = (what: string, predicate: Effect.Effect<boolean>): Effect.Effect<void> =>
  Effect.gen(function*() {
    for (let turn = 0; turn < 200_000; turn++) {
      if (yield* predicate) return
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
    }
    return yield* Effect.die(new Error(`never happened: ${what}`))
  })

/** The one pool that a test has used. */
export const onlyPool = (emulator: Emulator.Service) =>
  Effect.map(emulator.stats, ({ pools }) => {
    const [pool] = Object.values(pools)
    if (pool === undefined) throw new Error("no pool has been used")
    return pool
  })

/** What counts against the token quota of the only pool. */
export const tokensUsed = (emulator: Emulator.Service) =>
  Effect.map(onlyPool(emulator), ({ usage }) => usage.tokens?.used)

/** The answer's usage, or the refusal's text. */
export const outcome = (sent: ReturnType<typeof converse>) =>
  sent.pipe(
    Effect.map(() => "answered"),
    Effect.catch(({ error }) => Effect.succeed(error.message))
  )
