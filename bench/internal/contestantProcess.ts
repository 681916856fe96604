/** One contestant in a process of its own, so that its garbage and its compiled code are nobody else's. */
import { type Contestant, contestants, type Name, type Operation } from "./contestants.ts"

type Order =
  | { readonly be: Name; readonly endpoint: string }
  | { readonly operation: Operation; readonly calls: number; readonly concurrency: number }

export interface Took {
  readonly text: string
  /** Of the whole process, garbage collection included; microseconds for each call. */
  readonly cpu: number
  readonly wall: number
}

let contestant: Contestant | undefined

const follow = async (order: Order): Promise<Took | string> => {
  if ("be" in order) {
    contestant = contestants[order.be](order.endpoint)
    return order.be
  }
  if (contestant === undefined) throw new Error("It has to be somebody first.")
  const { calls, concurrency, operation } = order
  const text = await contestant.text(operation)
  globalThis.gc?.()
  const cpu = process.cpuUsage()
  const from = performance.now()
  await contestant.run(operation, calls, concurrency)
  const wall = (performance.now() - from) * 1_000
  const { system, user } = process.cpuUsage(cpu)
  return { text, cpu: (system + user) / calls, wall: wall / calls }
}

process.on("message", (order: Order) => {
  follow(order).then(
    (took) => process.send?.(took),
    (error: unknown) => {
      console.error(error)
      process.exit(1)
    }
  )
})
process.once("disconnect", () => process.exit(0))
