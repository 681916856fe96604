/**
 * The least time in which any client could have had a set of requests answered without a throttle, however much it
 * knows in advance: every size, every answer's length and latency, and the server's rules.
 *
 * **The rules.** Request `i` arrives at `a` and is answered at `e = a + ℓ`. It is charged `R = input + cache writes +
 * maxTokens` on arrival and settled at `S = input + cache writes + output × burndown`. Write `m = min(R, S)`,
 * `g = max(S − R, 0)`, `W` for the window, `L` for the limit, `λ = min(ℓ, W)`, and `T` for the time from the first
 * arrival to the last answer. An arrival is admitted iff what counts then, itself included, is at most `L`. Its charge
 * `c(t)` is `R` until answered and `m` after (a refund happens in place), and keeps the arrival's stamp. What it grows
 * by, `g`, is charged anew with stamps in `(a, e]`, whether or not it fits.
 * A failed or throttled attempt only adds charges, so that a bound for the answered requests alone stays one.
 *
 * **Rolling window** (what was stamped in `(t − W, t]` counts). (1) *At every instant `Σ c(t) ≤ L`*: it holds at each
 * admission, and between admissions no `c` grows. (2) `T ≥ T' + min ℓ`, where `T'` is the time between the first and
 * the last admission. From these:
 *
 * - `requests` and `settled`: cut `[first, last]` backwards from the last admission into half-open pieces of length
 *   `W`. By (1) at the last admission in a piece, `Σ m ≤ L` over the admissions in it, and likewise at most `limit`
 *   requests. So `⌈Σm / L⌉` pieces are touched, and `T' ≥ (⌈Σm / L⌉ − 1)·W`.
 * - `reserved` (token-time): integrate (1) from the first arrival to the last answer. A request's `c` has the area
 *   `A = m·W + (R − m)·λ` in all, less what is left of it at the end. At the end all are answered, so what is left of
 *   one is at most `m·(W − λ)`, and by (1) those of which something is left have `Σ m ≤ L`. The fractional knapsack
 *   with these sizes and values is therefore an upper bound `K` of what is left, and `L·T ≥ ΣA − K`.
 * - `debt`: a growth escapes only the admissions that it outlives. Sample-and-hold: let `H(t)` be what counted at the
 *   last admission up to `t`, growth included, so that `H ≤ L`, held for `W` after the last one. Take a growing request
 *   whose growth has mean delay `δ` (each part `x` of it after `a` by `δx < W`). Let `z ≥ 0` be the time from `a + W`
 *   to the next admission. In `∫H` it has `R·(W + z)`, and of each part at least `x·(δx − z)`: the next admission after
 *   `a + W` still meets the part, unless it comes later than `a + δx + W`. That is at least `R·W + min(g, R)·δ`
 *   (multiply the parts by `min(1, R/g)`; what `z` takes from them it has given to `R·z`). If there is no admission
 *   after `a + W`, put `z` for the time from `a` to the last admission: it has `R·(W + z)` again, parts before the last
 *   admission have `x·W`, and parts after it have `δx ≤ z + τ`, where `τ` is the time from the last admission to the
 *   last answer; so at most `min(g, R)·τ ≤ R·τ` is missing. Those were in flight at the last admission, where their
 *   `Σ R ≤ L`: at most `L·τ` is missing in all. Hence `L·(T' + W) + L·τ ≥ Σ (A + min(g, R)·δ)`, and `T = T' + τ`.
 *   Growth can't simply be counted in full: a client that sends all at once, waits until the debt is gone and sends
 *   all at once again gets up to `S / R` times the quota out of such a server.
 *
 * **Fixed windows** (each starts from nothing; the first boundary `phase` after the beginning, at best just after the
 * first arrival). Touching `N` windows takes `T' ≥ phase + (N − 2)·W`. `requests` and `settled` as above, per window.
 * `reserved`: in the window's last admission put weight 1, and weight `x` per unit of time between its first and last.
 * A request that arrives `ρ` before the last admission has `R·(1 + xρ)` in that sum if `ρ < ℓ`, else
 * `R·xℓ + m·(1 + x(ρ − ℓ))`: at least `U(x) = min(R, m + R·xℓ)`. So `ΣU(x) ≤ L·(N + x·T')`, for every `x ≥ 0`.
 *
 * **Bucket** (capacity `L`, refilled by `L / W`, refunded up to `L`, overdrawn by growth). `settled`: at the last
 * admission the level is not negative, so `Σm ≤ L + T'·L/W`. `debt`: all growth is charged by then but that of the
 * requests `F` still in flight, so `ΣS − Σ(g in F) ≤ L + T'·L/W`. Those of `F` arrived within `max ℓ`; the level before
 * was at most `L`, and what came in since is at most `L·max ℓ/W` and the refunds, so `Σ(R in F)` is at most
 * `F* = L·(1 + max ℓ/W) + Σ max(R − S, 0)`, and the fractional knapsack of the `g` by `R` bounds `Σ(g in F)`.
 * `reserved`: at each time `t` after the first arrival the reservations in flight are at most `L + t·L/W`; integrated
 * over `T`, `ΣRℓ ≤ L·(T + T²/2W)`.
 *
 * **Unknown** (the default): neither the shape nor when growth is charged is documented, and as long as nothing is
 * throttled no answer tells. So a client that wants no throttle *in any case* sends at the same times in each of them. Its
 * schedule keeps the rules of all, no bound of any of them can be beaten by it, whichever it meets, and the largest one
 * holds. Fixed windows of unknown phase are the rolling window exactly, since some phase ends a window just after each
 * admission. Growth may be charged as soon as it can be: right after arrival. Then with `S` for `c` of those that grow,
 * and `G = max g`, `Σ c(t) ≤ L + G` in a rolling window (at an admission only the newest has not grown yet), and all of
 * the above follows with `S` in place of `m` and `L + G` in place of `L`; and in a bucket `ΣS − G ≤ L + T'·L/W`.
 * (A client that is told more, or takes its chance, can be quicker: the bounds of the shapes say by how much at most.)
 *
 * Each bound is also at least `latency`, the longest single answer. Where a request arrives later than the first one,
 * the bounds hold all the more. Milliseconds and tokens throughout; O(n log n).
 *
 * @since 0.1.0
 */
