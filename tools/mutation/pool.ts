// Where the tests of a mutant run: in one thread that is kept from mutant to mutant.
//
// vitest starts a thread for each test file, which costs 340 ms of CPU, nearly all of it to load `effect` and vitest: more than most
// tests. A mutant is thousands of such runs. Here the thread stays, and with it what comes from `node_modules`; the modules of ours and the
// tests are evaluated anew for each file, as ever, so that a mutant of what is evaluated once has its effect, and ends with its run. 15 ms.
//
// A thread is not used again when a run was forced to end, or took so long that something may have hung and go on in the background.
import { Worker } from "node:worker_threads"
import type { PoolOptions, PoolWorker } from "vitest/node"

type Listener = Parameters<PoolWorker["on"]>[1]

/** Milliseconds. */
const longest = 15_000

const idle: Array<Worker> = []

const make = (options: PoolOptions): PoolWorker => {
  const started = performance.now()
  const listeners = new Set<readonly [string, Listener]>()
  let thread: Worker | undefined
  let ended = false

  const take = (): Worker =>
    idle.pop() ??
      new Worker(new URL("worker.ts", import.meta.url), { env: options.env, execArgv: options.execArgv })
  const running = (): Worker => {
    if (thread === undefined) throw new Error("this thread is not started, or stopped")
    return thread
  }

  return {
    name: "kept",
    start: async () => {
      thread = take()
      thread.ref()
    },
    stop: async () => {
      const last = running()
      thread = undefined
      for (const [event, listener] of listeners) last.off(event, listener)
      if (!ended || performance.now() - started > longest) {
        await last.terminate()
      } else {
        last.unref()
        idle.push(last)
      }
    },
    on: (event, listener) => {
      listeners.add([event, listener])
      running().on(event, listener)
    },
    off: (event, listener) => {
      running().off(event, listener)
    },
    send: (message) => running().postMessage(message, []),
    deserialize: (data) => {
      ended ||= typeof data === "object" && data !== null && "type" in data && data.type === "stopped"
      return data
    }
  }
}

/** The pool, as vitest takes it: by name, and by what makes its workers. */
export const kept = { name: "kept", createPoolWorker: make }
