// What every store of shared quotas has to do.
import type { LimiterStore } from "@caprock/rate-limiter"
import { assert, type Vitest } from "@effect/vitest"
import { Deferred, Effect, Queue, Schema } from "effect"
import { lease, line, type Meters, Process } from "./storeProcess.ts"
import { Rig } from "./storeRig.ts"

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const window = 2000
/** By then a store that begins new books gives something out. */
const opening = Math.ceil(lease * 0.375)

const meters = (requests: number, tokens: number): Meters => ({
  requests: { limit: requests, staysMillis: window },
  tokens: { limit: tokens, staysMillis: window }
})

let quotas = 0

/** A quota of its own, some processes that draw on it, and the time. */
const begin = Effect.fnUntraced(function*(limits: Meters) {
  const rig = yield* Rig
  const quota = `quota ${quotas++}`
  let now = 1_000_000
  yield* rig.setTime(quota, now)
  const names = new Set<string>()
  const sleep = (millis: number) =>
    Effect.suspend(() => {
      now += millis
      return rig.setTime(quota, now)
    })
  const exchange = Effect.fnUntraced(function*(process: Process, wish?: Parameters<Process["message"]>[1]) {
    const message = process.message(now, wish)
    const standing = yield* rig.store.exchange(quota, message)
    process.heard(standing, now, now)
    return standing
  })
  return {
    rig,
    quota,
    now: () => now,
    sleep,
    exchange,
    process: (name: string) => {
      assert.isFalse(names.has(name))
      names.add(name)
      return new Process(`${name} of ${quota}`, limits)
    },
    leave: (process: Process) => Effect.suspend(() => rig.store.leave(quota, process.message(now, { gives: 100 }))),
    /** Of processes that the quota knows, with nothing waiting. */
    open: Effect.fnUntraced(function*(...processes: ReadonlyArray<Process>) {
      for (const process of processes) yield* exchange(process)
      yield* sleep(opening)
      for (const process of processes) yield* exchange(process)
    })
  }
})

/** What is published may be lost, as Redis promises it at most once, in a cluster more than elsewhere: then all is done again, and not for ever. */
const heard = <A, E, R>(doing: Effect.Effect<A, E, R>) =>
  Effect.raceFirst(
    doing,
    Effect.callback<never, "nothing was heard">((resume) => {
      const timer = setTimeout(() => resume(Effect.fail("nothing was heard")), 15_000)
      return Effect.sync(() => clearTimeout(timer))
    })
  ).pipe(Effect.retry({ times: 2, while: (error) => error === "nothing was heard" }))

/** What somebody got of a meter. */
const got = (process: Process, meter = "requests") => process.share(meter)

const one = { requests: 1, tokens: 10 }

type Methods = Pick<Vitest.MethodsNonLive<Rig>, "effect">

