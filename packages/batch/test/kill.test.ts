import * as Fault from "@caprock/emulator/Fault"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { spawn } from "node:child_process"
import { setTimeout } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { make } from "./offloadLab.ts"

const program = fileURLToPath(new URL("driveProcess.ts", import.meta.url))

/** As often as one is killed: more where somebody asks for it, since each takes seconds. */
const kills = Number(process.env["BATCH_KILLS"] ?? 8)
const count = 700

/** Starts one, and kills it after so long, if it has not finished. Whether it has. */
const started = (args: ReadonlyArray<string>, millis: number) =>
  Effect.promise(async () => {
    const child = spawn(process.execPath, [program, ...args], { stdio: ["ignore", "pipe", "inherit"] })
    let said = ""
    child.stdout.on("data", (bytes: Buffer) => said += bytes.toString())
    const ended = new Promise<number | null>((resolve) => child.once("close", resolve))
    const stop = new AbortController()
    await Promise.race([ended, setTimeout(millis, undefined, { signal: stop.signal }).catch(() => {})])
    stop.abort()
    child.kill("SIGKILL")
    const code = await ended
    assert.isTrue(code === 0 || code === null, `it ended with ${code}: ${said}`)
    return said === "done\n"
  })

describe("a batch whose processes are killed", () => {
  it.live("gives each record one result, and pays for no job twice", () =>
    Effect.gen(function*() {
      const { batches, emulator, s3 } = yield* make({
        emulator: { faults: [{ fault: Fault.error("InternalServerException"), rate: 0.05, operation: "BatchRecord" }] }
      })
      let killed = 0
      // A batch that is done is followed by another one, of other records, until enough have been killed.
      for (let n = 0; killed < kills; n++) {
        const name = `batch-${n}`
        const args = [s3.url, s3.bucket, emulator.url, name, String(count), String(n * count)]
        // Each is killed a little later than the one before, or much earlier, so that all stages are met.
        while (killed < kills && !(yield* started(args, 500 + (killed * 619) % 2_500))) killed++
        assert.isTrue(yield* started(args, 240_000))
        const results = yield* Stream.runCollect(batches.results(name, { order: "input" }))
        assert.deepEqual(results.map(({ index }) => index), Array.from({ length: count }, (_, i) => i))
        assert.isTrue(results.every(({ _tag }) => _tag === "Success"))
      }
      const { jobs } = yield* emulator.stats
      assert.strictEqual(jobs.perInput.max, 1)
    }))
})
