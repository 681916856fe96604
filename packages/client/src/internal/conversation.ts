// Whether a session of InvokeModelWithBidirectionalStream is whole, and what there is of it.
import type { InvokeModelWithBidirectionalStreamOutput } from "@aws-sdk/client-bedrock-runtime"
import * as Predicate from "effect/Predicate"
import { json } from "../BidirectionalStream.ts"
import * as Usage from "../Usage.ts"
import { Partial, type Progress } from "./progress.ts"

/** What is known of the other side of a conversation. */
interface Input {
  readonly ended: () => boolean
  /** Whether it holds anything that a user said, in the words of Nova Sonic. */
  readonly asked: () => boolean
}

/**
 * The events of Nova Sonic and Nova 2 Sonic (Nova User Guide, "Handling output events with the bidirectional API", read 2026-11). A
 * completion is over with its `completionEnd`; there may be several in a session. `usageEvent`s carry running totals.
 *
 * The text of the answer is what the assistant did say (`FINAL`), or is about to say where there is no more than that yet
 * (`SPECULATIVE`); what the user said is none of it. Speech is not kept: the caller has had it.
 *
 * Where no event is known, the clean end of a stream is taken for the end of its answer. A stream without any answer has ended well
 * only if nothing was asked, and the input had ended.
 */
export const conversation = (input: Input): Progress<InvokeModelWithBidirectionalStreamOutput> => {
  const partial = new Partial()
  const blocks = new Map<unknown, "speculative" | "final" | "user">()
  let speculative = ""
  let content = false
  let known = false
  let completions = 0
  let open = 0

  const text = (event: object): void => {
    const said = string(event, "content") ?? ""
    const kind = blocks.get(property(event, "contentId")) ?? (string(event, "role") === "USER" ? "user" : "final")
    if (kind === "speculative") speculative += said
    if (kind !== "final") return
    partial.text += said
    // It says again what had been announced.
    speculative = ""
  }

  const observe = (name: string, event: object): boolean => {
    switch (name) {
      case "completionStart":
        completions++
        open++
        return true
      case "completionEnd":
        open--
        partial.stopReason = string(event, "stopReason")
        return true
      case "usageEvent":
        partial.usage = Usage.fromUsageEvent(event) ?? partial.usage
        return true
      case "contentStart":
        blocks.set(property(event, "contentId"), kindOf(event))
        return true
      case "contentEnd":
        blocks.delete(property(event, "contentId"))
        return true
      case "textOutput":
        content = true
        text(event)
        return true
      case "toolUse":
        content = true
        partial.toolInput = string(event, "content")
        return true
      case "audioOutput":
        content = true
        return true
      default:
        return false
    }
  }

  const whole = () => completions > 0 && open <= 0
  return {
    observe: (output) => {
      // Its only event without bytes is one that came damaged, and whose checksums were right.
      if (output.chunk?.bytes === undefined) throw new TypeError("an event without bytes")
      const event = property(json(output), "event")
      const [name, value] = Predicate.isObject(event) ? Object.entries(event)[0] ?? [] : []
      const seen = name !== undefined && Predicate.isObject(value) && observe(name, value)
      known ||= seen
      // What cannot be read may be anything, so it counts as a part of the answer.
      content ||= !seen
    },
    content: () => content,
    // There may be another prompt, and another completion.
    complete: () => false,
    satisfied: () => whole() && input.ended(),
    endsWell: () => completions > 0 ? whole() : (content && !known) || (!input.asked() && input.ended()),
    partial: () => {
      const snapshot = partial.snapshot()
      return { ...snapshot, text: snapshot.text + speculative }
    }
  }
}

const property = (u: unknown, key: string): unknown => Predicate.hasProperty(u, key) ? u[key] : undefined

const string = (u: unknown, key: string): string | undefined => {
  const value = property(u, key)
  return typeof value === "string" ? value : undefined
}

// The stage stands in JSON of its own: "{\"generationStage\":\"SPECULATIVE\"}".
const kindOf = (event: object): "speculative" | "final" | "user" =>
  string(event, "role") === "USER"
    ? "user"
    : string(event, "additionalModelFields")?.includes("SPECULATIVE") === true
    ? "speculative"
    : "final"
