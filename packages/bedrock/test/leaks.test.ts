// What calls that went wrong in every way leave behind in this process: nothing.
import { Bedrock } from "@caprock/bedrock"
import { Emulator, Fault, LatencyModel, OutputModel } from "@caprock/emulator"
import { assert, it } from "@effect/vitest"
import { Context, Effect, Layer, Stream } from "effect"
import type * as Net from "node:net"
import { until } from "../../client/test/faultLab.ts"
import { onCreated } from "../../client/test/server.ts"

const modelId = "amazon.nova-lite-v1:0"
const question = { modelId, messages: [{ role: "user" as const, content: [{ text: "Why is the sky blue?" }] }] }

const house = (endpoint: string, maxConnections?: number) =>
  Effect.map(
    Layer.build(Bedrock.layer({
      region: "us-east-1",
      endpoint,
      credentials: { accessKeyId: "AKIDTEST", secretAccessKey: "secret" },
      maxConnections,
      backoff: { attempts: 1 }
    })),
    (context) => Context.get(context, Bedrock.Bedrock)
  )

const emulated = Emulator.make({ latency: LatencyModel.fixed(0), output: OutputModel.fixed(12) })

/** Sockets, servers, timers and whatever else keeps a process alive, by kind. */
const resources = () => {
  const kinds: Record<string, number> = {}
  for (const kind of process.getActiveResourcesInfo()) kinds[kind] = (kinds[kind] ?? 0) + 1
  return kinds
}

const faults: ReadonlyArray<Fault.Fault | undefined> = [
  undefined,
  Fault.error("InternalServerException"),
  Fault.reset,
  Fault.cut({ frame: 3 }),
  Fault.truncate({ frame: 3 }),
  Fault.streamError("throttlingException", { at: { frame: 3 } }),
  Fault.corrupt("huge", { frame: 3 }),
  Fault.badHead("status-line"),
  Fault.badBody("html"),
  Fault.trickle()
]

it.live("sockets, timers and servers are those of before", () =>
  Effect.gen(function*() {
    const before = resources()
    yield* Effect.scoped(Effect.gen(function*() {
      const emulator = yield* emulated
      const bedrock = yield* house(emulator.url)
      for (const fault of faults) {
        if (fault !== undefined) yield* emulator.inject(fault, { times: 10 })
        const asked = Array.from({ length: 5 }, () => [
          Effect.asVoid(bedrock.converse(question)),
          Stream.runDrain(bedrock.converseStream(question)),
          bedrock.converseStream(question).pipe(Stream.take(2), Stream.runDrain)
        ])
        yield* Effect.forEach(asked.flat(), Effect.exit, { concurrency: "unbounded", discard: true })
      }
      assert.isAbove(resources()["TCPSocketWrap"] ?? 0, before["TCPSocketWrap"] ?? 0)
    }))
    yield* until(
      "as before",
      Effect.sync(() => Object.entries(resources()).every(([kind, n]) => n <= (before[kind] ?? 0)))
    )
  }))

it.live("a connection has no more listeners after a hundred calls than after one", () =>
  Effect.scoped(Effect.gen(function*() {
    const emulator = yield* emulated
    const bedrock = yield* house(emulator.url, 1)
    const sockets = new Set<Net.Socket>()
    yield* onCreated((request) => request.once("socket", (socket) => sockets.add(socket)))
    const listeners = () => {
      const [socket] = sockets
      return (socket?.eventNames() ?? []).map((name) => `${String(name)}: ${socket?.listenerCount(name)}`).toSorted()
    }
    const round = Effect.gen(function*() {
      yield* bedrock.converse(question)
      yield* Stream.runDrain(bedrock.converseStream(question))
      yield* emulator.inject(Fault.error("InternalServerException"))
      yield* Effect.flip(bedrock.converse(question))
      yield* emulator.inject(Fault.error("ValidationException"))
      yield* Effect.flip(Stream.runDrain(bedrock.converseStream(question)))
      yield* emulator.inject(Fault.badBody("half"))
      yield* Effect.flip(bedrock.converse(question))
    })
    yield* round
    // The agent takes it back right after the answer.
    yield* until("it is idle", Effect.sync(() => sockets.size === 1))
    const before = listeners()
    assert.isNotEmpty(before)
    yield* Effect.repeat(round, { times: 20 })
    assert.strictEqual(sockets.size, 1)
    assert.deepStrictEqual(listeners(), before)
  })))
