/** Reading JSON that anyone may have sent. */

export type Json = Readonly<Record<string, unknown>>

export const isRecord = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value)

export const record = (value: unknown): Json => isRecord(value) ? value : {}

export const list = (value: unknown): ReadonlyArray<unknown> => Array.isArray(value) ? value : []

export const text = (value: unknown): string => typeof value === "string" ? value : ""

/** A positive whole number, or nothing. */
export const count = (value: unknown): number | undefined =>
  typeof value === "number" && Number.isInteger(value) && value > 0 ? value : undefined
