// What becomes of a call whose signature or credentials are the trouble, over sockets and with the SDK's own providers.
import { Bedrock } from "@caprock/bedrock"
import { rowOf } from "@caprock/errors/Reason"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Stream } from "effect"
import * as Http from "node:http"

const hour = 3_600_000
const modelId = "amazon.nova-lite-v1:0"
const ask = { modelId, messages: [{ role: "user" as const, content: [{ text: "hello" }] }] }
const backoff = { base: "1 millis" } as const

const server = (handle: Http.RequestListener) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly url: string; readonly listening: Http.Server }>((resume) => {
      const listening = Http.createServer((request, response) => {
        request.resume()
        request.on("end", () => handle(request, response))
      })
      listening.listen(0, "127.0.0.1", () => {
        const address = listening.address()
        const port = typeof address === "object" && address !== null ? address.port : 0
        resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, listening }))
      })
    }),
    ({ listening }) =>
      Effect.sync(() => {
        listening.closeAllConnections()
        listening.close()
      })
  )

const sendJson = (response: Http.ServerResponse, status: number, body: unknown, type?: string) => {
  response.writeHead(status, {
    "content-type": "application/json",
    ...(type === undefined ? {} : { "x-amzn-errortype": type })
  })
  response.end(JSON.stringify(body))
}

const answer = {
  output: { message: { role: "assistant", content: [{ text: "hi" }] } },
  stopReason: "end_turn",
  usage: { inputTokens: 1, outputTokens: 1, totalTokens: 2 },
  metrics: { latencyMs: 1 }
}

const guardOf = (bedrock: Bedrock.Service) => Effect.map(bedrock.snapshot(modelId), ({ guard }) => guard)

const serviceOf = (options: Bedrock.Options) =>
  Effect.map(
    Layer.build(
      Bedrock.layer({ region: "us-east-1", backoff, quotas: { default: { tokensPerMinute: 1e6 } }, ...options })
    ),
    (context) => Context.get(context, Bedrock.Bedrock)
  )

describe("a clock that is wrong by an hour", () => {
  it.live("costs a call one request more, and those after it nothing", () =>
    Effect.gen(function*() {
      let requests = 0
      const { url } = yield* server((request, response) => {
        requests++
        // Real time: the SDK goes by no other clock.
        const now = Date.now() + hour
        const signed = String(request.headers["x-amz-date"])
        const at = Date.parse(signed.replace(/^(....)(..)(..T..)(..)(..Z)$/, "$1-$2-$3:$4:$5"))
        response.setHeader("date", new Date(now).toUTCString())
        if (now - at < 300_000) return sendJson(response, 200, answer)
        sendJson(
          response,
          403,
          { message: `Signature expired: ${signed} is now earlier than ${now}` },
          "InvalidSignatureException"
        )
      })
      const bedrock = yield* serviceOf({ endpoint: url, credentials: { accessKeyId: "a", secretAccessKey: "b" } })
      yield* bedrock.converse(ask)
      assert.strictEqual(requests, 2)
      yield* bedrock.converse(ask)
      assert.strictEqual(requests, 3)
    }))
})

describe("a source of credentials that is throttled", () => {
  it.live("is tried again, and is no throttle of the model's pool", () =>
    Effect.gen(function*() {
      let asked = 0
      const { url } = yield* server((_request, response) => sendJson(response, 200, answer))
      const bedrock = yield* serviceOf({
        endpoint: url,
        credentials: () => {
          if (++asked === 1) {
            return Promise.reject(
              Object.assign(new Error("Rate exceeded"), { name: "Throttling", $metadata: { httpStatusCode: 400 } })
            )
          }
          return Promise.resolve({ accessKeyId: "a", secretAccessKey: "b" })
        }
      })
      const before = yield* guardOf(bedrock)
      yield* bedrock.converse(ask)
      assert.isAtLeast(asked, 2)
      assert.deepStrictEqual(yield* guardOf(bedrock), before)
    }))

  it.live("gives back what was booked for a call that could not be signed", () =>
    Effect.gen(function*() {
      const { url } = yield* server(() => {})
      const bedrock = yield* serviceOf({
        endpoint: url,
        credentials: () => Promise.reject(new Error("The vault is sealed."))
      })
      for (const call of [Effect.asVoid(bedrock.converse(ask)), Stream.runDrain(bedrock.converseStream(ask))]) {
        const error = yield* Effect.flip(call)
        assert.deepStrictEqual([rowOf(error.reason), error.attempts, error.gaveUp], [
          "AccessError/provider-failed",
          0,
          undefined
        ])
      }
      const { meters } = yield* bedrock.snapshot(modelId)
      assert.deepStrictEqual(meters.map(({ used }) => used), [0])
    }))
})