import type { Shape } from "./Meter.ts"
import type { RequestRecord } from "./Stats.ts"

/**
 * One answered request, as the server saw it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Answered {
  /** Input tokens, cache reads not included. */
  readonly input: number
  readonly cacheWrite?: number | undefined
  /** What was reserved for the output. */
  readonly maxTokens: number
  /** What was written. */
  readonly output: number
  /** Output tokens are settled this many times. */
  readonly burndown: number
  /** From arrival to the end of the answer. */
  readonly latencyMillis: number
  /**
   * The mean delay with which growth beyond the reservation is charged after arrival. With charges adjusted at the end
   * that is the latency (the default); charges adjusted during generation have a shorter one, and 0 is always safe.
   */
  readonly growthDelayMillis?: number | undefined
}

/**
 * What is known of the server.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface Options {
  /** Requests per window; absent, unlimited. */
  readonly requests?: number | undefined
  /** Tokens per window; absent, unlimited. */
  readonly tokens?: number | undefined
  readonly windowMillis: number
  /** What the client is told. Unless given, neither the shape nor when growth is charged: see the module's text. */
  readonly shape?: Shape | undefined
  /** With fixed windows: from the beginning to the first boundary, above 0. Unless given, the most favourable. */
  readonly phaseMillis?: number | undefined
}

/**
 * What a bound rests on.
 *
 * @category models
 * @since 0.1.0
 */
export type Part = "requests" | "settled" | "reserved" | "debt" | "latency"

/**
 * The bound: the largest of its parts (milliseconds, each a bound by itself), and which part that is.
 *
 * @category models
 * @since 0.1.0
 */
export interface LowerBound {
  readonly millis: number
  readonly binding: Part
  readonly parts: Readonly<Record<Part, number>>
}

interface Charged {
  readonly reserved: number
  readonly kept: number
  readonly growth: number
  readonly latency: number
  readonly growthDelay: number
}

const charged = (request: Answered, window: number): Charged => {
  const base = request.input + (request.cacheWrite ?? 0)
  const reserved = base + request.maxTokens
  const settled = base + request.output * request.burndown
  const delay = Math.min(request.growthDelayMillis ?? request.latencyMillis, request.latencyMillis)
  return {
    reserved,
    kept: Math.min(reserved, settled),
    growth: Math.max(settled - reserved, 0),
    latency: request.latencyMillis,
    // A part that comes after its reservation has left meets nothing of it: the proof takes no such part.
    growthDelay: request.latencyMillis < window ? delay : 0
  }
}

