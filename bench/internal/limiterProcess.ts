/** One limiter in virtual time and a process of its own: callers that wait, and what their turns cost. */
import { generator } from "./chance.ts"
import type { Callers, Name } from "./limiterContestants.ts"
import * as VirtualTime from "./virtualTime.ts"

export type Question =
  | {
    readonly be: Name
    /** So many callers wait, all alike or of many sizes. 0: one caller, who never has to. */
    readonly waiting: number
    readonly sizes: "alike" | "mixed"
  }
  | { readonly turns: number }
  | { readonly drain: true }

export interface Took {
  /** Of the whole process, garbage collection included: microseconds for each turn. */
  readonly cpu: number
  readonly bytes: number
}

const quota = { requests: 10_000, tokens: 10_000_000 }
const window = 60_000
const unlimited = { requests: 1e9, tokens: 1e13 }

const time = VirtualTime.install(1)
let callers: Callers | undefined
let count = 0
let goesOn = true
let target = Infinity
let over: Promise<unknown> = Promise.resolve()
let waiting = 0

const measured = async (run: () => Promise<unknown>): Promise<Took> => {
  globalThis.gc?.()
  const before = count
  const from = process.cpuUsage()
  await run()
  const { system, user } = process.cpuUsage(from)
  // A window lets thousands go in the same instant, and all of these count.
  return { cpu: (system + user) / (count - before), bytes: 0 }
}

const settle = (): Promise<void> => {
  let ends = 2
  return time.until(() => ends-- <= 0)
}

const heap = (): number => {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}

const follow = async (question: Question): Promise<Took> => {
  if ("be" in question) {
    const { contestants } = await import("./limiterContestants.ts")
    const random = generator(1)
    waiting = question.waiting
    callers = await contestants[question.be]({
      quota: waiting === 0 ? unlimited : quota,
      window,
      reserves: question.sizes === "alike" ? () => 1_000 : () => Math.ceil(20 * 2 ** (random() * 10)),
      admitted: () => {
        count++
        return goesOn && count < target
      }
    })
    if (waiting === 0) return { cpu: 0, bytes: 0 }
    const before = heap()
    // The first fill the window, and wait for the next one with the others.
    over = callers.start(waiting)
    const from = process.cpuUsage()
    await settle()
    const { system, user } = process.cpuUsage(from)
    return { cpu: (system + user) / waiting, bytes: (heap() - before) / waiting }
  }
  if ("turns" in question) {
    if (callers === undefined) throw new Error("It has to be somebody first.")
    const { turns } = question
    const end = count + turns
    if (waiting > 0) return measured(() => time.until(() => count >= end))
    let isOver = false
    target = end
    return measured(async () => {
      void callers?.start(1).then(() => {
        isOver = true
      })
      await time.until(() => isOver)
    })
  }
  goesOn = false
  let isOver = false
  void over.then(() => {
    isOver = true
  })
  return measured(() => time.until(() => isOver))
}

process.on("message", (question: Question) => {
  follow(question).then((took) => process.send?.(took), (error: unknown) => {
    console.error(error)
    process.exit(1)
  })
})
process.once("disconnect", () => process.exit(0))
