// Many calls at once in a process that may open few files: `transport.test.ts` runs it so, and reads what it prints.
import { BedrockClient } from "@caprock/client"
import { Effect, Exit } from "effect"
import { credentials, request } from "./server.ts"

const [url = "", maxConnections = "", calls = ""] = process.argv.slice(2)

const program = Effect.gen(function*() {
  const client = yield* BedrockClient.make({
    region: "us-east-1",
    endpoint: url,
    credentials,
    maxConnections: Number(maxConnections)
  })
  const exits = yield* Effect.forEach(
    Array.from({ length: Number(calls) }),
    () => Effect.result(client.converse(request)),
    { concurrency: "unbounded" }
  )
  const errors = exits.flatMap((exit) => {
    if (exit._tag === "Success") return []
    const { attempts, reason } = exit.failure
    return [{ attempts, tag: reason._tag, kind: "kind" in reason ? reason.kind : undefined, message: reason.message }]
  })
  // Those that had a connection have given it back.
  const again = yield* Effect.exit(client.converse(request))
  return { answers: exits.length - errors.length, errors, again: Exit.isSuccess(again) }
}).pipe(Effect.scoped)

console.log(JSON.stringify(await Effect.runPromise(program)))
