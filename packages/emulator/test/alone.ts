// A program that needs only this package and its peers. `pnpm packages` runs it in an empty project.
import { Emulator } from "@caprock/emulator"
import { Effect } from "effect"

const seen = await Effect.runPromise(
  Effect.gen(function*() {
    const emulator = yield* Emulator.Emulator
    const converse = Effect.promise(() =>
      fetch(`${emulator.url}/model/amazon.nova-lite-v1%3A0/converse`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({
          messages: [{ role: "user", content: [{ text: "Are you there?" }] }],
          inferenceConfig: { maxTokens: 10 }
        })
      }).then((response) => response.status)
    )
    return { statuses: [yield* converse, yield* converse], answered: (yield* emulator.stats).answered }
  }).pipe(Effect.provide(Emulator.layer({ quota: { requests: 1 } })))
)

// The client of S3 is no package that it needs: whoever asks for batch jobs is told to install it.
const missing = await Effect.runPromise(
  Effect.flip(Effect.scoped(Emulator.make({ batch: { s3: { endpoint: "http://127.0.0.1:9000" } } })))
)
if (missing.kind !== "package" || !missing.message.includes("@aws-sdk/client-s3")) throw missing

if (seen.statuses.join() !== "200,429" || seen.answered !== 1) throw new Error(JSON.stringify(seen))
