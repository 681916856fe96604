import * as Fault from "@caprock/emulator/Fault"
import { assert, describe, it } from "@effect/vitest"
import { Config, Effect, Random, Stream } from "effect"
import * as Door from "./door.ts"
import * as Drivers from "./drivers.ts"
import { make } from "./offloadLab.ts"

/** As often as one is killed: more where somebody asks for it, since each takes seconds. */
const kills = Config.Int("BATCH_KILLS").pipe(Config.withDefault(8))
const count = 700
/** One batch takes 400 pieces of traffic and more: so it is killed several times, at all of its stages, and at least once. */
const furthest = 150
const perBatch = 8

describe("a batch whose processes are killed", () => {
  it.live("gives each record one result, and pays for no job twice", () =>
    Effect.gen(function*() {
      const { batches, emulator, s3 } = yield* make({
        emulator: { faults: [{ fault: Fault.error("InternalServerException"), rate: 0.05, operation: "BatchRecord" }] }
      })
      const doors = { s3: yield* Door.open(s3.url), emulator: yield* Door.open(emulator.url) }

      /** Starts one, and kills it when so many pieces have passed: what is on its way then arrives nowhere. What it said. */
      const driven = (n: number, pieces: number) =>
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
          const passes = () => {
            if (++passed < pieces) return true
            driver.kill()
            return false
          }
          Object.assign(doors.s3, { passes })
          Object.assign(doors.emulator, { passes })
          return yield* driver.ended.pipe(
            Effect.timeoutOrElse({
              // Nothing takes as long, however busy a machine is: it hangs.
              duration: "4 minutes",
              orElse: () =>
                Effect.flatMap(
                  Effect.exit(batches.status(name)),
                  (status) =>
                    Effect.die(`${name} hangs: ${JSON.stringify({ passed, status, asked: s3.requests.slice(-20) })}`)
                )
            })
          )
        }))

      /** Drives one to its end, and looks at what came of it. */
      const finished = Effect.fnUntraced(function*(n: number) {
        assert.strictEqual(yield* driven(n, Infinity), `done ${count}`)
        const results = yield* Stream.runCollect(batches.results(`batch-${n}`, { order: "input" }))
        assert.deepEqual(results.map(({ index }) => index), Array.from({ length: count }, (_, i) => i))
        assert.isTrue(results.every(({ _tag }) => _tag === "Success"))
      })

      let left = yield* kills
      for (let n = 0; left > 0; n++) {
        let killed = 0
        while (killed < Math.min(left, perBatch)) {
          if ((yield* driven(n, yield* Random.nextIntBetween(1, furthest))) !== "") break
          killed++
        }
        assert.isAbove(killed, 0, `a whole batch takes less than ${furthest} pieces`)
        left -= killed
        yield* finished(n)
      }
      const { jobs } = yield* emulator.stats
      assert.strictEqual(jobs.perInput.max, 1)
    }).pipe(Random.withSeed(process.env["PROPERTY_SEED"] ?? "kill")))
})
