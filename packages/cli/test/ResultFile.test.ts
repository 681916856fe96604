import * as ResultFile from "@caprock/cli/batch/ResultFile"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Path, Stream } from "effect"
import { outputPath, platform } from "./support.ts"

const bytes = (text: string) => new TextEncoder().encode(text)

describe("a file of results", () => {
  const written = (path: string, commit: boolean) =>
    Effect.scoped(Effect.gen(function*() {
      const file = yield* ResultFile.open(path)
      yield* Stream.run(Stream.make(bytes("one\n"), bytes("two\n")), file.sink)
      if (commit) yield* file.commit
    }))

  const beside = (path: string) =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const { dirname } = yield* Path.Path
      return (yield* fs.readDirectory(dirname(path))).toSorted()
    })

  it.effect("is as it was, until all is written", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = yield* outputPath
      yield* written(path, false)
      assert.isFalse(yield* fs.exists(path))
      yield* fs.writeFileString(path, "before\n")
      yield* written(path, false)
      assert.strictEqual(yield* fs.readFileString(path), "before\n")
      assert.deepEqual(yield* beside(path), ["results.jsonl"])
      yield* written(path, true)
      assert.strictEqual(yield* fs.readFileString(path), "one\ntwo\n")
      assert.deepEqual(yield* beside(path), ["results.jsonl"])
    }).pipe(platform))

  it.effect("is never mixed with another of its name, and leaves a user's own files alone", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = yield* outputPath
      yield* fs.writeFileString(`${path}.partial`, "mine\n")
      yield* Effect.scoped(Effect.gen(function*() {
        const one = yield* ResultFile.open(path)
        const two = yield* ResultFile.open(path)
        yield* Stream.run(Stream.make(bytes("one\n")), one.sink)
        yield* Stream.run(Stream.make(bytes("two\n")), two.sink)
        yield* one.commit
        assert.strictEqual(yield* fs.readFileString(path), "one\n")
        yield* two.commit
        assert.strictEqual(yield* fs.readFileString(path), "two\n")
      }))
      assert.deepEqual(yield* beside(path), ["results.jsonl", "results.jsonl.partial"])
      assert.strictEqual(yield* fs.readFileString(`${path}.partial`), "mine\n")
    }).pipe(platform))

  it.effect("stays what a link leads to, and is read by whom it was", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = yield* outputPath
      yield* fs.writeFileString(path, "before\n")
      yield* fs.chmod(path, 0o600)
      yield* fs.symlink(path, `${path}.link`)
      yield* written(`${path}.link`, true)
      assert.strictEqual(yield* fs.readFileString(path), "one\ntwo\n")
      assert.strictEqual(yield* fs.realPath(`${path}.link`), yield* fs.realPath(path))
      assert.strictEqual((yield* fs.stat(path)).mode & 0o777, 0o600)
    }).pipe(platform))
})
