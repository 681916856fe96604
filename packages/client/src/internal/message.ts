// What both ways of sending a request have in common: from the SDK's request and to its response.
import { buildQueryString, type HttpRequest, type HttpResponse } from "@smithy/core/protocols"
import type { IncomingHttpHeaders } from "node:http"

/** @internal */
export const abortError = (message: string): Error => Object.assign(new Error(message), { name: "AbortError" })

const noFile =
  "No file is left for another connection. Raise the limit of open files (`ulimit -n`): a connection needs one. Or set " +
  "`maxConnections` below it"

/** What the system says where it has no more of something, and what then to do. */
const exhausted: Readonly<Record<string, string>> = {
  EMFILE: noFile,
  ENFILE: noFile,
  EADDRNOTAVAIL: "No local port is left for another connection to this address. Set `maxConnections` lower"
}

/** The error of a connection, with what to do about it where its user can do something. @internal */
export const advised = (error: NodeJS.ErrnoException): Error => {
  const advice = error.code === undefined ? undefined : exhausted[error.code]
  if (advice === undefined) return error
  return Object.assign(new Error(`${advice} (${error.message}).`, { cause: error }), { code: error.code })
}

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
