import { CallObserver } from "@caprock/client"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schema, Stream } from "effect"
import { execFile } from "node:child_process"
import type * as Http from "node:http"
import * as Net from "node:net"
import * as Tls from "node:tls"
import { fileURLToPath } from "node:url"
import { selfSigned } from "./certificate.ts"
import {
  answer,
  clientOf,
  credentials,
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

const whole = [frames.start, frames.text("a"), frames.stop, frames.metadata]

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
      yield* turns(400)
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

  it.effect("calls that waited for a connection are signed when they have one, by credentials of that moment", () =>
    Effect.gen(function*() {
      const keys: Array<number> = []
      const replies: Array<() => void> = []
      const { url } = yield* server((incoming, response) => {
        keys.push(Number(/Credential=(\d+)/.exec(incoming.headers.authorization ?? "")?.[1]))
        replies.push(() => {
          if (incoming.url?.endsWith("stream") === true) startStream(response).end(Buffer.concat(whole))
          else sendJson(response, answer)
        })
      })
      let found = 0
      const client = yield* clientOf(url, {
        maxConnections: 1,
        // So soon over that the SDK looks for others each time.
        credentials: () =>
          Promise.resolve({ accessKeyId: `${++found}`, secretAccessKey: "s", expiration: new Date(Date.now() + 1_000) })
      })
      const first = yield* Effect.forkChild(client.converse(request))
      yield* eventually(() => replies.length === 1)
      const calls = [Stream.runDrain(client.converseStream(request)), client.converse(request)]
      const rest = yield* Effect.forEach(calls, (call) => Effect.forkChild(call))
      for (let i = 0; i < 3; i++) {
        yield* eventually(() => replies.length > i)
        const known = found
        yield* turns(200)
        // Nobody is signed ahead of its time.
        assert.strictEqual(found, known)
        replies[i]?.()
        yield* eventually(() => i === 2 || replies.length > i + 1)
        if (i < 2) assert.isAbove(keys[i + 1] ?? 0, known)
      }
      yield* Fiber.joinAll([first, ...rest])
    }))

  it.effect("a place that was not used is given back, and once", () =>
    Effect.gen(function*() {
      const { open, opened, url } = yield* server((_incoming, response) => {
        sendJson(response, answer)
      })
      let find = (): Promise<typeof credentials> => Promise.reject(new Error("none"))
      const client = yield* clientOf(url, { maxConnections: 1, credentials: () => find() })
      const refused = yield* Effect.flip(client.converse(request))
      assert.strictEqual(refused.reason._tag, "AccessError")
      yield* Effect.flip(client.converse({ modelId: undefined, messages: [] }))
      yield* Effect.flip(Stream.runDrain(client.converseStream({ modelId: undefined, messages: [] })))
      let give: (found: typeof credentials) => void = () => {}
      let asked = 0
      find = () => {
        asked++
        return new Promise((resolve) => {
          give = resolve
        })
      }
      const searching = yield* Effect.forkChild(client.converse(request))
      yield* eventually(() => asked === 1)
      const behind = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(client.converse(request)))
      yield* turns()
      // One leaves its place, the other the queue.
      yield* Fiber.interruptAll([searching, ...behind.slice(1, 2)])
      give(credentials)
      yield* Fiber.joinAll([...behind.slice(0, 1), ...behind.slice(2)])
      yield* Effect.forEach([1, 2, 3], () => client.converse(request), { concurrency: "unbounded" })
      assert.deepStrictEqual([opened(), open.size], [1, 1])
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

describe("many calls at once", () => {
  it.live("go out together on as many connections, which serve the next of them", () =>
    Effect.gen(function*() {
      // Far more than the 50 connections of the SDK's own pool: with waves of those, this would never end.
      const many = 300
      const waiting: Array<Http.ServerResponse> = []
      const { opened, url } = yield* server((_incoming, response) => {
        waiting.push(response)
        if (waiting.length === many) { for (const response of waiting.splice(0)) sendJson(response, answer) }
      })
      const client = yield* clientOf(url)
      const burst = Effect.forEach(Array.from({ length: many }), () => client.converse(request), {
        concurrency: "unbounded",
        discard: true
      })
      yield* burst
      assert.strictEqual(opened(), many)
      yield* burst
      assert.strictEqual(opened(), many)
    }))

  /** In a process of its own, which may have 100 files open. */
  const within100 = (url: string, maxConnections: number, calls: number) =>
    Effect.callback<unknown>((resume) => {
      const script = fileURLToPath(new URL("./descriptors.ts", import.meta.url))
      const args = [process.execPath, script, url, String(maxConnections), String(calls)]
      execFile("sh", ["-c", "ulimit -n 100 && exec \"$@\"", "sh", ...args], (error, stdout, stderr) => {
        resume(error === null ? Effect.succeed(JSON.parse(stdout)) : Effect.die(new Error(stderr, { cause: error })))
      })
    })
  const slowly = server((_incoming, response) => {
    setTimeout(() => sendJson(response, answer), 50)
  })

  it.live("never need more files than there are, where `maxConnections` says so", () =>
    Effect.gen(function*() {
      const { opened, url } = yield* slowly
      assert.deepStrictEqual(yield* within100(url, 40, 200), { answers: 200, errors: [], again: true })
      assert.strictEqual(opened(), 40)
    }))

  it.live("without files for their connections were not sent, and are told what to do", () =>
    Effect.gen(function*() {
      const { url } = yield* slowly
      const { again, answers, errors } = yield* Schema.decodeUnknownEffect(Schema.Struct({
        answers: Schema.Int,
        errors: Schema.Array(Schema.Struct({
          tag: Schema.Literal("TransportError"),
          kind: Schema.Literal("connect"),
          attempts: Schema.Literal(0),
          message: Schema.String
        })),
        again: Schema.Boolean
      }))(yield* within100(url, 1_024, 200))
      assert.isAbove(answers, 20)
      assert.strictEqual(answers + errors.length, 200)
      assert.isTrue(again)
      for (const { message } of errors) {
        assert.include(message, "ulimit -n")
        assert.include(message, "maxConnections")
      }
    }))
})

describe("a connection that waits for its next request", () => {
  /** Answers so often on a connection, and then does this with it when the next request has arrived. */
  const tired = (answers: number, then: (socket: Net.Socket) => void) => {
    const served = new WeakMap<Net.Socket, number>()
    return server((incoming, response) => {
      const before = served.get(incoming.socket) ?? 0
      served.set(incoming.socket, before + 1)
      if (before < answers) sendJson(response, answer)
      else then(incoming.socket)
    })
  }

  it.effect("and is closed by the server meanwhile is not used again", () =>
    Effect.gen(function*() {
      const { open, opened, url } = yield* tired(1, (socket) => socket.destroy())
      const client = yield* clientOf(url)
      yield* client.converse(request)
      for (const socket of open) socket.end()
      yield* eventually(() => open.size === 0)
      yield* turns()
      yield* client.converse(request)
      assert.strictEqual(opened(), 2)
    }))

  const ends: ReadonlyArray<readonly [how: string, end: (socket: Net.Socket) => void]> = [
    ["closed", (socket) => socket.end()],
    ["reset", (socket) => socket.resetAndDestroy()]
  ]
  it.effect.each(ends)(
    "and is %s just as it is used may have lost a request that counts",
    ([, end]) =>
      Effect.gen(function*() {
        const { opened, url } = yield* tired(1, end)
        const client = yield* clientOf(url)
        yield* client.converse(request)
        const { seen, watch } = recording()
        // From here it looks the same as a server that has read the request, and died.
        const error = yield* Effect.flip(watch(client.converse(request)))
        assert.strictEqual(error.reason._tag === "TransportError" && error.reason.kind, "reset")
        assert.deepStrictEqual(seen, ["flushed"])
        assert.strictEqual(error.attempts, 1)
        // Nobody but the owner of the attempts asks again.
        assert.strictEqual(opened(), 1)
        assert.isTrue(error.retryable)
        yield* client.converse(request)
        assert.strictEqual(opened(), 2)
      })
  )
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
