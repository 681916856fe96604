// A program that needs only this package and its peers. `pnpm packages` runs it in an empty project.
import { Classification } from "@caprock/errors"
import * as Reason from "@caprock/errors/Reason"
import { Duration, Effect } from "effect"

const thrown = Object.assign(new Error("Too many tokens, please wait before trying again."), {
  name: "ThrottlingException",
  $metadata: { httpStatusCode: 429 },
  $response: { headers: { "retry-after": "3" } }
})
const error = Classification.fromUnknown(thrown, { operation: "Converse", modelId: "us.amazon.nova-lite-v1:0" })
const limit = Effect.runSync(
  Effect.fail(error).pipe(
    Effect.catchReason("BedrockError", "ThrottlingError", (reason) => Effect.succeed(reason.limit))
  )
)
const wait = error.retryAfter === undefined ? undefined : Duration.toSeconds(error.retryAfter)

if (limit !== "tokens" || wait !== 3 || !error.retryable || !(error.reason instanceof Reason.ThrottlingError)) {
  throw new Error(`classified as ${error.message}`)
}
