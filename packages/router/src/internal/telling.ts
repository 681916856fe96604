// Which of several errors tells its reader the most, and what it is called.
import type { Judgement } from "../Sending.ts"

export interface Failure<E> {
  readonly error: E
  readonly judgement: Judgement | "refused"
}

const order: ReadonlyArray<Failure<unknown>["judgement"]> = ["caller", "sick", "limited", "refused"]

/** The caller's own first, what our own limiter refused last, and of several alike the first. @internal */
export const mostTelling = <E>(failures: ReadonlyArray<Failure<E>>): Failure<E> | undefined => {
  let most: Failure<E> | undefined
  for (const failure of failures) {
    if (most === undefined || order.indexOf(failure.judgement) < order.indexOf(most.judgement)) most = failure
  }
  return most
}

const has = <K extends string>(value: unknown, key: K): value is { readonly [P in K]: unknown } =>
  typeof value === "object" && value !== null && key in value

/** The name of an error: that of its reason, where it has one. @internal */
export const nameOf = (error: unknown): string =>
  has(error, "reason") && has(error.reason, "_tag")
    ? String(error.reason._tag)
    : has(error, "_tag")
    ? String(error._tag)
    : error instanceof Error
    ? error.name
    : "Error"

/** @internal */
export const messageOf = (error: unknown): string => has(error, "message") ? String(error.message) : String(error)
