// STAND-IN for limiter.headroomUnsafe
import type { Cost } from "@caprock/rate-limiter/Cost"
import type { RateLimiter } from "@caprock/rate-limiter/RateLimiter"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

export const headroomOf = (limiter: RateLimiter["Service"], cost: Cost) => {
  const exit = Effect.runSyncExit(limiter.estimate(cost))
  if (Exit.isFailure(exit)) {
    const reason = exit.cause.reasons[0]
    return { waitMillis: Infinity, free: 0, refused: reason?._tag === "Fail" ? reason.error.reason._tag : "defect" }
  }
  const waitMillis = Duration.toMillis(exit.value)
  const snapshot = Effect.runSyncExit(limiter.snapshot(cost.pool))
  const free = Exit.isFailure(snapshot) || waitMillis > 0
    ? 0
    : snapshot.value.meters.reduce(
      (least, { limit, used }) => Math.min(least, limit === Infinity ? 1 : 1 - used / limit),
      1
    )
  return { waitMillis, free, refused: undefined }
}
