import { CallObserver } from "@caprock/client"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import * as Net from "node:net"
import { answer, clientOf, frames, request, sendJson, server, startStream } from "./server.ts"

const observed = () => {
  const seen: Array<string> = []
  const observer: CallObserver.CallObserver = {
    onFlushed: () => {
      seen.push("flushed")
    },
    onResponse: (head) => {
      seen.push(`response ${head.statusCode} ${head.headers["x-amzn-requestid"] ?? ""}`)
    }
  }
  return {
    seen,
    watch: <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.provideService(effect, CallObserver.CallObserver, observer)
  }
}

describe("CallObserver", () => {
  it.effect("hears of the flush and then of the head of the response, once each", () =>
    Effect.gen(function*() {
      const { url } = yield* server((_request, response) => sendJson(response, answer))
      const client = yield* clientOf(url)
      for (let i = 0; i < 3; i++) {
        const { seen, watch } = observed()
        yield* watch(client.converse(request))
        assert.deepStrictEqual(seen, ["flushed", "response 200 request-1"])
      }
    }))

  it.effect("hears the same of a stream, and of a refusal", () =>
    Effect.gen(function*() {
      const { url } = yield* server((incoming, response) => {
        if (incoming.url?.includes("count-tokens") === true) return sendJson(response, { message: "no" }, 400)
        startStream(response)
        response.end(Buffer.concat([frames.start, frames.text("a"), frames.blockStop, frames.stop, frames.metadata]))
      })
      const client = yield* clientOf(url)
      const first = observed()
      yield* first.watch(Stream.runDrain(client.converseStream(request)))
      assert.deepStrictEqual(first.seen, ["flushed", "response 200 request-1"])
      const second = observed()
      yield* second.watch(Effect.flip(client.countTokens({ modelId: request.modelId, input: undefined })))
      assert.deepStrictEqual(second.seen, ["flushed", "response 400 request-1"])
    }))

  it.effect("hears nothing when the connection is refused", () =>
    Effect.gen(function*() {
      const { url } = yield* Effect.scoped(server(() => {}))
      const client = yield* clientOf(url)
      const { seen, watch } = observed()
      const error = yield* watch(Effect.flip(client.converse(request)))
      assert.strictEqual(error.reason._tag === "TransportError" && error.reason.kind, "connect")
      assert.strictEqual(error.attempts, 0)
      assert.deepStrictEqual(seen, [])
    }))

  it.effect("hears nothing when the name is not resolved", () =>
    Effect.gen(function*() {
      const client = yield* clientOf("http://nowhere.invalid")
      const { seen, watch } = observed()
      const error = yield* watch(Effect.flip(client.converse(request)))
      assert.strictEqual(error.reason._tag === "TransportError" && error.reason.kind, "dns")
      assert.strictEqual(error.attempts, 0)
      assert.deepStrictEqual(seen, [])
    }))

  it.effect("hears nothing when there are no credentials", () =>
    Effect.gen(function*() {
      const { url } = yield* server(() => {})
      const client = yield* clientOf(url, {
        credentials: () =>
          Promise.reject(Object.assign(new Error("Could not load credentials from any providers"), {
            name: "CredentialsProviderError"
          }))
      })
      const { seen, watch } = observed()
      const error = yield* watch(Effect.flip(client.converse(request)))
      assert.strictEqual(error.reason._tag === "AccessError" && error.reason.kind, "no-credentials")
      assert.strictEqual(error.attempts, 0)
      assert.deepStrictEqual(seen, [])
    }))

  it.effect("hears of the flush of a request whose connection is cut before the answer", () =>
    Effect.gen(function*() {
      const { url } = yield* server((incoming) => incoming.socket.resetAndDestroy())
      const client = yield* clientOf(url)
      const { seen, watch } = observed()
      const error = yield* watch(Effect.flip(client.converse(request)))
      assert.strictEqual(error.reason._tag === "TransportError" && error.reason.kind, "reset")
      assert.strictEqual(error.attempts, 1)
      assert.deepStrictEqual(seen, ["flushed"])
    }))

  it.effect("counts a request as flushed when the server closes a connection of the pool under it", () =>
    Effect.gen(function*() {
      let requests = 0
      const { url, opened } = yield* server((incoming, response) => {
        if (requests++ === 0) sendJson(response, answer)
        else incoming.socket.destroy()
      })
      const client = yield* clientOf(url)
      yield* client.converse(request)
      const { seen, watch } = observed()
      const error = yield* watch(Effect.flip(client.converse(request)))
      assert.strictEqual(opened(), 1)
      assert.strictEqual(error.reason._tag, "TransportError")
      assert.strictEqual(error.attempts, 1)
      assert.deepStrictEqual(seen, ["flushed"])
    }))

  it.effect("hears of the flush when the server answers before it has read the request", () =>
    Effect.gen(function*() {
      const port = yield* Effect.acquireRelease(
        Effect.callback<{ readonly port: number; readonly server: Net.Server }>((resume) => {
          const server = Net.createServer((socket) => {
            socket.on("error", () => {})
            socket.end("HTTP/1.1 413 Payload Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
          })
          server.listen(0, "127.0.0.1", () => {
            const address = server.address()
            if (address !== null && typeof address === "object") {
              resume(Effect.succeed({ port: address.port, server }))
            }
          })
        }),
        ({ server }) => Effect.sync(() => server.close())
      )
      const client = yield* clientOf(`http://127.0.0.1:${port.port}`)
      const { seen, watch } = observed()
      yield* watch(Effect.flip(client.invokeModel({ modelId: "m", body: new Uint8Array(8_000_000) })))
      assert.strictEqual(seen[0], "flushed")
      assert.strictEqual(seen.filter((entry) => entry === "flushed").length, 1)
    }))

  it.effect("fails the call, not the process, when it throws", () =>
    Effect.gen(function*() {
      const { open, url } = yield* server((_request, response) => sendJson(response, answer))
      const client = yield* clientOf(url)
      const boom = () => {
        throw new Error("boom")
      }
      for (const observer of [{ onFlushed: boom, onResponse: () => {} }, { onFlushed: () => {}, onResponse: boom }]) {
        const error = yield* Effect.flip(client.converse(request)).pipe(
          Effect.provideService(CallObserver.CallObserver, observer)
        )
        assert.include(error.message, "boom")
      }
      assert.isAtMost(open.size, 2)
    }))
})
