/** A burst of prompts with mixed sizes, and quotas that it exceeds. The same spec gives the same burst in any process. */
import * as TokenCounter from "@caprock/emulator/TokenCounter"
import { generator } from "./chance.ts"

export interface Spec {
  readonly requests: number
  readonly seed: number
  readonly burndown: number
  /** How many times the quotas the burst is: requests, and tokens as settled. */
  readonly excess: number
  /** `maxTokens` is the real output times something between these. */
  readonly multiple: readonly [min: number, max: number]
}

export interface Prompt {
  readonly id: number
  readonly text: string
  readonly maxTokens: number
  readonly output: number
}

export interface Workload {
  readonly prompts: ReadonlyArray<Prompt>
  readonly quota: { readonly requests: number; readonly tokens: number }
  readonly settled: number
  readonly reserved: number
}

const words = (
  "the of and a to in is you that it he was for on are with as his they at be this from have or by one had not but what all " +
  "were when we there can an your which their said if do will each about how up out them then she many some so these would " +
  "other into has more two like him see time could no make than first been its who now people my made over did down only " +
  "way find use may water long little very after words called just where most know"
).split(" ")

const lognormal = (random: () => number, median: number, sigma: number, min: number, max: number): number => {
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
  return Math.round(Math.min(Math.max(median * Math.exp(sigma * normal), min), max))
}

const idOf = /^Request (\d+):/

/** The output of the prompt with this text; `undefined` for a text that is not of the burst. */
export const outputOf = (prompts: ReadonlyArray<Prompt>) => (text: string): number | undefined =>
  prompts[Number(idOf.exec(text)?.[1] ?? -1)]?.output

export const make = (spec: Spec): Workload => {
  const random = generator(spec.seed)
  const [least, most] = spec.multiple
  const prompts = Array.from({ length: spec.requests }, (_, id): Prompt => {
    const input = lognormal(random, 150, 1, 10, 4000)
    const output = lognormal(random, 150, 0.8, 8, 1500)
    const text = Array.from({ length: input }, () => words[Math.floor(random() * words.length)] ?? "word").join(" ")
    return {
      id,
      text: `Request ${id}: ${text}`,
      maxTokens: Math.round(output * (least + random() * (most - least))),
      output
    }
  })
  const input = (prompt: Prompt): number => TokenCounter.count(prompt.text) + TokenCounter.messageOverhead
  const settled = prompts.reduce((sum, prompt) => sum + input(prompt) + prompt.output * spec.burndown, 0)
  const reserved = prompts.reduce((sum, prompt) => sum + input(prompt) + prompt.maxTokens, 0)
  return {
    prompts,
    quota: { requests: Math.ceil(spec.requests / spec.excess), tokens: Math.ceil(settled / spec.excess) },
    settled,
    reserved
  }
}
