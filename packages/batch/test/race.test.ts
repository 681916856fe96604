// Real processes that all want to drive one batch, on a real S3.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import * as cephServer from "./cephServer.ts"
import * as Door from "./door.ts"
import * as Drivers from "./drivers.ts"
import { over } from "./offloadLab.ts"

const count = 700
const racers = Array.from({ length: 10 }, (_, i) => i)
/** They wait for whoever has it; the others say that somebody has. */
const isPatient = (i: number): boolean => i % 3 === 0

// Only a real server shows who wins. Where it can't be had it is said loudly; with `CI`, `installed` fails instead.
describe.runIf(cephServer.installed)("a batch that ten processes want to drive", () => {
  it.live("is driven by one of them, and by another one when that is killed", () =>
    Effect.gen(function*() {
      const s3 = yield* cephServer.start
      // Long enough for the others to see that somebody is at it; no job expires.
      const { batches, emulator } = yield* over(s3, { inProgressMillis: 2_000, hour: "1 hour" })
      /** Those who asked Bedrock for anything, in the order in which they began, and how much they heard. */
      const asked = new Map<number, number>()
      const doors = yield* Effect.forEach(racers, () => Door.open(emulator.url))
      const drivers = yield* Effect.forEach(
        doors,
        ({ url }, i) =>
          Drivers.start({
            s3: s3.url,
            bucket: s3.bucket,
            emulator: url,
            name: "nightly",
            count,
            from: 0,
            leaseMillis: 8_000,
            patient: isPatient(i)
          }),
        { concurrency: "unbounded" }
      )
      for (const [i, door] of doors.entries()) {
        door.passes = (way) => {
          const heard = (asked.get(i) ?? 0) + (way === "back" ? 1 : 0)
          asked.set(i, heard)
          const [first] = asked.keys()
          // Bedrock has accepted three of its seven jobs, and of the third it does not hear.
          if (i !== first || heard < 3) return true
          drivers[i]?.kill()
          return false
        }
      }
      for (const { go } of drivers) go()
      const said = yield* Effect.forEach(drivers, ({ ended }) => ended, { concurrency: "unbounded" })

      const [first = -1, second = -1, ...others] = asked.keys()
      assert.strictEqual(said[first], "", "whoever came first was killed")
      assert.strictEqual(said[second], `done ${count}`, "another one did it")
      assert.deepEqual(others, [])
      const rest = racers.filter((i) => i !== first && i !== second)
      for (const i of rest.filter(isPatient)) assert.strictEqual(said[i], `done ${count}`)
      // One that did not get to look while somebody was at it finds it done.
      const told = rest.flatMap((i) => isPatient(i) ? [] : [said[i]])
      assert.include(told, "held")
      assert.isTrue(told.every((one) => one === "held" || one === `done ${count}`), told.join())
      const results = yield* Stream.runCollect(batches.results("nightly", { order: "input" }))
      assert.deepEqual(results.map(({ index }) => index), Array.from({ length: count }, (_, i) => i))
      const { jobs } = yield* emulator.stats
      assert.deepInclude(jobs, { accepted: 7 })
      assert.strictEqual(jobs.perInput.max, 1)
    }))
})
