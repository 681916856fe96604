/**
 * Where requests may be processed, and whether all places that a target may use are among them.
 *
 * A fence is refused by what is not known: a target that does not say where it processes requests is outside of every
 * fence, and so is one that may use places that nobody can list.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Schema from "effect/Schema"

/**
 * What a target says that may process a request at any place there is, now or later. No fence admits it but one with `*` itself.
 *
 * @category constants
 * @since 0.1.0
 */
export const anywhere = "*"

// A star in the middle would be read as a pattern by whoever writes it, and as a letter by us: it would admit nothing, silently.
const pattern = Schema.NonEmptyString.check(
  Schema.isPattern(/^[^*\s]*\*?$/, {
    message: "Expected a place such as eu-central-1, or the beginning of its name and a star, such as eu-*"
  })
)

/**
 * The places that requests may be processed at: whole names (`eu-central-1`), or how they begin (`eu-*`). At least one: a fence
 * around nothing admits no target.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Fence = Schema.NonEmptyArray(pattern)

/**
 * The places that requests may be processed at.
 *
 * @category models
 * @since 0.1.0
 */
export type Fence = typeof Fence.Type

/**
 * The fence around what runs now: that of the route that a call goes by. What is sent on its behalf has to be inside as well.
 *
 * @category services
 * @since 0.1.0
 */
export const CurrentFence: Context.Reference<Fence | undefined> = Context.Reference<Fence | undefined>(
  "@caprock/router/Fence/CurrentFence",
  { defaultValue: () => undefined }
)

/**
 * Why a target is outside: one of its `place`s is, or they are not known.
 *
 * @category models
 * @since 0.1.0
 */
export type Outside =
  | { readonly _tag: "Place"; readonly place: string }
  | { readonly _tag: "Unknown" }

/**
 * Why a target that processes requests at these places is outside of a fence; `undefined` where it is inside with all of them. A target
 * without places is one that does not say.
 *
 * **Example** (A profile counts with every Region behind it)
 *
 * ```ts
 * import { Fence } from "@caprock/router"
 *
 * console.log(Fence.outside(["eu-*"], ["eu-west-1", "eu-north-1"])) // => undefined
 * console.log(Fence.outside(["eu-*"], ["eu-west-1", "us-east-1"])) // => { _tag: 'Place', place: 'us-east-1' }
 * console.log(Fence.outside(["eu-*"], ["*"])) // => { _tag: 'Place', place: '*' }
 * ```
 *
 * @category accessors
 * @since 0.1.0
 */
export const outside = (
  fence: ReadonlyArray<string>,
  places: ReadonlyArray<string> | undefined
): Outside | undefined => {
  if (places === undefined || places.length === 0) return { _tag: "Unknown" }
  for (const place of places) if (!isInside(fence, place)) return { _tag: "Place", place }
  return undefined
}

// Loops, since a call with a fence of its own asks for each target.
const isInside = (fence: ReadonlyArray<string>, place: string): boolean => {
  for (const pattern of fence) if (admits(pattern, place)) return true
  return false
}

const admits = (pattern: string, place: string): boolean => {
  if (!pattern.endsWith(anywhere)) return pattern === place
  if (pattern === anywhere) return true
  // `eu-*` must not admit a place whose own name is a pattern: that of a target which may be anywhere.
  if (place.includes(anywhere)) return false
  for (let i = 0; i < pattern.length - 1; i++) if (pattern.charCodeAt(i) !== place.charCodeAt(i)) return false
  return true
}
