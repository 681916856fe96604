/** What a model answers: how much it takes and writes, and the draw of its answer. It knows no quota. */
import type * as Fault from "../Fault.ts"
import * as LatencyModel from "../LatencyModel.ts"
import type * as Answer from "./answer.ts"
import type { Config } from "./config.ts"
import * as Draw from "./draw.ts"
import * as Json from "./json.ts"
import type * as ModelId from "./modelId.ts"
import * as Random from "./random.ts"
import type { Reading } from "./reading.ts"
import type * as Steering from "./steering.ts"
import * as Text from "./text.ts"

/** What an answer depends on besides what is asked. */
interface Occasion {
  readonly id: string
  /** A generator for each purpose. */
  readonly random: (purpose: number) => Random.Random
  readonly steered: Steering.Steering
  readonly input: Omit<Answer.Answer["usage"], "outputTokens">
  /** Of the Region that is asked. */
  readonly latency: LatencyModel.LatencyModel
  readonly serviceTier: string | undefined
}

interface Drawn {
  readonly answer: Answer.Answer
  /** What a broken output function makes of it. */
  readonly broken: Fault.Fault | undefined
  readonly timing: LatencyModel.Timing
  /** The embedding of what it is given. */
  readonly vector: (input: unknown) => ReadonlyArray<number>
}

export interface Models {
  /** The most tokens that a model writes. */
  readonly maximumOf: (ref: ModelId.ModelRef) => number
  /** What of a request is more than its model takes or writes; `undefined` where nothing is. */
  readonly tooMuch: (reading: Reading) => string | undefined
  /** The most tokens that an answer may have. */
  readonly mostOf: (reading: Reading) => number
  readonly draw: (reading: Reading, occasion: Occasion) => Drawn
}

/** A value for all models, or by id. */
export const byModel = <A>(from: A | Readonly<Record<string, A>>, ref: ModelId.ModelRef, otherwise: A): A => {
  if (!Json.isRecord(from)) return from as A
  const table = from as Readonly<Record<string, A>>
  return table[ref.id] ?? table[ref.model] ?? table[ref.raw] ?? otherwise
}

export const make = (config: Config): Models => {
  const pseudo = Text.make(config.seed)

  const maximumOf = (ref: ModelId.ModelRef): number => byModel(config.maxOutput, ref, config.defaultMaxOutput)

  const mostOf = ({ invoke, maxTokens, ref }: Reading): number =>
    invoke?.format.generates === false ? 0 : maxTokens ?? maximumOf(ref)

  return {
    maximumOf,
    mostOf,
    tooMuch: ({ maxTokens, prompt, ref }) => {
      const maximum = maximumOf(ref)
      if (maxTokens !== undefined && maxTokens > maximum) {
        return `The maximum tokens you requested exceeds the model limit of ${maximum}. Try again with a maximum tokens ` +
          `value that is lower than ${maximum}.`
      }
      return prompt.tokens > byModel(config.contextWindow, ref, config.defaultContextWindow)
        ? "Input is too long for requested model."
        : undefined
    },
    draw: (reading, { id, input, latency, random, serviceTier, steered }) => {
      const drawn = Draw.draw(config.output, reading, mostOf(reading), steered.output, random(Draw.label.output))
      const broken = "_tag" in drawn ? drawn : undefined
      const output: Draw.Drawn = "_tag" in drawn ? nothingDrawn : drawn
      return {
        answer: {
          id,
          modelId: reading.ref.model,
          text: output.text ?? pseudo.take(random(Draw.label.text), output.outputTokens),
          toolUse: output.toolUse,
          content: output.content,
          more: output.more,
          toolUseId: `tooluse_${id.slice(-22)}`,
          stopReason: output.stopReason,
          usage: { ...input, outputTokens: output.outputTokens },
          serviceTier
        },
        broken,
        timing: steered.latency === undefined
          ? LatencyModel.draw(latency, output.outputTokens, random(Draw.label.latency))
          : { first: steered.latency / 4, total: steered.latency },
        vector: (embedded) =>
          Random.vector(config.seed, JSON.stringify([reading.ref.model, embedded]), reading.invoke?.dimensions ?? 0)
      }
    }
  }
}

const nothingDrawn: Draw.Drawn = { outputTokens: 0, text: "", toolUse: undefined, stopReason: "end_turn" }
