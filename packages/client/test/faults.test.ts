// Every operation under every fault: the exact end, and nothing left behind. The rows are in `faultTable.ts`.
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import {
  at,
  compare,
  counted,
  expected,
  makeEmulator,
  nothingIsLeft,
  observe,
  placesOf,
  timeouts,
  until
} from "./faultLab.ts"
import { type Asked, type End, faults, job, type Name, operations, type Row } from "./faultTable.ts"
import { clientOf } from "./server.ts"

/** The faults of one kind, one after the other, on one client. */
const run = <N extends Name>(name: N, asked: Asked<N>, rows: ReadonlyArray<Row>) =>
  counted((sleeping) =>
    Effect.gen(function*() {
      const emulator = yield* makeEmulator
      yield* Effect.scoped(Effect.gen(function*() {
        const client = yield* clientOf(emulator.url, { timeouts, maxConnections: 1 })
        const arn = name === "getAsyncInvoke" ? (yield* client.startAsyncInvoke(job)).invocationArn ?? "" : ""
        const call = asked.ask(client, arn)
        const intact = yield* observe({ emulator, call })
        compare({ _tag: "Answered" }, intact, 1)
        const all = intact.events.length

        const befall = Effect.fnUntraced(function*(row: Row, end: End, frame: number) {
          const injected = yield* emulator.inject(row.fault({ frame }), { times: 99, operation: asked.emulated })
          const arrives = row.spares === "all" ? all : frame
          const seen = yield* observe({ emulator, call, waits: row.waits, shows: arrives })
          const arrived = intact.events.slice(0, row.spares === "some" ? seen.events.length : arrives)
          const wanted = expected(asked, end, arrived)
          compare(wanted, seen, 1)
          if (wanted._tag !== "Answered") assert.strictEqual(seen.events.length, arrived.length)
          yield* nothingIsLeft(emulator, sleeping)
          yield* injected.withdraw
        })

        for (const row of rows) {
          const end = row.ends[asked.shape]
          if (end === undefined) continue
          for (const frame of placesOf(row, asked.shape, all - (asked.after ?? 0))) {
            yield* at(`${row.name} after ${frame} frames`, befall(row, end, frame))
          }
          // The one connection that there may be is free again, as it was for the fault of each place after the first.
          compare({ _tag: "Answered" }, yield* at(`after ${row.name}`, observe({ emulator, call })), 1)
          yield* nothingIsLeft(emulator, sleeping)
        }
      }))
      yield* until("all connections are closed", Effect.map(emulator.stats, ({ open }) => open === 0))
    })
  )

const describeAll = <N extends Name>(name: N) => {
  for (const asked of operations[name]) {
    describe(asked.family === undefined ? name : `${name}, ${asked.family}`, () => {
      for (const [kind, rows] of Object.entries(faults)) {
        if (rows.some(({ ends }) => ends[asked.shape] !== undefined)) it.effect(kind, () => run(name, asked, rows))
      }
    })
  }
}

for (const name of Object.keys(operations) as ReadonlyArray<Name>) describeAll(name)
