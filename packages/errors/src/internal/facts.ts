// Reads what is known from a value of any shape. Nothing here throws, whatever the getters and proxies of that value do.
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import { attempt, read } from "./read.ts"
import { redact } from "./redact.ts"

/** What one error of a chain says about itself. */
export interface Facts {
  readonly name: string | undefined
  /** `"undefined"` where there is none. */
  readonly code: string
  readonly syscall: string | undefined
  /** One line, redacted. */
  readonly message: string
  /** Whether the SDK could not read the body of the response. */
  readonly unreadable: boolean
  readonly status: number | undefined
  readonly originalStatusCode: number | undefined
  readonly clockSkewCorrected: boolean
}

/** What only one error of a chain has to say. */
export interface Response {
  readonly status: number | undefined
  readonly requestId: string | undefined
  readonly attempts: number | undefined
  readonly retryAfter: Duration.Duration | undefined
}

// The SDK looks ten causes deep (`isTransientError` of @smithy/core 3.41.0); a chain longer than that is a loop.
export const maxDepth = 10

/** Stands for what throws when it is looked at. */
export const unshowable = "a value that can't be shown"

const text = (value: unknown): string | undefined =>
  typeof value === "string" && value.trim() !== "" ? value.trim() : undefined

const integer = (value: unknown, min: number, max: number): number | undefined => {
  const number = Number.isInteger(value) ? Number(value) : Number.NaN
  return number >= min && number <= max ? number : undefined
}

const statusCode = (value: unknown): number | undefined => integer(value, 100, 599)

const stringify = (value: unknown): string => attempt(() => String(value)) ?? unshowable

// An exception whose name its stream does not model arrives with the raw JSON of its body as message.
const unwrapJson = (message: string): string => {
  const body = attempt((): unknown => JSON.parse(message))
  return text(read(body, "message")) ?? text(read(body, "Message")) ?? text(read(read(body, "error"), "message")) ??
    message
}

// The SDK adds this to the message of whatever stopped it from reading a body.
const unreadable = /Deserialization error: to see the raw response.*/s

// What the SDK writes for a response that names nothing.
const placeholders: ReadonlySet<string | undefined> = new Set(["Unknown", "UnknownError"])

const messageOf = (error: unknown): string => {
  if (typeof error !== "object" || error === null) return stringify(error)
  const own = text(read(error, "message")) ?? text(read(error, "Message"))
  const message = own === undefined || placeholders.has(own) ? undefined : unwrapJson(own.replace(unreadable, ""))
  // Bodies of the Anthropic Messages API: {"type":"error","error":{"type":"overloaded_error","message":"..."}}.
  const inner = message ?? text(read(read(error, "error"), "message")) ?? ""
  // Node says which text is no URL beside the message.
  const url = read(error, "code") === "ERR_INVALID_URL" ? text(read(error, "input")) : undefined
  if (url !== undefined) return `${inner} "${url}"`
  const original = text(read(error, "originalMessage"))
  return original === undefined || inner.includes(original) ? inner : `${inner} (${original})`
}

const oneLine = (message: string): string => message.replace(/\s+/g, " ").trim()

// "com.amazonaws.bedrockruntime#ThrottlingException:http://..." is one way in which AWS writes a name.
const bareName = (name: string): string => name.replace(/.*#/, "").replace(/:.*/, "")

const nameOf = (error: unknown): string | undefined => {
  const name = text(read(error, "name"))
  if (name !== undefined && !placeholders.has(name)) return bareName(name)
  return text(read(read(error, "error"), "type")) ?? name
}

export const factsOf = (error: unknown): Facts => {
  const metadata = read(error, "$metadata")
  return {
    name: nameOf(error),
    code: stringify(read(error, "code")),
    syscall: text(read(error, "syscall")),
    // Redacted first: a canonical request has one secret per line.
    message: oneLine(redact(messageOf(error))),
    unreadable: unreadable.test(stringify(read(error, "message"))),
    status: statusCode(read(metadata, "httpStatusCode")) ?? statusCode(read(read(error, "$response"), "statusCode")),
    originalStatusCode: statusCode(read(error, "originalStatusCode")),
    clockSkewCorrected: read(metadata, "clockSkewCorrected") === true
  }
}

/** The error, its causes, and the parts of an `AggregateError`, outermost first. Never empty. */
export const chainOf = (error: unknown): ReadonlyArray<unknown> => {
  const chain: Array<unknown> = []
  const visit = (value: unknown, depth: number): void => {
    if (depth > maxDepth || chain.includes(value)) return
    chain.push(value)
    const errors = read(value, "errors")
    if (Array.isArray(errors)) { for (const part of errors) visit(part, depth + 1) }
    visit(read(value, "cause"), depth + 1)
  }
  visit(error, 0)
  return chain
}

// From here on a number that is not known is NaN, which every comparison refuses.

const header = (headers: unknown, name: string): string | undefined =>
  text(attempt(() => Object.entries(Object(headers)).filter(([key]) => key.toLowerCase() === name).flat()[1]))

const millisOf = (date: string | undefined): number =>
  Option.match(Option.flatMap(Option.fromUndefinedOr(date), DateTime.make), {
    onNone: () => Number.NaN,
    onSome: DateTime.toEpochMillis
  })

// RFC 9110 §10.2.3: seconds or a date. A date is compared with the response's own Date first, because both are the
// server's clock; `now` is ours.
const parseRetryAfter = (value: string | undefined, date: string | undefined, now: number | undefined): number => {
  const hint = String(value)
  if (/^\d+(\.\d+)?$/.test(hint)) return Number(hint) * 1000
  // A date has the name of a month; a bare "-5" or "2026-11-21" is neither form, though a parser may take it.
  if (!/[A-Za-z]{3}/.test(hint)) return Number.NaN
  const server = millisOf(date)
  return Math.max(0, millisOf(hint) - (Number.isNaN(server) ? now ?? Number.NaN : server))
}

// x-amz-retry-after is in milliseconds (`parseRetryAfterHeader` of @smithy/core 3.41.0).
const parseAmzRetryAfter = (value: string | undefined): number =>
  /^\d+$/.test(String(value)) ? Number(value) : Number.NaN

/** The longer of the two hints; `undefined` where there is none, which is not the same as zero. */
export const retryAfterOf = (headers: unknown, now: number | undefined): Duration.Duration | undefined => {
  const hints = [
    parseRetryAfter(header(headers, "retry-after"), header(headers, "date"), now),
    parseAmzRetryAfter(header(headers, "x-amz-retry-after"))
  ].map((millis) => Math.ceil(millis)).filter(Number.isSafeInteger)
  return hints.length === 0 ? undefined : Duration.millis(Math.max(...hints))
}

export const responseOf = (
  chain: ReadonlyArray<unknown>,
  facts: ReadonlyArray<Facts>,
  now: number | undefined
): Response => {
  const first = <A>(f: (error: unknown) => A | undefined): A | undefined =>
    chain.map(f).find((value) => value !== undefined)
  return {
    status: facts.map(({ status }) => status).find((status) => status !== undefined),
    requestId: first((error) =>
      text(read(read(error, "$metadata"), "requestId")) ??
        header(read(read(error, "$response"), "headers"), "x-amzn-requestid")
    ),
    attempts: first((error) => integer(read(read(error, "$metadata"), "attempts"), 0, Number.MAX_SAFE_INTEGER)),
    retryAfter: first((error) => retryAfterOf(read(read(error, "$response"), "headers"), now))
  }
}
