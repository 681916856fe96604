// The whole service in front of a server that damages its streams, for `sweep`. Its books are looked at when it closes.
import { Bedrock } from "@caprock/bedrock"
import { assert } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"

const tokensPerMinute = 1e12

export const connect = (url: string) =>
  Effect.gen(function*() {
    const context = yield* Layer.build(Layer.orDie(Bedrock.layer({
      region: "us-east-1",
      endpoint: url,
      credentials: { accessKeyId: "AKIDTEST", secretAccessKey: "secret" },
      quotas: { default: { requestsPerMinute: 1e9, tokensPerMinute } },
      // Each is asked for once.
      backoff: { attempts: 1 }
    })))
    const bedrock = Context.get(context, Bedrock.Bedrock)
    yield* Effect.addFinalizer(() =>
      Effect.map(Effect.orDie(bedrock.snapshot("amazon.nova-lite-v1:0")), ({ meters, waiting }) => {
        assert.strictEqual(waiting, 0)
        for (const { used } of meters) {
          assert.isTrue(Number.isSafeInteger(used) && used > 0 && used < tokensPerMinute, `${used} in the books`)
        }
      })
    )
    return bedrock
  })
