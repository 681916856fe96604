// Targets and routes in words that lead to no package with Effect; `@caprock/router` says what each means.
import type { Duration } from "../../promise.ts"

/** What a request can be sent to. */
export interface Target {
  /** A model's id, an inference profile, or an ARN. */
  readonly model: string
  /** Where its requests are sent; that of the client unless told. */
  readonly region?: string
  /** Every place at which a request may be processed, `["*"]` for anywhere. No fence admits a target that does not say. */
  readonly residency?: readonly [string, ...Array<string>]
  /** What is not said is not known to be lacking. */
  readonly able?: {
    readonly input?: number
    readonly output?: number
    readonly tools?: boolean
    readonly images?: boolean
    readonly documents?: boolean
    readonly streaming?: boolean
    readonly caching?: boolean
  }
  /** US dollars for a million tokens. */
  readonly price?: {
    readonly input: number
    readonly output: number
    readonly cacheRead?: number
    readonly cacheWrite?: number
  }
  /** Fields of a request that it does not take. */
  readonly drop?: ReadonlyArray<string>
}

/** How a call's targets are picked: one by its name, or several policies. */
export type Policy =
  | string
  /** The first that can take it; the next ones while it makes wait for `patience` longer (1 second). */
  | { readonly ordered: ReadonlyArray<Policy>; readonly patience?: Duration }
  /** The one that makes wait the least: together they are one pool of capacity. */
  | { readonly headroom: ReadonlyArray<Policy> }
  /** Drawn, each as often as its weight says. */
  | {
    readonly weighted: ReadonlyArray<{
      readonly to: Policy
      readonly weight: number
      readonly ramp?: { readonly from: string; readonly over: Duration }
    }>
  }
  /** The cheapest that is able and in time. */
  | { readonly cheapest: ReadonlyArray<Policy>; readonly patience?: Duration }

/** Several targets under one name. */
export interface Route {
  readonly policy: Policy
  /** Where its requests may be processed: whole names, or beginnings such as `eu-*`. */
  readonly fence?: readonly [string, ...Array<string>]
  /** A second request where the first takes longer than this part of the answers (0.95), for at most this share of the calls (0.05). */
  readonly hedge?: { readonly percentile?: number; readonly share?: number }
  /** How much longer a call waits for the target whose cache has its prompt (5 seconds). */
  readonly affinity?: { readonly patience?: Duration }
}

/** Targets and routes, each under its name. */
export interface RouteFile {
  readonly targets: Readonly<Record<string, Target>>
  readonly routes: Readonly<Record<string, Route>>
}
