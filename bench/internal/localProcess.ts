/** A process that exchanges as fast as it can, or at a pace, with what processes of one machine could share a quota by. */
import type { LimiterStore } from "@caprock/rate-limiter"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { connect, createServer } from "node:net"
import { createInterface } from "node:readline"
import * as LocalStore from "../../packages/rate-limiter/src/internal/localStore.ts"
import * as SharedQuota from "../../packages/rate-limiter/src/internal/sharedQuota.ts"

/** `alone`: the books in its own memory, which nobody shares. `socket`: in the memory of one process, which serves them over a Unix socket. */
export type By = "alone" | "file" | "socket"

type Question =
  | { readonly serve: string }
  | {
    readonly by: By
    readonly path: string
    readonly name: string
    readonly millis: number
    /** Between two exchanges; 0: at once. */
    readonly pauseMillis: number
  }

export interface Took {
  readonly exchanges: number
  readonly failures: number
  /** Of one exchange, milliseconds. */
  readonly p50: number
  readonly p99: number
  /** The longest that a timer of a millisecond came too late. */
  readonly block: number
  /** Microseconds for each exchange. */
  readonly cpu: number
}

const meters = { requests: { limit: 1000, staysMillis: 60_250 }, tokens: { limit: 1_000_000, staysMillis: 60_250 } }

let sent = 0

/** A busy process: five wait, and all that it holds was sent, in twelve parts of the window. */
const messageOf = (member: string, known: LimiterStore.Standing | undefined): LimiterStore.Message => {
  const leaving = Array.from({ length: 12 }, (_, part) => [5000 * (part + 1), 80] as const)
  return {
    member,
    leaseMillis: 5000,
    ageingMillis: 10_000,
    anew: false,
    number: ++sent,
    meters,
    epoch: known?.epoch ?? null,
    version: known?.version ?? 0,
    fresh: member,
    knows: known?.members ?? [],
    remains: {},
    granted: known?.granted ?? {},
    given: known?.granted ?? {},
    yields: false,
    owed: {},
    leaving: { requests: leaving, tokens: leaving },
    lines: [{
      priority: 0,
      tenant: "",
      weight: 1,
      sinceMillis: 10,
      count: 5,
      head: { requests: 1, tokens: 1000 },
      all: { requests: 5, tokens: 5000 }
    }],
    ahead: {},
    foreign: null,
    parkMillis: 0
  }
}

type Exchange = (message: LimiterStore.Message) => Promise<LimiterStore.Standing | undefined>

const stepper = (): (message: LimiterStore.Message) => LimiterStore.Standing => {
  let quota: SharedQuota.SharedQuota | undefined
  return (message) => {
    const step = SharedQuota.exchange(quota, message, Math.floor(performance.now()))
    quota = step.quota
    return step.standing
  }
}

const exchangeBy = async (by: By, path: string): Promise<Exchange> => {
  if (by === "alone") {
    const step = stepper()
    return (message) => Promise.resolve(step(message))
  }
  if (by === "socket") {
    const socket = connect(path)
    const answers: Array<(standing: LimiterStore.Standing) => void> = []
    createInterface({ input: socket }).on("line", (line) => answers.shift()?.(JSON.parse(line)))
    return (message) =>
      new Promise((resolve) => {
        answers.push(resolve)
        socket.write(`${JSON.stringify(message)}\n`)
      })
  }
  const store = await Effect.runPromise(
    LocalStore.make({ path }).pipe(Scope.provide(await Effect.runPromise(Scope.make())))
  )
  return async (message) => {
    const exit = await Effect.runPromiseExit(store.exchange("pool", message))
    return Exit.isSuccess(exit) ? exit.value : undefined
  }
}

const follow = async (question: Question): Promise<Took | object> => {
  if ("serve" in question) {
    const step = stepper()
    const server = createServer((socket) => {
      createInterface({ input: socket }).on(
        "line",
        (line) => socket.write(`${JSON.stringify(step(JSON.parse(line)))}\n`)
      )
    })
    await new Promise<void>((resolve) => server.listen(question.serve, resolve))
    return {}
  }
  const { by, millis, name, path, pauseMillis } = question
  const exchange = await exchangeBy(by, path)
  let known = await exchange(messageOf(name, undefined))
  const times: Array<number> = []
  let failures = 0
  let block = 0
  let beat = performance.now()
  const beats = setInterval(() => {
    const now = performance.now()
    block = Math.max(block, now - beat - 1)
    beat = now
  }, 1)
  const from = process.cpuUsage()
  const until = performance.now() + millis
  while (performance.now() < until) {
    const start = performance.now()
    const standing = await exchange(messageOf(name, known))
    times.push(performance.now() - start)
    if (standing === undefined) failures++
    else known = standing
    await new Promise((resolve) => pauseMillis === 0 ? setImmediate(resolve) : setTimeout(resolve, pauseMillis))
  }
  clearInterval(beats)
  const { system, user } = process.cpuUsage(from)
  times.sort((one, other) => one - other)
  const at = (part: number) => times[Math.floor((times.length - 1) * part)] ?? 0
  return { exchanges: times.length, failures, p50: at(0.5), p99: at(0.99), block, cpu: (system + user) / times.length }
}

process.on("message", (question: Question) => {
  void follow(question).then((took) => process.send?.(took))
})
process.on("disconnect", () => process.exit())
process.send?.({})
