import * as Predicate from "effect/Predicate"

/** A member of a value of any shape. Never throws, whatever the getters and proxies of that value do. */
export const read = (value: unknown, key: PropertyKey): unknown => {
  try {
    return Predicate.hasProperty(value, key) ? value[key] : undefined
  } catch {
    return undefined
  }
}
