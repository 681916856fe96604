import { StoreFailed } from "@caprock/batch/BatchError"
import * as ObjectStore from "@caprock/batch/ObjectStore"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Names from "../src/internal/names.ts"
import type { Place } from "../src/internal/place.ts"
import * as Reading from "../src/internal/reading.ts"

const Count = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const cut = (kind: StoreFailed["kind"]) => new StoreFailed({ operation: "get", key: "a", kind, problem: "cut" })

/** A bucket with one object, which it hands out in chunks of so many bytes, and not further than it is told each time. */
const flaky = (bytes: Buffer, chunk: number, cuts: Array<number>, kind: StoreFailed["kind"] | "end") => {
  const asked: Array<number> = []
  const place: Place = {
    prefix: "",
    store: {
      ...ObjectStore.makeMemory(),
      get: (_, from = 0) =>
        Stream.suspend(() => {
          asked.push(from)
          const given = cuts.shift()
          const to = given === undefined ? bytes.length : Math.min(bytes.length, from + given)
          const chunks: Array<Uint8Array> = []
          for (let at = from; at < to; at += chunk) chunks.push(bytes.subarray(at, Math.min(to, at + chunk)))
          const end = given === undefined || kind === "end" ? Stream.empty : Stream.fail(cut(kind))
          return Stream.concat(Stream.rechunk(Stream.fromIterable(chunks), 2), end)
        })
    }
  }
  return { asked, place }
}

const read = (place: Place, bytes: number) =>
  Effect.map(
    Stream.runCollect(Stream.map(Reading.lines(place, { key: "a", bytes }), (line) => line.toString())),
    (lines) => lines
  )

/** The same, while time passes by itself. */
const readInTime = (place: Place, bytes: number) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(read(place, bytes), { startImmediately: true })
    yield* TestClock.adjust("1 hour")
    return yield* Fiber.join(fiber)
  })

describe("reading lines", () => {
  it.effect.prop(
    "gives each of them once, wherever chunks end and streams are cut",
    [
      Schema.Array(Schema.String),
      Schema.Boolean,
      Count(1, 9),
      Schema.Array(Count(0, 40)).check(Schema.isMaxLength(4)),
      Schema.Literals(["unavailable", "end"])
    ],
    ([drawn, ended, chunk, cuts, kind]) =>
      Effect.gen(function*() {
        const lines = drawn.map((line) => JSON.stringify(line))
        const bytes = Buffer.from(lines.join("\n\n") + (ended ? "\n" : ""))
        const { asked, place } = flaky(bytes, chunk, [...cuts], kind)
        assert.deepStrictEqual(yield* readInTime(place, bytes.length), lines)
        // From where it was.
        assert.deepStrictEqual(asked, asked.toSorted((a, b) => a - b))
      })
  )

  it.effect.prop(
    "gives those of many objects in their order, a few pieces of which are on their way at once, whichever comes first",
    [
      Schema.Array(Schema.Array(Schema.String)).check(Schema.isMaxLength(12)),
      Schema.Boolean,
      Count(1, 40),
      Count(1, 9),
      Schema.Array(Count(0, 30)).check(Schema.isMinLength(1)),
      Count(0, 3)
    ],
    ([drawn, ended, piece, chunk, late, cuts]) =>
      Effect.gen(function*() {
        const objects = drawn.map((texts, i) => {
          const lines = texts.map((text) => JSON.stringify(text))
          return { key: `${i}`, lines, bytes: Buffer.from(lines.join("\n") + (ended ? "\n" : "")) }
        })
        let asked = 0
        let open = 0
        let most = 0
        const place: Place = {
          prefix: "",
          store: {
            ...ObjectStore.makeMemory(),
            get: (key, from = 0, to) =>
              Stream.unwrap(Effect.gen(function*() {
                const bytes = objects[Number(key)]?.bytes.subarray(from, to) ?? Buffer.of()
                const number = asked++
                most = Math.max(most, ++open)
                yield* Effect.addFinalizer(() => Effect.sync(() => open--))
                yield* Effect.sleep(`${late[number % late.length] ?? 0} seconds`)
                const chunks = Array.from(
                  { length: Math.ceil(bytes.length / chunk) },
                  (_, i) => bytes.subarray(i * chunk, (i + 1) * chunk)
                )
                // Some break off in the middle.
                return number < cuts
                  ? Stream.concat(
                    Stream.fromIterable(chunks.slice(0, chunks.length / 2)),
                    Stream.fail(cut("unavailable"))
                  )
                  : Stream.fromIterable(chunks)
              }))
          }
        }
        const listed = Stream.fromIterable(objects.map(({ bytes, key }) => ({ key, bytes: bytes.length })))
        const fiber = yield* Effect.forkChild(
          Stream.runCollect(Stream.map(Reading.linesOfAll(place, listed, piece), (line) => line.toString())),
          { startImmediately: true }
        )
        yield* TestClock.adjust("10 hours")
        assert.deepStrictEqual(yield* Fiber.join(fiber), objects.flatMap(({ lines }) => lines))
        const pieces = objects.reduce((sum, { bytes }) => sum + Math.ceil(bytes.length / piece), 0)
        assert.isAtMost(most, Reading.inFlight)
        if (late.every((seconds) => seconds > 0)) assert.isAtLeast(most, Math.min(pieces, 2))
        assert.isAtLeast(asked, pieces)
        assert.strictEqual(open, 0)
      })
  )

  it.effect("gives up a stream that brings nothing six times, and not one that brings something each time", () =>
    Effect.gen(function*() {
      const bytes = Buffer.from("a\n".repeat(20))
      const dead = flaky(bytes, 4, [8, 0, 0, 0, 0, 0, 0, 0], "unavailable")
      const failure = yield* Effect.flip(readInTime(dead.place, bytes.length))
      assert.strictEqual(failure._tag, "StoreFailed")
      assert.deepStrictEqual(dead.asked, [0, 8, 8, 8, 8, 8])
      const slow = flaky(bytes, 4, Array.from({ length: 9 }, () => 4), "unavailable")
      assert.lengthOf(yield* readInTime(slow.place, bytes.length), 20)
    }))

  it.effect("waits twice as long each time, from half a second", () =>
    Effect.gen(function*() {
      const { asked, place } = flaky(Buffer.from("a"), 4, [0, 0, 0], "unavailable")
      const fiber = yield* Effect.forkChild(read(place, 1), { startImmediately: true })
      const counts: Array<number> = []
      for (const millis of [499, 1, 999, 1, 1999, 1]) {
        yield* TestClock.adjust(millis)
        counts.push(asked.length)
      }
      assert.deepStrictEqual(counts, [1, 2, 2, 3, 3, 4])
      assert.deepStrictEqual(yield* Fiber.join(fiber), ["a"])
    }))

  it.effect("takes no endless line into memory", () =>
    Effect.gen(function*() {
      const chunk = Buffer.alloc(32 * 1024 * 1024, "x")
      const place: Place = {
        prefix: "",
        store: { ...ObjectStore.makeMemory(), get: () => Stream.rechunk(Stream.forever(Stream.succeed(chunk)), 1) }
      }
      const failure = yield* Effect.flip(read(place, 0))
      assert.strictEqual(failure._tag, "Corrupt")
      assert.match(failure.message, /^a is not what was written there: a line of it is longer than 268435456 bytes/)
    }))

  it.effect("does not ask again where it is denied, or there is nothing", () =>
    Effect.gen(function*() {
      for (const kind of ["denied", "missing", "other"] as const) {
        const { asked, place } = flaky(Buffer.from("a"), 4, [0], kind)
        const failure = yield* Effect.flip(read(place, 1))
        assert.deepInclude(failure, { _tag: "StoreFailed", kind })
        assert.deepStrictEqual(asked, [0])
      }
    }))
})

