import type { BatchJournal } from "@caprock/batch/BatchJournal"
import * as Reason from "@caprock/errors/Reason"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Fiber, Schema } from "effect"
import { TestClock } from "effect/testing"
import { isLast } from "../src/internal/jobStatus.ts"
import * as journalStore from "../src/internal/journalStore.ts"
import { failed, type Fate, type Lab, type Luck, make } from "./driverLab.ts"

const well: Fate = { end: "Completed", part: 1, failing: 0, wrong: 0 }

/** Lets a fiber run to its end in virtual time, which has one: a week. */
const toItsEnd = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect)
    for (let hours = 0; hours < 24 * 7 && fiber.pollUnsafe() === undefined; hours += 1) {
      yield* TestClock.adjust("1 hour")
    }
    assert.isDefined(fiber.pollUnsafe(), "it never ends")
    return yield* Fiber.join(fiber)
  })

const once = (lab: Lab) => Effect.flatMap(toItsEnd(lab.process(1e9)), (exit) => exit)

/** All processes of a batch, each of which dies after so many operations: until one gets to the end, and failed batches are resumed. */
const again = (lab: Lab, kills: ReadonlyArray<number>) =>
  toItsEnd(Effect.gen(function*() {
    for (let n = 0; n < 400; n++) {
      const exit = yield* lab.process(n < kills.length ? kills[n] ?? 1 : 1e9)
      if (Exit.isSuccess(exit) && exit.value.state !== "failed") return exit.value
    }
    return yield* Effect.die("400 processes did not end it")
  }))

/** What has to hold of any batch that ended. */
const holds = (lab: Lab, journal: BatchJournal, records: number) => {
  lab.finish()
  for (const job of lab.jobs.values()) assert.isTrue(isLast(lab.statusOf(job, Infinity)))
  const names = [...lab.jobs.values()].map(({ request }) => request.name)
  assert.lengthOf(new Set(names), names.length, "a job was paid twice")
  for (const [index, by] of lab.answers) assert.lengthOf(by, 1, `record ${index} was answered by ${by.join(" and ")}`)
  assert.isTrue(journal.parts.every(({ phase }) => phase === "collected"))
  const covered = new Set(journal.parts.filter(({ round }) => round === 0).flatMap(lab.indices))
  assert.lengthOf([...covered], records)
}

const tallied = (journal: BatchJournal, what: "succeeded" | "rejected" | "failed" | "missing", round = 0) =>
  journal.parts.filter((part) => part.round === round).reduce((sum, { tally }) => sum + (tally?.[what] ?? 0), 0)

