// What a listener of calls is told, whatever the class of errors is: with Effect and without.
import type { Account, Adapted } from "@caprock/router/Account"

/** One event of a call whose errors are of class `E`. Times are milliseconds. */
export type Told<E> =
  | { readonly _tag: "Waiting"; readonly pool: string; readonly tokens: number }
  | { readonly _tag: "Admitted"; readonly pool: string; readonly attempt: number; readonly waitedMillis: number }
  | { readonly _tag: "AttemptFailed"; readonly pool: string; readonly attempt: number; readonly error: E }
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
    readonly adapted: ReadonlyArray<Adapted>
  }
