// What both ways of sending a request have in common: from the SDK's request and to its response.
import { buildQueryString, type HttpRequest, type HttpResponse } from "@smithy/core/protocols"
import type { IncomingHttpHeaders } from "node:http"

/** @internal */
export const abortError = (message: string): Error => Object.assign(new Error(message), { name: "AbortError" })

/** @internal */
export const unbracketed = (hostname: string): string =>
  hostname.startsWith("[") && hostname.endsWith("]") ? hostname.slice(1, -1) : hostname

/** @internal */
export const pathOf = (request: HttpRequest): string => {
  const query = buildQueryString(request.query ?? {})
  return query === "" ? request.path : `${request.path}?${query}`
}

/** Those of HTTP itself (`:status`) are left out. @internal */
export const headersOf = (headers: IncomingHttpHeaders): Record<string, string> => {
  const out: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && !name.startsWith(":")) out[name] = typeof value === "string" ? value : value.join(", ")
  }
  return out
}

/** What came of a request. @internal */
export interface Outcome {
  readonly resolve: (response: HttpResponse) => void
  readonly reject: (error: unknown) => void
  /** There is nothing left to cancel. */
  readonly ended: () => void
  /** The connection is back in the pool, or closed. */
  readonly released: () => void
}
