// Fences within fences: what is inside of two is inside of both.
import type { Fence } from "../Fence.ts"

/** No place is called that. */
const nowhere: Fence = ["(no place that both fences admit)"]

/** The places that both admit. @internal */
export const within = (outer: Fence | undefined, inner: Fence | undefined): Fence | undefined => {
  if (outer === undefined || inner === undefined) return outer ?? inner
  const [first, ...others] = outer.flatMap((one) => inner.flatMap((other) => narrower(one, other) ?? []))
  return first === undefined ? nowhere : [first, ...others]
}

/** Of two patterns the one that admits less, where all that it admits is admitted by the other one too. */
const narrower = (one: string, other: string): string | undefined =>
  covers(one, other) ? other : covers(other, one) ? one : undefined

const covers = (wide: string, narrow: string): boolean =>
  wide.endsWith("*") ? narrow.startsWith(wide.slice(0, -1)) : wide === narrow
