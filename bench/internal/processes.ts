/** Child processes that answer each message with one. */
import { type ChildProcess, fork } from "node:child_process"
import { fileURLToPath } from "node:url"

export interface Process {
  readonly ask: <A>(question: object) => Promise<A>
  /** The first message, which it sends unasked. */
  readonly hello: <A>() => Promise<A>
  readonly stop: () => void
  /** At once, whatever it does. Who waits for an answer gets an error. */
  readonly kill: () => void
}

const reply = <A>(child: ChildProcess): Promise<A> =>
  new Promise((resolve, reject) => {
    const onExit = (): void => reject(new Error("A process of the benchmark ended too soon."))
    child.once("exit", onExit)
    child.once("message", (message) => {
      child.off("exit", onExit)
      resolve(message as A)
    })
  })

/** `flags`: of Node, beside those of this process. */
export const start = (module: string, flags: ReadonlyArray<string> = []): Process => {
  const child = fork(fileURLToPath(new URL(module, import.meta.url)), {
    stdio: "inherit",
    execArgv: [...process.execArgv, "--expose-gc", ...flags]
  })
  return {
    hello: () => reply(child),
    ask: (question) => {
      const answer = reply<never>(child)
      child.send(question)
      return answer
    },
    stop: () => child.disconnect(),
    kill: () => {
      child.kill("SIGKILL")
    }
  }
}
