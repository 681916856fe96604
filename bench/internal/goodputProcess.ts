/** One contestant before one traffic, in virtual time and in a process of its own. */
import type { Rules, Seen } from "./bedrockBooks.ts"
import type { Foretold, Name } from "./goodputContestants.ts"
import type * as Traffic from "./traffic.ts"
import * as VirtualTime from "./virtualTime.ts"

export interface Order {
  readonly contestant: Name
  readonly shape: Traffic.Name
  readonly seed: number
  readonly burndown: number
  readonly rules: Rules
  /** Of the requests, only these. */
  readonly priority?: "interactive" | undefined
  readonly limitMillis: number
  readonly trials: number
}

export interface Outcome {
  readonly seen: Seen
  /** Gave up, and had no answer when the time was over. */
  readonly failed: number
  readonly unanswered: number
  /** To the last answer, and what was planned, by whoever plans. */
  readonly millis: number
  readonly planned: number | undefined
  /** Of the process, for each request of the traffic; microseconds. */
  readonly cpu: number
  /** From question to answer, by class. */
  readonly took: Readonly<Record<string, ReadonlyArray<number>>>
  readonly foretold: Foretold | undefined
}

const compete = async (order: Order): Promise<Outcome> => {
  // Before anything else is imported.
  const time = VirtualTime.install(order.seed)
  const Shapes = await import("./traffic.ts")
  const { Books } = await import("./bedrockBooks.ts")
  const { contestants } = await import("./goodputContestants.ts")
  const all = Shapes.make(order.shape, order)
  const traffic = order.priority === undefined ? all : Shapes.only(all, order.priority)
  const books = new Books(time, traffic, order.rules)
  const { ask, foretold, planned } = await contestants[order.contestant]({ time, traffic, books, trials: order.trials })
  const took: Record<string, Array<number>> = {}
  let failed = 0
  let answered = 0
  let millis = 0
  for (const prompt of traffic.prompts) {
    const begin = (): void => {
      books.waiting++
      ask(prompt).then(() => {
        answered++
        millis = time.now()
        ;(took[prompt.priority] ??= []).push(time.now() - prompt.at)
      }, () => {
        books.waiting--
        failed++
      })
    }
    if (prompt.at === 0) begin()
    else setTimeout(begin, prompt.at)
  }
  const stop = books.watch()
  const cpu = process.cpuUsage()
  await time.until(() => answered + failed === traffic.prompts.length || time.now() > order.limitMillis)
  const { system, user } = process.cpuUsage(cpu)
  stop()
  return {
    seen: books.seen,
    failed,
    unanswered: traffic.prompts.length - answered - failed,
    millis,
    planned,
    cpu: (system + user) / traffic.prompts.length,
    took,
    foretold
  }
}

process.once("message", (order: Order) => {
  compete(order).then((outcome) => process.send?.(outcome), (error: unknown) => {
    console.error(error)
    process.exit(1)
  })
})
process.once("disconnect", () => process.exit(0))
