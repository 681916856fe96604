import { StoreFailed } from "@caprock/batch/BatchError"
import type { BatchJournal } from "@caprock/batch/BatchJournal"
import * as BatchLimits from "@caprock/batch/BatchLimits"
import * as ObjectStore from "@caprock/batch/ObjectStore"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"
import { written } from "../src/internal/conditional.ts"
import * as journalStore from "../src/internal/journalStore.ts"
import * as lease from "../src/internal/lease.ts"
import type { Place } from "../src/internal/place.ts"
import { slow } from "./leaseLab.ts"

const options: lease.Options = { millis: 3_000, patient: false }
const patient: lease.Options = { ...options, patient: true }

const placeOf = (store = ObjectStore.makeMemory()): Place => ({ store, prefix: "caprock/nightly/" })

const empty: BatchJournal = {
  format: 1,
  name: "nightly",
  generation: 0,
  revision: 0,
  createdAt: 0,
  settings: {
    model: "m",
    invocationType: "Converse",
    roleArn: "arn:aws:iam::111122223333:role/r",
    timeoutHours: 72,
    rounds: 3,
    small: "on-demand",
    strict: false
  },
  limits: BatchLimits.defaults,
  input: { sealed: false, records: 0, refused: 0, bytes: 0, chain: "" },
  round: 0,
  parts: [],
  state: "open"
}

/** A holder that never closes its scope is a process that was killed: its fibers end with it. */
const killable = Effect.gen(function*() {
  const scope = yield* Scope.make()
  return { scope, take: (place: Place, how: lease.Options) => Scope.provide(lease.take(place, how), scope) }
})

describe("a lease", () => {
  it.effect("is taken at once where nobody has it, and given back by whoever is done", () =>
    Effect.gen(function*() {
      const place = placeOf()
      const first = yield* Effect.scoped(lease.take(place, options))
      const second = yield* Effect.scoped(lease.take(place, options))
      assert.deepEqual([first.generation, second.generation], [1, 2])
      assert.notStrictEqual(first.owner, second.owner)
    }))

  it.effect("is refused to everybody else while its holder lives, and says who that is", () =>
    Effect.gen(function*() {
      const place = placeOf()
      const holder = yield* lease.take(place, options)
      const other = yield* Effect.forkChild(Effect.flip(lease.take(place, options)))
      yield* TestClock.adjust("2 seconds")
      const failure = yield* Fiber.join(other)
      assert.strictEqual(failure._tag, "LeaseHeld")
      if (failure._tag === "LeaseHeld") assert.strictEqual(failure.owner, holder.owner)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* holder.hold(Effect.succeed("held")), "held")
    }))

  it.effect("is waited for by whoever is patient, for as long as it takes", () =>
    Effect.gen(function*() {
      const place = placeOf()
      const { scope, take } = yield* killable
      yield* take(place, options)
      const other = yield* Effect.forkChild(lease.take(place, patient))
      yield* TestClock.adjust("1 hour")
      assert.isUndefined(other.pollUnsafe())
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(other)).generation, 2)
    }))

  it.effect("is taken over from a holder that was silent for its whole time, and not before", () =>
    Effect.gen(function*() {
      const memory = ObjectStore.makeMemory()
      const dead = { now: false }
      // What is dead asks for nothing any more.
      const dying = slow(memory, { next: () => ({ there: dead.now ? 1e9 : 0, back: 0 }) })
      const { take } = yield* killable
      yield* take(placeOf(dying), options)
      yield* TestClock.adjust("10 seconds")
      dead.now = true
      const other = yield* Effect.forkChild(lease.take(placeOf(memory), options))
      yield* TestClock.adjust("2900 millis")
      assert.isUndefined(other.pollUnsafe())
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* Fiber.join(other)).generation, 2)
    }))

  it.effect("is lost by a holder that was followed, and whatever it does ends", () =>
    Effect.gen(function*() {
      const memory = ObjectStore.makeMemory()
      const weather = { back: 0 }
      const holder = yield* lease.take(
        placeOf(slow(memory, { next: () => ({ there: weather.back, back: 0 }) })),
        options
      )
      const work = yield* Effect.forkChild(Effect.flip(holder.hold(Effect.never)))
      weather.back = 60_000
      const other = yield* Effect.forkChild(lease.take(placeOf(memory), patient))
      yield* TestClock.adjust("3 minutes")
      yield* Fiber.join(other)
      assert.strictEqual((yield* Fiber.join(work))._tag, "LeaseLost")
    }))

  it.effect("is kept by a holder that the bucket did not answer for long, if nobody followed", () =>
    Effect.gen(function*() {
      const memory = ObjectStore.makeMemory()
      const out = { now: false, n: 0 }
      const holder = yield* lease.take(
        placeOf(slow(memory, {
          next: () => ({ there: 0, back: 0, lost: out.now ? (out.n++ % 5 === 0 ? "back" : "there") : undefined })
        })),
        options
      )
      const work = yield* Effect.forkChild(holder.hold(Effect.delay(Effect.succeed("done"), "10 minutes")))
      out.now = true
      yield* TestClock.adjust("5 minutes")
      out.now = false
      yield* TestClock.adjust("6 minutes")
      assert.strictEqual(yield* Fiber.join(work), "done")
    }))

  it.effect("survives answers that are lost", () =>
    Effect.gen(function*() {
      const memory = ObjectStore.makeMemory()
      let n = 0
      const holder = yield* Effect.forkChild(
        Effect.scoped(Effect.flatMap(
          lease.take(
            placeOf(slow(memory, { next: () => ({ there: 0, back: 0, lost: n++ % 3 === 2 ? "back" : undefined }) })),
            options
          ),
          ({ hold }) => hold(Effect.as(Effect.sleep("1 minute"), "held"))
        ))
      )
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(yield* Fiber.join(holder), "held")
    }))
})

