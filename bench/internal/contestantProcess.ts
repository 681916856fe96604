/** One contestant in a process of its own, so that its garbage and its compiled code are nobody else's. */
import { readdirSync } from "node:fs"
import { type Contestant, contestants, type Name, type Operation, type Place } from "./contestants.ts"

type Order =
  | { readonly be: Name; readonly at: Place }
  | { readonly operation: Operation; readonly calls: number; readonly concurrency: number }
  /** To begin so many streams and not to wait for them. */
  | { readonly begin: number }
  | { readonly weigh: true }
  /** To wait for the streams that were begun. */
  | { readonly finish: true }

export interface Took {
  readonly text: string
  /** Of the whole process, garbage collection included; microseconds for each call. */
  readonly cpu: number
  readonly wall: number
}

/** Of the whole process, after a collection; bytes, and files that are open. */
export interface Weight {
  readonly rss: number
  readonly heap: number
  readonly external: number
  readonly descriptors: number
}

let contestant: Contestant | undefined
let begun: Promise<void> | undefined

const measure = async (
  contestant: Contestant,
  operation: Operation,
  calls: number,
  concurrency: number
): Promise<Took> => {
  const text = await contestant.text(operation)
  globalThis.gc?.()
  const cpu = process.cpuUsage()
  const from = performance.now()
  await contestant.run(operation, calls, concurrency)
  const wall = (performance.now() - from) * 1_000
  const { system, user } = process.cpuUsage(cpu)
  return { text, cpu: (system + user) / calls, wall: wall / calls }
}

const weigh = (): Weight => {
  globalThis.gc?.()
  const { external, heapUsed, rss } = process.memoryUsage()
  return { rss, heap: heapUsed, external, descriptors: readdirSync("/proc/self/fd").length }
}

const follow = async (order: Order): Promise<unknown> => {
  if ("be" in order) {
    contestant = contestants[order.be](order.at)
    return order.be
  }
  if ("weigh" in order) return weigh()
  if (contestant === undefined) throw new Error("It has to be somebody first.")
  if ("begin" in order) {
    begun = contestant.run("converseStream", order.begin, order.begin)
    return order.begin
  }
  if ("finish" in order) {
    await begun
    return weigh()
  }
  return measure(contestant, order.operation, order.calls, order.concurrency)
}

process.on("message", (order: Order) => {
  follow(order).then(
    (answer) => process.send?.(answer ?? null),
    (error: unknown) => {
      console.error(error)
      process.exit(1)
    }
  )
})
process.once("disconnect", () => process.exit(0))