describe("a driver", () => {
  it.effect("submits each part, waits, and counts what came of it", () =>
    Effect.gen(function*() {
      const lab = yield* make({ records: 25, fates: [well] })
      const journal = yield* once(lab)
      holds(lab, journal, 25)
      assert.strictEqual(journal.state, "done")
      assert.strictEqual(lab.jobs.size, 3)
      assert.strictEqual(tallied(journal, "succeeded"), 25)
      assert.strictEqual(journal.round, 0)
      const [job] = [...lab.jobs.values()]
      assert.deepInclude(job?.request, {
        hours: 24,
        input: "s3://memory/caprock/nightly/in/0-0-1/",
        output: "s3://memory/caprock/nightly/out/"
      })
    }))

  it.effect("submits as far as there is room, where no more is asked of it", () =>
    Effect.gen(function*() {
      const lab = yield* make({ records: 45, fates: [well], limits: { jobs: 2 } })
      const journal = yield* Effect.flatMap(toItsEnd(lab.process(1e9, "submitted")), (exit) => exit)
      assert.deepEqual(journal.parts.map(({ phase }) => phase), [
        "running",
        "running",
        "uploaded",
        "uploaded",
        "uploaded"
      ])
      assert.strictEqual((yield* once(lab)).state, "done")
      assert.strictEqual(lab.jobs.size, 5)
    }))

  it.effect("never has more jobs than it may, and waits where others use them", () =>
    Effect.gen(function*() {
      let n = 0
      const lab = yield* make({
        records: 60,
        fates: [well],
        limits: { jobs: 2 },
        luck: () => n++ < 3 ? "full" : "well"
      })
      holds(lab, yield* once(lab), 60)
      assert.strictEqual(lab.jobs.size, 6)
      assert.lengthOf(lab.asked, 3 + 6)
    }))

  it.effect("sends what failed again, alone, and what the model rejected never", () =>
    Effect.gen(function*() {
      const lab = yield* make({
        records: 100,
        fates: [...Array.from({ length: 10 }, () => ({ ...well, failing: 0.2, wrong: 0.1 })), well]
      })
      const journal = yield* once(lab)
      holds(lab, journal, 100)
      assert.strictEqual(journal.round, 1)
      assert.isAbove(tallied(journal, "rejected"), 0)
      assert.strictEqual(tallied(journal, "succeeded", 1), tallied(journal, "failed"))
      assert.strictEqual(lab.answers.size, 100 - tallied(journal, "rejected"))
    }))

  it.effect("asks what is too little for a job on demand, where it may", () =>
    Effect.gen(function*() {
      const lab = yield* make({ records: 3, fates: [well] })
      const journal = yield* once(lab)
      assert.strictEqual(lab.jobs.size, 0)
      assert.deepEqual([...lab.answers.values()], [["late"], ["late"], ["late"]])
      assert.deepEqual(journal.late, { why: "small", records: 3, done: true })
      const none = yield* make({ records: 3, fates: [well], settings: { small: "fail" } })
      const refused = yield* once(none)
      assert.strictEqual(none.answers.size, 0)
      assert.deepInclude(refused.parts[0]?.rest, { kind: "job", code: "TooFew" })
    }))

  it.effect("gives up on what fails in each round, and asks it on demand only where there is a deadline", () =>
    Effect.gen(function*() {
      const never: Fate = { ...well, failing: 1 }
      const lab = yield* make({ records: 20, fates: [never] })
      const journal = yield* once(lab)
      assert.strictEqual(journal.round, 2)
      assert.strictEqual(lab.answers.size, 0)
      const late = yield* make({ records: 20, fates: [never], settings: { deadline: Duration.days(30) } })
      assert.strictEqual((yield* once(late)).late?.why, "deadline")
      assert.strictEqual(late.answers.size, 20)
    }))

  it.effect("keeps what there is of a job that ended too soon, and redoes the rest", () =>
    Effect.gen(function*() {
      const lab = yield* make({ records: 10, fates: [{ ...well, end: "PartiallyCompleted", part: 0.5 }, well] })
      const journal = yield* once(lab)
      holds(lab, journal, 10)
      assert.strictEqual(tallied(journal, "missing"), 5)
      assert.strictEqual(tallied(journal, "succeeded", 1), 5)
    }))

  it.effect.each(["Expired", "Failed", "Gone"] as const)(
    "submits again what did not begin: %s",
    (end) =>
      Effect.gen(function*() {
        const lab = yield* make({ records: 10, fates: [{ ...well, end, part: 0, message: "Internal error" }, well] })
        const journal = yield* once(lab)
        holds(lab, journal, 10)
        assert.strictEqual(journal.parts[0]?.attempt, 1)
        assert.deepEqual(
          [...lab.jobs.values()].map(({ request }) => request.hours),
          end === "Expired" ? [24, 48] : [24, 24]
        )
        assert.strictEqual(lab.answers.size, 10)
      })
  )

  it.effect.each(["Expired", "Failed", "Gone"] as const)(
    "gives up what never begins, with the reason: %s",
    (end) =>
      Effect.gen(function*() {
        const lab = yield* make({ records: 10, fates: [{ ...well, end, part: 0, message: "Internal error" }] })
        const journal = yield* once(lab)
        assert.strictEqual(lab.jobs.size, 3)
        assert.deepInclude(journal.parts[0]?.rest, { kind: "job", code: end })
        assert.strictEqual(journal.state, "done")
      })
  )

  it.effect.each(["Failed", "Gone"] as const)(
    "keeps what a job wrote before it was lost: %s",
    (end) =>
      Effect.gen(function*() {
        const lab = yield* make({ records: 10, fates: [{ ...well, end, part: 0.5, message: "Internal error" }, well] })
        const journal = yield* once(lab)
        holds(lab, journal, 10)
        assert.strictEqual(tallied(journal, "succeeded", 0), 5)
        assert.strictEqual(tallied(journal, "succeeded", 1), 5)
      })
  )

  it.effect("stops at what another try won't cure, lets the others end, and goes on when it is resumed", () =>
    Effect.gen(function*() {
      const denied: Fate = { ...well, end: "Failed", part: 0, message: "The role can't be assumed" }
      const lab = yield* make({ records: 25, fates: [denied, well, well, well] })
      const journal = yield* once(lab)
      assert.strictEqual(journal.state, "failed")
      assert.deepEqual(journal.problem, {
        kind: "failed",
        job: "arn:job/0",
        status: "Failed",
        message: "The role can't be assumed"
      })
      assert.strictEqual(lab.jobs.size, 3)
      assert.strictEqual(tallied(journal, "succeeded"), 17)
      const one = yield* make({ records: 25, fates: [denied], limits: { jobs: 1 } })
      yield* once(one)
      assert.strictEqual(one.jobs.size, 1)
      const mended = yield* once(lab)
      holds(lab, mended, 25)
      assert.deepInclude(mended, { state: "done" })
      assert.isUndefined(mended.problem)
      assert.strictEqual(lab.answers.size, 25)
    }))

  it.effect("does not submit again by itself what somebody stopped", () =>
    Effect.gen(function*() {
      const lab = yield* make({ records: 10, fates: [{ ...well, end: "Stopped", part: 0.5 }, well] })
      const journal = yield* once(lab)
      assert.deepInclude(journal, { state: "failed" })
      assert.strictEqual(journal.problem?.kind, "stopped")
      holds(lab, yield* once(lab), 10)
      assert.strictEqual(lab.answers.size, 10)
    }))

  it.effect("submits it when it is resumed, though all rounds are used up, and nothing else again", () =>
    Effect.gen(function*() {
      const lab = yield* make({
        records: 20,
        fates: [{ ...well, end: "Stopped", part: 0.5 }, { ...well, failing: 0.5 }, well],
        settings: { rounds: 1 }
      })
      yield* once(lab)
      const journal = yield* once(lab)
      holds(lab, journal, 20)
      assert.lengthOf(lab.asked, 3)
      assert.deepEqual(journal.parts.map(({ records, round }) => [round, records]), [[0, 10], [0, 10], [1, 5]])
      assert.strictEqual(lab.answers.size, 20 - tallied(journal, "failed"))
    }))

  it.effect("stops its jobs when it is cancelled, and begins none", () =>
    Effect.gen(function*() {
      const lab = yield* make({ records: 45, fates: [{ ...well, part: 1 }], limits: { jobs: 2 } })
      const fiber = yield* Effect.forkChild(lab.process(1e9))
      yield* TestClock.adjust("5 minutes")
      yield* lab.cancel
      const exit = yield* toItsEnd(Fiber.join(fiber))
      const journal = yield* exit
      assert.strictEqual(journal.state, "cancelled")
      assert.strictEqual(lab.jobs.size, 2)
      assert.isTrue([...lab.jobs.values()].every((job) => job.stopped !== undefined))
      assert.strictEqual(lab.answers.size, 10)
      assert.isTrue(journal.parts.every(({ rest }) => rest?.kind === "cancelled"))
      holds(lab, journal, 45)
    }))

  it.effect("asks on demand what has no answer at the deadline, and nothing twice", () =>
    Effect.gen(function*() {
      const lab = yield* make({
        records: 45,
        fates: [well],
        limits: { jobs: 2 },
        settings: { deadline: Duration.minutes(5) }
      })
      const journal = yield* once(lab)
      holds(lab, journal, 45)
      assert.strictEqual(lab.jobs.size, 2)
      assert.strictEqual(lab.answers.size, 45)
      assert.strictEqual([...lab.answers.values()].filter(([by]) => by === "late").length, 35)
      assert.deepEqual(journal.late, { why: "deadline", records: 35, done: true })
    }))

  it.effect("finds the job of which nothing was heard, and creates no other", () =>
    Effect.gen(function*() {
      const lucks: Array<Luck> = ["unanswered", "lost", "throttled", "unanswered"]
      const lab = yield* make({ records: 30, fates: [well], luck: () => lucks.shift() ?? "well" })
      holds(lab, yield* once(lab), 30)
      assert.strictEqual(lab.jobs.size, 3)
    }))
})