describe("a write on a condition", () => {
  it.effect("that arrives late, after it was tried again, is known for one's own", () =>
    Effect.gen(function*() {
      const memory = ObjectStore.makeMemory()
      const bytes = new TextEncoder().encode("mine")
      let tries = 0
      let late: Effect.Effect<unknown> = Effect.void
      const store = {
        ...memory,
        put: (...args: Parameters<typeof memory.put>) =>
          Effect.gen(function*() {
            if (++tries > 1) {
              yield* late
              return yield* memory.put(...args)
            }
            late = Effect.ignore(memory.put(...args))
            return yield* new StoreFailed({ operation: "put", key: "a", kind: "unavailable", problem: "timeout" })
          })
      }
      const write = yield* Effect.forkChild(written(store, "a", bytes, { absent: true }))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* Fiber.join(write), (yield* memory.read("a"))?.etag)
      assert.strictEqual(tries, 2)
    }))

  it.effect("is refused where somebody else wrote while nothing was heard of it", () =>
    Effect.gen(function*() {
      const memory = ObjectStore.makeMemory()
      const store = {
        ...memory,
        put: (key: string) =>
          Effect.andThen(
            memory.put(key, new TextEncoder().encode("theirs")),
            Effect.fail(new StoreFailed({ operation: "put", key, kind: "unavailable", problem: "timeout" }))
          )
      }
      assert.isUndefined(yield* written(store, "a", new TextEncoder().encode("mine"), { absent: true }))
    }))
})

describe("the journal", () => {
  it.effect("is not there until somebody begins it", () =>
    Effect.gen(function*() {
      const place = placeOf()
      assert.isUndefined(yield* journalStore.read(place))
      const holder = yield* lease.take(place, options)
      assert.strictEqual((yield* Effect.flip(journalStore.open(place, holder)))._tag, "NotFound")
      const journal = yield* journalStore.open(place, holder, empty)
      yield* journal.update((now) => ({ ...now, round: 1 }))
      const read = yield* journalStore.read(place)
      assert.deepInclude(read, { generation: 1, revision: 2, round: 1 })
    }))

  it.effect("is not written for a change that changes nothing", () =>
    Effect.gen(function*() {
      const place = placeOf()
      const journal = yield* journalStore.open(place, yield* lease.take(place, options), empty)
      yield* journal.update((now) => now)
      assert.strictEqual((yield* journalStore.read(place))?.revision, 1)
    }))

  it.effect("is shut to whoever held the lease before", () =>
    Effect.gen(function*() {
      const place = placeOf()
      const { take } = yield* killable
      const old = yield* take(place, options)
      const stale = yield* journalStore.open(place, old, empty)
      yield* stale.update((now) => ({ ...now, round: 1 }))
      // Both think that they hold it.
      const journal = yield* journalStore.open(place, { ...old, generation: 2 })
      assert.strictEqual((yield* Effect.flip(stale.update((now) => ({ ...now, round: 7 }))))._tag, "LeaseLost")
      assert.strictEqual((yield* Effect.flip(journalStore.open(place, old)))._tag, "LeaseLost")
      assert.strictEqual((yield* journal.current).round, 1)
      yield* journal.update((now) => ({ ...now, round: 2 }))
      assert.deepInclude(yield* journalStore.read(place), { generation: 2, round: 2 })
    }))

  it.effect("that is none is said to be corrupt", () =>
    Effect.gen(function*() {
      const place = placeOf()
      for (const text of ["", "{", "{\"format\":2}"]) {
        yield* place.store.put("caprock/nightly/journal.json", new TextEncoder().encode(text))
        const failure = yield* Effect.flip(journalStore.read(place))
        assert.strictEqual(failure._tag, "Corrupt")
        assert.include(failure.message, "caprock/nightly/journal.json")
      }
    }))
})

