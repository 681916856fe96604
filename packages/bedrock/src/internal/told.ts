// What a listener of calls is told, whatever the class of errors is: with Effect and without.

/** What of a request was changed for its target. */
interface Changed {
  readonly field: string
  readonly from: unknown
  /** `undefined` where it was left out. */
  readonly to: unknown
  readonly why: string
}

/** The account of a call by a route, in words that lead to no package with Effect. */
interface PlainAccount {
  readonly route: string
  /** Who answered; `undefined` where nobody did, or the last resort. */
  readonly target: string | undefined
  /** The requests that were sent for it, in the order in which they ended. */
  readonly trials: ReadonlyArray<{
    readonly target: string
    readonly why: { readonly _tag: string }
    readonly attempt: number
    readonly waitedMillis: number
    readonly tookMillis: number
    readonly outcome: "answered" | "rejected" | "lost" | "late" | { readonly failed: string; readonly message: string }
  }>
  readonly waitedMillis: number
  /** What its requests cost, as far as it is known. */
  readonly usd: number | undefined
  readonly adapted: ReadonlyArray<Changed>
  readonly hedged: boolean
  readonly rejected: boolean
  readonly lastResort: boolean
  readonly attempts: number
}

/** One event of a call whose errors are of class `E`. Times are milliseconds. */
export type Told<E, Account extends PlainAccount = PlainAccount> =
  | { readonly _tag: "Waiting"; readonly pool: string; readonly tokens: number }
  | { readonly _tag: "Admitted"; readonly pool: string; readonly attempt: number; readonly waitedMillis: number }
  | { readonly _tag: "Left"; readonly pool: string }
  | { readonly _tag: "AttemptFailed"; readonly pool: string; readonly attempt: number; readonly error: E }
  | {
    readonly _tag: "Routed" | "Hedged"
    readonly pool: string
    readonly route: string
    readonly target: string
    readonly attempt: number
    readonly why: Account["trials"][number]["why"]
  }
  | {
    readonly _tag: "Settled"
    readonly pool: string
    readonly reserved: number
    readonly booked: number
    readonly charged: number
  }
  | {
    readonly _tag: "CallEnded"
    readonly pool: string
    readonly attempts: number
    readonly waitedMillis: number
    readonly serviceMillis: number
    readonly succeeded: boolean
    /** Of a call by a route. */
    readonly account?: Account
  }
  | {
    readonly _tag: "Adapted"
    readonly pool: string
    readonly target: string
    readonly adapted: ReadonlyArray<Changed>
  }
