// Every operation under every fault, with quotas and retries: the exact end, how often it was asked, what it cost by our books and by the
// server's, and nothing left behind. The rows are those of the client's own suite.
import { RetryBudget } from "@caprock/backoff"
import { Bedrock, CallEvents } from "@caprock/bedrock"
import { BedrockClient } from "@caprock/client"
import type { Emulator } from "@caprock/emulator"
import { Verdict } from "@caprock/errors"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import {
  at,
  compare,
  counted,
  type Expected,
  expected,
  makeEmulator,
  nothingIsLeft,
  observe,
  placesOf,
  timeouts,
  until,
  window
} from "../../client/test/faultLab.ts"
import { type Asked, type End, faults, job, type Name, operations, type Row } from "../../client/test/faultTable.ts"

/** Every operation is one of the table's. */
const names: ReadonlyArray<Exclude<keyof Bedrock.Service, "snapshot" | "describe" | "listAsyncInvokesAll">> = Object
  .keys(
    operations
  ) as ReadonlyArray<Name>

const attempts = 2

const house = Effect.fnUntraced(function*(emulator: Emulator.Service) {
  const context = yield* Layer.build(
    Bedrock.layerNoDeps({ backoff: { attempts } }).pipe(Layer.provide([
      BedrockClient.layer({
        region: "us-east-1",
        endpoint: emulator.url,
        credentials: { accessKeyId: "AKIDTEST", secretAccessKey: "secret" },
        maxConnections: 1,
        timeouts
      }),
      Bedrock.layerLimiter({
        quotas: { default: { requestsPerMinute: 1_000, tokensPerMinute: 1_000_000 } },
        meters: { window }
      }),
      Layer.orDie(RetryBudget.layerTest(1_000))
    ]))
  )
  return Context.get(context, Bedrock.Bedrock)
})

/** How often the server is asked until it is over. */
const requests = (wanted: Expected, { shape }: Pick<Asked<Name>, "shape">): number =>
  // What a user has said can't be said again.
  wanted._tag === "Failed" && Verdict.table[wanted.row].retryable && shape !== "session" ? attempts : 1

/** The faults of one kind, one after the other, on one layer. */
const run = <N extends Name>(name: N, asked: Asked<N>, rows: ReadonlyArray<Row>) =>
  counted((sleeping) =>
    Effect.gen(function*() {
      const emulator = yield* makeEmulator
      yield* Effect.scoped(Effect.gen(function*() {
        const bedrock = yield* house(emulator)
        // The operations of both are alike.
        const service: BedrockClient.Service = { region: "us-east-1", ...bedrock }
        const arn = name === "getAsyncInvoke" ? (yield* bedrock.startAsyncInvoke(job)).invocationArn ?? "" : ""
        const call = asked.ask(service, arn)
        let failed = 0
        const failures = () => failed
        const used = asked.meteredBy === undefined
          ? Effect.succeed([])
          : Effect.map(bedrock.snapshot(asked.meteredBy), ({ meters, waiting }) => {
            assert.strictEqual(waiting, 0, "nobody waits")
            return meters.map(({ used }) => used)
          })
        /** Makes the call, and compares the books of both sides. */
        const settled = Effect.fnUntraced(function*(options: Pick<Parameters<typeof observe>[0], "waits" | "shows">) {
          const before = yield* emulator.stats
          const seen = yield* observe({ emulator, call, failures, ...options })
          yield* nothingIsLeft(emulator, sleeping)
          const charged = (yield* emulator.stats).tokens.settled - before.tokens.settled
          const [requestsBooked = 0, tokensBooked = 0] = yield* used
          if (asked.meteredBy !== undefined) {
            assert.isAtLeast(requestsBooked, seen.sent, "requests in the books")
            assert.isAtLeast(tokensBooked, charged, "tokens in the books")
          }
          // An open reservation would stay: it leaves its window only when it was sent.
          yield* TestClock.adjust(window)
          yield* TestClock.adjust(window)
          assert.deepStrictEqual((yield* used).filter((level) => level !== 0), [], "nothing stays in the books")
          return { seen, charged, requestsBooked, tokensBooked }
        })
        const answered = Effect.gen(function*() {
          const { charged, requestsBooked, seen, tokensBooked } = yield* settled({})
          compare({ _tag: "Answered" }, seen, 1)
          if (asked.meteredBy !== undefined) assert.deepStrictEqual([requestsBooked, tokensBooked], [1, charged])
          return seen.events
        })

        const befall = Effect.fnUntraced(
          function*(intact: ReadonlyArray<object>, row: Row, end: End, frame: number) {
            const injected = yield* emulator.inject(row.fault({ frame }), { times: 99, operation: asked.emulated })
            const arrives = row.spares === "all" ? intact.length : frame
            const shows = expected(asked, end, intact.slice(0, arrives))._tag === "Failed" ? 0 : arrives
            const { charged, requestsBooked, seen, tokensBooked } = yield* settled({ waits: row.waits, shows })
            const arrived = row.spares === "some" ? seen.events.length : arrives
            const wanted = expected(asked, end, intact.slice(0, arrived))
            compare(wanted, seen, requests(wanted, asked))
            if (wanted._tag === "Failed" && asked.shape === "events") assert.lengthOf(seen.events, 0)
            if (wanted._tag === "Interrupted") assert.strictEqual(seen.events.length, arrived)
            if (wanted._tag === "Answered" && asked.meteredBy !== undefined) {
              assert.deepStrictEqual([requestsBooked, tokensBooked], [1, charged])
            }
            yield* injected.withdraw
          }
        )

        yield* Effect.gen(function*() {
          const intact = yield* answered
          for (const row of rows) {
            const end = row.ends[asked.shape]
            if (end === undefined) continue
            for (const frame of placesOf(row, asked.shape, intact.length - (asked.after ?? 0))) {
              yield* at(`${row.name} after ${frame} frames`, befall(intact, row, end, frame))
            }
            yield* at(`after ${row.name}`, answered)
          }
        }).pipe(Effect.provideService(CallEvents.CallEvents, (event) => {
          if (event._tag === "AttemptFailed") failed++
        }))
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

for (const name of names) describeAll(name)