const Millis = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum }))

/** How one operation fares. The holders take these in turn, again and again. */
const Step = Schema.Struct({ there: Millis(4_000), back: Millis(2_000), luck: Millis(19) })
const Steps = Schema.Array(Step).check(Schema.isMinLength(5), Schema.isMaxLength(40))

/** One who wants to drive: for how long it does, how often it writes, and whether it gives the lease back or dies. */
const Driver = Schema.Struct({
  millis: Millis(20_000),
  every: Millis(2_000),
  dies: Schema.Boolean,
  starts: Millis(10_000)
})
const Drivers = Schema.Array(Driver).check(Schema.isMinLength(2), Schema.isMaxLength(5))

describe("however slow, silent or short-lived its holders are", () => {
  it.effect.prop(
    "no two of them write the journal in turns",
    [Steps, Drivers],
    ([steps, drivers]) =>
      Effect.gen(function*() {
        const memory = ObjectStore.makeMemory()
        const log: Array<{ readonly generation: number; readonly revision: number; readonly round: number }> = []
        let n = 0
        const next = () => {
          const { back, luck, there } = steps[n++ % steps.length] ?? { back: 0, luck: 0, there: 0 }
          // Most operations are quick: else nobody ever held it for long.
          const scale = luck > 14 ? 1 : 0.02
          const way = luck === 1 ? "there" : luck === 2 ? "back" : undefined
          return { there: there * scale, back: back * scale, lost: way } as const
        }
        const store = slow(memory, { next }, (key, bytes) => {
          if (key.endsWith("journal.json")) log.push(JSON.parse(new TextDecoder().decode(bytes)))
        })
        let written = 0
        const drive = ({ dies, every, millis, starts }: typeof Driver.Type) =>
          Effect.gen(function*() {
            const { scope, take } = yield* killable
            yield* Effect.sleep(starts)
            const holder = yield* take(placeOf(store), patient)
            const journal = yield* journalStore.open(placeOf(store), holder, empty)
            yield* holder.hold(
              Effect.forever(
                Effect.andThen(
                  Effect.sleep(every + 1),
                  Effect.tap(journal.update((now) => ({ ...now, round: now.round + 1 })), Effect.sync(() => written++))
                )
              )
            ).pipe(Effect.timeoutOption(millis))
            yield* dies
              ? Scope.close(scope, Exit.void).pipe(Effect.delay("1 hour"), Effect.forkDetach)
              : Scope.close(scope, Exit.void)
          }).pipe(Effect.ignore, Effect.repeat({ times: 2 }))
        const all = yield* Effect.forkChild(Effect.forEach(drivers, drive, { concurrency: "unbounded" }))
        yield* TestClock.adjust("10 minutes")
        // One that is just being given the lease ends after it, which takes time of the same clock.
        const ended = yield* Effect.forkChild(Fiber.interrupt(all))
        yield* TestClock.adjust("10 minutes")
        yield* Fiber.join(ended)
        for (const [i, { generation, revision, round }] of log.entries()) {
          assert.strictEqual(revision, i + 1)
          assert.isAtLeast(generation, log[i - 1]?.generation ?? 0)
          assert.isAtLeast(round, log[i - 1]?.round ?? 0)
        }
        // What a holder was told is written stays written.
        assert.isAtLeast(log.at(-1)?.round ?? 0, written)
      })
  )
})
