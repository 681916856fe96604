import { CallObserver } from "@caprock/client"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import type * as Http from "node:http"
import * as Net from "node:net"
import * as Tls from "node:tls"
import { selfSigned } from "./certificate.ts"
import {
  answer,
  clientOf,
  eventually,
  frames,
  onCreated,
  request,
  sendJson,
  server,
  startStream,
  turns
} from "./server.ts"

const recording = () => {
  const seen: Array<string> = []
  const watch = Effect.provideService(CallObserver.CallObserver, {
    onFlushed: () => seen.push("flushed"),
    onResponse: ({ statusCode }) => seen.push(`response ${statusCode}`)
  })
  return { seen, watch }
}

const asking = (text: string) => ({
  modelId: request.modelId,
  messages: [{ role: "user" as const, content: [{ text }] }]
})

const counting = Effect.gen(function*() {
  const arrived: Array<string> = []
  const { opened, url } = yield* server((_incoming, response, body) => {
    arrived.push(JSON.parse(body).messages[0].content[0].text)
    sendJson(response, answer)
  })
  return { arrived, opened, client: yield* clientOf(url) }
})

describe("transport", () => {
  it.effect("an interruption between the write and its callback counts as flushed: the request does arrive", () =>
    Effect.gen(function*() {
      const { arrived, client } = yield* counting
      yield* client.converse(asking("first"))
      const { seen, watch } = recording()
      const before: Array<number> = []
      yield* onCreated((request) =>
        request.once("socket", () =>
          // After the turn in which Node writes to the socket, before the one in which it says `finish`.
          process.nextTick(() => {
            before.push(seen.length)
            fiber.interruptUnsafe()
          }))
      )
      const fiber = yield* Effect.forkChild(watch(client.converse(asking("second"))))
      yield* Fiber.await(fiber)
      assert.deepStrictEqual(before, [0])
      assert.deepStrictEqual(seen, ["flushed"])
      yield* eventually(() => arrived.length === 2)
      assert.deepStrictEqual(seen, ["flushed"])
    }))

  it.effect("an interruption before the request has its connection is no flush, and nothing arrives", () =>
    Effect.gen(function*() {
      const { arrived, client, opened } = yield* counting
      yield* client.converse(asking("first"))
      const { seen, watch } = recording()
      let created = 0
      yield* onCreated(() => {
        if (created++ === 0) queueMicrotask(() => fiber.interruptUnsafe())
      })
      const fiber = yield* Effect.forkChild(watch(client.converse(asking("second"))))
      yield* Fiber.await(fiber)
      // The connection that was meant for it goes back, and serves the next one.
      yield* turns()
      yield* client.converse(asking("third"))
      assert.deepStrictEqual(seen, [])
      assert.deepStrictEqual(arrived, ["first", "third"])
      assert.deepStrictEqual([created, opened()], [2, 1])
    }))

  it.effect("calls without a free connection wait in order, and those that were given up never go out", () =>
    Effect.gen(function*() {
      const arrived: Array<string> = []
      const replies: Array<() => void> = []
      const { opened, url } = yield* server((_incoming, response, body) => {
        arrived.push(JSON.parse(body).messages[0].content[0].text)
        replies.push(() => sendJson(response, answer))
      })
      const client = yield* clientOf(url, { maxConnections: 1 })
      const first = yield* Effect.forkChild(client.converse(asking("a")))
      yield* eventually(() => replies.length === 1)
      const rest = yield* Effect.forEach(["b", "c", "d"], (text) => {
        const { seen, watch } = recording()
        return Effect.map(Effect.forkChild(watch(client.converse(asking(text)))), (fiber) => ({ seen, fiber }))
      })
      // The SDK signs each of them before it asks for a connection.
      for (let i = 0; i < 20; i++) {
        yield* turns()
      }
      yield* Fiber.interrupt(rest[0]?.fiber ?? first)
      for (let i = 0; i < 3; i++) {
        yield* eventually(() => replies.length > i)
        replies[i]?.()
      }
      yield* Fiber.joinAll([first, ...rest.slice(1).map(({ fiber }) => fiber)])
      assert.deepStrictEqual(arrived, ["a", "c", "d"])
      assert.deepStrictEqual(rest.map(({ seen }) => seen.join(", ")), [
        "",
        "flushed, response 200",
        "flushed, response 200"
      ])
      assert.strictEqual(opened(), 1)
    }))

  it.effect("a connection that fails makes room for the next", () =>
    Effect.gen(function*() {
      const { url } = yield* server((incoming) => incoming.socket.destroy())
      const client = yield* clientOf(url, { maxConnections: 2 })
      const results = yield* Effect.forEach(
        Array.from({ length: 20 }),
        () => Effect.flip(client.converse(request)),
        { concurrency: "unbounded" }
      )
      assert.isTrue(results.every(({ attempts, reason }) => reason._tag === "TransportError" && attempts === 1))
    }))

  it.effect("probes a silent connection from its start, and lets only an idle one expire", () =>
    Effect.gen(function*() {
      const { url } = yield* server((_incoming, response) =>
        sendJson(response, answer, 200, { "keep-alive": "timeout=600" })
      )
      const client = yield* clientOf(url)
      const inUse: Array<number | undefined> = []
      const agents = new Set<Http.Agent>()
      yield* onCreated((request) =>
        request.once("response", () => {
          inUse.push(request.socket?.timeout)
          agents.add(Reflect.get(request, "agent"))
        })
      )
      yield* client.converse(request)
      yield* client.converse(request)
      assert.deepStrictEqual(inUse, [0, 0])
      const [agent] = agents
      const { keepAlive, keepAliveMsecs } = Reflect.get(agent ?? {}, "options")
      assert.deepStrictEqual([keepAlive, keepAliveMsecs], [true, 60_000])
      yield* eventually(() => Object.values(agent?.freeSockets ?? {}).length === 1)
      assert.strictEqual(Object.values(agent?.freeSockets ?? {})[0]?.[0]?.timeout, 60_000)
    }))
})

