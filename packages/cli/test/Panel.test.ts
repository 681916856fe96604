import type { Found } from "@caprock/cli/run/Journal"
import * as Panel from "@caprock/cli/run/Panel"
import * as Summary from "@caprock/cli/run/Summary"
import * as Tally from "@caprock/cli/run/Tally"
import { make } from "@caprock/cli/terminal/Screen"
import * as Reason from "@caprock/errors/Reason"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { failure, model } from "./support.ts"

const pool = {
  waiting: 3,
  meters: [
    { unit: "requests", limit: 60, windowMillis: 60_000, used: 60 },
    { unit: "tokens", limit: 200_000, windowMillis: 60_000, used: 50_000 }
  ]
} as const

const tallied = () => {
  const tally = Tally.make({ maxConnections: 2, now: 0 })
  // Two calls of the four lines that were read; one waits for half a minute.
  tally.update((counts) => {
    counts.lines = 4
    counts.skipped = 1
    counts.bytesRead = 400
    counts.bytesDone = 250
    counts.bytesAsked = 150
  })
  tally.move(undefined, "waiting", 0)
  tally.move(undefined, "waiting", 0)
  tally.move("waiting", "sent", 10_000)
  tally.event({ _tag: "Admitted", pool: "p", attempt: 1, waitedMillis: 10_000 }, 10_000)
  tally.move("waiting", "sent", 30_000)
  tally.event({ _tag: "Admitted", pool: "p", attempt: 1, waitedMillis: 30_000 }, 30_000)
  const error = failure(new Reason.ThrottlingError({ limit: "tokens", message: "no" }))
  tally.event({ _tag: "AttemptFailed", pool: "p", attempt: 1, error }, 40_000)
  tally.move("sent", "pausing", 40_000)
  tally.event({ _tag: "Settled", pool: "p", reserved: 4000, booked: 5000, charged: 600 }, 40_000)
  tally.event(
    { _tag: "CallEnded", pool: "p", attempts: 1, waitedMillis: 10_000, serviceMillis: 30_000, succeeded: true },
    40_000
  )
  tally.move("sent", undefined, 40_000)
  tally.answer({ inputTokens: 100, outputTokens: 500 }, "max_tokens")
  return tally
}

const viewOf = (tally: Tally.Tally, given: Partial<Panel.View> = {}): Panel.View => ({
  counts: tally.counts,
  size: 1000,
  elapsedMillis: 40_000,
  pool,
  lastMinute: tally.lastMinute(40_000),
  stopping: false,
  ...given
})

const found: Found = {
  answered: 1,
  failed: 0,
  repeated: 0,
  tornBytes: 0,
  models: new Map(),
  tookOverFrom: undefined
}

describe("Tally", () => {
  it("keeps the time in which calls waited apart from that in which connections were short", () => {
    const { counts } = tallied()
    assert.deepInclude(counts, {
      waiting: 0,
      sent: 0,
      pausing: 1,
      requests: 1,
      timeWaiting: 30_000,
      timeConnectionsFull: 10_000,
      cutAtMaxTokens: 1
    })
    assert.deepEqual(counts.throttles, { requests: 0, tokens: 1, tokensPerDay: 0, unknown: 0 })
  })

  it("sums over the last minute", () => {
    const tally = tallied()
    assert.deepEqual(tally.lastMinute(40_000), { requests: 2, tokens: 600 })
    assert.deepEqual(tally.lastMinute(71_000), { requests: 1, tokens: 600 })
    assert.deepEqual(tally.lastMinute(99_999), { requests: 0, tokens: 600 })
    assert.deepEqual(tally.lastMinute(101_000), { requests: 0, tokens: 0 })
    assert.deepEqual(tally.lastMinute(1_000_000), { requests: 0, tokens: 0 })
  })
})

describe("Panel", () => {
  it("shows how far it is, what of the quota is used, and what goes on", () => {
    assert.deepEqual(Panel.render(viewOf(tallied())), [
      "██████░░░░░░░░░░░░░░░░░░  25 %  1 answered, 1 before  40 s, about 3 min 20 s left",
      "requests ████████████████████████ 100 %  60 of 60 in a minute",
      "tokens   ██████░░░░░░░░░░░░░░░░░░  25 %  50,000 of 200,000 in a minute",
      "in flight 0   waiting 1   throttles 1   errors 0"
    ])
    assert.strictEqual(
      Panel.renderLine(viewOf(tallied())),
      "40 s: 1 answered, 25 %, 60 of 60 requests in a minute, 50,000 of 200,000 tokens in a minute, 0 in flight, 1 waiting, " +
        "1 throttle, 0 errors, about 3 min 20 s left"
    )
  })

  it("shows rates where there is no quota, and no share where the end is unknown", () => {
    const view = viewOf(tallied(), { size: undefined, pool: { waiting: 0, meters: [] }, stopping: true })
    assert.deepEqual(Panel.render(view), [
      "1 answered of 4 read so far, 40 s",
      "no quota given: 2 requests and 600 tokens in the last minute",
      "in flight 0   waiting 1   throttles 1   errors 0",
      "Stopping: 0 requests are still being answered. Ctrl-C again stops at once."
    ])
    assert.include(Panel.renderLine(view), "2 requests and 600 tokens per minute")
  })

  it("shows rates for a route, whose pools are several", () => {
    const view = viewOf(tallied(), { pool: { waiting: 0, several: true, meters: [] } })
    assert.include(Panel.render(view), "by a route: 2 requests and 600 tokens in the last minute")
  })

  it("expects the quota's pace where the first burst was faster, and the pace so far where that was slower", () => {
    const tally = tallied()
    // 750 bytes are left, at 150 bytes per call: 5 calls.
    assert.strictEqual(Panel.timeLeft(viewOf(tally, { elapsedMillis: 100 })), 5 * 1000)
    assert.strictEqual(Panel.timeLeft(viewOf(tally, { elapsedMillis: 2000 })), 5 * 2000)
    assert.isUndefined(Panel.timeLeft(viewOf(Tally.make({ maxConnections: 1, now: 0 }))))
  })
})

