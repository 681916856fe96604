/** Which operation a request names, by its method and path. */
import type * as Fault from "../Fault.ts"

export interface Route {
  readonly operation: Fault.Operation
  /** What stands in the path for its names, still encoded. */
  readonly params: ReadonlyArray<string>
  readonly query: string
}

/** What ends the path of an operation that asks a model. */
const verbs: Readonly<Record<string, Fault.Operation>> = {
  "converse": "Converse",
  "converse-stream": "ConverseStream",
  "invoke": "InvokeModel",
  "invoke-with-response-stream": "InvokeModelWithResponseStream",
  "count-tokens": "CountTokens"
}

const model = /^\/model\/([^/?]+)\/([a-z-]+)(?:\?.*)?$/

export const of = (method: string, path: string): Route | undefined => {
  if (method !== "POST") return undefined
  const [, segment, verb = ""] = model.exec(path) ?? []
  const operation = verbs[verb]
  return segment === undefined || operation === undefined ? undefined : { operation, params: [segment], query: "" }
}

/** A name in a path comes percent-encoded, ARNs and colons included. */
export const decode = (segment: string): string | undefined => {
  try {
    return decodeURIComponent(segment)
  } catch {
    return undefined
  }
}