describe("a driver that waits", () => {
  it.effect("looks at its jobs less and less often while nothing changes, and soon after something did", () =>
    Effect.gen(function*() {
      const at: Array<number> = []
      const listing = () => Effect.map(Clock.currentTimeMillis, (now) => void at.push(now / 60_000))
      const lab = yield* make({ records: 30, fates: [well], listing })
      holds(lab, yield* once(lab), 30)
      const waits = at.slice(1).map((time, i) => time - (at[i] ?? 0))
      // To the millisecond: the clock has no finer ones.
      for (const wait of waits) assert.isAtLeast(wait, 0.9999)
      assert.isAtMost(waits[0] ?? Infinity, 1.5)
      assert.isBelow(at.length, 10)
    }))

  it.effect("looks once a second at most, however often it is woken", () =>
    Effect.gen(function*() {
      let looks = 0
      const listing = () => Effect.sync(() => void looks++)
      const lab = yield* make({ records: 10, fates: [well], listing, wake: Effect.sleep("10 millis") })
      holds(lab, yield* once(lab), 10)
      assert.isAtMost(looks, 10 * 60 + 2)
      assert.isAtLeast(looks, 10 * 60 - 60)
    }))

  it.effect("outlives listings that fail, and ends with what no wait can cure", () =>
    Effect.gen(function*() {
      let n = 0
      const busy = failed(new Reason.ServerError({ kind: "unavailable", message: "503" }))
      const listing = () => n++ % 3 === 0 ? Effect.void : Effect.fail(busy)
      const lucks: Array<Luck> = ["unanswered"]
      const lab = yield* make({ records: 30, fates: [well], listing, luck: () => lucks.shift() ?? "well" })
      holds(lab, yield* once(lab), 30)
      assert.isAbove(n, 3)
      const denied = failed(new Reason.AccessError({ kind: "denied", message: "no" }))
      const shut = yield* make({ records: 10, fates: [well], listing: () => Effect.fail(denied) })
      const failure = yield* Effect.flip(once(shut))
      assert.deepInclude(failure, { _tag: "ServiceFailed", error: denied })
    }))
})