describe("the names of a part", () => {
  const namesOf = (text: string, records: number, refused = 0) =>
    Effect.gen(function*() {
      const place: Place = { store: ObjectStore.makeMemory(), prefix: "" }
      const part = {
        round: 0,
        part: 0,
        generation: 1,
        first: 0,
        last: 0,
        records,
        refused,
        bytes: 0,
        files: [],
        digest: "x"
      }
      yield* place.store.put("ids/0-0-1.jsonl", Buffer.from(text))
      return yield* Names.read(place, part)
    })

  it.effect.prop(
    "tell where a record of the part stands, and of no other",
    [Schema.Array(Count(1, 4)), Count(0, 1000)],
    ([gaps, first]) =>
      Effect.gen(function*() {
        let index = first
        const indices = [first, ...gaps.map((gap) => index += gap)]
        const names = yield* namesOf(
          indices.map((one) => JSON.stringify([one, `id ${one}`])).join("\n"),
          indices.length
        )
        assert.strictEqual(names.count, indices.length)
        for (let one = first - 2; one < index + 3; one++) {
          const position = indices.indexOf(one)
          assert.strictEqual(names.positionOf(one), position === -1 ? undefined : position)
          if (position === -1) continue
          assert.strictEqual(names.indexAt(position), one)
          assert.strictEqual(names.idAt(position), `id ${one}`)
          assert.isUndefined(names.refusedAt(position))
        }
      })
  )

  it.effect("of those that were refused have no answer, and say why", () =>
    Effect.gen(function*() {
      const names = yield* namesOf("[4,\"a\"]\n[5,\"b\",\"no\"]\n", 1, 1)
      assert.strictEqual(names.positionOf(4), 0)
      assert.isUndefined(names.positionOf(5))
      assert.deepStrictEqual([names.refusedAt(1), names.idAt(1)], ["no", "b"])
    }))

  it.effect.each(
    [
      ["[1,\"a\"]\n", 2, /names 1 records, and the part has 2/],
      ["[1,\"a\"]\n[2,\"b\"]\n", 1, /names 2 records/],
      ["[2,\"a\"]\n[1,\"b\"]\n", 2, /another order/],
      ["[1,\"a\"]\n[1,\"b\"]\n", 2, /another order/],
      ["[1,\"a\"\n", 1, /no name of a record/],
      ["[\"1\",\"a\"]\n", 1, /no name of a record/],
      ["{}\n", 1, /no name of a record/]
    ] as const
  )("%#: that are not what was written are told", ([text, records, message]) =>
    Effect.gen(function*() {
      const failure = yield* Effect.flip(namesOf(text, records))
      assert.strictEqual(failure._tag, "Corrupt")
      assert.match(failure.message, message)
      assert.include(failure.message, "ids/0-0-1.jsonl")
    }))
})
