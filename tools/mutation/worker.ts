// One thread in which vitest runs one test file after another. `pool.ts` says why.
import { parentPort } from "node:worker_threads"
import { init, runBaseTests, setupEnvironment } from "vitest/worker"

const port = parentPort
if (port === null) throw new Error("tools/mutation/pool.ts starts this as a thread")

const begin = (): void => {
  init({
    post: (response) => port.postMessage(response),
    on: (callback) => port.on("message", callback),
    off: (callback) => port.off("message", callback),
    // What vitest takes for the end of a worker is the beginning of the next file here.
    teardown: () => {
      port.removeAllListeners("message")
      begin()
    },
    setup: setupEnvironment,
    runTests: (state, traces) => {
      // Stryker's: which mutant is active. The last one must not be while the modules of this file are evaluated.
      Reflect.deleteProperty(globalThis, "__stryker__")
      return runBaseTests("run", state, traces)
    },
    collectTests: (state, traces) => runBaseTests("collect", state, traces)
  })
}
begin()
