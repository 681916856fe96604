/** Reading JSON that anyone may have sent. */

export type Json = Readonly<Record<string, unknown>>

export const isRecord = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value)

export const record = (value: unknown): Json => isRecord(value) ? value : {}

export const list = (value: unknown): ReadonlyArray<unknown> => Array.isArray(value) ? value : []

export const text = (value: unknown): string => typeof value === "string" ? value : ""

/** The object that a text holds; `undefined` where it holds none. */
export const parseText = (text: string): Json | undefined => {
  try {
    const value: unknown = JSON.parse(text)
    return isRecord(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** The object that a body holds; `undefined` where it holds none. */
export const parse = (body: Buffer): Json | undefined => parseText(body.toString("utf8"))

/** What the service says of a body that is no JSON object. */
export const malformed = "The request body is not valid JSON. Reformat your input and try again."

/** A positive whole number, or nothing. */
export const count = (value: unknown): number | undefined =>
  typeof value === "number" && Number.isInteger(value) && value > 0 ? value : undefined

/** The same text for the same JSON, in whatever order its members stand. */
export const canonical = (value: unknown): string =>
  JSON.stringify(value, (_, member: unknown) =>
    isRecord(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => a < b ? -1 : 1))
      : member)
