// A program that needs only this package and what it stands on. `pnpm packages` runs it in an empty project.
import { type Backoff, RetryBudget } from "@caprock/backoff"
import { Meter, RateLimiter } from "@caprock/rate-limiter"
import { Health, ModelRouter, RouteTable } from "@caprock/router"
import { Effect, Layer, Result } from "effect"

const failed: Backoff.Retryable = { retryable: true, retryableElsewhere: true, retryAfter: undefined }

const table = Result.getOrThrow(RouteTable.make({
  targets: { ireland: { model: "sage" }, frankfurt: { model: "sage" } },
  routes: { chat: { policy: { ordered: ["ireland", "frankfurt"] } } }
}))

const routed = await Effect.runPromise(
  Effect.gen(function*() {
    const router = yield* ModelRouter.ModelRouter
    return yield* router.run<string, Backoff.Retryable, never>("chat", {
      ask: { input: 100, output: 100, needs: [], leftMillis: Infinity },
      offer: ({ name }) => ({
        cost: { pool: name, requests: 1, tokens: 200 },
        withdrawn: () => {},
        send: ({ reservation }) =>
          name === "ireland" ? Effect.fail(failed) : Effect.as(reservation.settle({ tokens: 150 }), "an answer")
      }),
      refused: () => failed
    })
  }).pipe(
    Effect.scoped,
    Effect.provide(
      ModelRouter.layer({ table }).pipe(Layer.provide([
        RateLimiter.layer({ meters: () => [Meter.tokens(4000)] }),
        Health.layer(),
        RetryBudget.layer()
      ]))
    )
  )
)

if (routed.value !== "an answer" || routed.account.target !== "frankfurt" || routed.account.attempts !== 2) {
  throw new Error(JSON.stringify(routed))
}