describe("a job that Bedrock does not show", () => {
  const minutes = Duration.minutes
  const pace = { min: 10_000, max: 60_000 }

  it.effect("is looked for when the deadline has passed, and stopped: nothing is answered twice", () =>
    Effect.gen(function*() {
      const lucks: Array<Luck> = ["unanswered"]
      const lab = yield* make({
        records: 10,
        fates: [well],
        lag: 8,
        pace,
        luck: () => lucks.shift() ?? "lost",
        settings: { deadline: minutes(1) }
      })
      const journal = yield* once(lab)
      holds(lab, journal, 10)
      assert.strictEqual(lab.jobs.size, 1)
      assert.isTrue([...lab.jobs.values()].every(({ stopped }) => stopped !== undefined))
      assert.lengthOf([...lab.answers.values()].filter(([by]) => by === "late"), 5)
    }))

  it.effect.each(["full", "throttled"] as const)(
    "is looked for, though the same was refused when it was asked for again: %s",
    (then) =>
      Effect.gen(function*() {
        const lucks: Array<Luck> = ["unanswered"]
        const luck = () => lucks.shift() ?? then
        const lab = yield* make({ records: 10, fates: [well], lag: 8, pace, luck, settings: { deadline: minutes(3) } })
        holds(lab, yield* once(lab), 10)
        assert.isAbove(lab.asked.length, 1)
        assert.isTrue([...lab.jobs.values()].every(({ stopped }) => stopped !== undefined))
      })
  )

  it.effect.each(["full", "throttled"] as const)(
    "is not looked for where it was refused at once: %s",
    (luck) =>
      Effect.gen(function*() {
        const at: Array<number> = []
        const listing = () => Effect.map(Clock.currentTimeMillis, (now) => void at.push(now / 60_000))
        const settings = { deadline: minutes(3) }
        const lab = yield* make({ records: 10, fates: [well], listing, pace, luck: () => luck, settings })
        holds(lab, yield* once(lab), 10)
        assert.isBelow(at.at(-1) ?? Infinity, 5)
      })
  )

  it.effect("is looked for when the batch is cancelled, and stopped", () =>
    Effect.gen(function*() {
      const lucks: Array<Luck> = ["unanswered"]
      const lab = yield* make({ records: 10, fates: [well], lag: 8, pace, luck: () => lucks.shift() ?? "lost" })
      yield* Effect.forkChild(Effect.delay(lab.cancel, minutes(1)))
      const journal = yield* once(lab)
      holds(lab, journal, 10)
      assert.strictEqual(journal.state, "cancelled")
      assert.isTrue([...lab.jobs.values()].every(({ stopped }) => stopped !== undefined))
    }))

  it.effect("is given up some time, with less and less looks", () =>
    Effect.gen(function*() {
      const at: Array<number> = []
      const listing = () => Effect.map(Clock.currentTimeMillis, (now) => void at.push(now / 60_000))
      const lab = yield* make({
        records: 10,
        fates: [well],
        listing,
        luck: () => "lost",
        settings: { deadline: minutes(1) }
      })
      const journal = yield* once(lab)
      holds(lab, journal, 10)
      assert.lengthOf([...lab.answers.values()].filter(([by]) => by === "late"), 10)
      const first = at.find((time) => time >= 1) ?? 0
      assert.isAtLeast(at.at(-1) ?? 0, first + 10)
      assert.isBelow(at.length, 12)
    }))

  it.effect("is not taken for one that is gone, and paid again", () =>
    Effect.gen(function*() {
      const lab = yield* make({ records: 10, fates: [well], lag: 9, pace })
      holds(lab, yield* once(lab), 10)
      assert.lengthOf(lab.asked, 1)
    }))

  it.effect("is looked for on where another process left off", () =>
    Effect.gen(function*() {
      const lucks: Array<Luck> = ["unanswered"]
      const lab = yield* make({
        records: 10,
        fates: [well],
        lag: 8,
        luck: () => lucks.shift() ?? "lost",
        settings: { deadline: minutes(1) }
      })
      const first = yield* Effect.forkChild(lab.process(1e9))
      yield* TestClock.adjust("4 minutes")
      yield* Fiber.interrupt(first)
      const [part] = (yield* journalStore.read(lab.place))?.parts ?? []
      assert.isAtMost(part?.job?.missedAt ?? Infinity, 4 * 60_000)
      assert.isAtLeast(part?.job?.missedAt ?? 0, 60_000)
    }))
})

