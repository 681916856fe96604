// A program that needs only this package and its peers. `pnpm packages` runs it in an empty project.
import { Backoff, RetryBudget } from "@caprock/backoff"
import { Effect } from "effect"

const busy: Backoff.Retryable = { retryable: true, retryableElsewhere: true, retryAfter: undefined }
let calls = 0
const call = Effect.suspend(() => ++calls < 3 ? Effect.fail(busy) : Effect.succeed("answer"))

const answer = await Effect.runPromise(
  Effect.gen(function*() {
    const budget = yield* RetryBudget.RetryBudget
    return yield* Backoff.retry(call, { base: "1 millis", budget })
  }).pipe(Effect.provide(RetryBudget.layer()))
)

if (answer !== "answer" || calls !== 3) throw new Error(`${answer} after ${calls} calls`)
