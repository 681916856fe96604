// A last resort's answer, as the stream that it would have been.
import type { BedrockClient } from "@caprock/client/BedrockClient"
import type { BedrockError } from "@caprock/errors/BedrockError"
import { RouterError } from "@caprock/router/RouterError"
import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Body } from "../Routes.ts"
import { failureOf } from "./attempt.ts"
import type { Opened } from "./streaming.ts"

type Operations = BedrockClient["Service"]
export type ConverseEvent = Stream.Success<ReturnType<Operations["converseStream"]>>
type Output = Effect.Success<ReturnType<Operations["converse"]>>

/**
 * A stream until its first events, which are there or have failed; what follows is pulled in the context of now, whose fence holds on. `plain`: what it fails
 * with later.
 *
 * @internal
 */
export const begun = <A>(
  stream: Stream.Stream<A, BedrockError | RouterError>,
  plain: (error: RouterError) => BedrockError
): Effect.Effect<Opened<A>, BedrockError | RouterError, Scope.Scope> =>
  Effect.gen(function*() {
    const context = yield* Effect.context<Scope.Scope>()
    const pull = yield* Channel.toPullScoped(Stream.toChannel(stream), yield* Effect.scope)
    const rest = Effect.mapError(
      Effect.provideContext(pull, context),
      (error) => error instanceof RouterError ? plain(error) : error
    )
    return yield* Effect.matchCauseEffect(pull, {
      onSuccess: (held) => Effect.succeed({ held, rest }),
      onFailure: (cause) => {
        const error = failureOf(cause)
        return error !== undefined && Cause.isDone(error)
          ? Effect.succeed({ held: [], rest: Cause.done() })
          : Effect.failCause(cause as Cause.Cause<BedrockError | RouterError>)
      }
    })
  })

type Invoked = Effect.Success<ReturnType<Operations["invokeModel"]>>

/** A body as the SDK has it. @internal */
export const invoked = (given: Body): Invoked => {
  const bytes = typeof given.body === "string" ? new TextEncoder().encode(given.body) : given.body
  const transformToString = (encoding = "utf-8") =>
    encoding === "base64" ? Base64.encode(bytes) : new TextDecoder(encoding).decode(bytes)
  return {
    contentType: undefined,
    $metadata: {},
    ...given,
    // A copy: the bytes are who made them's.
    body: Object.assign(bytes.slice(), { transformToString })
  }
}

/** What is there at once. @internal */
export const opened = (output: Output): Opened<ConverseEvent> => ({ held: eventsOf(output), rest: Cause.done() })

const eventsOf = ({ metrics, output, stopReason, usage }: Output): ReadonlyArray<ConverseEvent> => {
  const message = output?.message
  const blocks = message?.content ?? []
  return [
    { messageStart: { role: message?.role ?? "assistant" } },
    ...blocks.flatMap(({ text, toolUse }, contentBlockIndex): ReadonlyArray<ConverseEvent> => [
      ...(toolUse === undefined
        ? []
        : [{
          contentBlockStart: {
            contentBlockIndex,
            start: { toolUse: { toolUseId: toolUse.toolUseId, name: toolUse.name } }
          }
        }]),
      {
        contentBlockDelta: {
          contentBlockIndex,
          delta: toolUse === undefined ? { text: text ?? "" } : { toolUse: { input: JSON.stringify(toolUse.input) } }
        }
      },
      { contentBlockStop: { contentBlockIndex } }
    ]),
    { messageStop: { stopReason } },
    { metadata: { usage, metrics } }
  ]
}
