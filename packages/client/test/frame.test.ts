// The SDK's codec writes, we read. What is wrong in a message is the streams' own business: `streams.test.ts`.
import { assert, describe, it } from "@effect/vitest"
import { EventStreamCodec, Int64 } from "@smithy/core/event-streams"
import { fromUtf8, toUtf8 } from "@smithy/core/serde"
import type { MessageHeaders } from "@smithy/types"
import { Effect, Schema } from "effect"
import { decode } from "../src/internal/frame.ts"
import { rawFrame } from "./server.ts"

const codec = new EventStreamCodec(toUtf8, fromUtf8)

const texts = (headers: Readonly<Record<string, string>>): MessageHeaders =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, { type: "string", value }]))

/** Names of a few bytes. */
const name = Schema.Literals([":message-type", ":event-type", "x", "", "ü", "🌈"])

describe("decode", () => {
  it.effect.prop(
    "reads what the SDK writes, wherever it stands in a larger buffer",
    { headers: Schema.Record(name, Schema.String), body: Schema.Uint8Array, before: Schema.Uint8Array },
    ({ before, body, headers }) =>
      Effect.sync(() => {
        const message = codec.encode({ headers: texts(headers), body })
        const within = Uint8Array.from([...before, ...message, ...message])
        const read = decode(within.subarray(before.length, before.length + message.length))
        // Half of a surrogate pair is something else when it arrives: what the SDK reads is compared, not what was written.
        assert.deepStrictEqual(read.headers, codec.decode(message).headers)
        assert.deepStrictEqual([...read.body], [...body])
      })
  )

  it.effect("leaves out headers that are no text, and reads those behind them", () =>
    Effect.sync(() => {
      const message = codec.encode({
        headers: {
          a: { type: "boolean", value: true },
          b: { type: "boolean", value: false },
          c: { type: "byte", value: 1 },
          d: { type: "short", value: 2 },
          e: { type: "integer", value: 3 },
          f: { type: "long", value: Int64.fromNumber(4) },
          g: { type: "binary", value: Uint8Array.of(5, 6, 7) },
          h: { type: "timestamp", value: new Date(8) },
          i: { type: "uuid", value: "00000000-0000-0000-0000-000000000009" },
          ...texts({ ":event-type": "chunk" })
        },
        body: Uint8Array.of(1, 2)
      })
      assert.deepStrictEqual(decode(message), { headers: texts({ ":event-type": "chunk" }), body: Uint8Array.of(1, 2) })
    }))

  it.effect("reads a message that holds nothing", () =>
    Effect.sync(() => {
      const { body, headers } = decode(rawFrame(new Uint8Array(), ""))
      assert.deepStrictEqual([headers, body.length], [{}, 0])
    }))

  it.effect.prop(
    "reads no bytes behind a message, whatever its headers are",
    { headers: Schema.Uint8Array, behind: Schema.Uint8Array },
    ({ behind, headers }) =>
      Effect.sync(() => {
        const message = rawFrame(headers, "{}")
        const read = (behind: Uint8Array) => {
          const within = Uint8Array.from([...message, ...behind])
          try {
            return decode(within.subarray(0, message.length))
          } catch (error) {
            return String(error)
          }
        }
        assert.deepStrictEqual(read(behind), read(new Uint8Array()))
      }),
    { arbitrary: { runs: 500 } }
  )
})
