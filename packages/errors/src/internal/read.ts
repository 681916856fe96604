// Looking at values of which nothing is known.
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"

/** What a look at a value of any shape gives; `undefined` where its getters and proxies throw. */
export const attempt = <A>(look: () => A): A | undefined => Option.getOrUndefined(Option.liftThrowable(look)())

/** A member of a value of any shape. Never throws. */
export const read = (value: unknown, key: PropertyKey): unknown =>
  attempt(() => Predicate.hasProperty(value, key) ? value[key] : undefined)
