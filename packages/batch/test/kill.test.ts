import * as Fault from "@caprock/emulator/Fault"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Random, Stream } from "effect"
import * as Door from "./door.ts"
import * as Drivers from "./drivers.ts"
import { make } from "./offloadLab.ts"

/** As often as one is killed: more where somebody asks for it, since each takes seconds. */
const kills = Number(process.env["BATCH_KILLS"] ?? 8)
const count = 700

/** Pieces of traffic that went to and fro, and those of them that came from Bedrock. */
interface Moment {
  readonly passed: number
  readonly heard: number
}
const never: Moment = { passed: Infinity, heard: Infinity }
/** One batch takes 400 of them and more, 8 from Bedrock: it is killed several times, at all of its stages, and at least once. */
const furthest: Moment = { passed: 150, heard: 8 }
const perBatch = 8

describe("a batch whose processes are killed", () => {
  it.live("gives each record one result, and pays for no job twice", () =>
    Effect.gen(function*() {
      const { batches, emulator, s3 } = yield* make({
        emulator: { faults: [{ fault: Fault.error("InternalServerException"), rate: 0.05, operation: "BatchRecord" }] }
      })
      const doors = { s3: yield* Door.open(s3.url), emulator: yield* Door.open(emulator.url) }

      /** Starts one, and kills it at that moment: what is on its way then arrives nowhere. What it said. */
      const driven = (n: number, moment: Moment) =>
        Effect.scoped(Effect.gen(function*() {
          const name = `batch-${n}`
          const driver = yield* Drivers.start({
            s3: doors.s3.url,
            bucket: s3.bucket,
            emulator: doors.emulator.url,
            name,
            count,
            from: n * count,
            leaseMillis: 600,
            patient: true
          })
          let passed = 0
          let heard = 0
          const passes = (isHeard: boolean): boolean => {
            passed++
            if (isHeard) heard++
            if (passed < moment.passed && heard < moment.heard) return true
            driver.kill()
            return false
          }
          doors.s3.passes = () => passes(false)
          doors.emulator.passes = (way) => passes(way === "back")
          driver.go()
          return yield* driver.ended.pipe(
            Effect.timeoutOrElse({
              // Nothing takes as long, however busy a machine is: it hangs.
              duration: "4 minutes",
              orElse: () =>
                Effect.flatMap(
                  Effect.exit(batches.status(name)),
                  (status) =>
                    Effect.die(
                      `${name} hangs: ${JSON.stringify({ passed, heard, status, asked: s3.requests.slice(-20) })}`
                    )
                )
            })
          )
        }))

      /** Drives one to its end, and looks at what came of it. */
      const finished = Effect.fnUntraced(function*(n: number) {
        assert.strictEqual(yield* driven(n, never), `done ${count}`)
        const results = yield* Stream.runCollect(batches.results(`batch-${n}`, { order: "input" }))
        assert.deepEqual(results.map(({ index }) => index), Array.from({ length: count }, (_, i) => i))
        assert.isTrue(results.every(({ _tag }) => _tag === "Success"))
      })

      let left = kills
      for (let n = 0; left > 0; n++) {
        let killed = 0
        while (killed < Math.min(left, perBatch)) {
          // Every second one when it would hear something from Bedrock: of a job that it has asked for, above all.
          const moment: Moment = killed % 2 === 0
            ? { ...never, heard: yield* Random.nextIntBetween(1, furthest.heard) }
            : { ...never, passed: yield* Random.nextIntBetween(1, furthest.passed) }
          if ((yield* driven(n, moment)) !== "") break
          killed++
        }
        assert.isAbove(killed, 0, "a whole batch takes less than the furthest moment")
        left -= killed
        yield* finished(n)
      }
      const { jobs } = yield* emulator.stats
      assert.strictEqual(jobs.perInput.max, 1)
    }).pipe(Random.withSeed(process.env["PROPERTY_SEED"] ?? "kill")), kills * 60_000)
})