describe("a job that Bedrock says is there", () => {
  it.effect("is asked for again where it is found", () =>
    Effect.gen(function*() {
      const lucks: Array<Luck> = ["unanswered", "conflict", "conflict"]
      const lab = yield* make({ records: 10, fates: [well], lag: 5, luck: () => lucks.shift() ?? "well" })
      holds(lab, yield* once(lab), 10)
      assert.strictEqual(lab.jobs.size, 1)
    }))

  it.effect("and that no listing has is a problem that says what to do, and is not asked for any more", () =>
    Effect.gen(function*() {
      const lab = yield* make({ records: 10, fates: [well], luck: () => "conflict" })
      const { problem, state } = yield* once(lab)
      assert.strictEqual(state, "failed")
      assert.strictEqual(problem?.kind, "refused")
      assert.match(problem?.message ?? "", /the name is taken.*under another name/)
      assert.lengthOf(lab.asked, 3)
    }))
})

describe("a job that completed, and left nothing", () => {
  it.effect("is not paid again on demand by itself, though the deadline has passed", () =>
    Effect.gen(function*() {
      const lab = yield* make({
        records: 10,
        fates: [{ ...well, part: 0 }],
        settings: { deadline: Duration.minutes(9) },
        stopping: () => Effect.fail(failed(new Reason.ServerError({ kind: "unavailable", message: "503" })))
      })
      assert.strictEqual((yield* once(lab)).state, "failed")
      assert.strictEqual(lab.answers.size, 0)
      assert.strictEqual((yield* once(lab)).state, "done")
      assert.isTrue([...lab.answers.values()].every(([by]) => by === "late"))
      assert.strictEqual(lab.answers.size, 10)
    }))
})

