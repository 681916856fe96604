// An answer that is there at once, as the stream that it would have been.
import type { BedrockClient } from "@caprock/client/BedrockClient"
import * as Cause from "effect/Cause"
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { Opened } from "./streaming.ts"

type Operations = BedrockClient["Service"]
export type ConverseEvent = Stream.Success<ReturnType<Operations["converseStream"]>>
type Output = Effect.Success<ReturnType<Operations["converse"]>>

/** @internal */
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