export const suite = (it: Methods): void => {
  it.effect("gives what is there, of all meters together, and no more", () =>
    Effect.gen(function*() {
      const { exchange, open, process } = yield* begin(meters(10, 100))
      const [a, b] = [process("a"), process("b")]
      yield* open(a, b)
      yield* exchange(a, { lines: [line(1, { requests: 1, tokens: 60 })] })
      assert.deepStrictEqual([got(a), got(a, "tokens")], [1, 60])
      // There are requests, and not enough tokens.
      const standing = yield* exchange(b, { lines: [line(1, { requests: 1, tokens: 60 })] })
      assert.deepStrictEqual([got(b), got(b, "tokens")], [0, 0])
      assert.deepStrictEqual(standing.free, { requests: 9, tokens: 40 })
      assert.strictEqual(standing.listed, 1)
      assert.isTrue((yield* exchange(a)).wanted)
      yield* exchange(a, { gives: 100 })
      yield* exchange(b)
      assert.deepStrictEqual([got(b), got(b, "tokens")], [1, 60])
    }))

  it.effect("counts steps, and knows who takes part", () =>
    Effect.gen(function*() {
      const { exchange, process } = yield* begin(meters(10, 100))
      const [a, b] = [process("a"), process("b")]
      const first = yield* exchange(a)
      const second = yield* exchange(b)
      const third = yield* exchange(a)
      assert.deepStrictEqual([first, second, third].map(({ joined }) => joined), [true, true, false])
      assert.deepStrictEqual([first, second, third].map(({ version }) => version), [1, 2, 3])
      assert.strictEqual(third.epoch, first.epoch)
      assert.deepStrictEqual(third.members.toSorted(), [a.name, b.name])
      assert.deepStrictEqual(third.limits, { requests: 10, tokens: 100 })
    }))

  it.effect("gives nothing before all had time to say what they hold", () =>
    Effect.gen(function*() {
      const { exchange, process, sleep } = yield* begin(meters(10, 100))
      const a = process("a")
      const standing = yield* exchange(a, { lines: [line(3, one)] })
      assert.strictEqual(standing.opensInMillis, opening)
      assert.strictEqual(standing.againMillis, opening)
      assert.strictEqual(got(a), 0)
      yield* sleep(opening - 1)
      yield* exchange(a, { lines: [line(3, one)] })
      assert.strictEqual(got(a), 0)
      yield* sleep(1)
      yield* exchange(a, { lines: [line(3, one)] })
      assert.strictEqual(got(a), 3)
    }))

  it.effect("may be told the same twice", () =>
    Effect.gen(function*() {
      const { exchange, now, open, process, quota, rig } = yield* begin(meters(10, 100))
      const [a, b] = [process("a"), process("b")]
      yield* open(a, b)
      yield* exchange(a, { lines: [line(4, one)] })
      a.charge({ requests: 1, tokens: 10 }, now())
      const message = a.message(now(), { gives: 100 })
      const first = yield* rig.store.exchange(quota, message)
      const second = yield* rig.store.exchange(quota, message)
      assert.deepStrictEqual(second.granted, first.granted)
      assert.deepStrictEqual(second.given, first.given)
      assert.deepStrictEqual(second.free, { requests: 9, tokens: 90 })
      // And one that was sent before, and comes late, takes nothing back.
      yield* rig.store.exchange(quota, message)
      a.heard(first, now(), now())
      yield* exchange(a, { lines: [line(2, one)] })
      assert.strictEqual(got(a), 3)
      yield* exchange(a, { gives: 100 })
      yield* rig.store.exchange(quota, message)
      assert.strictEqual((yield* exchange(b)).free["requests"], 9)
    }))

  it.effect("serves higher classes first, and keeps what is there for the next of them", () =>
    Effect.gen(function*() {
      const { exchange, now, open, process } = yield* begin(meters(10, 100))
      const [a, b, c] = [process("a"), process("b"), process("c")]
      yield* open(a, b, c)
      yield* exchange(a, { lines: [line(8, one)] })
      a.charge({ requests: 8, tokens: 80 }, now())
      yield* exchange(b, { lines: [line(5, one, { priority: 1, head: { requests: 5, tokens: 10 } })] })
      // There would be room for it.
      const standing = yield* exchange(c, { lines: [line(1, one)] })
      assert.strictEqual(got(c), 0)
      assert.deepStrictEqual(standing.waiting, [{ priority: 1, all: { requests: 5, tokens: 50 } }])
    }))

  it.effect("lets a class go before a higher one in time", () =>
    Effect.gen(function*() {
      const { exchange, open, process } = yield* begin(meters(1, 100))
      const [a, b, c] = [process("a"), process("b"), process("c")]
      yield* open(a, b, c)
      yield* exchange(c, { lines: [line(1, one, { priority: 5 })] })
      const line1 = (priority: number, sinceMillis: number) => ({
        ageingMillis: 100,
        lines: [line(1, one, { priority, sinceMillis })]
      })
      yield* exchange(a, line1(1, 0))
      yield* exchange(b, line1(0, 101))
      yield* exchange(c, { gives: 100, ageingMillis: 100 })
      yield* exchange(a, line1(1, 0))
      yield* exchange(b, { ageingMillis: 100 })
      assert.deepStrictEqual([got(a), got(b)], [0, 1])
      // It had its turn: however long one has waited in its own process, the class has not.
      yield* exchange(b, { ...line1(0, 101), gives: 100 })
      yield* exchange(a, { ageingMillis: 100 })
      assert.deepStrictEqual([got(a), got(b)], [1, 0])
    }))

  it.effect("is fair between tenants by weight, and between processes", () =>
    Effect.gen(function*() {
      const { exchange, open, process } = yield* begin(meters(240, 2400))
      const processes = [process("a"), process("b"), process("c")]
      const [a, b, c] = processes as [Process, Process, Process]
      const full = process("full")
      yield* open(full, ...processes)
      yield* exchange(full, { lines: [line(240, one)] })
      const waits = (process: Process, tenant: string, weight: number) =>
        exchange(process, { lines: [line(500, one, { tenant, weight })] })
      yield* waits(a, "big", 3)
      yield* waits(b, "small", 1)
      yield* waits(c, "small", 1)
      yield* exchange(full, { gives: 100 })
      // Each comes for the rest of its turns.
      for (let beat = 0; beat < 20; beat++) {
        yield* waits(a, "big", 3)
        yield* waits(b, "small", 1)
        yield* waits(c, "small", 1)
      }
      assert.strictEqual(got(a) + got(b) + got(c), 240)
      assert.closeTo(got(a), 180, 12)
      assert.closeTo(got(b), 30, 6)
      assert.closeTo(got(c), 30, 6)
    }))

  it.effect("gives no more to who has not said that it knows of what it got, keeps its turn for a moment, and no longer", () =>
    Effect.gen(function*() {
      const { exchange, open, process, sleep } = yield* begin(meters(240, 2400))
      const [a, b, full] = [process("a"), process("b"), process("full")]
      yield* open(full, a, b)
      yield* exchange(full, { lines: [line(240, one)] })
      yield* exchange(a, { lines: [line(300, one)] })
      yield* exchange(b, { lines: [line(300, one)] })
      yield* exchange(full, { gives: 100 })
      const standing = yield* exchange(a, { lines: [line(300, one)] })
      // One, and several at once of the many that there are. Then it is the other's turn, which comes, or may be dead.
      assert.strictEqual(got(a), 1 + Math.floor(239 / 8))
      const others = 1 + Math.floor(209 / 8)
      assert.strictEqual(standing.free["requests"], 240 - got(a) - others)
      yield* sleep(lease / 32)
      yield* exchange(a, { lines: [line(300, one)] })
      assert.strictEqual(got(a), 1 + Math.floor(239 / 8))
      yield* sleep(1)
      yield* exchange(a, { lines: [line(300, one)] })
      assert.strictEqual(got(a), 240 - others)
      yield* exchange(b, { lines: [line(300, one)] })
      assert.strictEqual(got(b), others)
    }))

  it.effect("holds ahead what nobody waits for, and leaves as much for each", () =>
    Effect.gen(function*() {
      const { exchange, open, process } = yield* begin(meters(100, 1000))
      const [a, b] = [process("a"), process("b")]
      yield* open(a, b)
      yield* exchange(a, { ahead: { requests: 10, tokens: 900 } })
      assert.deepStrictEqual([got(a), got(a, "tokens")], [10, 250])
      yield* exchange(b, { lines: [line(1, { requests: 1, tokens: 800 })] })
      yield* exchange(a, { ahead: { requests: 10, tokens: 900 } })
      assert.deepStrictEqual([got(a), got(a, "tokens")], [10, 250])
    }))

  it.effect("wakes whom something was granted, and once those who may have what another begins to wait for", () =>
    heard(Effect.gen(function*() {
      const { exchange, open, process, quota, rig } = yield* begin(meters(4, 100))
      const [a, b, c] = [process("a"), process("b"), process("c")]
      const [wakes, granted] = [
        yield* Queue.unbounded<LimiterStore.Wake>(),
        yield* Queue.unbounded<LimiterStore.Wake>()
      ]
      yield* rig.store.listen(a.name, (wake) => Queue.offerUnsafe(wakes, wake))
      yield* rig.store.listen(b.name, (wake) => wake._tag === "Granted" && Queue.offerUnsafe(granted, wake))
      yield* open(a, b, c)
      yield* exchange(a, { lines: [line(4, one)] })
      yield* exchange(b, { lines: [line(3, one)] })
      const standing = yield* exchange(b, { lines: [line(3, one)] })
      yield* exchange(c, { lines: [line(1, one, { priority: -1 })] })
      yield* exchange(a, { gives: 50 })
      const wake = yield* Queue.take(granted)
      assert.deepStrictEqual(wake, {
        _tag: "Granted",
        quota,
        epoch: standing.epoch,
        granted: { requests: 1, tokens: 10 },
        listed: 2
      })
      b.woken(wake)
      assert.strictEqual(got(b), 1)
      // A store may tell of one's own waiting or not, and of two who begin to wait at once.
      const told: Array<string> = []
      while (told.length === 0 || told.at(-1) === b.name) {
        const next = yield* Queue.take(wakes)
        if (next._tag === "Wanted" && next.by !== a.name) told.push(next.by)
      }
      assert.isAtMost(told.filter((by) => by === b.name).length, 1)
    })))

  it.effect("stops waking whom the scope of is closed", () =>
    heard(Effect.gen(function*() {
      const { exchange, open, process, rig } = yield* begin(meters(4, 100))
      const [a, b, c] = [process("a"), process("b"), process("c")]
      let deaf = 0
      yield* Effect.scoped(rig.store.listen(a.name, () => deaf++))
      const woken = yield* Deferred.make<void>()
      yield* rig.store.listen(c.name, (wake) =>
        wake._tag === "Wanted" && wake.by === b.name && Deferred.doneUnsafe(woken, Effect.void))
      yield* open(a, b, c)
      yield* exchange(b, { lines: [line(9, one)] })
      yield* Deferred.await(woken)
      assert.strictEqual(deaf, 0)
    })))

  it.effect("frees at once what is left, and what was charged when it has left", () =>
    Effect.gen(function*() {
      const { exchange, leave, now, open, process, sleep } = yield* begin(meters(10, 100))
      const [a, b] = [process("a"), process("b")]
      yield* open(a, b)
      yield* exchange(a, { lines: [line(10, one)] })
      a.charge({ requests: 3, tokens: 30 }, now())
      yield* sleep(100)
      yield* exchange(b, { lines: [line(10, one)] })
      yield* leave(a)
      yield* exchange(b, { lines: [line(9, one)] })
      assert.strictEqual(got(b), 7)
      const standing = yield* exchange(b, { lines: [line(3, one)] })
      assert.deepStrictEqual(standing.remains["requests"], { amount: 3, inMillis: window - 100 })
      assert.strictEqual(standing.againMillis, window - 100)
      for (let beat = 100; beat < window; beat += 190) {
        yield* sleep(190)
        yield* exchange(b, { lines: [line(3, one)] })
        assert.strictEqual(got(b), beat + 190 < window ? 7 : 10)
      }
      // It is not there any more: nothing happens.
      yield* leave(a)
      assert.deepStrictEqual((yield* exchange(b)).members, [b.name])
    }))

  it.effect("keeps what the dead may have been charged until it has left", () =>
    Effect.gen(function*() {
      const { exchange, now, open, process, sleep } = yield* begin(meters(10, 100))
      const [a, b] = [process("a"), process("b")]
      yield* open(a, b)
      yield* exchange(a, { lines: [line(6, one)] })
      a.charge({ requests: 2, tokens: 20 }, now())
      yield* exchange(a)
      const diedAt = now()
      const wants = { lines: [line(10, one)] }
      const beats = (until: number) =>
        Effect.gen(function*() {
          while (now() < until) {
            yield* sleep(Math.min(200, until - now()))
            yield* exchange(b, { lines: [line(10 - got(b), one)] })
          }
        })
      yield* exchange(b, wants)
      yield* beats(diedAt + lease - 1)
      assert.strictEqual(got(b), 4)
      const standing = yield* exchange(b, { lines: [line(6, one)] })
      assert.strictEqual(standing.members.length, 2)
      // Two leave when they were said to leave; what it may have been charged later, a window after its lease.
      yield* beats(diedAt + window)
      assert.strictEqual(got(b), 6)
      yield* beats(diedAt + lease + window - 1)
      assert.strictEqual(got(b), 6)
      yield* beats(diedAt + lease + window)
      assert.strictEqual(got(b), 10)
    }))

  it.effect("does not keep what the dead left to others, nor give to who has been silent", () =>
    Effect.gen(function*() {
      const { exchange, now, open, process, sleep } = yield* begin(meters(10, 100))
      const [a, b] = [process("a"), process("b")]
      yield* open(a, b)
      yield* exchange(a, { lines: [line(6, one)] })
      a.charge({ requests: 6, tokens: 60 }, now())
      const chargedAt = now()
      while (now() < chargedAt + window - lease / 2) {
        yield* sleep(100)
        yield* exchange(a)
      }
      const wants = () => exchange(b, { lines: [line(10 - got(b), one)] })
      yield* wants()
      assert.strictEqual(got(b), 4)
      const diedAt = now()
      yield* exchange(a, { lines: [line(6, one)], yields: true })
      while (now() < diedAt + lease - 100) {
        yield* sleep(100)
        yield* wants()
        assert.isAtMost(got(b), 4)
      }
      yield* sleep(100)
      yield* wants()
      // What it was charged left before its lease was over, and nothing was given to the dead.
      assert.strictEqual(got(b), 10)
    }))

  it.effect("believes one that comes back after its lease only what was kept for it, however often it says so", () =>
    Effect.gen(function*() {
      const { exchange, now, open, process, quota, rig, sleep } = yield* begin(meters(10, 100))
      const [a, b] = [process("a"), process("b")]
      yield* open(a, b)
      yield* exchange(a, { lines: [line(10, one)] })
      a.charge({ requests: 10, tokens: 100 }, now())
      yield* exchange(a)
      const late = a.message(now())
      for (let beat = 0; beat < window + lease; beat += 200) {
        yield* sleep(200)
        yield* exchange(b, { lines: [line(10 - got(b), one)] })
      }
      assert.strictEqual(got(b), 10)
      // What it sent before, and comes now.
      for (let times = 0; times < 2; times++) {
        const standing = yield* rig.store.exchange(quota, late)
        assert.deepStrictEqual(standing.free, { requests: 0, tokens: 0 })
        assert.strictEqual(standing.epoch, late.epoch)
        a.heard(standing, now(), now())
        assert.strictEqual(got(a), 0)
      }
      yield* exchange(b, { gives: 100 })
      yield* exchange(a, { lines: [line(4, one)] })
      assert.strictEqual(got(a), 4)
    }))

  it.effect("knows that it was away itself, and buries nobody for it", () =>
    Effect.gen(function*() {
      const { exchange, now, open, process, sleep } = yield* begin(meters(10, 100))
      const [a, b] = [process("a"), process("b")]
      yield* open(a, b)
      yield* exchange(a, { lines: [line(5, one)] })
      a.charge({ requests: 5, tokens: 50 }, now())
      yield* exchange(a)
      yield* exchange(b)
      yield* sleep(lease + 10)
      const standing = yield* exchange(b, { lines: [line(10, one)] })
      assert.deepStrictEqual(standing.members.toSorted(), [a.name, b.name])
      assert.deepStrictEqual(standing.remains, {})
      assert.strictEqual(standing.opensInMillis, opening)
      yield* sleep(opening)
      yield* exchange(a)
      yield* exchange(b, { lines: [line(10, one)] })
      assert.strictEqual(got(b), 5)
    }))

  it.effect("takes for its own absence only what is long for all of them, with whatever lease", () =>
    Effect.gen(function*() {
      const { exchange, now, open, process, quota, sleep } = yield* begin(meters(10, 100))
      const short = process("short")
      const long = new Process(`long of ${quota}`, meters(10, 100), 4 * lease)
      yield* open(short, long)
      yield* exchange(short, { lines: [line(5, one)] })
      yield* exchange(long, { lines: [line(1, one)] })
      const diedAt = now()
      // It says something as often as it has to.
      yield* sleep(lease - 1)
      const before = yield* exchange(long)
      assert.deepStrictEqual([before.members.length, before.opensInMillis], [2, 0])
      yield* sleep(lease - 1)
      const after = yield* exchange(long)
      assert.deepStrictEqual([after.members, after.opensInMillis], [[long.name], 0])
      assert.deepStrictEqual(after.remains["requests"], { amount: 5, inMillis: diedAt + lease + window - now() })
    }))

  it.effect("goes on from where it was when its clock is set back", () =>
    Effect.gen(function*() {
      const { exchange, now, open, process, sleep } = yield* begin(meters(10, 100))
      const [a, b] = [process("a"), process("b")]
      yield* open(a, b)
      yield* exchange(a, { lines: [line(10, one)] })
      a.charge({ requests: 10, tokens: 100 }, now())
      yield* sleep(100)
      yield* exchange(a)
      yield* sleep(-50_000)
      for (let beat = 0; beat < lease + window; beat += 200) {
        const standing = yield* exchange(b, { lines: [line(10 - got(b), one)] })
        assert.isAtLeast(standing.remains["requests"]?.inMillis ?? 0, 0)
        yield* sleep(200)
      }
      yield* exchange(b, { lines: [line(10 - got(b), one)] })
      assert.strictEqual(got(b), 10)
    }))

  it.effect("is emptied: all say what they hold, and then it goes on", () =>
    Effect.gen(function*() {
      const { exchange, now, open, process, quota, rig, sleep } = yield* begin(meters(10, 100))
      const [a, b, c] = [process("a"), process("b"), process("c")]
      yield* open(a, b, c)
      yield* exchange(a, { lines: [line(4, one)] })
      a.charge({ requests: 4, tokens: 40 }, now())
      yield* exchange(b, { lines: [line(3, one)] })
      const { epoch } = yield* exchange(c)
      yield* rig.wipe(quota)
      const standing = yield* exchange(c, { lines: [line(10, one)] })
      assert.notStrictEqual(standing.epoch, epoch)
      assert.strictEqual(standing.version, 1)
      assert.isTrue(standing.joined)
      assert.strictEqual(standing.opensInMillis, lease + window)
      yield* sleep(100)
      yield* exchange(a)
      assert.strictEqual((yield* exchange(b)).opensInMillis, opening - 100)
      yield* sleep(opening - 100)
      yield* exchange(c, { lines: [line(10, one)] })
      assert.deepStrictEqual([got(a), got(b), got(c)], [4, 3, 3])
    }))

  it.effect("is emptied: while it gives nothing, what leaves is used again, and counts when its process dies then", () =>
    Effect.gen(function*() {
      const { exchange, now, open, process, quota, rig, sleep } = yield* begin(meters(10, 100))
      const [a, b] = [process("a"), process("b")]
      yield* open(a, b)
      yield* exchange(a, { lines: [line(6, one)] })
      a.charge({ requests: 6, tokens: 60 }, now())
      const chargedAt = now()
      const kept = () => exchange(b, { lines: [line(10, one)] })
      while (now() < chargedAt + window - lease / 2) {
        yield* sleep(100)
        yield* exchange(a)
        yield* kept()
      }
      yield* rig.wipe(quota)
      yield* kept()
      // It left to others what leaves, until it hears that nobody is given anything.
      assert.isAbove((yield* exchange(a, { yields: true, lines: [line(6, one)] })).opensInMillis, 0)
      const diedAt = now()
      while (now() < diedAt + lease) {
        yield* sleep(100)
        yield* kept()
      }
      assert.deepStrictEqual((yield* kept()).remains["requests"], { amount: 6, inMillis: window })
    }))

  it.effect("is emptied, and one of them does not come: it waits until nothing of it counts", () =>
    Effect.gen(function*() {
      const { exchange, now, open, process, quota, rig, sleep } = yield* begin(meters(10, 100))
      const [a, b, c] = [process("a"), process("b"), process("c")]
      yield* open(a, b, c)
      yield* exchange(a, { lines: [line(4, one)] })
      yield* exchange(b)
      yield* exchange(c)
      yield* rig.wipe(quota)
      // Who knew nothing begins the books, and who knew more comes later.
      const begun = now()
      yield* exchange(process("new"), { lines: [line(10, one)] })
      yield* sleep(100)
      while (now() < begun + lease + window) {
        const { opensInMillis } = yield* exchange(b, { lines: [line(10, one)] })
        assert.strictEqual(opensInMillis, begun + lease + window - now())
        assert.strictEqual(got(b), 0)
        yield* sleep(Math.min(200, begun + lease + window - now()))
      }
      yield* exchange(b, { lines: [line(10, one)] })
      assert.strictEqual(got(b), 10)
      yield* exchange(c)
    }))

  it.effect("is put back to what it was before: who knows more than it does says so", () =>
    Effect.gen(function*() {
      const { exchange, leave, now, open, process, quota, rig, sleep } = yield* begin(meters(10, 100))
      const [a, b, c] = [process("a"), process("b"), process("c")]
      yield* open(a, b, c)
      yield* exchange(c, { lines: [line(2, one)] })
      c.charge({ requests: 2, tokens: 20 }, now())
      yield* leave(c)
      const restore = yield* rig.save(quota)
      yield* exchange(a, { lines: [line(4, one)] })
      a.charge({ requests: 4, tokens: 40 }, now())
      const { epoch } = yield* exchange(b)
      yield* restore
      yield* sleep(100)
      const standing = yield* exchange(a)
      assert.notStrictEqual(standing.epoch, epoch)
      assert.strictEqual(got(a), 4)
      // What was left of the dead is longer there, as nobody knows how far that clock was.
      assert.deepStrictEqual(standing.remains["requests"], { amount: 2, inMillis: window })
      yield* exchange(b, { lines: [line(10, one)] })
      assert.strictEqual(got(b), 0)
      yield* sleep(opening)
      yield* exchange(a)
      yield* exchange(b, { lines: [line(10, one)] })
      assert.strictEqual(got(b), 4)
    }))

  it.effect("fills what somebody else uses, and parks", () =>
    Effect.gen(function*() {
      const { exchange, open, process, sleep } = yield* begin(meters(12, 1000))
      const [a, b] = [process("a"), process("b")]
      yield* open(a, b)
      const foreign = yield* exchange(a, { foreign: "requests" })
      assert.strictEqual(foreign.free["requests"], -1)
      assert.deepStrictEqual(foreign.remains["requests"], { amount: 13, inMillis: window })
      // A twelfth of the window later, and another.
      yield* sleep(Math.ceil(window / 6))
      assert.strictEqual((yield* exchange(b)).free["requests"], 1)
      const parked = yield* exchange(a, { parkMillis: 300 })
      assert.strictEqual(parked.parkedMillis, 300)
      yield* exchange(b, { lines: [line(1, one)] })
      assert.strictEqual(got(b), 0)
      yield* sleep(200)
      yield* exchange(a)
      yield* sleep(100)
      yield* exchange(b, { lines: [line(1, one)] })
      assert.strictEqual(got(b), 1)
    }))

  it.effect("takes the smallest limit that anybody knows", () =>
    Effect.gen(function*() {
      const { exchange, leave, open, process, quota } = yield* begin(meters(10, 100))
      const a = process("a")
      yield* open(a)
      const b = new Process(`b of ${quota}`, meters(4, 100))
      yield* exchange(b)
      const standing = yield* exchange(a, { lines: [line(10, one)] })
      assert.deepStrictEqual(standing.limits, { requests: 4, tokens: 100 })
      assert.strictEqual(got(a), 4)
      yield* leave(b)
      const after = yield* exchange(a, { lines: [line(6, one)] })
      assert.deepStrictEqual(after.limits, { requests: 10, tokens: 100 })
      assert.strictEqual(got(a), 10)
    }))

  it.effect("takes names and tenants of any kind, and fractions as they are", () =>
    Effect.gen(function*() {
      const limits = {
        "__proto__ x/1": { limit: 0.7, staysMillis: window },
        "ü\"\\{}": { limit: 1e15, staysMillis: 0 }
      }
      const { exchange, open, process } = yield* begin(limits)
      const [a, b] = [process("a\"\\{}\u{1F600}"), process("__proto__")]
      yield* open(a, b)
      const amounts = { "__proto__ x/1": 0.1, "ü\"\\{}": 123_456_789_012_345 }
      for (const tenant of ["__proto__", "\uD800", "\u0000", ""]) {
        yield* exchange(a, { lines: [line(1, amounts, { tenant })] })
      }
      assert.strictEqual(got(a, "ü\"\\{}"), 493_827_156_049_380)
      assert.strictEqual(got(a, "__proto__ x/1"), 0.1 + 0.1 + 0.1 + 0.1)
      // All of the rest fits, though sums of fractions drift.
      yield* exchange(b, { lines: [line(3, { "__proto__ x/1": 0.1 })] })
      assert.closeTo(got(b, "__proto__ x/1"), 0.3, 1e-9)
      const { epoch } = yield* exchange(a)
      assert.strictEqual((yield* exchange(b)).epoch, epoch)
    }))

  const Step = Schema.Struct({
    process: between(0, 3),
    after: between(0, 250),
    what: between(0, 29),
    gives: between(0, 100),
    charges: Schema.Struct({ requests: between(0, 3), tokens: between(0, 40) }),
    lines: Schema.Array(Schema.Struct({
      priority: between(-1, 1),
      tenant: Schema.Literals(["a", "b"]),
      weight: between(1, 3),
      since: between(0, 1000),
      count: between(1, 9),
      tokens: between(0, 40)
    })).check(Schema.isMaxLength(2)),
    ahead: between(0, 10),
    yields: between(0, 1)
  })

  const whats = ["pause", "back", "die", "leave", "unheard", "unheard", "twice", "late"] as const

  it.effect.prop(
    "never gives out more than there is, whoever dies, is silent, or is heard late or twice; and in the end all is there again",
    [Schema.Array(Step).check(Schema.isMinLength(20), Schema.isMaxLength(60)), between(3, 12), between(40, 120)],
    ([steps, requests, tokens]) =>
      Effect.gen(function*() {
        const limits = meters(requests, tokens)
        const { now, quota, rig, sleep } = yield* begin(limits)
        const all: Array<Process> = []
        const born = () => {
          const process = new Process(`${all.length} of ${quota}`, limits)
          all.push(process)
          return process
        }
        const living = Array.from({ length: 4 }, born)
        const messages: Array<LimiterStore.Message> = []
        const judge = () => {
          for (const [meter, { limit, staysMillis }] of Object.entries(limits)) {
            const charges = all.flatMap(({ charges }) => charges)
            const counted = charges.filter((one) => one.meter === meter && one.at > now() - staysMillis)
            const used = counted.reduce((sum, { amount }) => sum + amount, 0)
            assert.isAtMost(used, limit, `${meter} at ${now()}`)
          }
        }
        let behind = 0
        for (const step of steps) {
          const what = whats[29 - step.what]
          yield* sleep(what === "pause" ? step.after * 8 : step.after)
          // The processes' own clocks run on.
          if (what === "back") behind += step.after * 8
          yield* rig.setTime(quota, now() - behind)
          if (what === "die") living[step.process] = born()
          const process = living[step.process] as Process
          for (const one of all) {
            if (!living.includes(one)) continue
            one.charge(step.charges, now())
            judge()
          }
          const message = process.message(now(), {
            gives: what === "leave" ? 100 : step.gives,
            yields: step.yields === 1,
            lines: step.lines.map(({ count, priority, since, tenant, tokens, weight }) =>
              line(count, { requests: 1, tokens }, { priority, tenant, weight, sinceMillis: since })
            ),
            ahead: { requests: step.ahead, tokens: step.ahead * 9 }
          })
          messages.push(message)
          if (what === "leave") {
            yield* rig.store.leave(quota, message)
            living[step.process] = born()
            continue
          }
          if (what === "twice") yield* rig.store.exchange(quota, message)
          if (what === "late") {
            yield* rig.store.exchange(quota, messages[Math.floor(step.after / 250 * (messages.length - 1))] ?? message)
          }
          const standing = yield* rig.store.exchange(quota, message)
          if (what !== "unheard") process.heard(standing, now(), now())
        }
        // All fall silent, and another takes all.
        const last = born()
        const wants = { lines: [line(1, { requests, tokens })] }
        for (let beats = 0; beats < (4 * lease + 3 * window) / 200; beats++) {
          yield* sleep(200)
          yield* rig.setTime(quota, now() - behind)
          const standing = yield* rig.store.exchange(quota, last.message(now(), wants))
          last.heard(standing, now(), now())
          if (last.share("requests") >= requests) break
        }
        assert.isAtLeast(last.share("requests"), requests)
        last.charge({ requests, tokens }, now())
        judge()
      }),
    { arbitrary: { runs: 100 } }
  )
}
