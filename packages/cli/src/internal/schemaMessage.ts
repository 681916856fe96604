// What is wrong with a value, as a Schema found it, for messages in the command's own words.
import * as SchemaIssue from "effect/SchemaIssue"

const format = SchemaIssue.makeFormatterStandardSchemaV1()

/** The first thing wrong with a value: where, what stands there, and what was expected in its place. */
export const firstIssue = (issue: SchemaIssue.Issue, value: unknown): {
  readonly path: ReadonlyArray<string | number>
  readonly actual: unknown
  readonly expected: "missing" | (string & {})
} => {
  const [first] = format(issue).issues
  const path = (first?.path ?? []).map((part) => {
    const key = typeof part === "object" ? part.key : part
    return typeof key === "number" ? key : String(key)
  })
  const message = first?.message ?? "Expected another value"
  return {
    path,
    actual: path.reduce<unknown>(
      (at, key) => typeof at === "object" && at !== null ? Reflect.get(at, key) : undefined,
      value
    ),
    expected: message === "Missing key" ? "missing" : message
  }
}