describe("a request to stop a job", () => {
  it.effect("that fails is made again", () =>
    Effect.gen(function*() {
      let n = 0
      const busy = failed(new Reason.ServerError({ kind: "unavailable", message: "503" }))
      const lab = yield* make({
        records: 10,
        fates: [well],
        settings: { deadline: Duration.minutes(3) },
        stopping: () => n++ < 2 ? Effect.fail(busy) : Effect.void
      })
      holds(lab, yield* once(lab), 10)
      assert.isTrue([...lab.jobs.values()].every(({ stopped }) => stopped !== undefined))
    }))
})

const Fraction = Schema.Literals([0, 0, 0.1, 0.5, 1])
const AnyFate = Schema.Struct({
  end: Schema.Literals(["Completed", "Completed", "PartiallyCompleted", "Failed", "Expired", "Gone", "Stopped"]),
  message: Schema.Literals(["Internal error", "Access denied"]),
  part: Schema.Literals([0, 0.3, 1]),
  failing: Fraction,
  wrong: Schema.Literals([0, 0.1])
})
const Fates = Schema.Array(AnyFate).check(Schema.isMaxLength(12))
const Lucks = Schema.Array(Schema.Literals(["well", "well", "lost", "unanswered", "throttled", "full", "conflict"]))
  .check(
    Schema.isMaxLength(30)
  )
const Lag = Schema.Literals([0, 0, 0, 3, 8])
const Kills = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 60 }))).check(
  Schema.isMaxLength(20)
)
const Records = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 60 }))

describe("whatever its jobs do, whatever is lost, and whenever its processes die", () => {
  it.effect.prop(
    "each record is answered once at most, no job is paid twice, and it ends",
    [Records, Fates, Lucks, Kills, Schema.Boolean, Lag],
    ([records, fates, lucks, kills, isLate, lag]) =>
      Effect.gen(function*() {
        const left = [...lucks]
        const lab = yield* make({
          records,
          fates: [...fates, well],
          lag,
          luck: () => left.shift() ?? "well",
          limits: { jobs: 3 },
          settings: isLate ? { deadline: Duration.minutes(30) } : {}
        })
        const journal = yield* again(lab, kills)
        holds(lab, journal, records)
        assert.strictEqual(journal.state, "done")
        // What has no answer was rejected, or was asked as often as it may be.
        const last = journal.parts.filter((part) =>
          part.round === 2 || part.rest !== undefined || (part.tally?.rejected ?? 0) > 0
        )
        const maybe = new Set(last.flatMap(lab.indices))
        for (let index = 0; index < records; index++) {
          assert.isTrue(lab.answers.has(index) || maybe.has(index), `record ${index} was lost`)
        }
        if (isLate && journal.late !== undefined) {
          const rejected = journal.parts.reduce((sum, { tally }) => sum + (tally?.rejected ?? 0), 0)
          assert.strictEqual(lab.answers.size, records - rejected)
        }
      })
  )

  it.effect.prop(
    "a cancelled one ends, with no job left",
    [Records, Fates, Lucks, Kills, Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 40 })), Lag],
    ([records, fates, lucks, kills, after, lag]) =>
      Effect.gen(function*() {
        const left = [...lucks]
        const lab = yield* make({ records, fates: [...fates, well], lag, luck: () => left.shift() ?? "well" })
        yield* Effect.forkChild(Effect.delay(lab.cancel, after * 60_000))
        const journal = yield* again(lab, kills)
        assert.include(["cancelled", "done"], journal.state)
        holds(lab, journal, records)
      })
  )
})
