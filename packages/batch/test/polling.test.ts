import * as JobControl from "@caprock/batch/JobControl"
import { BedrockError } from "@caprock/errors/BedrockError"
import * as Reason from "@caprock/errors/Reason"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, Queue, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

type Job = JobControl.Job

const job = (n: number, status: string): Job => ({
  arn: `job-${n}`,
  name: `nightly-${n}`,
  status,
  submittedAt: 0,
  input: "s3://b/in/",
  output: "s3://b/out/"
})

const failure = (reason: Reason.Reason) =>
  new BedrockError({ operation: "ListModelInvocationJobs", attempts: 1, reason })
const busy = (retryAfter?: Duration.Duration) =>
  failure(
    new Reason.ThrottlingError({
      limit: "requests",
      message: "Too many requests",
      ...(retryAfter === undefined ? {} : { retryAfter })
    })
  )
const denied = failure(new Reason.AccessError({ kind: "denied", message: "no" }))

const controlOf = (list: Effect.Effect<ReadonlyArray<Job>, BedrockError>): JobControl.JobControl["Service"] => ({
  create: () => Effect.die("nobody creates a job"),
  get: () => Effect.die("nobody looks at a single job"),
  stop: () => Effect.die("nobody stops a job"),
  list: (name) => name === "nightly" ? Stream.unwrap(Effect.map(list, Stream.fromIterable)) : Stream.die("another name")
})

type Answer = ReadonlyArray<Job> | BedrockError

/** Lists what the script says, the last of it for ever, for so long; and when it was asked, and what it gave. */
const watched = (
  script: ReadonlyArray<Answer>,
  time: Duration.Input,
  options?: JobControl.WatchOptions
) =>
  Effect.gen(function*() {
    const at: Array<number> = []
    const given: Array<ReadonlyArray<Job>> = []
    const list = Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const answer = script[Math.min(at.push(now), script.length) - 1] ?? []
      return answer instanceof BedrockError ? Effect.fail(answer) : Effect.succeed(answer)
    })
    const fiber = yield* JobControl.watch("nightly", options).pipe(
      Stream.runForEach((jobs) => Effect.sync(() => given.push(jobs))),
      Effect.provideService(JobControl.JobControl, controlOf(list)),
      Effect.forkChild
    )
    yield* TestClock.adjust(time)
    const exit = fiber.pollUnsafe()
    yield* Fiber.interrupt(fiber)
    return { at, given, exit, waits: at.slice(1).map((time, i) => time - (at[i] ?? 0)) }
  })

describe("polling", () => {
  it.effect("lists at once, and then less and less often", () =>
    Effect.gen(function*() {
      const { at, waits } = yield* watched([[job(0, "InProgress")]], "1 hour")
      assert.strictEqual(at[0], 0)
      assert.isAtMost(waits[0] ?? Infinity, 45_000)
      // Without news it ends between 30 seconds and 5 minutes: in an hour as often as each 165 seconds, give or take.
      assert.isAtLeast(waits.length, 14)
      assert.isAtMost(waits.length, 40)
      assert.isTrue(waits.some((wait) => wait > 120_000))
    }))

  it.effect("gives every listing, with or without news", () =>
    Effect.gen(function*() {
      const { at, given } = yield* watched([[job(0, "Submitted")], [job(0, "InProgress")]], "10 minutes")
      assert.strictEqual(given.length, at.length)
      assert.deepStrictEqual(given.slice(0, 3).map((jobs) => jobs.map(({ status }) => status)), [
        ["Submitted"],
        ["InProgress"],
        ["InProgress"]
      ])
    }))

  it.effect.prop(
    "never lists more often than it may, nor less often than it has to, whatever happens",
    {
      min: between(1_000, 60_000),
      more: between(0, 600_000),
      news: Schema.Array(Schema.Literals(["same", "new", "moved", "gone", "busy"])).check(Schema.isMaxLength(30))
    },
    ({ min, more, news }) =>
      Effect.gen(function*() {
        const max = min + more
        let jobs = [job(0, "InProgress")]
        let next = 1
        const script = news.map((word): Answer => {
          if (word === "new") jobs = [...jobs, job(next++, "Submitted")]
          if (word === "moved") {
            jobs = jobs.map((job, i) => i === 0 ? { ...job, status: `State ${next++}` } : job)
          }
          if (word === "gone") jobs = jobs.slice(1)
          return word === "busy" ? busy() : jobs
        })
        const { exit, waits } = yield* watched(script, Duration.millis(max * (script.length + 5)), {
          min,
          max
        })
        assert.isUndefined(exit)
        assert.isAtLeast(waits.length, script.length)
        // To the millisecond: the clock has no finer ones.
        for (const wait of waits) {
          assert.isAtLeast(Math.ceil(wait), min)
          assert.isAtMost(Math.floor(wait), max)
        }
        let known = JSON.stringify([])
        for (const [i, answer] of script.entries()) {
          if (answer instanceof BedrockError || JSON.stringify(answer) === known) continue
          known = JSON.stringify(answer)
          assert.isAtMost(Math.floor(waits[i] ?? Infinity), Math.min(max, min * 1.5), `after ${news[i]}`)
        }
      })
  )

  it.effect("lists when it is woken, and once for a swarm", () =>
    Effect.gen(function*() {
      const events = yield* Queue.unbounded<string>()
      yield* Effect.forkChild(
        Effect.sleep("10 seconds").pipe(Effect.andThen(Queue.offerAll(events, ["a", "b", "c"])))
      )
      yield* Effect.forkChild(Effect.sleep("20 seconds").pipe(Effect.andThen(Queue.offer(events, "d"))))
      yield* Effect.forkChild(Effect.sleep("20100 millis").pipe(Effect.andThen(Queue.offer(events, "e"))))
      const { at } = yield* watched([[job(0, "InProgress")]], "29 seconds", { wake: Stream.fromQueue(events) })
      assert.deepStrictEqual(at, [0, 10_000, 20_000, 21_000])
    }))

  it.effect("goes on alone when nothing wakes it any more", () =>
    Effect.gen(function*() {
      const { at } = yield* watched([[]], "10 minutes", { wake: Stream.make("a") })
      assert.strictEqual(at[1], 1_000)
      assert.isAbove(at.length, 3)
    }))

  it.effect("outlives a listing that fails, and waits as long as it is told to, whoever wakes it", () =>
    Effect.gen(function*() {
      const { at, given } = yield* watched([busy(Duration.minutes(10)), [job(0, "Completed")]], "11 minutes", {
        wake: Stream.make("a")
      })
      assert.isAtLeast(at[1] ?? 0, 600_000)
      assert.deepStrictEqual(given[0], [job(0, "Completed")])
    }))

  it.effect("ends with what no wait can cure", () =>
    Effect.gen(function*() {
      const watch = JobControl.watch("nightly").pipe(
        Stream.runDrain,
        Effect.provideService(JobControl.JobControl, controlOf(Effect.fail(denied)))
      )
      assert.strictEqual(yield* Effect.flip(watch), denied)
    }))
})
