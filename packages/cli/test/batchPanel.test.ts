import type { Status } from "@caprock/batch/BatchJournal"
import type { JobDetail } from "@caprock/batch/JobControl"
import * as JobControl from "@caprock/batch/JobControl"
import * as Panel from "@caprock/cli/batch/Panel"
import * as Progress from "@caprock/cli/batch/Progress"
import * as Screen from "@caprock/cli/terminal/Screen"
import * as Classification from "@caprock/errors/Classification"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"

const hour = 3_600_000

type Part = Status["parts"][number]

const part = (n: number, more: Partial<Part> = {}): Part => ({
  round: 0,
  part: n,
  attempt: 0,
  records: 100_000,
  phase: "running",
  arn: `job-${n}`,
  status: "InProgress",
  ...more
})

const status: Status = {
  name: "november",
  settings: {
    model: "amazon.nova-lite-v1:0",
    invocationType: "Converse",
    roleArn: "arn:aws:iam::111122223333:role/batch",
    timeoutHours: 72,
    rounds: 3,
    small: "on-demand",
    strict: false
  },
  state: "running",
  createdAt: 0,
  sealed: true,
  records: 350_000,
  refused: 2,
  bytes: 0,
  round: 0,
  succeeded: 99_980,
  rejected: 12,
  inputTokens: 40_000_000,
  outputTokens: 10_000_000,
  parts: [
    part(0, { phase: "collected", status: "Completed", unanswered: 8 }),
    part(1),
    part(2, { status: "Submitted", attempt: 1 }),
    { round: 0, part: 3, attempt: 0, records: 50_000, phase: "uploaded" }
  ]
}

const view: Panel.View = {
  name: "november",
  status,
  reading: undefined,
  jobs: new Map([
    ["job-1", {
      submittedAt: 0,
      expiresAt: 72 * hour,
      counts: { total: 100_000, processed: 25_000, failed: 5 },
      seenAt: 2 * hour,
      first: { at: hour, processed: 15_000 }
    }],
    ["job-2", { submittedAt: 1.5 * hour, expiresAt: 74 * hour, seenAt: 2 * hour }]
  ]),
  calls: { answered: 0, failed: 0 },
  prices: { input: 0.06, output: 0.24 },
  now: 2 * hour,
  elapsedMillis: 2 * hour,
  stopping: false
}

describe("the panel of a batch", () => {
  it("shows what is uploaded, each job with its age and its time left, what was answered, what it cost, and what comes next", () => {
    assert.deepEqual(Panel.render(view), [
      "november: running, 2 h 0 min",
      "uploaded  350,000 records in 4 parts",
      "jobs      1 collected, 1 InProgress, 1 Submitted, 1 uploaded",
      "          part 2   InProgress   2 h 0 min old   ███░░░░░░░░░ 25 % of 100,000   about 7 h 30 min left",
      "          part 3, again 1   Submitted    30 min old   expires in 72 h 0 min",
      "answered  124,975 of 350,000   rejected 12   refused 2   failed 13",
      "money     2.40 spent, 2.40 saved against on demand   40,000,000 tokens in, 10,000,000 out",
      "next      1 part to be submitted, as soon as there is room for its job"
    ])
    assert.strictEqual(
      Panel.renderLine(view),
      "november: running · 350,000 records · 99,980 answered · parts: 1 collected, 1 InProgress, 1 Submitted, 1 uploaded"
    )
  })

  it("shows how fast the input is read, until all of it is there", () => {
    const reading = { records: 90_000, bad: 3, bytes: 25, size: 100, millis: 60_000 }
    const open: Status = { ...status, state: "open", sealed: false, parts: [], records: 0, refused: 0, rejected: 0 }
    const uploading = { ...view, reading, status: { ...open, inputTokens: 0, outputTokens: 0, succeeded: 0 } }
    assert.deepEqual(Panel.render(uploading), [
      "november: uploading, 2 h 0 min",
      "read      ██████░░░░░░░░░░░░░░░░░░  25 %   90,000 records, 3 can't be asked   1,500 per second   about 3 min 0 s left",
      "uploaded  0 records in 0 parts",
      "answered  0 of 0",
      "next      the rest of the input"
    ])
    assert.include(Panel.renderLine(uploading), "· 90,000 records read (1,500 per second)")
    const piped = { ...view, status: undefined, reading: { ...reading, size: undefined, bad: 0 } }
    assert.deepEqual(Panel.render(piped), [
      "november: looking at the bucket, 2 h 0 min",
      "read      90,000 records   1,500 per second"
    ])
    assert.strictEqual(Panel.renderLine(piped), "november: 90,000 records read (1,500 per second)")
    assert.notInclude(Panel.render({ ...view, reading }).join(), "per second")
    assert.isUndefined(Panel.renderLine({ ...view, status: undefined }))
  })

  it("shows what is sent again, and what is asked on demand", () => {
    const second = { ...status, round: 1, parts: [...status.parts, part(0, { round: 1, records: 120 })] }
    const rows = Panel.render({ ...view, status: second })
    assert.include(rows, "uploaded  350,000 records in 4 parts   round 2: 120 sent again")
    assert.include(rows, "          round 2 part 1   InProgress")
    const late = { ...status, parts: [], late: { why: "small", records: 8, done: false } } as const
    const asked = Panel.render({ ...view, status: late, calls: { answered: 5, failed: 0 } })
    assert.include(asked, "answered  99,985 of 350,000   5 of them on demand   rejected 12   refused 2")
    assert.include(asked, "next      8 records are asked on demand: too few for a job")
  })

  it("says what comes next, whatever the state", () => {
    const next = (more: Partial<Status>) => Panel.render({ ...view, status: { ...status, ...more } }).at(-1)
    const running = { parts: [part(1)] }
    assert.strictEqual(next(running), "next      its jobs end, and what they answered is read")
    assert.strictEqual(
      next({ parts: [part(0, { phase: "collected", unanswered: 8 }), part(1)] }),
      "next      8 records that failed, again and alone, when the jobs of this round have ended"
    )
    assert.strictEqual(next({ state: "cancelling" }), "next      its jobs stop; what was answered stays")
    assert.strictEqual(next({ state: "done" }), "next      its results")
    assert.include(
      next({ problem: { kind: "failed", job: "a", status: "Failed", message: "no" } }),
      "something has to be mended"
    )
    assert.strictEqual(
      Panel.render({ ...view, stopping: true }).at(-1),
      "Stopping: what has begun is put down. Ctrl-C again stops at once."
    )
  })

  it("has rows for so many jobs, and counts the others", () => {
    const many = { ...status, parts: Array.from({ length: 11 }, (_, n) => part(n)) }
    const rows = Panel.render({ ...view, status: many })
    assert.strictEqual(rows.filter((row) => row.startsWith("          part")).length, Panel.maxJobs)
    assert.include(rows, "          and 3 more")
  })
})

