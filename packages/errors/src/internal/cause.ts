// What becomes the `cause` of the envelope: the original itself, unless something in it would show a secret to a log.
import { chainOf, maxDepth, unshowable } from "./facts.ts"
import { attempt, read } from "./read.ts"
import { redact } from "./redact.ts"

// What a log or a console prints of an error: its message, its stack, and the members that were set on it. Members that
// can't be written as JSON (a socket, a request with its response) can't be looked through, and so are not kept.
const hasSecret = (value: unknown): boolean => {
  const members = attempt(() => JSON.stringify(value instanceof Error ? { ...value } : [value]))
  const text = value instanceof Error ? `${value.message}\n${value.stack}\n${members}` : members
  return members === undefined || redact(String(text)) !== text
}

const copyOf = (error: Error, depth: number): Error => {
  const copy = new Error(redact(error.message))
  copy.name = error.name
  copy.stack = redact(error.stack ?? String(error))
  const cause = read(error, "cause")
  if (cause !== undefined && depth < maxDepth) copy.cause = clean(cause, depth + 1)
  return copy
}

const clean = (value: unknown, depth: number): unknown => {
  if (typeof value === "string") return redact(value)
  if (!chainOf(value).some(hasSecret)) return value
  return value instanceof Error ? copyOf(value, depth) : redact(JSON.stringify(value))
}

/**
 * The original, or what of it can be shown: of an error a copy with its name, message, stack and cause; of any other
 * value its JSON. What throws when it is looked at (a loop, a getter, a proxy that was revoked) could not be printed
 * either; a text stands for it.
 */
export const causeOf = (value: unknown): unknown => {
  const looked = attempt(() => ({ cause: clean(value, 0) }))
  return looked === undefined ? unshowable : looked.cause
}
