/** Traffic of several shapes, and quotas that it exceeds. The same shape and seed give the same requests in any process. */
import * as TokenCounter from "@caprock/emulator/TokenCounter"
import type { Priority } from "@caprock/rate-limiter/Priority"
import { generator } from "./chance.ts"

/** One request, and what only the server knows of it beforehand. Times in milliseconds. */
export interface Prompt {
  readonly id: number
  /** When its caller asks. */
  readonly at: number
  readonly text: string
  readonly input: number
  readonly maxTokens: number
  readonly priority: Priority
  readonly output: number
  /** From arrival at the server to the end of the answer. */
  readonly latency: number
  /** From the client to the server, and back. */
  readonly way: number
}

export interface Traffic {
  readonly prompts: ReadonlyArray<Prompt>
  readonly quota: { readonly requests: number; readonly tokens: number }
  readonly burndown: number
  readonly window: number
}

const window = 60_000

export const settled = ({ input, output }: Prompt, burndown: number): number => input + output * burndown
export const reserved = ({ input, maxTokens }: Prompt): number => input + maxTokens

interface Draw {
  readonly at: number
  readonly input: number
  readonly output: number
  readonly maxTokens: number
  readonly priority?: Priority
}

class Chance {
  readonly next: () => number
  constructor(seed: number) {
    this.next = generator(seed)
  }
  between(least: number, most: number): number {
    return least + this.next() * (most - least)
  }
  lognormal(median: number, sigma: number, least: number, most: number): number {
    const normal = Math.sqrt(-2 * Math.log(1 - this.next())) * Math.cos(2 * Math.PI * this.next())
    return Math.round(Math.min(Math.max(median * Math.exp(sigma * normal), least), most))
  }
}

/** A question and its answer, of which the caller allows two to eight times as much. */
const question = (chance: Chance, at: number): Draw => {
  const output = chance.lognormal(150, 0.8, 8, 1500)
  return { at, input: chance.lognormal(150, 1, 10, 4000), output, maxTokens: Math.round(output * chance.between(2, 8)) }
}

const times = <A>(count: number, make: (index: number) => A): Array<A> =>
  Array.from({ length: count }, (_, n) => make(n))

const minutes = (count: number): number => count * window

interface Shape {
  readonly about: string
  readonly draws: (chance: Chance) => ReadonlyArray<Draw>
  /** The quotas are what is asked for, over so many windows. */
  readonly requestWindows: number
  readonly tokenWindows: number
}

const interactive = (chance: Chance): ReadonlyArray<Draw> =>
  times(400, () => ({
    at: chance.between(0, minutes(9)),
    input: chance.lognormal(200, 0.8, 10, 2000),
    output: chance.lognormal(120, 0.6, 8, 500),
    maxTokens: 512,
    priority: "interactive" as const
  }))

const withBulk = (chance: Chance, at: number): ReadonlyArray<Draw> => [
  ...interactive(chance),
  ...times(1600, () => ({ ...question(chance, at), priority: "bulk" as const }))
]

export const shapes = {
  burst: {
    about: "2,000 questions at once, ten times both quotas",
    draws: (chance) => times(2000, () => question(chance, 0)),
    requestWindows: 10,
    tokenWindows: 10
  },
  spikes: {
    about: "questions for ten minutes at 65 % of the tokens, and 5 spikes of most of a minute's worth",
    draws: (chance) => [
      ...times(1000, () => question(chance, chance.between(0, minutes(10)))),
      ...times(5, (spike) => times(120, () => question(chance, minutes(2 * spike + 1) + chance.between(0, 2_000))))
        .flat()
    ],
    requestWindows: 8,
    tokenWindows: 10.4
  },
  documents: {
    about:
      "240 documents of up to 150,000 tokens among 560 short questions, within four minutes, eight times both quotas",
    draws: (chance) =>
      times(800, (n) =>
        n % 10 < 3
          ? {
            at: chance.between(0, minutes(4)),
            input: chance.lognormal(20_000, 0.9, 4_000, 150_000),
            output: chance.lognormal(600, 0.5, 100, 2_000),
            maxTokens: 4_096
          }
          : question(chance, chance.between(0, minutes(4)))),
    requestWindows: 8,
    tokenWindows: 8
  },
  chat: {
    about: "150 conversations whose input grows by the turn, maxTokens always 4,096; a third more than the tokens",
    draws: (chance) =>
      times(150, () => {
        let at = chance.between(0, minutes(6))
        let input = chance.lognormal(300, 0.5, 50, 2_000)
        return times(8, () => {
          const output = chance.lognormal(180, 0.7, 8, 2_000)
          const turn = { at, input, output, maxTokens: 4_096 }
          at += chance.between(15_000, 60_000)
          input += output + chance.lognormal(50, 0.8, 5, 500)
          return turn
        })
      }).flat(),
    requestWindows: 7,
    tokenWindows: 14
  },
  mixed: {
    about: "400 interactive questions over nine minutes, and 1,600 of a bulk job after the first",
    draws: (chance) => withBulk(chance, minutes(1)),
    requestWindows: 10,
    tokenWindows: 10
  },
  cold: {
    about: "the same, but the bulk job comes before the first question and finds the whole quota free",
    draws: (chance) => withBulk(chance, 0),
    requestWindows: 10,
    tokenWindows: 10
  }
} satisfies Record<string, Shape>

export type Name = keyof typeof shapes

export const names: ReadonlyArray<Name> = ["burst", "spikes", "documents", "chat", "mixed", "cold"]

const words =
  "the of and a to in is you that it he was for on are with as his they at be this from have or by one had not but " +
  "what all were when we there can an your which their said if do will each about how up out them then she many some so "

export const make = (name: Name, options: { readonly seed: number; readonly burndown: number }): Traffic => {
  const { draws, requestWindows, tokenWindows }: Shape = shapes[name]
  const chance = new Chance(options.seed)
  const drawn = [...draws(chance)].sort((a, b) => a.at - b.at)
  const longest = drawn.reduce((most, { input }) => Math.max(most, input), 0)
  // Pieces of one text, each of so many words: a copy for each would be large.
  const text = words.repeat(Math.ceil(longest / (words.split(" ").length - 1)) + 1)
  const ends: Array<number> = []
  for (let end = text.indexOf(" "); end >= 0; end = text.indexOf(" ", end + 1)) ends.push(end)
  const prompts = drawn.map(({ at, input, maxTokens, output, priority = "standard" }, id): Prompt => {
    const own = text.slice(0, ends[input - 1])
    return {
      id,
      at: Math.round(at),
      text: own,
      input: TokenCounter.count(own) + TokenCounter.messageOverhead,
      maxTokens,
      priority,
      output,
      // A first token after half a second to a second and a half, and then some 70 a second.
      latency: Math.round(chance.between(500, 1_500) + output * chance.between(10, 18)),
      way: Math.round(chance.between(5, 25))
    }
  })
  const sum = (of: (prompt: Prompt) => number): number => prompts.reduce((sum, prompt) => sum + of(prompt), 0)
  return {
    prompts,
    burndown: options.burndown,
    window,
    quota: {
      requests: Math.ceil(prompts.length / requestWindows),
      tokens: Math.ceil(sum((prompt) => settled(prompt, options.burndown)) / tokenWindows)
    }
  }
}

/** The same quotas, and only these requests of it. */
export const only = (traffic: Traffic, priority: Priority): Traffic => ({
  ...traffic,
  prompts: traffic.prompts.filter((prompt) => prompt.priority === priority)
})
