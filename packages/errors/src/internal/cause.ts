// What becomes the `cause` of the envelope: the original itself, unless something in it would show a secret to a log.
import { chainOf, maxDepth, unshowable } from "./facts.ts"
import { read } from "./read.ts"
import { redact } from "./redact.ts"

const hasSecret = (text: string): boolean => redact(text) !== text

// What a log or a console prints of an error: its message, its stack, and the members that were set on it.
const shows = (value: unknown): string =>
  value instanceof Error ? JSON.stringify([value.message, value.stack, { ...value }]) : JSON.stringify([value])

const copyOf = (error: Error, depth: number): Error => {
  const copy = new Error(redact(error.message))
  copy.name = error.name
  if (error.stack !== undefined) copy.stack = redact(error.stack)
  const cause = read(error, "cause")
  if (cause !== undefined && depth < maxDepth) copy.cause = causeOf(cause, depth + 1)
  return copy
}

/**
 * The original, or what of it can be shown: of an error a copy with its name, message, stack and cause; of any other
 * value its JSON.
 */
export const causeOf = (value: unknown, depth = 0): unknown => {
  if (typeof value === "string") return redact(value)
  try {
    if (!chainOf(value).some((part) => hasSecret(shows(part)))) return value
    return value instanceof Error ? copyOf(value, depth) : redact(JSON.stringify(value))
  } catch {
    // A proxy that was revoked, a loop, a getter that throws: nobody could print it either.
    return unshowable
  }
}
