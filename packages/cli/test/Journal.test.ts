import { Journal } from "@caprock/cli/run/Journal"
import * as ResultLine from "@caprock/cli/run/ResultLine"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Path, Result } from "effect"
import { hostname } from "node:os"
import * as Support from "./support.ts"
import { type Disk, model, onDisk, outputPath, platform, readResults } from "./support.ts"

const answered = (id: string, text = "yes"): ResultLine.ResultLine => Support.answered(id, 1, text)

const failed = (id: string): ResultLine.ResultLine => ({
  id,
  line: 1,
  error: { reason: "ThrottlingError", kind: "tokens", message: "no", retryable: true },
  attempts: 4,
  waitedMillis: 0,
  serviceMillis: 1
})

const open = <A, E, R>(
  output: string,
  use: (journal: Journal["Service"]) => Effect.Effect<A, E, R>,
  input = "prompts.jsonl"
) =>
  Effect.gen(function*() {
    return yield* use(yield* Journal)
  }).pipe(Effect.provide(Journal.layer({ output, input })))

const found = (output: string, input?: string) => open(output, (journal) => Effect.succeed(journal.found), input)
const refusal = (output: string, input?: string) =>
  Effect.map(Effect.flip(found(output, input)), ({ message }) => message)

const write = (path: string, text: string) =>
  Effect.flatMap(FileSystem.FileSystem, (fs) => fs.writeFileString(path, text))
const readText = (path: string) => Effect.flatMap(FileSystem.FileSystem, (fs) => fs.readFileString(path))

/** A process id that no process has: Linux counts to 4,194,304 at most. */
const nobody = 9_999_999

