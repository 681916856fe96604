// What all calls of a router share, and what those of one of its routes do.
import type * as Backoff from "@caprock/backoff/Backoff"
import type { RetryBudget } from "@caprock/backoff/RetryBudget"
import type { RateLimiter } from "@caprock/rate-limiter/RateLimiter"
import type { Ask } from "../Decision.ts"
import type { Health } from "../Health.ts"
import type { BuiltTarget } from "../Target.ts"
import type { Purse } from "./hedge.ts"
import type { Alarm, Stakes } from "./late.ts"

export interface Desk {
  readonly limiter: RateLimiter["Service"]
  readonly health: Health["Service"]
  readonly budget: RetryBudget["Service"]
  readonly backoff: Backoff.Options
  /** Requests that may be sent for a call. */
  readonly attempts: number
  /** How long a target is left alone that failed, while others can be asked: the first time, then twice that and so on, up to the cap. */
  readonly baseMillis: number
  readonly capMillis: number
  readonly alarm: Alarm
  /** A call answered there: what of it a cache may have is in the target's now. */
  readonly touch: (ask: Ask, target: BuiltTarget) => void
}

/** What the calls of a route share. */
export interface Fund {
  /** What second requests are paid from that are sent because the first is slower than most; `undefined` where the route wants none. */
  readonly purse: Purse | undefined
  readonly stakes: Stakes
}
