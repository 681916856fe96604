import type { BatchRecord } from "@caprock/batch/BatchRecord"
import * as ObjectStore from "@caprock/batch/ObjectStore"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import * as Answers from "../src/internal/answers.ts"
import type { Place } from "../src/internal/place.ts"
import * as Results from "../src/internal/results.ts"
import * as Turns from "../src/internal/turns.ts"
import * as Write from "../src/internal/write.ts"
import { journalOf, uploaded } from "./journals.ts"

const count = 3_000
const filling = "x".repeat(1_000)
const recordOf = (i: number): BatchRecord => ({
  id: `id-${i}`,
  input: { messages: [{ role: "user", content: [{ text: filling }] }] }
})

/** How much of something is done at most in one turn of the event loop. */
const mostInTurn = <A, E, R>(of: (done: (amount: number) => void) => Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    let since = 0
    let most = 0
    const turn = Effect.callback<void>((resume) => {
      const next = setImmediate(() => {
        since = 0
        resume(Effect.void)
      })
      return Effect.sync(() => clearImmediate(next))
    })
    const done = (amount: number) => {
      since += amount
      most = Math.max(most, since)
    }
    const result = yield* Effect.raceFirst(of(done), Effect.forever(turn))
    return { most, result }
  })

/** With what is done in one piece, and both ends. */
const bound = 2 * Turns.bytes / filling.length

describe("who shares a process with a batch", () => {
  it.live("has a turn all the while that it is written, counted and read", () =>
    Effect.gen(function*() {
      const place: Place = { store: ObjectStore.makeMemory(), prefix: "caprock/nightly/" }
      const written = yield* mostInTurn((done) =>
        Stream.runCollect(Write.write(
          place,
          journalOf(),
          Stream.map(Stream.rechunk(Stream.range(0, count - 1), 1), (i) => {
            done(1)
            return recordOf(i)
          })
        ))
      )
      assert.isAtMost(written.most, bound)

      const arn = "arn:aws:bedrock:us-east-1:111122223333:model-invocation-job/abcdefghijkl"
      const parts = written.result.map(({ upload }) => ({
        ...uploaded(upload),
        phase: "collected" as const,
        job: { name: "job", token: "job", arn }
      }))
      const journal = journalOf({ parts, state: "done" })
      const lines = Array.from(
        { length: count },
        (_, i) =>
          JSON.stringify({
            recordId: `r${i.toString(36).padStart(10, "0")}`,
            modelInput: {},
            modelOutput: { text: filling }
          })
      )
      yield* place.store.put(`${place.prefix}out/abcdefghijkl/records-0.jsonl.out`, Buffer.from(lines.join("\n")))
      const counted = yield* mostInTurn((done) =>
        Stream.runForEachArray(Answers.lines(place, `${place.prefix}out/`), (some) =>
          Effect.sync(() => done(some.length)))
      )
      assert.isAtMost(counted.most, bound)
      for (const order of ["any", "input"] as const) {
        let results = 0
        const { most } = yield* mostInTurn((done) =>
          Stream.runForEachArray(Results.results(place, journal, { order, input: true }), (some) =>
            Effect.sync(() => {
              done(some.length)
              results += some.length
            }))
        )
        assert.strictEqual(results, count)
        assert.isAtMost(most, bound)
      }
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})
