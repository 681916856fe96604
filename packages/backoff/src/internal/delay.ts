// The arithmetic of waiting: no clock, no randomness, no Effect. All times are in milliseconds.

export type Jitter = "full" | "equal" | "decorrelated" | "none"

export interface Policy {
  readonly base: number
  readonly factor: number
  readonly cap: number
  readonly jitter: Jitter
  /** Requests in all, the first included. */
  readonly attempts: number
  /** From the first failure to the start of the last try. */
  readonly elapsed: number
}

/** What ends the tries, where the error itself would be worth another. */
export type Limit = "attempts" | "elapsed" | "budget" | "deadline"

export interface Failure {
  /** How many have failed so far, this one included: by these the wait grows. */
  readonly failures: number
  /** How many requests were sent so far, for `attempts`. */
  readonly sent: number
  /** Since the first failure. */
  readonly elapsed: number
  readonly retryAfter: number | undefined
  /** Until the deadline; `Infinity` where there is none. */
  readonly left: number
}

export type Decision =
  | { readonly millis: number; readonly previous: number }
  | { readonly limit: Limit }

// How far the tries are spread that a server told to come back at the same moment: over the backoff's own wait, and over
// a tenth of what was asked, so that a long hint does not end in a stampede ("19 of 20 waits were exactly 600.0 s",
// hermes-agent#109234). A tenth costs little beside a wait of that length.
const hintSpread = 0.1

/** The bounds of the wait after so many failures, before the hint: what the jitter chooses between. */
const bounds = (policy: Policy, failures: number, previous: number): readonly [low: number, high: number] => {
  const grown = policy.jitter === "decorrelated"
    ? Math.max(policy.base, previous * policy.factor)
    : policy.base * policy.factor ** (failures - 1)
  const high = Math.min(policy.cap, grown)
  switch (policy.jitter) {
    case "full":
      return [0, high]
    case "equal":
      return [high / 2, high]
    case "decorrelated":
      return [Math.min(policy.cap, policy.base), high]
    case "none":
      return [high, high]
  }
}

/**
 * What to do after a failure. `random` is uniform in [0, 1); `previous` is what the last decision gave back, the base at
 * first.
 */
export const decide = (policy: Policy, failure: Failure, previous: number, random: number): Decision => {
  if (failure.sent >= policy.attempts) return { limit: "attempts" }
  const [low, high] = bounds(policy, failure.failures, previous)
  const jittered = low + random * (high - low)
  const hinted = failure.retryAfter === undefined
    ? 0
    : failure.retryAfter + (policy.jitter === "none" ? 0 : random * Math.max(high, failure.retryAfter * hintSpread))
  // Upwards, because a timer drops the fraction and would fire before the time that the server named.
  const millis = Math.ceil(Math.max(jittered, hinted))
  // A try that begins at the deadline has no time left.
  if (millis >= failure.left) return { limit: "deadline" }
  return Number.isFinite(millis) && failure.elapsed + millis <= policy.elapsed
    ? { millis, previous: jittered }
    : { limit: "elapsed" }
}