describe("https", () => {
  const { cert, key } = selfSigned()

  it.effect("reports flush and response once each, on new and on pooled connections", () =>
    Effect.gen(function*() {
      const before = Tls.getCACertificates("default")
      yield* Effect.acquireRelease(
        Effect.sync(() => Tls.setDefaultCACertificates([...before, cert])),
        () => Effect.sync(() => Tls.setDefaultCACertificates(before))
      )
      const { opened, url } = yield* server((incoming, response) => {
        if (incoming.url?.endsWith("/converse") === true) return sendJson(response, answer)
        startStream(response)
        response.end(Buffer.concat([frames.start, frames.text("a"), frames.stop, frames.metadata]))
      }, { cert, key })
      const client = yield* clientOf(url)
      for (let i = 0; i < 3; i++) {
        for (const call of [client.converse(request), Stream.runDrain(client.converseStream(request))]) {
          const seen: Array<string> = []
          yield* Effect.provideService(Effect.asVoid(call), CallObserver.CallObserver, {
            onFlushed: () => seen.push("flushed"),
            onResponse: ({ statusCode }) => seen.push(`response ${statusCode}`)
          })
          assert.deepStrictEqual(seen, ["flushed", "response 200"])
        }
      }
      assert.strictEqual(opened(), 1)
    }))

  it.effect("reports no flush when the certificate is not accepted", () =>
    Effect.gen(function*() {
      const { open, url } = yield* server(() => {}, { cert, key })
      const client = yield* clientOf(url)
      const seen: Array<string> = []
      const error = yield* Effect.flip(client.converse(request)).pipe(
        Effect.provideService(CallObserver.CallObserver, {
          onFlushed: () => seen.push("flushed"),
          onResponse: () => seen.push("response")
        })
      )
      assert.strictEqual(error.reason._tag === "TransportError" && error.reason.kind, "tls")
      assert.strictEqual(error.attempts, 0)
      assert.deepStrictEqual(seen, [])
      yield* eventually(() => open.size === 0)
    }))
})

/** A server that answers each connection's first bytes with these, and reads no more. */
const rude = (reply: string) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly url: string; readonly sockets: ReadonlyArray<Net.Socket>; readonly server: Net.Server }>(
      (resume) => {
        const sockets: Array<Net.Socket> = []
        const server = Net.createServer((socket) => {
          sockets.push(socket)
          socket.on("error", () => {})
          socket.once("data", () => {
            socket.pause()
            socket.write(reply)
          })
        })
        server.listen(0, "127.0.0.1", () => {
          const { port } = server.address() as Net.AddressInfo
          resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, sockets, server }))
        })
      }
    ),
    ({ server, sockets }) =>
      Effect.sync(() => {
        for (const socket of sockets) socket.destroy()
        server.close()
      })
  )

describe("servers that do not do as they should", () => {
  it.live("an answer before the whole request was read gives the connection back", () =>
    Effect.gen(function*() {
      const body = JSON.stringify({ message: "too large" })
      const { sockets, url } = yield* rude(
        `HTTP/1.1 413 Payload Too Large\r\nx-amzn-errortype: ValidationException\r\ncontent-length: ${body.length}\r\n\r\n${body}`
      )
      const client = yield* clientOf(url, { maxConnections: 1 })
      // More than the kernel takes off our hands.
      const large = client.invokeModel({ modelId: request.modelId, body: new Uint8Array(20_000_000) })
      for (let i = 1; i <= 2; i++) {
        const error = yield* Effect.flip(large).pipe(Effect.timeout("5 seconds"))
        assert.strictEqual("reason" in error && error.reason._tag, "ValidationError")
        assert.strictEqual(sockets.length, i)
      }
    }))

  it.live("a switch to another protocol is a connection that was lost, not a cancellation by the caller", () =>
    Effect.gen(function*() {
      const { url } = yield* rude("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n")
      const client = yield* clientOf(url)
      const error = yield* Effect.flip(client.converse(request))
      assert.strictEqual(error.reason._tag === "TransportError" && error.reason.kind, "reset")
      assert.isTrue(error.retryable)
    }))

  it.effect("informational responses before the answer are passed over", () =>
    Effect.gen(function*() {
      const { url } = yield* server((_incoming, response) => {
        response.writeProcessing()
        response.writeEarlyHints({ link: "</x>; rel=preload" })
        sendJson(response, answer)
      })
      const { seen, watch } = recording()
      const client = yield* clientOf(url)
      assert.strictEqual((yield* watch(client.converse(request))).stopReason, "end_turn")
      assert.deepStrictEqual(seen, ["flushed", "response 200"])
    }))

  it.effect("a success without an answer is an error", () =>
    Effect.gen(function*() {
      for (const [status, body] of [[200, ""], [204, ""], [200, "{}"]] as const) {
        const { url } = yield* server((_incoming, response) => response.writeHead(status).end(body))
        const client = yield* clientOf(url)
        const error = yield* Effect.flip(client.converse(request))
        assert.strictEqual(error.reason._tag === "TransportError" && error.reason.kind, "protocol")
      }
    }))
})