describe("Journal", () => {
  it.effect("cuts off a line that was torn at any byte, and keeps all others", () =>
    Effect.gen(function*() {
      const output = yield* outputPath
      const whole = ResultLine.encode(answered("a", "ä ✓"))
      const last = new TextEncoder().encode(ResultLine.encode(answered("b", "ä ✓")))
      const fs = yield* FileSystem.FileSystem
      for (let at = 0; at <= last.length; at++) {
        const head = new TextEncoder().encode(whole)
        const bytes = new Uint8Array(head.length + at)
        bytes.set(head)
        bytes.set(last.subarray(0, at), head.length)
        yield* fs.writeFile(output, bytes)
        const complete = at >= last.length - 1
        assert.deepInclude(yield* found(output), {
          answered: complete ? 2 : 1,
          tornBytes: complete ? 0 : at
        })
        assert.strictEqual((yield* readResults(output)).length, complete ? 2 : 1)
      }
    }).pipe(platform))

  it.effect("takes zeros that a power failure left for a torn line", () =>
    Effect.gen(function*() {
      const output = yield* outputPath
      yield* write(output, `${ResultLine.encode(answered("a"))}{"id":"b"\0\0\0`)
      assert.deepInclude(yield* found(output), { answered: 1, tornBytes: 12 })
      yield* write(output, `${ResultLine.encode(answered("a"))}\0\0\0`)
      assert.deepInclude(yield* found(output), { answered: 1, tornBytes: 3 })
    }).pipe(platform))

  it.effect("takes error lines and repeated answers out, in a file that keeps its mode", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const output = yield* outputPath
      const lines = [answered("a", "first"), failed("b"), answered("c"), answered("a", "second"), failed("d")]
      yield* write(output, lines.map(ResultLine.encode).join("") + `{"id":"e","line":`)
      yield* fs.chmod(output, 0o640)
      yield* open(output, (journal) =>
        Effect.gen(function*() {
          assert.deepInclude(journal.found, { answered: 2, failed: 2, repeated: 1, tornBytes: 17 })
          assert.deepEqual([...journal.found.models], [[model, 2]])
          assert.deepEqual(journal.ids.get("a"), { line: 0, answered: "0123456789abcdef" })
          assert.isUndefined(journal.ids.get("b"))
          yield* journal.append([answered("b")])
        }))
      assert.deepEqual(
        (yield* readResults(output)).map((line) => [line.id, "text" in line ? line.text : ""]),
        [["a", "first"], ["c", "yes"], ["b", "yes"]]
      )
      assert.strictEqual((yield* fs.stat(output)).mode & 0o777, 0o640)
      assert.deepEqual(yield* fs.readDirectory((yield* Path.Path).dirname(output)), ["results.jsonl"])
    }).pipe(platform))

  it.effect("follows a link, and leaves it one", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const output = yield* outputPath
      yield* write(`${output}.real`, ResultLine.encode(failed("a")) + ResultLine.encode(answered("b")))
      yield* fs.symlink(`${output}.real`, output)
      yield* open(output, (journal) => journal.append([answered("a")]))
      assert.strictEqual(yield* fs.readLink(output), `${output}.real`)
      assert.deepEqual((yield* readResults(`${output}.real`)).map((line) => line.id), ["b", "a"])
    }).pipe(platform))

  it.effect("never touches a file that no run has written", () =>
    Effect.gen(function*() {
      const output = yield* outputPath
      const texts = [
        "hello",
        "hello\n",
        `{"id":"a","prompt":"x"}\n`,
        `{"id":"a","prompt":"x"}`,
        `${ResultLine.encode(answered("a"))}{"id":"b","prompt":"x"}`,
        `${ResultLine.encode(answered("a"))}hello\n`,
        `${ResultLine.encode(answered("a"))}hello`,
        "\n"
      ]
      for (const text of texts) {
        yield* write(output, text)
        assert.include(yield* refusal(output), "Choose another --out", text)
        assert.strictEqual(yield* readText(output), text)
      }
    }).pipe(platform))

  it.effect("says what is wrong with an output that can't be written, and what to do", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = yield* Path.Path
      const output = yield* outputPath
      const folder = path.dirname(output)
      assert.include(yield* refusal(folder), "it is a folder")
      assert.include(yield* refusal(path.join(folder, "missing", "r.jsonl")), "mkdir -p")
      assert.include(yield* refusal(path.join(folder, "missing", "r.jsonl")), "does not exist")
      yield* write(path.join(folder, "file"), "")
      assert.include(yield* refusal(path.join(folder, "file", "r.jsonl")), "not a folder")
      yield* write(output, "")
      assert.include(yield* refusal(output, output), "the input as well as the output")
      yield* fs.symlink(output, `${output}.link`)
      assert.include(yield* refusal(`${output}.link`, output), "the input as well as the output")
    }).pipe(platform))

  it.effect("a disk that is full stops it, with a message that names the file", () =>
    Effect.gen(function*() {
      const message = yield* open("/dev/full", (journal) =>
        Effect.gen(function*() {
          const { message } = yield* Effect.flip(journal.append([answered("a")]))
          // It takes no more after that.
          assert.strictEqual((yield* Effect.flip(journal.append([answered("b")]))).message, message)
          assert.isFalse(journal.retryable)
          return message
        }))
      assert.include(message, "/dev/full")
      assert.include(message, "the disk is full (ENOSPC)")
      assert.include(message, "Free some space")
    }).pipe(platform))

  it.effect("what a full disk took whole stays and counts, and the rest is cut off", () =>
    Effect.gen(function*() {
      const output = yield* outputPath
      const ids = ["a", "b", "c", "d", "e"]
      const line = new TextEncoder().encode(ResultLine.encode(answered("a"))).length
      const results = yield* open(output, (journal) =>
        Effect.forEach(ids, (id) =>
          Effect.result(journal.append([answered(id)])), { concurrency: "unbounded" })).pipe(
          Effect.provide(onDisk({ left: Math.floor(2.5 * line) }))
        )
      assert.deepEqual(results.map(Result.isSuccess), [true, true, false, false, false])
      assert.deepEqual(
        (yield* readResults(output)).map((line) =>
          line.id
        ),
        ["a", "b"]
      )
    }).pipe(platform))

  it.effect("what a full disk did not take may be tried again, in its place, once there is room", () =>
    Effect.gen(function*() {
      const output = yield* outputPath
      const line = new TextEncoder().encode(ResultLine.encode(answered("a"))).length
      const disk: Disk = { left: Math.floor(1.5 * line) }
      yield* open(output, (journal) =>
        Effect.gen(function*() {
          yield* journal.append([answered("a")])
          assert.isTrue(journal.retryable)
          // Even where it can't be cut back at once: nothing is written behind a torn line.
          disk.frozen = true
          assert.include((yield* Effect.flip(journal.append([answered("b")]))).message, "the disk is full")
          assert.isAbove((yield* readText(output)).length, line)
          assert.include((yield* Effect.flip(journal.append([answered("c")]))).message, "the disk is full")
          disk.frozen = false
          disk.left = 10 * line
          yield* journal.append([answered("c"), answered("b")])
        })).pipe(Effect.provide(onDisk(disk)))
      assert.deepEqual((yield* readResults(output)).map(({ id }) => id), ["a", "c", "b"])
    }).pipe(platform))

  it.effect("a second run on one output is refused, and may begin when the first has ended", () =>
    Effect.gen(function*() {
      const output = yield* outputPath
      yield* open(output, () =>
        Effect.gen(function*() {
          // This process holds it: as another one would see it.
          yield* write(`${output}.lock`, JSON.stringify({ pid: process.ppid, host: hostname(), since: 0 }))
          const message = yield* refusal(output)
          assert.include(message, `(process ${process.ppid})`)
          assert.include(message, "choose another --out")
        }))
      const fs = yield* FileSystem.FileSystem
      // What belongs to somebody else was left alone.
      assert.isTrue(yield* fs.exists(`${output}.lock`))
      yield* fs.remove(`${output}.lock`)
      yield* found(output)
      assert.isFalse(yield* fs.exists(`${output}.lock`))
    }).pipe(platform))

  it.effect("takes over the lock of a process that is gone, and not that of another machine", () =>
    Effect.gen(function*() {
      const output = yield* outputPath
      const lock = (owner: unknown) => write(`${output}.lock`, JSON.stringify(owner))
      yield* lock({ pid: nobody, host: hostname(), since: 0 })
      assert.strictEqual((yield* found(output)).tookOverFrom, nobody)
      // After a restart of a container the dead run had our own process id.
      yield* lock({ pid: process.pid, host: hostname(), since: 0 })
      assert.strictEqual((yield* found(output)).tookOverFrom, process.pid)
      yield* write(`${output}.lock`, "a file of somebody's")
      assert.include(yield* refusal(output), "was not made by caprock")
      assert.strictEqual(yield* readText(`${output}.lock`), "a file of somebody's")
      yield* lock({ pid: nobody, host: "elsewhere", since: 0 })
      const message = yield* refusal(output)
      assert.include(message, `on the machine "elsewhere" (process ${nobody}) holds ${output}.lock since 1970-01-01T`)
      assert.include(message, "Only there can be seen whether it still runs")
      assert.include(message, `If it does not, or that machine or container is gone, delete ${output}.lock`)
      // A time that is none says nothing.
      yield* lock({ pid: nobody, host: "elsewhere", since: 1e300 })
      assert.include(yield* refusal(output), `holds ${output}.lock.`)
    }).pipe(platform))

  it.live("takes over a lock whose owner died before it was written", () =>
    // Waits half a second for that owner.
    Effect.gen(function*() {
      const output = yield* outputPath
      yield* write(`${output}.lock`, "")
      assert.isUndefined((yield* found(output)).tookOverFrom)
      assert.deepEqual(
        yield* Effect.flatMap(FileSystem.FileSystem, (fs) => fs.exists(`${output}.lock`)),
        false
      )
    }).pipe(platform))

  it.effect("what is appended at once is written in whole lines, in order", () =>
    Effect.gen(function*() {
      const output = yield* outputPath
      const ids = Array.from({ length: 500 }, (_, i) => `${i}`)
      yield* open(output, (journal) =>
        Effect.forEach(ids, (id) =>
          journal.append([answered(id)]), { concurrency: "unbounded", discard: true }))
      assert.deepEqual(
        (yield* readResults(output)).map((line) =>
          line.id
        ),
        ids
      )
    }).pipe(platform))
})
