// Only the limiter, for an API that has nothing to do with Bedrock: 20 requests and 4,000 tokens in any second.
import { Meter, RateLimiter } from "@caprock/rate-limiter"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Array, Clock, Console, Data, Duration, Effect } from "effect"

class Refused extends Data.TaggedError("Refused") {}

/** Stands for the API: it counts what arrived within the last second, and refuses what is over. It charges what was used. */
const makeApi = Effect.sync(() => {
  const calls: Array<{ readonly at: number; tokens: number }> = []
  const embed = (most: number) =>
    Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      const counted = calls.filter(({ at }) => at > now - 1000)
      const tokens = counted.reduce((sum, call) => sum + call.tokens, most)
      if (counted.length >= 20 || tokens > 4000) return yield* new Refused()
      const call = { at: now, tokens: most }
      calls.push(call)
      yield* Effect.sleep("50 millis")
      call.tokens = most / 2
      return { used: call.tokens }
    })
  return { embed }
})

const program = Effect.gen(function*() {
  const limiter = yield* RateLimiter.RateLimiter
  const api = yield* makeApi
  const call = (tokens: number) =>
    api.embed(tokens).pipe(
      // Reserves, waits its turn, and gives back what was not used as soon as that is known.
      limiter.limit<{ readonly used: number }>(
        { pool: "embeddings", requests: 1, tokens },
        ({ used }) => ({ tokens: used })
      )
    )
  const [took, answers] = yield* Effect.timed(
    Effect.forEach(Array.range(1, 60), (n) => call(100 + n * 2), { concurrency: "unbounded" })
  )
  yield* Console.log(`${answers.length} answers, none refused, in ${Math.round(Duration.toSeconds(took))} seconds`)
})

NodeRuntime.runMain(program.pipe(
  Effect.provide(RateLimiter.layer({ meters: () => [Meter.requests(20, "1 second"), Meter.tokens(4000, "1 second")] }))
))
