// What is put into the middleware stack of a client of the SDK: around all of a call, in the place of its retries, and next to its handler.
import type {
  DeserializeHandler,
  FinalizeHandler,
  HandlerExecutionContext,
  InitializeHandler,
  MiddlewareStack
} from "@smithy/types"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type { Plugin, SdkClient, Turn } from "../../sdk.ts"
import type * as calls from "../calls.ts"
import { modelIdOf } from "../facade/answers.ts"
import type { Host } from "../facade/calls.ts"
import { SdkCall } from "./call.ts"
import { Exchange } from "./exchange.ts"
import { serve, type Unread } from "./serve.ts"

/** Whose turn the calls of one command are. */
export type Turns = WeakMap<object, Turn>

/** What says whose turn the calls of one command are. @internal */
export const turn = (turns: Turns, options: Turn): Plugin => ({
  applyToStack: <Input extends object, Output extends object>(stack: MiddlewareStack<Input, Output>) =>
    stack.add(
      (next: InitializeHandler<Input, Output>, context: HandlerExecutionContext) => (args) => {
        turns.set(context, options)
        return next(args)
      },
      // Before the limiter, which is of low priority.
      { name: "caprockTurn", step: "initialize", override: true }
    )
})

/**
 * The whole, for one client.
 *
 * The limiter stands outside of what makes a request: each attempt is put together anew, so that its credentials and its
 * signature are those of the moment in which it is sent, and not of the one in which it began to wait.
 *
 * @internal
 */
export const limiter = <Id>(host: Host<Id, calls.Desk>, client: SdkClient, turns: Turns, own: Turn): Plugin => {
  // By the input of one request. The context is that of many, where a client caches its handlers.
  const exchanges = new WeakMap<object, Exchange<object>>()
  const unread: Unread = new FinalizationRegistry((events) => void events.return())
  return {
    applyToStack: <Input extends object, Output extends object>(stack: MiddlewareStack<Input, Output>) => {
      stack.add(
        (next: InitializeHandler<Input, Output>, context: HandlerExecutionContext) => ({ input }) =>
          client.config.region().then((region) => {
            const call = { operation: operationOf(context), modelId: modelIdOf(input), region }
            const exchange = new Exchange<Output>(call, input, (input) => {
              exchanges.set(input, exchange)
              return next({ input: input as Input })
            })
            const options = { ...own, ...turns.get(context), signal: signalOf(context) }
            const books = host.use((books) => Effect.succeed({ ...books, region }))
            return serve(call.operation, input, new SdkCall(host, call, options, exchange), exchange, books, unread)
          }),
        // The SDK's own look at a call as a whole, with all its retries, and so do those of users.
        { name: "caprockLimiter", step: "initialize", priority: "low", override: true }
      )
      stack.add(
        (next: FinalizeHandler<Input, Output>) => (args) => {
          const { request } = args
          const exchange = exchanges.get(args.input)
          if (exchange !== undefined && hasHeaders(request)) {
            request.headers["amz-sdk-invocation-id"] = exchange.id
            request.headers["amz-sdk-request"] = `attempt=${exchange.attempts + 1}`
          }
          return next(args)
        },
        // In the place of the SDK's retries, of whatever mode, and of its adaptive limiter.
        { name: "retryMiddleware", tags: ["RETRY"], step: "finalizeRequest", priority: "high", override: true }
      )
      stack.add(
        (next: DeserializeHandler<Input, Output>) => (args) => {
          const exchange = exchanges.get(args.input)
          exchange?.handed()
          return next(args).then((result) => {
            exchange?.responded(result.response)
            return result
          })
        },
        { name: "caprockTransport", step: "deserialize", priority: "low", override: true }
      )
    }
  }
}

const operationOf = ({ clientName, commandName }: HandlerExecutionContext): string => {
  if (clientName === "BedrockRuntimeClient" && commandName !== undefined) return commandName.replace(/Command$/, "")
  throw new TypeError(
    `Caprock's limiter is for a BedrockRuntimeClient, and was attached to ${clientName ?? "a client without name"}.`
  )
}

/** The SDK hands it to middlewares since @smithy/core 3.41 (2026-11). */
const signalOf = (context: HandlerExecutionContext): AbortSignal | undefined => {
  const smithy: unknown = Reflect.get(context, "__smithy_context")
  const signal = Predicate.hasProperty(smithy, "abortSignal") ? smithy.abortSignal : undefined
  return isSignal(signal) ? signal : undefined
}

/** Older ones of the SDK's own have no listeners. */
const isSignal = (signal: unknown): signal is AbortSignal =>
  Predicate.hasProperty(signal, "addEventListener") && Predicate.hasProperty(signal, "aborted")

const hasHeaders = (request: unknown): request is { readonly headers: Record<string, string> } =>
  Predicate.hasProperty(request, "headers") && Predicate.isObject(request.headers)