const sum = <A>(items: ReadonlyArray<A>, of: (item: A) => number): number =>
  items.reduce((total, item) => total + of(item), 0)

/** The fractional knapsack: the most that `room` holds of things with a size and a value per size. */
const most = (
  charges: ReadonlyArray<Charged>,
  room: number,
  size: (charge: Charged) => number,
  density: (charge: Charged) => number
): number => {
  let left = room
  let value = 0
  for (const charge of charges.toSorted((a, b) => density(b) - density(a))) {
    const taken = Math.min(size(charge), left)
    left -= taken
    value += taken * density(charge)
  }
  return value
}

const area = ({ reserved, kept, latency }: Charged, window: number): number =>
  kept * window + (reserved - kept) * Math.min(latency, window)

type Parts = Partial<Record<Exclude<Part, "latency">, number>>

const rolling = (charges: ReadonlyArray<Charged>, options: Options, shortest: number): Parts => {
  const { requests, tokens, windowMillis: window } = options
  const windows = (amount: number, limit: number): number => (Math.ceil(amount / limit) - 1) * window + shortest
  const total = sum(charges, (charge) => area(charge, window))
  const left = (limit: number): number =>
    most(charges, limit, ({ kept }) => kept, ({ latency }) => Math.max(window - latency, 0))
  const grown = sum(charges, ({ growth, growthDelay, reserved }) => Math.min(reserved, growth) * growthDelay)
  return {
    ...(requests === undefined ? {} : { requests: windows(charges.length, requests) }),
    ...(tokens === undefined ? {} : {
      settled: windows(sum(charges, ({ kept }) => kept), tokens),
      reserved: (total - left(tokens)) / tokens,
      debt: grown === 0 ? 0 : (total + grown) / tokens - window
    })
  }
}

/** Any weight gives a bound. These lie where requests change from one branch of `U` to the other. */
const weights = (charges: ReadonlyArray<Charged>): ReadonlyArray<number> => {
  const turns = charges
    .filter(({ latency, reserved }) => latency > 0 && reserved > 0)
    .map(({ kept, latency, reserved }) => (reserved - kept) / (reserved * latency))
    .toSorted((a, b) => a - b)
  const step = Math.max(1, Math.floor(turns.length / 64))
  return turns.filter((_, index) => index % step === 0)
}

const fixed = (charges: ReadonlyArray<Charged>, options: Options, shortest: number): Parts => {
  const { phaseMillis = 0, requests, tokens, windowMillis: window } = options
  const touching = (windows: number): number => windows <= 1 ? 0 : (windows - 2) * window + phaseMillis
  const needed = (weight: number, limit: number): number => {
    const value = sum(
      charges,
      ({ kept, latency, reserved }) => Math.min(reserved, kept + reserved * weight * Math.min(latency, window))
    ) / limit
    let least = touching(Math.ceil(value))
    if (weight > 0) {
      for (let windows = 1; windows < value; windows++) {
        least = Math.min(least, Math.max(touching(windows), (value - windows) / weight))
      }
    }
    return least + shortest
  }
  return {
    ...(requests === undefined ? {} : { requests: touching(Math.ceil(charges.length / requests)) + shortest }),
    ...(tokens === undefined ? {} : {
      settled: needed(0, tokens),
      reserved: weights(charges).reduce((most, weight) => Math.max(most, needed(weight, tokens)), 0)
    })
  }
}

/** What bounds the reservations in flight at the last admission to a bucket. */
const inFlight = (charges: ReadonlyArray<Charged>, limit: number, window: number, longest: number): number =>
  limit * (1 + longest / window) + sum(charges, ({ kept, reserved }) => reserved - kept)

