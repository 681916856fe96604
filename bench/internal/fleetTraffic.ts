// What the processes of the fleet ask, and what it tells the judge of who asked.

/** Calls of one process. The judge has the slot and the class from `maxTokens`, which is all of a request that its log keeps. */
export interface Asked {
  readonly text: string
  readonly maxTokens: number
}

export type Class = "interactive" | "bulk"

/** So many processes, of two classes, can be told apart. */
const marks = 32

const between = (random: () => number, least: number, most: number): number =>
  Math.round(least * (most / least) ** random())

/** One call, as a process sends it: the answer's length and how long it takes are said in the prompt, and so are the same for everybody. */
export const draw = (
  random: () => number,
  slot: number,
  of: Class,
  latency: readonly [least: number, most: number]
): Asked & { readonly output: number } => {
  const output = between(random, 20, 400)
  const words = "word ".repeat(between(random, 10, 300))
  const asked = output * (1.5 + 2.5 * random())
  return {
    text: `[[emulate output=${output} latency=${between(random, ...latency)}]] ${words}`,
    maxTokens: Math.ceil(asked / marks) * marks + slot * 2 + (of === "bulk" ? 1 : 0),
    output
  }
}

export const slotOf = (maxTokens: number): number => Math.floor((maxTokens % marks) / 2)

export const classOf = (maxTokens: number): Class => maxTokens % 2 === 1 ? "bulk" : "interactive"

/** All processes of a machine read this one clock. */
export const now = (): number => Number(process.hrtime.bigint()) / 1e6
