// A process that shares a file with others, for `localStore.test.ts`: it tells on its standard output what the store answered it. With a number of an
// operation it dies by SIGKILL right before its so-manieth operation on the file, in whatever it is in the middle of.
import * as Effect from "effect/Effect"
import * as LocalStore from "../src/internal/localStore.ts"
import { asking, type Asks } from "./localAsks.ts"

const [path = "", name = "", ...rest] = process.argv.slice(2)
const options = new Map(rest.map((option) => option.split("=") as [string, string]))
const steps = Number(options.get("steps") ?? 2)
const dieBefore = Number(options.get("die") ?? Infinity)

let operations = 0
const mortal = (owner: object, names: ReadonlyArray<string>): void => {
  for (const name of names) {
    const real: (...args: Array<unknown>) => unknown = Reflect.get(owner, name)
    Reflect.set(owner, name, function(this: unknown, ...args: Array<unknown>) {
      if (operations++ === dieBefore) process.kill(process.pid, "SIGKILL")
      return real.apply(this, args)
    })
  }
}

const program = Effect.gen(function*() {
  const store = yield* LocalStore.make({ path })
  yield* store.listen(name, () => {})
  let asks: Asks = asking(name)
  for (let step = 0; step < steps; step++) {
    // As a limiter does: on a machine that is busy enough, two seconds are not for ever.
    const standing = yield* store.exchange("pool", asks.message(5)).pipe(
      Effect.retry({ times: 20, while: ({ message }) => message.includes("waited") })
    )
    asks = asks.after(standing)
    process.stdout.write(`${JSON.stringify(standing)}\n`)
    // Others have their turn, and who reads what is told.
    yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
  }
  yield* store.leave("pool", asks.message(0)).pipe(
    Effect.retry({ times: 20, while: ({ message }) => message.includes("waited") })
  )
})

// The program and its modules are there. What comes now is about the file.
await Effect.runPromise(Effect.void)
if (options.has("euid")) process.seteuid?.(Number(options.get("euid")))
if (dieBefore < Infinity) {
  const { DatabaseSync, StatementSync } = process.getBuiltinModule("node:sqlite")
  mortal(process.getBuiltinModule("node:fs"), ["openSync", "closeSync", "linkSync", "rmSync"])
  mortal(DatabaseSync.prototype, ["exec", "prepare", "close"])
  mortal(StatementSync.prototype, ["get", "all", "run"])
}
const exit = await Effect.runPromiseExit(Effect.scoped(program))
process.stdout.write(`${JSON.stringify(exit._tag === "Success" ? "done" : { failed: String(exit.cause) })}\n`)
