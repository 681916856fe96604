/** Lists of jobs: which of them are asked for, page by page, in either order. */
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import { Constraints, type Rules } from "./constraints.ts"
import type { Visit } from "./visit.ts"

/** What can be listed: it has its place among all of them, from 0. */
interface Listed {
  readonly sequence: number
  /** Milliseconds since the epoch. */
  readonly submittedAt: number
}

export interface Page<A> {
  readonly items: ReadonlyArray<A>
  /** Where the next page goes on; `undefined` where there is none. */
  readonly nextToken: string | undefined
}

/** Our choice: the service's own default is not documented. */
const pageSize = 100

export const iso = (millis: number): string => DateTime.formatIso(DateTime.makeUnsafe(millis))

const millisOf = (text: string): number | undefined =>
  Option.match(DateTime.make(text), { onNone: () => undefined, onSome: DateTime.toEpochMillis })

/** Reads what a query asks for, and gives that page of `all`, oldest first; a text says what is wrong with it. */
export const page = <A extends Listed>({ route }: Visit, options: {
  readonly all: () => ReadonlyArray<A>
  readonly statuses: ReadonlyArray<string>
  readonly statusOf: (item: A) => string
  readonly sortBy: string
  /** Only those are listed whose name has in it what `nameContains` asks for; where they have names. */
  readonly name?: { readonly of: (item: A) => string; readonly rules: Rules }
}): Page<A> | string => {
  const query = new URLSearchParams(route.query)
  const value = (name: string): string | undefined => query.get(name) ?? undefined
  const constraints = new Constraints()
  const time = (name: string): number | undefined => {
    const text = value(name)
    const millis = text === undefined ? undefined : millisOf(text)
    if (text !== undefined && millis === undefined) constraints.wrong(name, "be a timestamp")
    return millis
  }
  const after = time("submitTimeAfter") ?? -Infinity
  const before = time("submitTimeBefore") ?? Infinity
  const status = value("statusEquals")
  constraints.text("statusEquals", status, { values: options.statuses })
  const named = options.name === undefined ? undefined : value("nameContains")
  constraints.text("nameContains", named, options.name?.rules)
  constraints.text("sortBy", value("sortBy"), { values: [options.sortBy] })
  const order = value("sortOrder")
  constraints.text("sortOrder", order, { values: ["Ascending", "Descending"] })
  const maxResults = value("maxResults")
  const most = maxResults === undefined ? pageSize : Number(maxResults)
  constraints.number("maxResults", most, 1, 1000)
  const nextToken = value("nextToken")
  constraints.text("nextToken", nextToken, { min: 1, max: 2048, pattern: /^\S*$/ })
  const wrong = constraints.message
  if (wrong !== undefined) return wrong
  const ascending = order === "Ascending"
  const last = nextToken === undefined ? (ascending ? -1 : Infinity) : placeOf(nextToken)
  if (last === undefined) return "The provided token is invalid."

  const found = options.all().filter((item) =>
    item.submittedAt > after && item.submittedAt < before &&
    (ascending ? item.sequence > last : item.sequence < last) &&
    (status === undefined || options.statusOf(item) === status) &&
    (named === undefined || options.name?.of(item).includes(named) === true)
  )
  if (!ascending) found.reverse()
  const items = found.slice(0, most)
  const end = items.at(-1)
  return { items, nextToken: end !== undefined && found.length > most ? tokenOf(end.sequence) : undefined }
}

/** A page goes on behind the last job of the one before, whatever was started meanwhile. */
const tokenOf = (sequence: number): string => Buffer.from(`after ${sequence}`).toString("base64url")

const placeOf = (token: string): number | undefined => {
  const place = /^after (\d{1,15})$/.exec(Buffer.from(token, "base64url").toString())?.[1]
  return place === undefined ? undefined : Number(place)
}
