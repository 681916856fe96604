// How far a stream has come, and whether a ConverseStream is whole.
import type { ConverseStreamOutput } from "@aws-sdk/client-bedrock-runtime"
import type * as Reason from "@caprock/errors/Reason"
import * as Usage from "../Usage.ts"

/**
 * What has been seen of a stream so far: whether content reached the caller, whether the answer is whole, and what there
 * is of it. Grows with the text alone.
 *
 * @internal
 */
export interface Progress<in Event> {
  readonly observe: (event: Event) => void
  /** Whether anything of the answer has been given to the caller. */
  readonly content: () => boolean
  /** Whether what has been seen is a whole answer. */
  readonly complete: () => boolean
  /** Whether nothing is owed for now, though more may come: whatever ends the stream, it was not cut. */
  readonly satisfied?: () => boolean
  /** Whether an end without error is accepted as the end of the answer. */
  readonly endsWell: () => boolean
  readonly partial: () => typeof Reason.PartialAnswer.Type
}

/**
 * Partial text, the input of the tool call being written, usage and stop reason.
 *
 * @internal
 */
export class Partial {
  text = ""
  toolInput: string | undefined
  usage: Usage.Usage | undefined
  stopReason: string | undefined

  snapshot(): typeof Reason.PartialAnswer.Type {
    return {
      text: this.text,
      ...(this.toolInput === undefined ? {} : { toolInput: this.toolInput }),
      ...(this.usage === undefined ? {} : { usage: this.usage }),
      ...(this.stopReason === undefined ? {} : { stopReason: this.stopReason })
    }
  }
}

/** Whether an event holds a part of the answer, by the rules of {@link converse}. @internal */
export const isContent = (event: ConverseStreamOutput): boolean =>
  event.contentBlockDelta !== undefined || event.contentBlockStart?.start !== undefined

/**
 * A ConverseStream is whole when its `messageStop` and its `metadata` were seen, in this order or the other: `metadata`
 * is the only carrier of the usage and comes last (service model, API version 2023-09-30).
 *
 * The start of a content block counts as content where it says something: the tool that is called, an image's format.
 *
 * @internal
 */
export const converse = (): Progress<ConverseStreamOutput> => {
  const partial = new Partial()
  let content = false
  let stopped = false
  let metadata = false
  const complete = () => stopped && metadata
  return {
    observe: (event) => {
      // The SDK takes any JSON for what an event holds.
      for (const held of Object.values(event)) if (held === null) throw new TypeError("an event that holds nothing")
      if (event.contentBlockDelta !== undefined) {
        const { delta } = event.contentBlockDelta
        // Nobody has checked what the server wrote.
        if (typeof delta?.text === "string") partial.text += delta.text
        else if (typeof delta?.toolUse?.input === "string") {
          partial.toolInput = (partial.toolInput ?? "") + delta.toolUse.input
        }
      } else if (event.contentBlockStart !== undefined) {
        const { start } = event.contentBlockStart
        if (start?.toolUse !== undefined) partial.toolInput = ""
      } else if (event.messageStop !== undefined) {
        const { stopReason } = event.messageStop
        stopped = true
        // The error that carries it is checked.
        partial.stopReason = typeof stopReason === "string" ? stopReason : undefined
      } else if (event.metadata !== undefined) {
        partial.usage = Usage.fromTokenUsage(event.metadata.usage)
        metadata = true
      }
      content ||= isContent(event)
    },
    content: () => content,
    complete,
    endsWell: complete,
    partial: () => partial.snapshot()
  }
}