describe("Summary", () => {
  const context = { output: "r.jsonl", maxConnections: 2, quotaNames: {} }

  it("says what came of it, and how to go on", () => {
    const tally = tallied()
    tally.failure("ThrottlingError")
    tally.failure("wrong-shape")
    tally.failure("wrong-shape")
    tally.update((counts) => {
      counts.curable = 1
      counts.badLines = 2
      counts.changed = 1
    })
    assert.deepEqual(
      Summary.render(
        viewOf(tally),
        { stop: undefined, changedLines: [3], lost: [] },
        tally,
        { ...found, answered: 3 },
        context
      ),
      [
        "1 answered, 3 failed (ThrottlingError 1, wrong-shape 2), 1 answered before, in 40 s.",
        "1 request sent (0.50 per line), 1 throttle (requests 0, tokens 1, per day 0, unknown 0).",
        "100 input and 500 output tokens; charged to the quota 600, reserved 4,000, booked 5,000.",
        "Warning: 1 line asks something else than what r.jsonl answers under the same id (line 3). The old answers were kept. " +
        "To ask again, give the lines new ids, delete those answers from r.jsonl, or choose another --out.",
        "2 answers in r.jsonl without a line in this input: left there.",
        `2 lines would fail again as they are: each one's "error" in r.jsonl says what to change.`,
        "Run the same command again to ask 1 failed line again.",
        "Advice: Bedrock throttled 1 request for tokens while our ledger had room: the real quota is lower than --tpm says, " +
        "or somebody else draws on it. See Service Quotas, Amazon Bedrock, in the AWS console.",
        `Advice: 1 answer was cut off at maxTokens (100 %; "stopReason":"max_tokens"). A higher --max-tokens would let them end.`,
        "Advice: The requests quota sets the pace, and only 84 % of the token quota can be used at it: more requests per " +
        "minute would finish up to 1.2 times sooner, and longer prompts or answers cost no time. See Service Quotas, Amazon " +
        "Bedrock, in the AWS console."
      ]
    )
  })

  it("says what a continued run found", () => {
    assert.deepEqual(Summary.renderFound({ ...found, answered: 0 }, "r.jsonl", model), [])
    assert.deepEqual(
      Summary.renderFound(
        {
          answered: 2,
          failed: 1,
          repeated: 1,
          tornBytes: 2000,
          models: new Map([["old.model", 2]]),
          tookOverFrom: 17
        },
        "r.jsonl",
        model
      ),
      [
        "An earlier run on r.jsonl (process 17) did not end by itself; its lock was taken over.",
        "Its last line was torn and was cut off (2 KiB).",
        "1 further answer to ids that had one: only the first of each was kept.",
        "Continuing r.jsonl: 2 answers are kept, 1 line that failed will be asked again.",
        `Warning: answers in r.jsonl are by old.model (2); this run asks ${model}.`
      ]
    )
  })
})

describe("Screen", () => {
  it.effect("redraws the panel in place, cuts its rows to the terminal, and keeps what is said above it", () =>
    Effect.gen(function*() {
      const written: Array<string> = []
      yield* Effect.scoped(Effect.gen(function*() {
        const screen = yield* make({
          live: true,
          columns: Effect.succeed(6),
          write: (text) => Effect.sync(() => void written.push(text))
        })
        yield* screen.panel(["one", "two long"])
        yield* screen.say("note")
        yield* screen.panel(["three"])
      }))
      assert.deepEqual(written, [
        "one\ntwo l\n",
        "\r\u001b[2A\u001b[0Jnote\none\ntwo l\n",
        "\r\u001b[2A\u001b[0Jthree\n",
        "\r\u001b[1A\u001b[0J"
      ])
    }))

  it.effect("shows no panel where nobody sees it", () =>
    Effect.gen(function*() {
      const written: Array<string> = []
      const screen = yield* make({
        live: false,
        columns: Effect.succeed(80),
        write: (text) => Effect.sync(() => void written.push(text))
      })
      yield* screen.panel(["one"])
      yield* screen.say("note")
      assert.deepEqual(written, ["note\n"])
    }))
})
