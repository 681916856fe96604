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
  "invoke-with-bidirectional-stream": "InvokeModelWithBidirectionalStream",
  "count-tokens": "CountTokens"
}

const model = /^\/model\/([^/?]+)\/([a-z-]+)$/

/** All others. Few ask for them, so they are looked for one after the other. */
const others: ReadonlyArray<readonly [method: string, path: RegExp, operation: Fault.Operation]> = [
  ["POST", /^\/guardrail\/([^/?]*)\/version\/([^/?]*)\/apply$/, "ApplyGuardrail"],
  ["POST", /^\/guardrail-checks\/invoke$/, "InvokeGuardrailChecks"],
  ["POST", /^\/async-invoke$/, "StartAsyncInvoke"],
  ["GET", /^\/async-invoke\/([^/?]+)$/, "GetAsyncInvoke"],
  ["GET", /^\/async-invoke$/, "ListAsyncInvokes"],
  ["POST", /^\/model-invocation-job$/, "CreateModelInvocationJob"],
  ["GET", /^\/model-invocation-job\/([^/?]+)$/, "GetModelInvocationJob"],
  ["GET", /^\/model-invocation-jobs$/, "ListModelInvocationJobs"],
  ["POST", /^\/model-invocation-job\/([^/?]+)\/stop$/, "StopModelInvocationJob"]
]

export const of = (method: string, url: string): Route | undefined => {
  const mark = url.indexOf("?")
  const path = mark === -1 ? url : url.slice(0, mark)
  const query = mark === -1 ? "" : url.slice(mark + 1)
  const [, segment, verb = ""] = model.exec(path) ?? []
  if (segment !== undefined) {
    const operation = verbs[verb]
    return method !== "POST" || operation === undefined ? undefined : { operation, params: [segment], query }
  }
  for (const [expected, pattern, operation] of others) {
    const match = method === expected ? pattern.exec(path) : null
    if (match !== null) return { operation, params: match.slice(1), query }
  }
  return undefined
}

/** Whether a request is answered while its body is still coming. */
export const isSession = (path: string): boolean => path.includes("/invoke-with-bidirectional-stream")

/** A name in a path comes percent-encoded, ARNs and colons included. */
export const decode = (segment: string): string | undefined => {
  try {
    return decodeURIComponent(segment)
  } catch {
    return undefined
  }
}