describe("the time left of a job", () => {
  const job: Panel.Job = {
    submittedAt: 0,
    counts: { total: 1000, processed: 900, failed: 0 },
    seenAt: 30_000,
    first: { at: 0, processed: 100 }
  }

  it("is by its pace since it was first seen, less what has passed since it was last seen", () => {
    assert.strictEqual(Panel.timeLeft(job, 30_000), 3750)
    assert.strictEqual(Panel.timeLeft(job, 31_000), 2750)
    assert.strictEqual(Panel.timeLeft(job, 40_000), 0)
  })

  it("is not known of one that did not move", () => {
    assert.isUndefined(Panel.timeLeft({ ...job, first: { at: 0, processed: 900 } }, 30_000))
    assert.isUndefined(Panel.timeLeft({ ...job, counts: undefined }, 30_000))
  })
})

describe("the progress of a batch", () => {
  const job: JobDetail = { arn: "", name: "", status: "InProgress", submittedAt: 0, input: "", output: "" }

  const watched = (live: boolean, gone = false) =>
    Effect.gen(function*() {
      const asked: Array<string> = []
      const written: Array<string> = []
      let processed = 0
      const services = Layer.merge(
        Layer.succeed(JobControl.JobControl, {
          create: () => Effect.succeed(""),
          get: (arn) =>
            Effect.suspend(() => {
              asked.push(arn)
              if (gone) {
                const error = { name: "ResourceNotFoundException", message: "gone" }
                return Effect.fail(Classification.fromUnknown(error, { operation: "GetModelInvocationJob" }))
              }
              return Effect.succeed({
                ...job,
                arn,
                counts: { total: 1000, processed: processed += 100, succeeded: 0, failed: 0 }
              })
            }),
          list: () => Stream.empty,
          stop: () => Effect.void
        }),
        Layer.effect(
          Screen.Screen,
          Screen.make({
            live,
            columns: Effect.succeed(120),
            write: (text) => Effect.sync(() => void written.push(text))
          })
        )
      )
      const progress = yield* Progress.make({
        name: "november",
        input: undefined,
        prices: undefined,
        every: Duration.seconds(30)
      }).pipe(Effect.provide(services))
      progress.status({ ...status, parts: Array.from({ length: 11 }, (_, n) => part(n)) })
      yield* Effect.forkScoped(progress.display)
      return { asked, progress, written }
    })

  it.effect("looks at the jobs that have a row, no oftener than it is told to, and learns how fast they go", () =>
    Effect.gen(function*() {
      const { asked, progress } = yield* watched(true)
      yield* TestClock.adjust("29 seconds")
      assert.lengthOf(asked, Panel.maxJobs)
      yield* TestClock.adjust("30 seconds")
      assert.lengthOf(asked, 2 * Panel.maxJobs)
      const { jobs, now } = yield* progress.view
      const first = jobs.get("job-0")
      assert.isDefined(first)
      // 100 of 1,000 at first, and 800 more in 30 seconds.
      assert.deepInclude(first, { first: { at: 0, processed: 100 } })
      if (first !== undefined) assert.isBelow(Panel.timeLeft(first, now) ?? Infinity, 10_000)
    }))

  it.effect("asks no oftener for jobs that can't be seen", () =>
    Effect.gen(function*() {
      const { asked } = yield* watched(true, true)
      yield* TestClock.adjust("29 seconds")
      assert.lengthOf(asked, Panel.maxJobs)
      yield* TestClock.adjust("30 seconds")
      assert.lengthOf(asked, 2 * Panel.maxJobs)
    }))

  it.effect("asks for nothing where nobody sees it, and says a line where it says something new", () =>
    Effect.gen(function*() {
      const { asked, progress, written } = yield* watched(false)
      yield* TestClock.adjust("1 minute")
      assert.lengthOf(asked, 0)
      assert.lengthOf(written, 1)
      progress.status({ ...status, state: "done" })
      yield* TestClock.adjust("1 minute")
      assert.lengthOf(written, 2)
      assert.match(written[1] ?? "", /^november: done · /)
    }))
})
