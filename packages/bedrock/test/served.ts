// A server for programs without Effect, and a client of it.
import { type Bedrock, createBedrock, type Options } from "@caprock/bedrock/promise"
import { Emulator, type Fault, type Options as EmulatorOptions } from "@caprock/emulator"
import { ManagedRuntime } from "effect"
import { createServer, type IncomingMessage, type Server as HttpServer, type ServerResponse } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import { crc32 } from "node:zlib"

export const modelId = "amazon.nova-lite-v1:0"

/** A question; the emulator does what it says in brackets. */
export const question = (text: string, maxTokens = 200) => ({
  modelId,
  messages: [{ role: "user" as const, content: [{ text }] }],
  inferenceConfig: { maxTokens }
})

/** An emulator that lives as long as the block it is used in. */
export const served = async (options: EmulatorOptions.Options = {}) => {
  const runtime = ManagedRuntime.make(Emulator.layer(options))
  const emulator = await runtime.runPromise(Emulator.Emulator)
  return {
    url: emulator.url,
    stats: () => runtime.runPromise(emulator.stats),
    inject: (fault: Fault.Fault, options?: Emulator.InjectOptions) =>
      runtime.runPromise(emulator.inject(fault, options)),
    [Symbol.asyncDispose]: () => runtime.dispose()
  }
}

export const clientOf = ({ url }: { readonly url: string }, options: Options = {}): Bedrock =>
  createBedrock({
    endpoint: url,
    region: "us-east-1",
    credentials: { accessKeyId: "any", secretAccessKey: "any" },
    backoff: { base: 5 },
    ...options
  })

/** A server of a few lines, where it matters what happens to a connection. */
export const listening = async (
  handle: (request: IncomingMessage, response: ServerResponse, body: string) => void
) => {
  const open = new Set<Socket>()
  const server: HttpServer = createServer((request, response) => {
    const parts: Array<Buffer> = []
    request.on("data", (part: Buffer) => parts.push(part))
    request.on("end", () => handle(request, response, Buffer.concat(parts).toString()))
  })
  server.on("connection", (socket) => {
    open.add(socket)
    socket.on("close", () => open.delete(socket))
    socket.on("error", () => {})
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    open,
    [Symbol.asyncDispose]: () => {
      for (const socket of open) socket.destroy()
      return new Promise<void>((resolve) => server.close(() => resolve()))
    }
  }
}

/** What a promise rejects with. */
export const rejected = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then((value) => {
    throw new Error(`it was not rejected, and gave ${JSON.stringify(value)}`)
  }, (reason: unknown) => reason)

/** Reads until the end or the failure, and gives both. */
export const read = async <Event>(events: AsyncIterable<Event> | Iterable<Event>) => {
  const seen: Array<Event> = []
  try {
    for await (const event of events) seen.push(event)
    return { seen, failure: undefined }
  } catch (failure) {
    return { seen, failure }
  }
}

/** Waits for what a socket does: the outcome decides, never the time. */
export const eventually = async (holds: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await holds())) await new Promise((resolve) => setImmediate(resolve))
}

/** An event as it is on the wire. */
export const frame = (type: string, payload: unknown): Buffer => {
  const headers = Object.entries({ ":message-type": "event", ":event-type": type }).map(([name, value]) =>
    Buffer.concat([
      Buffer.of(name.length),
      Buffer.from(name),
      Buffer.of(7, 0, value.length),
      Buffer.from(value)
    ])
  )
  const head = Buffer.concat(headers)
  const body = Buffer.from(JSON.stringify(payload))
  const bytes = Buffer.alloc(16 + head.length + body.length)
  bytes.writeUInt32BE(bytes.length, 0)
  bytes.writeUInt32BE(head.length, 4)
  bytes.writeUInt32BE(crc32(bytes.subarray(0, 8)), 8)
  head.copy(bytes, 12)
  body.copy(bytes, 12 + head.length)
  bytes.writeUInt32BE(crc32(bytes.subarray(0, -4)), bytes.length - 4)
  return bytes
}

/** A piece of an answer's text, as it is on the wire. */
export const text = (words: string): Buffer =>
  frame("contentBlockDelta", { contentBlockIndex: 0, delta: { text: words } })
