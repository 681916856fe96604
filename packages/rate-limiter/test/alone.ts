// A program that needs only this package and its peers. `pnpm packages` runs it in an empty project.
import { Meter, RateLimiter } from "@caprock/rate-limiter"
import { Effect } from "effect"

const used = await Effect.runPromise(
  Effect.gen(function*() {
    const limiter = yield* RateLimiter.RateLimiter
    const cost = { pool: "an-api", requests: 1, tokens: 1000 }
    yield* limiter.limit<{ readonly tokens: number }>(cost, ({ tokens }) => ({ tokens }))(
      Effect.succeed({ tokens: 300 })
    )
    const tooLarge = yield* Effect.flip(limiter.limit({ ...cost, tokens: 5000 })(Effect.void))
    const { meters } = yield* limiter.snapshot("an-api")
    return { tokens: meters.find(({ unit }) => unit === "tokens")?.used, refused: tooLarge._tag }
  }).pipe(Effect.provide(RateLimiter.layer({ meters: () => [Meter.requests(60), Meter.tokens(4000)] })))
)

if (used.tokens !== 300 || used.refused !== "RateLimiterError") throw new Error(JSON.stringify(used))
