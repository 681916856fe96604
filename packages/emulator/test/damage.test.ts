import { CountTokensCommand } from "@aws-sdk/client-bedrock-runtime"
import * as Emulator from "@caprock/emulator/Emulator"
import * as Fault from "@caprock/emulator/Fault"
import * as LatencyModel from "@caprock/emulator/LatencyModel"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Net from "node:net"
import { crc32 } from "node:zlib"
import { client, collect, converse, converseStream, modelId, type Transport, until } from "./helpers.ts"

const input = 5
const output = 40

const text = Array.from({ length: output }, (_, i) => `word${String.fromCharCode(97 + i % 26)}`).join(" ")

// The same words each time: an emulator draws others when it is asked again.
const start = () =>
  Emulator.make({
    latency: LatencyModel.fixed(0),
    output: () => ({ text, outputTokens: output }),
    quota: { tokens: 100_000, requests: 1000 }
  })

/** What comes back for one request, byte by byte, on a connection of its own. */
const exchange = (emulator: Emulator.Service, verb: "converse" | "converse-stream") =>
  Effect.callback<{ readonly bytes: Buffer; readonly packets: number }>((resume) => {
    const body = JSON.stringify({
      messages: [{ role: "user", content: [{ text: "Hi" }] }],
      inferenceConfig: { maxTokens: 100 }
    })
    const packets: Array<Buffer> = []
    const socket = Net.connect(emulator.port, "127.0.0.1", () =>
      socket.write(
        `POST /model/${encodeURIComponent(modelId)}/${verb} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n` +
          `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
      ))
    socket.on("data", (packet) => packets.push(packet))
    socket.on("error", () => {})
    socket.on("close", () => resume(Effect.succeed({ bytes: Buffer.concat(packets), packets: packets.length })))
    return Effect.sync(() => socket.destroy())
  })

/** The head, and the body without its chunks. */
const parts = (bytes: Buffer) => {
  const end = bytes.indexOf("\r\n\r\n")
  const head = bytes.subarray(0, end).toString("latin1")
  let rest = bytes.subarray(end + 4)
  if (!head.includes("chunked")) return { head, body: rest }
  const body: Array<Buffer> = []
  while (rest.length > 0) {
    const line = rest.indexOf("\r\n")
    const size = Number.parseInt(rest.subarray(0, line).toString(), 16)
    body.push(rest.subarray(line + 2, line + 2 + size))
    rest = rest.subarray(line + 4 + size)
  }
  return { head, body: Buffer.concat(body) }
}

/** Its frames, as far as they are any. */
const framesOf = (body: Buffer): ReadonlyArray<Buffer> => {
  const frames: Array<Buffer> = []
  for (let at = 0; at + 16 <= body.length;) {
    const length = body.readUInt32BE(at)
    const frame = body.subarray(at, at + length)
    if (length < 16 || frame.length < length) break
    if (crc32(frame.subarray(0, -4)) !== frame.readUInt32BE(length - 4)) break
    frames.push(frame)
    at += length
  }
  return frames
}

const eventOf = (frame: Buffer | undefined) => /:event-type...([A-Za-z]+)/s.exec(frame?.toString("latin1") ?? "")?.[1]

/** The intact stream of this prompt: the same each time but for its request id. */
const intact = Effect.gen(function*() {
  const emulator = yield* start()
  return framesOf(parts((yield* exchange(emulator, "converse-stream")).bytes).body)
})

const wholeCost = input + output

describe("places", () => {
  it.effect("a stream can be cut, ended or broken by an exception at each of its frames", () =>
    Effect.gen(function*() {
      const frames = yield* intact
      assert.deepStrictEqual(frames.map(eventOf), [
        "messageStart",
        ...Array.from({ length: 10 }, () => "contentBlockDelta"),
        "contentBlockStop",
        "messageStop",
        "metadata"
      ])
      for (let frame = 0; frame <= frames.length; frame++) {
        // The first frame is no content, and each of the next ten has four tokens.
        const cost = input + 4 * Math.min(10, Math.max(0, frame - 1))
        const emulator = yield* start()
        for (const at of [{ frame }, { frame: frame - frames.length }]) {
          // Nothing counts from the end for what comes after it.
          if (at.frame === 0 && frame !== 0) continue
          yield* emulator.inject(Fault.truncate(at))
          const ended = yield* exchange(emulator, "converse-stream")
          assert.deepStrictEqual(framesOf(parts(ended.bytes).body), frames.slice(0, frame), `truncate ${at.frame}`)
          assert.isTrue(ended.bytes.toString("latin1").endsWith("\r\n0\r\n\r\n") || frame === 0)
          yield* emulator.inject(Fault.cut(at))
          const cut = yield* exchange(emulator, "converse-stream")
          assert.deepStrictEqual(framesOf(parts(cut.bytes).body), frames.slice(0, frame), `cut ${at.frame}`)
          assert.isFalse(cut.bytes.toString("latin1").endsWith("\r\n0\r\n\r\n"))
          yield* emulator.inject(Fault.streamError("throttlingException", { at, message: "no more" }))
          const broken = framesOf(parts((yield* exchange(emulator, "converse-stream")).bytes).body)
          assert.deepStrictEqual(broken.slice(0, -1), frames.slice(0, frame), `exception ${at.frame}`)
          assert.include(broken.at(-1)?.toString(), "throttlingException")
        }
        const { errors, tokens } = yield* emulator.stats
        const times = frame === frames.length ? 1 : 2
        assert.strictEqual(tokens.settled, 3 * times * cost)
        assert.deepStrictEqual(errors, {
          ...(frame === frames.length ? {} : { Truncate: times }),
          Cut: times,
          StreamError: times
        })
      }
    }))

  it.effect("more frames than there are is the end, and an answer in one piece has no frames", () =>
    Effect.gen(function*() {
      const frames = yield* intact
      const emulator = yield* start()
      yield* emulator.inject(Fault.truncate({ frame: 99 }))
      assert.deepStrictEqual(framesOf(parts((yield* exchange(emulator, "converse-stream")).bytes).body), frames)
      yield* emulator.inject(Fault.truncate({ frame: -99 }))
      assert.lengthOf(framesOf(parts((yield* exchange(emulator, "converse-stream")).bytes).body), 0)
      const before = (yield* emulator.stats).tokens.settled
      yield* emulator.inject(Fault.cut({ frame: 5 }))
      assert.lengthOf((yield* exchange(emulator, "converse")).bytes, 0)
      assert.strictEqual((yield* emulator.stats).tokens.settled - before, input)
    }))
})

describe("damage to a frame", () => {
  it.effect.each(Fault.Damage.literals)(
    "%s: that frame alone, at each place, and it is charged whole",
    (damage) =>
      Effect.gen(function*() {
        const frames = yield* intact
        const emulator = yield* start()
        for (let frame = 0; frame < frames.length; frame++) {
          yield* emulator.inject(Fault.corrupt(damage, { frame }))
          const { body } = parts((yield* exchange(emulator, "converse-stream")).bytes)
          const before = Buffer.concat(frames.slice(0, frame))
          const after = Buffer.concat(frames.slice(frame + 1))
          assert.deepStrictEqual(body.subarray(0, before.length), before)
          assert.deepStrictEqual(body.subarray(body.length - after.length), after)
          const there = body.subarray(before.length, body.length - after.length)
          assert.notDeepEqual(there, frames[frame])
          const sound = framesOf(there).length === 1
          assert.strictEqual(sound, damage === "headers" || damage === "json" || damage === "null", damage)
        }
        const { errors, tokens } = yield* emulator.stats
        assert.deepStrictEqual(errors, { Corrupt: frames.length })
        assert.strictEqual(tokens.settled, frames.length * wholeCost)
      })
  )

  it.effect("waits for a stream", () =>
    Effect.gen(function*() {
      const emulator = yield* start()
      yield* emulator.inject(Fault.corrupt("json"))
      yield* exchange(emulator, "converse")
      assert.deepStrictEqual((yield* emulator.stats).errors, {})
      yield* exchange(emulator, "converse-stream")
      assert.deepStrictEqual((yield* emulator.stats).errors, { Corrupt: 1 })
    }))

  it.effect("is noticed by the SDK", () =>
    Effect.gen(function*() {
      const emulator = yield* start()
      const sdk = yield* client(emulator)
      for (const damage of Fault.Damage.literals) {
        yield* emulator.inject(Fault.corrupt(damage, { frame: 3 }))
        const { error, events } = yield* collect((yield* converseStream(sdk, "Hi", 100)).stream)
        // It takes `null` for an event; who reads it has to look.
        if (damage === "null") assert.strictEqual(JSON.stringify(events[3]), `{"contentBlockDelta":null}`)
        else assert.isDefined(error, damage)
        if (damage !== "null") assert.lengthOf(events, 3)
      }
    }))
})

describe("a wrong head", () => {
  const heads: Record<Fault.Head, (head: string, length: number) => boolean> = {
    "status-line": (head) => head.startsWith("220 smtp"),
    "header": (head) => head.includes("\r\nx-\0broken header\x01 here\r\n"),
    "too-large": (head) => head.length > 1_000_000,
    "lengths": (head, length) =>
      head.includes(`content-length: ${length}\r\n`) && head.includes(`content-length: ${length + 1}\r\n`),
    "longer": (head, length) => head.includes(`content-length: ${2 * length}\r\n`),
    "shorter": (head, length) => head.includes(`content-length: ${Math.floor(length / 2)}\r\n`),
    "usage": (head) => /x-amzn-bedrock-output-token-count: -1\r\n/.test(head) && head.includes("latency: soon"),
    "no-type": (head) => !/content-type/i.test(head),
    "wrong-type": (head) => head.includes("content-type: text/html; charset=utf-8\r\n") && !head.includes("json")
  }

  it.effect.each(Fault.Head.literals)("%s: the body is right, and charged whole", (head) =>
    Effect.gen(function*() {
      const emulator = yield* start()
      const right = parts((yield* exchange(emulator, "converse")).bytes).body
      const frames = yield* intact
      for (const [verb, expected] of [["converse", right], ["converse-stream", Buffer.concat(frames)]] as const) {
        yield* emulator.inject(Fault.badHead(head))
        const got = parts((yield* exchange(emulator, verb)).bytes)
        assert.isTrue(heads[head](got.head, got.body.length), got.head.slice(0, 1000))
        assert.deepStrictEqual(got.body, expected)
      }
      const { errors, tokens } = yield* emulator.stats
      assert.deepStrictEqual(errors, { BadHead: 2 })
      assert.strictEqual(tokens.settled, 3 * wholeCost)
    }))

  it.effect("over HTTP/2 it is a stream that is reset", () =>
    Effect.gen(function*() {
      const emulator = yield* start()
      const sdk = yield* client(emulator, "h2")
      yield* emulator.inject(Fault.badHead("status-line"))
      const { error } = yield* Effect.flip(converse(sdk, "Hi", 100))
      assert.match(`${error.message} ${String(error.cause)}`, /PROTOCOL_ERROR|did not get a response/)
      yield* emulator.inject(Fault.badHead("usage"))
      yield* converse(sdk, "Hi", 100)
    }))
})

describe("another body", () => {
  it.effect.each(Fault.Body.literals)(
    "%s: in place of the answer, which is charged whole",
    (body) =>
      Effect.gen(function*() {
        const emulator = yield* start()
        const right = parts((yield* exchange(emulator, "converse")).bytes).body
        const frames = Buffer.concat(yield* intact)
        for (const [verb, whole] of [["converse", right], ["converse-stream", frames]] as const) {
          yield* emulator.inject(Fault.badBody(body))
          const got = parts((yield* exchange(emulator, verb)).bytes)
          assert.include(got.head, `content-length: ${got.body.length}`)
          assert.strictEqual(got.head.includes("text/html"), body === "html")
          if (body === "html") assert.match(got.body.toString(), /^<!doctype html>.*<\/html>$/)
          else {
            const expected = { half: whole.subarray(0, Math.floor(whole.length / 2)), empty: "", null: "null" }[body]
            assert.deepStrictEqual(got.body.toString("latin1"), expected.toString("latin1"))
          }
        }
        const { errors, tokens } = yield* emulator.stats
        assert.deepStrictEqual(errors, { BadBody: 2 })
        assert.strictEqual(tokens.settled, 3 * wholeCost)
      })
  )
})

describe("an answer of any size", () => {
  it.effect("in one piece is filled up with spaces", () =>
    Effect.gen(function*() {
      const emulator = yield* start()
      yield* emulator.inject(Fault.giant(3_000_000))
      const { body } = parts((yield* exchange(emulator, "converse")).bytes)
      assert.lengthOf(body, 3_000_000)
      assert.strictEqual(JSON.parse(body.toString()).stopReason, "end_turn")
      assert.deepStrictEqual((yield* emulator.stats).errors, {})
    }))

  it.effect("has one frame more, at any place", () =>
    Effect.gen(function*() {
      const emulator = yield* start()
      const frames = yield* intact
      for (const frame of [0, 4, frames.length]) {
        yield* emulator.inject(Fault.giant(2_000_000, { frame }))
        const got = framesOf(parts((yield* exchange(emulator, "converse-stream")).bytes).body)
        assert.deepStrictEqual(got.toSpliced(frame, 1), frames)
        assert.strictEqual(eventOf(got[frame]), "contentBlockDelta")
        assert.isAbove(got[frame]?.length ?? 0, 2_000_000)
      }
      assert.strictEqual((yield* emulator.stats).tokens.settled, 3 * wholeCost)
    }))
})

describe("a trickle", () => {
  it.effect("brings every byte by itself", () =>
    Effect.gen(function*() {
      const emulator = yield* start()
      const right = parts((yield* exchange(emulator, "converse")).bytes).body
      const frames = yield* intact
      yield* emulator.inject(Fault.trickle())
      const one = yield* exchange(emulator, "converse")
      assert.deepStrictEqual(parts(one.bytes).body, right)
      yield* emulator.inject(Fault.trickle({ at: { frame: frames.length - 1 } }))
      const two = yield* exchange(emulator, "converse-stream")
      assert.deepStrictEqual(framesOf(parts(two.bytes).body), frames)
      // The reader may find several in one piece, and never all.
      for (const { packets } of [one, two]) assert.isAbove(packets, 100)
    }))

  it.effect("takes its time, and what it costs is known", () =>
    Effect.gen(function*() {
      const emulator = yield* start()
      const right = parts((yield* exchange(emulator, "converse")).bytes).body
      yield* emulator.inject(Fault.trickle({ millis: 1000 }))
      const running = yield* Effect.forkChild(exchange(emulator, "converse"))
      let seconds = 0
      while (running.pollUnsafe() === undefined && seconds < right.length * 2) {
        yield* Effect.repeat(Effect.promise(() => new Promise((done) => setImmediate(done))), { times: 3 })
        yield* TestClock.adjust("1 second")
        seconds++
      }
      assert.deepStrictEqual(parts((yield* Fiber.join(running)).bytes).body, right)
      assert.isAtLeast(seconds, right.length)
      assert.strictEqual((yield* emulator.stats).tokens.settled, 2 * wholeCost)
    }))
})

describe("what is free", () => {
  const count = (sdk: Effect.Success<ReturnType<typeof client>>) =>
    Effect.tryPromise(() =>
      sdk.send(
        new CountTokensCommand({
          modelId,
          input: { converse: { messages: [{ role: "user", content: [{ text: "Hi" }] }] } }
        })
      )
    )

  const faults: ReadonlyArray<Fault.Fault> = [
    Fault.error("InternalServerException"),
    Fault.reset,
    Fault.cut(),
    Fault.badHead("status-line"),
    Fault.badBody("half")
  ]

  it.effect.each(faults)("can fail as all else does, and stays free: %j", (fault) =>
    Effect.gen(function*() {
      const emulator = yield* start()
      const sdk = yield* client(emulator)
      yield* emulator.inject(fault)
      yield* Effect.flip(count(sdk))
      assert.isAbove((yield* count(sdk)).inputTokens ?? 0, 0)
      const { answered, errors, inFlight, tokens } = yield* emulator.stats
      assert.deepStrictEqual([answered, inFlight, tokens.settled], [1, 0, 0])
      assert.deepStrictEqual(Object.values(errors), [1])
    }))

  it.effect("is silent until it is released", () =>
    Effect.gen(function*() {
      const emulator = yield* start()
      const sdk = yield* client(emulator)
      yield* emulator.inject(Fault.silence())
      const counting = yield* Effect.forkChild(count(sdk))
      yield* until("silence", Effect.map(emulator.stats, ({ inFlight }) => inFlight === 1))
      yield* emulator.release
      yield* Fiber.join(counting)
    }))
})

describe("connections", () => {
  const transports: ReadonlyArray<Transport> = ["h1", "h2"]

  it.effect.each(transports)("over %s are counted while they are open", (transport) =>
    Effect.gen(function*() {
      const emulator = yield* start()
      const sdk = yield* client(emulator, transport)
      yield* converse(sdk, "Hi", 100)
      const { connections, open } = yield* emulator.stats
      assert.deepStrictEqual([connections, open], [1, 1])
      sdk.destroy()
      yield* until("closed", Effect.map(emulator.stats, ({ open }) => open === 0))
      assert.strictEqual((yield* emulator.stats).connections, 1)
    }))
})
