// Who drives a batch: one process at a time, by an object that is written on conditions, and a number that grows with each holder.
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { type Corrupt, LeaseHeld, LeaseLost, type StoreFailed } from "../BatchError.ts"
import type { When } from "../ObjectStore.ts"
import { written } from "./conditional.ts"
import * as document from "./document.ts"
import * as journalStore from "./journalStore.ts"
import { leaseKey, type Place } from "./place.ts"
import { unique } from "./unique.ts"

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
const LeaseFile = Schema.Struct({
  generation: Count,
  owner: Schema.String,
  beat: Count,
  released: Schema.Boolean
})
type LeaseFile = typeof LeaseFile.Type

const file = document.make(LeaseFile)

/** Of a lease's time: a holder may miss two beats, and lives. */
const beats = 3

export interface Lease {
  /** Of all holders, each has a higher one than the one before. */
  readonly generation: number
  readonly owner: string
  /** Ends while nobody else can have taken it: where it was not renewed in time, with the next beat that is heard. For what costs money. */
  readonly sure: Effect.Effect<void>
  /** Runs as long as the lease is held. */
  readonly hold: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | LeaseLost, R>
}

export interface Options {
  /** How long a holder may be silent before another takes over. */
  readonly millis: number
  /** Waits for a holder that lives, instead of failing. */
  readonly patient: boolean
}

/** A lease until the scope closes, which gives it back. No two machines' clocks are compared: a holder is watched by the clock of who wants to follow it. */
export const take = Effect.fnUntraced(function*(
  place: Place,
  { millis, patient }: Options
): Effect.fn.Return<Lease, LeaseHeld | StoreFailed | Corrupt, Scope.Scope> {
  const key = leaseKey(place)
  const owner = yield* unique
  const monotonic = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos) / 1e6)
  /** Both clocks: the one stands still while a machine sleeps, and the other may be set. */
  const times = Effect.all([monotonic, Clock.currentTimeMillis])
  const pause = Effect.sleep(Duration.millis(millis / beats))
  const lost = yield* Deferred.make<never, LeaseLost>()

  const write = (value: LeaseFile, when: When) =>
    Effect.flatMap(file.bytesOf(value), (bytes) => written(place.store, key, bytes, when))

  /** Watches the holder until it has been silent for too long, or has given it back. */
  const free = Effect.gen(function*() {
    const began = yield* monotonic
    let last: string | undefined
    let seen = began
    while (true) {
      const found = yield* file.read(place.store, key)
      const now = yield* monotonic
      if (found === undefined || found.value.released) return found
      if (found.etag !== last) {
        if (last !== undefined && !patient) {
          return yield* new LeaseHeld({ owner: found.value.owner, watched: Duration.millis(now - began) })
        }
        last = found.etag
        seen = now
      } else if (now - seen >= millis) return found
      yield* pause
    }
  })

  const takenFrom = Effect.fnUntraced(function*(before: document.Document<LeaseFile> | undefined) {
    // Somebody may have removed it, to be quit of a holder: the journal knows how far it was.
    const last = before?.value.generation ?? (yield* journalStore.read(place))?.generation ?? 0
    const value: LeaseFile = { generation: last + 1, owner, beat: 0, released: false }
    const began = yield* times
    const etag = yield* write(value, before === undefined ? { absent: true } : { etag: before.etag })
    if (etag === undefined) return undefined
    const held = { value, etag, began }
    // Whoever has lost it has nothing to give back, and nobody waits for longer than it would take others to take it.
    yield* Effect.addFinalizer(() =>
      Effect.gen(function*() {
        if (yield* Deferred.isDone(lost)) return
        const last = { ...held.value, beat: held.value.beat + 1, released: true }
        yield* Effect.ignore(Effect.timeoutOption(write(last, { etag: held.etag }), Duration.millis(millis)))
      })
    )
    return held
  }, Effect.uninterruptible)

  let held = yield* takenFrom(yield* free)
  // Somebody else was quicker.
  while (held === undefined) held = yield* takenFrom(yield* free)
  const mine = held

  // However late it comes: until somebody else has it, it is this one's, and whoever takes it changes its version.
  const beat = Effect.gen(function*() {
    yield* pause
    const next = { ...mine.value, beat: mine.value.beat + 1 }
    const began = yield* times
    const etag = yield* write(next, { etag: mine.etag })
    if (etag !== undefined) return void Object.assign(mine, { value: next, etag, began })
    // Refused, it may be by a beat of its own, of which nothing had been heard.
    const found = yield* file.read(place.store, key)
    if (found === undefined || found.value.owner !== owner) return yield* new LeaseLost()
    Object.assign(mine, found)
  }).pipe(
    // The bucket is out, for the others too, or for this one alone: then it finds out later.
    Effect.catchTag(
      "StoreFailed",
      ({ message }) => Effect.logWarning("The lease could not be renewed yet", { message })
    )
  )
  yield* Effect.forever(beat).pipe(
    Effect.catchTag("Corrupt", () => Effect.fail(new LeaseLost())),
    Effect.catchTag("LeaseLost", (failure) => Deferred.fail(lost, failure)),
    Effect.forkScoped
  )

  // Whoever wants to follow saw the last beat after it had begun here, and waits so long from then on.
  const isFresh = Effect.map(times, (now) => now.every((time, i) => time - (mine.began[i] ?? 0) < millis))

  return {
    generation: mine.value.generation,
    owner,
    sure: Effect.gen(function*() {
      while (!(yield* isFresh)) yield* pause
    }),
    hold: (effect) => Effect.raceFirst(effect, Deferred.await(lost))
  }
})
