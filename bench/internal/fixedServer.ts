/**
 * A server in a process of its own that answers every request with the same bytes, over HTTP/1.1 and HTTP/2 on one port. It
 * does as little as it can: what is measured is its clients, on the same machine.
 */
import * as Http from "node:http"
import * as Http2 from "node:http2"
import * as Net from "node:net"
import { answer, stream } from "./canned.ts"

/** How it answers from now on. */
export interface Manner {
  /** Milliseconds between two events of a stream; 0: all at once; `held`: what follows the first text waits until it is told. */
  readonly gapMillis: number | "held"
  /** Text events of a stream. */
  readonly events: number
}

let manner: Manner
let json: Buffer
let frames: ReadonlyArray<Buffer>
let together: Buffer

const set = (next: Manner): void => {
  manner = next
  json = answer(next.events)
  frames = stream(next.events)
  together = Buffer.concat(frames)
}
set({ gapMillis: 0, events: 40 })

/** How many frames there are up to the first text. */
const firstText = 2
/** What sends the rest of each stream that is held. */
const held = new Set<() => void>()

/** What both kinds of response can do. */
interface Response {
  readonly destroyed: boolean
  writeHead(status: number, headers: Record<string, string>): unknown
  write(bytes: Uint8Array): unknown
  end(bytes: Uint8Array): unknown
  once(event: "close", listener: () => void): unknown
}

const respond = (path: string, response: Response): void => {
  const id = { "x-amzn-requestid": "0a1b2c3d-0000-4000-8000-000000000000" }
  if (!path.endsWith("-stream")) {
    response.writeHead(200, { ...id, "content-type": "application/json", "content-length": String(json.length) })
    response.end(json)
    return
  }
  response.writeHead(200, { ...id, "content-type": "application/vnd.amazon.eventstream" })
  if (manner.gapMillis === 0) {
    response.end(together)
    return
  }
  const answered = frames
  if (manner.gapMillis === "held") {
    response.write(Buffer.concat(answered.slice(0, firstText)))
    const finish = (): void => {
      held.delete(finish)
      response.end(Buffer.concat(answered.slice(firstText)))
    }
    held.add(finish)
    response.once("close", () => held.delete(finish))
    return
  }
  let next = 0
  const timer = setInterval(() => {
    if (response.destroyed) return clearInterval(timer)
    const bytes = answered[next++]
    if (bytes === undefined) return
    if (next < answered.length) {
      response.write(bytes)
    } else {
      clearInterval(timer)
      response.end(bytes)
    }
  }, manner.gapMillis)
}

const http1 = Http.createServer({ keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0 }, (request, response) => {
  request.resume().once("end", () => respond(request.url ?? "", response))
})
const http2 = Http2.createServer({ settings: { maxConcurrentStreams: 10_000 } }, (request, response) => {
  request.resume().once("end", () => respond(request.url, response))
})
http2.on("session", (session) => session.on("error", () => {}))

const server = Net.createServer({ noDelay: true }, (socket) => {
  socket.on("error", () => {})
  socket.once("readable", () => {
    const first: Buffer | null = socket.read()
    if (first === null) return
    socket.unshift(first) // "PRI * HTTP/2.0", where a request of HTTP/1.1 is a "POST".
    ;(first[1] === 0x52 ? http2 : http1).emit("connection", socket)
  })
})
server.listen({ host: "127.0.0.1", port: 0, backlog: 16_384 }, () => {
  const { port } = server.address() as Net.AddressInfo
  process.send?.(`http://127.0.0.1:${port}`)
})
/** What else it can be asked. */
export type Order = "how many are held?" | "finish them"

process.on("message", (order: { readonly manner: Manner } | { readonly order: Order }) => {
  if ("manner" in order) set(order.manner)
  else if (order.order === "finish them") { for (const finish of held) finish() }
  process.send?.(held.size)
})
process.once("disconnect", () => process.exit(0))
