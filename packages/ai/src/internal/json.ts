// Values of which nothing is known, as JSON.
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

const isJson = Schema.is(Schema.MutableJson)

const copy = Option.liftThrowable((value: unknown): unknown => JSON.parse(JSON.stringify(value)))

/** What of a value can be written as JSON; none where that is nothing. */
export const jsonOf = (value: unknown): Option.Option<Schema.MutableJson> =>
  isJson(value) ? Option.some(value) : Option.filter(copy(value), isJson)

/** The same, and `undefined` for none: for what is left out of an object by {@link compact}. */
export const json = (value: unknown): Schema.MutableJson | undefined =>
  value === undefined ? undefined : Option.getOrUndefined(jsonOf(value))

type Compact<A> = { readonly [K in keyof A]?: Exclude<A[K], undefined> }

/** An object without the fields that are `undefined`, for JSON has no such thing. */
export const compact = <A extends object>(fields: A): Compact<A> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Compact<A>
