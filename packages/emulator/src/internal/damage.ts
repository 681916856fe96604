/** Responses with something wrong in them, byte by byte. What is wrong within a frame is the framing's own business. */
import type * as Fault from "../Fault.ts"

/** What would have been answered, with status 200. Header names and values alternate. */
export interface Response {
  readonly headers: ReadonlyArray<string>
  readonly body: Buffer
}

const page =
  "<!doctype html><html><head><title>Sign in</title></head><body>Please sign in to the network.</body></html>"

const withType = (headers: ReadonlyArray<string>, type: string | undefined): ReadonlyArray<string> => {
  const kept: Array<string> = []
  for (let i = 0; i + 1 < headers.length; i += 2) {
    if (headers[i] !== "content-type") kept.push(headers[i] ?? "", headers[i + 1] ?? "")
  }
  return type === undefined ? kept : [...kept, "content-type", type]
}

const html = "text/html; charset=utf-8"

/** The response in one piece that a fault makes of one. */
export const whole = (response: Response, fault: Fault.Fault | undefined): Response => {
  switch (fault?._tag) {
    case "BadHead":
      return { headers: headers(response.headers, fault.head), body: response.body }
    case "BadBody":
      return body(response, fault.body)
    case "Giant":
      return filled(response, fault.bytes)
    default:
      return response
  }
}

const body = ({ body, headers }: Response, kind: Fault.Body): Response => {
  switch (kind) {
    case "html":
      return { headers: withType(headers, html), body: Buffer.from(page, "utf8") }
    case "half":
      return { headers, body: body.subarray(0, Math.floor(body.length / 2)) }
    case "empty":
      return { headers, body: Buffer.alloc(0) }
    case "null":
      return { headers, body: Buffer.from("null", "utf8") }
  }
}

/** Filled up with spaces, which JSON does not mind. */
const filled = ({ body, headers }: Response, bytes: number): Response =>
  body.length >= bytes
    ? { headers, body }
    : { headers, body: Buffer.concat([body, Buffer.alloc(bytes - body.length, " ")]) }

const numbers = [
  "x-amzn-bedrock-invocation-latency",
  "x-amzn-bedrock-input-token-count",
  "x-amzn-bedrock-output-token-count",
  "x-amzn-bedrock-cache-read-input-token-count",
  "x-amzn-bedrock-cache-write-input-token-count"
]

const notNumbers = ["soon", "NaN", "-1", "1e999", "0x10"]

type Headers = Response["headers"]

/** What a wrong head does to the headers, where HTTP allows what is wrong with it. */
export const headers = (headers: Headers, kind: Fault.Head): Headers => {
  switch (kind) {
    case "no-type":
      return withType(headers, undefined)
    case "wrong-type":
      return withType(headers, html)
    case "usage": {
      const others = headers.filter((_, i) => !numbers.includes(headers[i - i % 2] ?? ""))
      return [...others, ...numbers.flatMap((name, i) => [name, notNumbers[i] ?? ""])]
    }
    default:
      return headers
  }
}

type RawHead = Exclude<Fault.Head, "no-type" | "wrong-type" | "usage">

/** Whether a wrong head takes bytes that no HTTP library writes. */
export const isRaw = (kind: Fault.Head): kind is RawHead =>
  kind !== "no-type" && kind !== "wrong-type" && kind !== "usage"

/** Its bytes, and those of the body. */
export const raw = (response: Response, kind: RawHead): Buffer =>
  Buffer.concat([Buffer.from(lines(response, kind).join("\r\n"), "latin1"), response.body])

const lines = ({ body, headers }: Response, kind: RawHead): ReadonlyArray<string> => {
  const named: Array<string> = []
  for (let i = 0; i + 1 < headers.length; i += 2) named.push(`${headers[i]}: ${headers[i + 1]}`)
  const length = (bytes: number): string => `content-length: ${bytes}`
  const end = ["connection: close", "", ""]
  const ok = "HTTP/1.1 200 OK"
  switch (kind) {
    case "status-line":
      return ["220 smtp.example.com ESMTP", ...named, length(body.length), ...end]
    case "header":
      return [ok, ...named, "x-\0broken header\x01 here", length(body.length), ...end]
    case "too-large":
      return [ok, ...named, `x-large: ${"x".repeat(1_000_000)}`, length(body.length), ...end]
    case "lengths":
      return [ok, ...named, length(body.length), length(body.length + 1), ...end]
    case "longer":
      return [ok, ...named, length(body.length * 2), ...end]
    case "shorter":
      return [ok, ...named, length(Math.floor(body.length / 2)), ...end]
  }
}