const bucket = (charges: ReadonlyArray<Charged>, options: Options, shortest: number, longest: number): Parts => {
  const { requests, tokens, windowMillis: window } = options
  const refilled = (amount: number, limit: number): number => Math.max(amount / limit - 1, 0) * window + shortest
  const indebted = (limit: number): number => {
    const room = inFlight(charges, limit, window, longest)
    const outstanding = most(charges, room, ({ reserved }) => reserved, ({ growth, reserved }) => growth / reserved)
    return refilled(sum(charges, ({ growth, kept }) => kept + growth) - outstanding, limit)
  }
  return {
    ...(requests === undefined ? {} : { requests: refilled(charges.length, requests) }),
    ...(tokens === undefined ? {} : {
      settled: refilled(sum(charges, ({ kept }) => kept), tokens),
      reserved: window *
        (Math.sqrt(1 + 2 * sum(charges, ({ latency, reserved }) => reserved * latency) / (tokens * window)) - 1),
      debt: charges.some(({ growth }) => growth > 0) ? indebted(tokens) : 0
    })
  }
}

/** Whatever the shape, and growth charged right after arrival. */
const early = (charges: ReadonlyArray<Charged>, options: Options, shortest: number): Parts => {
  const { tokens, windowMillis: window } = options
  if (tokens === undefined) return {}
  const largest = charges.reduce((most, { growth }) => Math.max(most, growth), 0)
  const settled = sum(charges, ({ growth, kept }) => kept + growth)
  const grown = charges.map((charge) => ({
    ...charge,
    reserved: charge.reserved + charge.growth,
    kept: charge.kept + charge.growth,
    growth: 0
  }))
  return {
    ...rolling(grown, { windowMillis: window, tokens: tokens + largest }, shortest),
    debt: largest === 0 ? 0 : ((settled - largest) / tokens - 1) * window + shortest
  }
}

const shapes = { rolling, fixed, bucket }

// Where two are equal the plainer one is named.
const names = ["latency", "requests", "settled", "reserved", "debt"] as const

/**
 * The least time from the first arrival to the last answer, for any client without a throttle.
 *
 * **Example** (Six requests at three per minute)
 *
 * ```ts
 * import { LowerBound } from "@caprock/emulator"
 *
 * const request = { input: 100, maxTokens: 400, output: 200, burndown: 1, latencyMillis: 2_000 }
 * const bound = LowerBound.make(Array.from({ length: 6 }, () => request), { requests: 3, windowMillis: 60_000 })
 * // Three at once, three a minute later, and the last answer takes its two seconds.
 * console.log(bound.binding, bound.millis) // => requests 62000
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (requests: Iterable<Answered>, options: Options): LowerBound => {
  const charges = Array.from(requests, (request) => charged(request, options.windowMillis))
  const latency = charges.reduce((most, charge) => Math.max(most, charge.latency), 0)
  const shortest = charges.reduce((least, charge) => Math.min(least, charge.latency), latency)
  const told = options.shape === undefined ? [rolling, fixed, bucket, early] : [shapes[options.shape]]
  const found = charges.length === 0 ? [] : told.map((bound) => bound(charges, options, shortest, latency))
  const largest = (part: Exclude<Part, "latency">): number =>
    found.reduce((largest, parts) => Math.max(largest, parts[part] ?? 0), 0)
  const parts: Record<Part, number> = {
    requests: largest("requests"),
    settled: largest("settled"),
    reserved: largest("reserved"),
    debt: largest("debt"),
    latency
  }
  const binding = names.reduce((best, part) => parts[part] > parts[best] ? part : best)
  return { millis: parts[binding], binding, parts }
}

/**
 * The answered requests of an emulator's log. `adjust` is what the emulator was told: with `during` the growth is taken
 * to come evenly with the output, less the piece by which a stream is charged ahead.
 *
 * @category constructors
 * @since 0.1.0
 */
export const answeredIn = (
  log: Iterable<RequestRecord>,
  options: { readonly adjust: "end" | "during" }
): ReadonlyArray<Answered> =>
  Array.from(log).filter(({ outcome }) => outcome === "Answered").map((record) => {
    const { latencyMillis, maxTokens, outputTokens: output } = record
    const spent = record.settled - record.inputTokens - record.cacheWriteTokens
    const pieces = Math.min(Math.max(Math.ceil(output / 4), 1), 32)
    const share = Math.max((1 + Math.min(maxTokens / spent, 1)) / 2 - 1 / pieces, 0)
    return {
      input: record.inputTokens,
      cacheWrite: record.cacheWriteTokens,
      maxTokens,
      output,
      burndown: output === 0 ? 1 : spent / output,
      latencyMillis,
      growthDelayMillis: options.adjust === "end" || spent <= 0 ? latencyMillis : latencyMillis * share
    }
  })
