// Where an answer keeps its account: no field of the SDK's output, and nothing that is listed or copied with it.
import type { Account } from "@caprock/router/Account"

/** @internal */
export const key: unique symbol = Symbol("@caprock/bedrock/CallAccount")

/** @internal */
export interface Accounted {
  readonly [key]?: Account
}
