import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Schema } from "effect"
import { systemError } from "effect/PlatformError"
import * as Spill from "../src/internal/spill.ts"

const Count = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

describe("what waits for its turn on a disk", () => {
  it.effect.prop(
    "comes back stretch by stretch, the last of what was added for a place",
    [Count(1, 300), Schema.Array(Schema.Tuple([Schema.Natural, Count(0, 90_000)])), Count(0, 200_000_000)],
    ([places, added, bytes]) =>
      Effect.gen(function*() {
        const spill = yield* Spill.make(places, bytes)
        const expected = new Map<number, number>()
        for (const [drawn, length] of added) {
          const place = drawn % places
          expected.set(place, length)
          if (spill.add(place, Buffer.alloc(length, place))) yield* spill.drain
        }
        const found = new Map<number, number>()
        let next = 0
        for (let stretch = 0; stretch < spill.stretches; stretch++) {
          const [from, to] = spill.placesOf(stretch)
          assert.strictEqual(from, next)
          next = to
          for (const [place, line] of yield* spill.load(stretch)) {
            assert.isTrue(place >= from && place < to)
            assert.isTrue(line.every((byte) => byte === place % 256))
            found.set(place, line.length)
          }
        }
        assert.strictEqual(next, places)
        assert.deepStrictEqual([...found].toSorted(([a], [b]) => a - b), [...expected].toSorted(([a], [b]) => a - b))
      }).pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer)),
    // Each makes a file.
    { arbitrary: { runs: 20 } }
  )

  it.effect("is in stretches of 16 MiB, as far as that can be", () =>
    Effect.gen(function*() {
      const stretches = (places: number, bytes: number) =>
        Effect.map(Spill.make(places, bytes), ({ stretches }) => stretches)
      const mebibytes = 1024 * 1024
      assert.strictEqual(yield* stretches(1000, 0), 1)
      assert.strictEqual(yield* stretches(1000, 16 * mebibytes), 1)
      assert.strictEqual(yield* stretches(1000, 160 * mebibytes), 10)
      assert.strictEqual(yield* stretches(3, 160 * mebibytes), 3)
      assert.strictEqual(yield* stretches(100_000, 160_000 * mebibytes), 511)
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.effect("goes with the scope", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const made: Array<string> = []
      const watched = FileSystem.FileSystem.of({
        ...fs,
        makeTempFileScoped: (options) =>
          Effect.tap(fs.makeTempFileScoped(options), (path) => Effect.sync(() => made.push(path)))
      })
      yield* Effect.gen(function*() {
        const spill = yield* Spill.make(10, 0)
        spill.add(3, Buffer.from("three"))
        yield* spill.load(0)
        assert.isTrue(yield* fs.exists(made[0] ?? ""))
      }).pipe(Effect.scoped, Effect.provideService(FileSystem.FileSystem, watched))
      assert.isFalse(yield* fs.exists(made[0] ?? ""))
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.effect("that is full says so", () =>
    Effect.gen(function*() {
      const full = FileSystem.makeNoop({
        makeTempFileScoped: () =>
          Effect.fail(
            systemError({ _tag: "Unknown", module: "FileSystem", method: "makeTempFile", description: "ENOSPC" })
          )
      })
      const failure = yield* Effect.flip(
        Spill.make(1, 1).pipe(Effect.scoped, Effect.provideService(FileSystem.FileSystem, full))
      )
      assert.strictEqual(failure._tag, "SpillFailed")
      assert.match(failure.message, /disk that results wait on .*ENOSPC/)
    }))
})
