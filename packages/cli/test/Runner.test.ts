import * as Summary from "@caprock/cli/run/Summary"
import * as Reason from "@caprock/errors/Reason"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, FileSystem } from "effect"
import { TestClock } from "effect/testing"
import {
  echo,
  failure,
  isAnswer,
  isError,
  makeSignals,
  model,
  outputPath,
  platform,
  readResults,
  runPrompts,
  stub
} from "./support.ts"

/** Time goes on until it has ended: files are written in real time. */
const settled = <A, E>(fiber: Fiber.Fiber<A, E>): Effect.Effect<A, E> =>
  Effect.gen(function*() {
    while (fiber.pollUnsafe() === undefined) {
      yield* TestClock.adjust("1 second")
      yield* Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))
    }
    return yield* Fiber.join(fiber)
  })

const throttled = failure(new Reason.ThrottlingError({ limit: "tokens", message: "Too many tokens" }), 4)

const unavailable = failure(new Reason.ServerError({ kind: "unavailable", message: "Service unavailable" }), 4)

describe("Runner", () => {
  it.effect("answers each line once and joins the answer to its id", () =>
    Effect.gen(function*() {
      const output = yield* outputPath
      const { outcome } = yield* runPrompts({
        input: `{"id":"a","prompt":"one"}\n{"prompt":"two"}\r\n\n{"id":3,"prompt":"three"}`,
        output,
        target: stub(echo)
      })
      assert.isUndefined(outcome.stop)
      const results = (yield* readResults(output)).filter(isAnswer)
      assert.deepEqual(results.map(({ id, line, text }) => [id, line, text]), [
        ["a", 1, "re: one"],
        ["line-2", 2, "re: two"],
        [3, 4, "re: three"]
      ])
      assert.deepInclude(results[0], {
        model,
        stopReason: "end_turn",
        usage: { inputTokens: 5, outputTokens: 7 },
        attempts: 1,
        waitedMillis: 0,
        serviceMillis: 3
      })
    }).pipe(platform))

  it.effect("stops at the first line that can't be asked, where it is strict", () =>
    Effect.gen(function*() {
      const output = yield* outputPath
      const asked: Array<string> = []
      const { outcome } = yield* runPrompts({
        input: `{"id":"a","prompt":"one"}\nno JSON\n{"id":"c","prompt":"three"}\n`,
        output,
        target: stub(echo, { asked }),
        strict: true
      })
      assert.strictEqual(outcome.stop?._tag, "Failure")
      if (outcome.stop?._tag === "Failure") assert.match(outcome.stop.failure.problem, /^Stopped: line 2 is not JSON: /)
      assert.notInclude(asked, "three")
      // What was on its way is not lost, and the bad line has no result: the same command asks it when it is mended.
      assert.deepEqual((yield* readResults(output)).map(({ id }) => id), asked.map(() => "a"))
    }).pipe(platform))

  it.effect("a continued run asks only what has no answer, and leaves one line per line of the input", () =>
    Effect.gen(function*() {
      const output = yield* outputPath
      const input = `{"id":"a","prompt":"one"}\n{"id":"b","prompt":"two"}\n{"id":"c","prompt":"three"}\nnot json\n`
      const asked: Array<string> = []
      yield* runPrompts({
        input,
        output,
        target: stub((asked) => asked.text === "two" ? Effect.fail(unavailable) : echo(asked), { asked })
      })
      const first = yield* readResults(output)
      assert.sameMembers(first.filter(isError).map((line) => line.id), ["b", "line-4"])
      assert.deepEqual(first.filter(isError).find((line) => line.id === "b")?.error.kind, "unavailable")
      const { found, view } = yield* runPrompts({ input, output, target: stub(echo, { asked }) })
      assert.deepEqual(asked, ["one", "two", "three", "two"])
      assert.deepInclude(found, { answered: 2, failed: 2, tornBytes: 0 })
      assert.deepInclude(view.counts, { skipped: 2, answered: 1, failed: 1, badLines: 1 })
      const second = yield* readResults(output)
      assert.sameMembers(second.map((line) => line.id), ["a", "b", "c", "line-4"])
      assert.strictEqual(second.filter(isAnswer).length, 3)
    }).pipe(platform))

  it.effect("the first of two lines with one id counts; the later one says so", () =>
    Effect.gen(function*() {
      const output = yield* outputPath
      const input =
        `{"id":"a","prompt":"one"}\n{"id":"a","prompt":"two"}\n{"id":"line-4","prompt":"three"}\n{"prompt":"four"}\n`
      for (let round = 0; round < 2; round++) {
        yield* runPrompts({ input, output, target: stub(echo) })
        const results = yield* readResults(output)
        assert.strictEqual(results.length, 4)
        assert.deepEqual(
          results.filter(isError).map(({ error, id, line }) => [id, line, error.kind, error.message.slice(0, 40)]),
          [
            ["a", 2, "duplicate-id", `line 2 repeats the id "a" of line 1, whi`],
            ["line-4", 4, "duplicate-id", `line 4 repeats the id "line-4" of line 3`]
          ]
        )
      }
    }).pipe(platform))

  it.effect("a changed prompt under an answered id is noticed, and the old answer kept", () =>
    Effect.gen(function*() {
      const output = yield* outputPath
      yield* runPrompts({ input: `{"id":"a","prompt":"one"}\n{"id":"b","prompt":"two"}`, output, target: stub(echo) })
      const { outcome, view } = yield* runPrompts({
        input: `{"id":"a","prompt":"ONE"}\n{"id":"b","prompt":"two"}`,
        output,
        target: stub(echo),
        // Neither of these makes an answer stale.
        defaults: { model: "amazon.nova-lite-v1:0", maxTokens: 17 }
      })
      assert.deepEqual(outcome.changedLines, [1])
      assert.deepInclude(view.counts, { skipped: 2, changed: 1, answered: 0 })
      assert.strictEqual((yield* readResults(output)).length, 2)
      const third = yield* runPrompts({
        input: `{"id":"a","prompt":"one"}`,
        output,
        target: stub(echo),
        defaults: { model, system: "Be brief" }
      })
      assert.strictEqual(third.view.counts.changed, 1)
    }).pipe(platform))

  it.effect("after the first signal what was sent is finished, and what only waits is dropped", () =>
    Effect.gen(function*() {
      const output = yield* outputPath
      const signals = yield* makeSignals
      const asked: Array<string> = []
      const input = Array.from({ length: 20 }, (_, i) => `{"id":"${i}","prompt":"${i}"}\n`).join("")
      const { outcome, view } = yield* runPrompts({
        input,
        output,
        target: stub((asked) => {
          // Lines 0 to 3 are sent; the others wait for quota that never comes.
          if (Number(asked.text) > 3) return Effect.never
          asked.events({ _tag: "Admitted", pool: "pool", attempt: 1, waitedMillis: 0 })
          return Effect.gen(function*() {
            if (asked.text === "3") {
              yield* Effect.yieldNow
              signals.send("SIGINT")
            }
            for (let i = 0; i < 50; i++) yield* Effect.yieldNow
            // A retry after the signal is not waited for.
            if (asked.text === "2") {
              asked.events({ _tag: "AttemptFailed", pool: "pool", attempt: 1, error: throttled })
              return yield* Effect.never
            }
            return yield* echo(asked)
          })
        }, { asked, admit: false }),
        signals: signals.layer
      })
      assert.deepEqual(outcome.stop, { _tag: "Signal", signal: "SIGINT" })
      // 4 sent and 8 waiting: no more lines than that were taken.
      assert.strictEqual(asked.length, 12)
      assert.sameMembers((yield* readResults(output)).map((line) => line.id), ["0", "1", "3"])
      assert.deepInclude(view.counts, { answered: 3, dropped: 9, waiting: 0, sent: 0, pausing: 0 })

      yield* runPrompts({ input, output, target: stub(echo) })
      assert.strictEqual(new Set((yield* readResults(output)).map((line) => line.id)).size, 20)
    }).pipe(platform))

  it.effect("a line with one request under way is finished after the signal, whatever waits beside it or has failed", () =>
    Effect.gen(function*() {
      const output = yield* outputPath
      const signals = yield* makeSignals
      const { view } = yield* runPrompts({
        input: `{"id":"waits","prompt":"0"}\n{"id":"failed","prompt":"1"}\n`,
        output,
        target: stub((asked) =>
          Effect.gen(function*() {
            const pools = ["one", "two"] as const
            for (const pool of pools) asked.events({ _tag: "Waiting", pool, tokens: 10 })
            asked.events({ _tag: "Left", pool: "two" })
            asked.events({ _tag: "Admitted", pool: "one", attempt: 1, waitedMillis: 0 })
            asked.events({ _tag: "Waiting", pool: "two", tokens: 10 })
            if (asked.text === "1") {
              asked.events({ _tag: "Admitted", pool: "two", attempt: 2, waitedMillis: 0 })
              asked.events({ _tag: "AttemptFailed", pool: "one", attempt: 1, error: throttled })
              signals.send("SIGINT")
            }
            for (let i = 0; i < 50; i++) yield* Effect.yieldNow
            return yield* echo(asked)
          }), { admit: false }),
        signals: signals.layer
      })
      assert.sameMembers((yield* readResults(output)).map((line) => line.id), ["waits", "failed"])
      assert.deepInclude(view.counts, { answered: 2, dropped: 0, waiting: 0, sent: 0, pausing: 0 })
    }).pipe(platform))

  it.effect("no more lines are taken than may be under way, nor more bytes", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const output = yield* outputPath
      const input = Array.from({ length: 300 }, (_, i) => `{"prompt":"${String(i).padStart(86, " ")}"}\n`).join("")
      // Each line is 100 bytes long.
      const most = (limits: { readonly maxCalls?: number; readonly maxBytes?: number }) =>
        Effect.gen(function*() {
          let open = 0
          let most = 0
          yield* runPrompts({
            input,
            output,
            chunk: 1000,
            limits,
            target: stub((asked) =>
              Effect.gen(function*() {
                most = Math.max(most, ++open)
                for (let i = 0; i < 5; i++) yield* Effect.yieldNow
                open -= 1
                return yield* echo(asked)
              })
            )
          })
          assert.strictEqual((yield* readResults(output)).length, 300)
          yield* fs.remove(output)
          return most
        })
      assert.strictEqual(yield* most({ maxCalls: 10 }), 10)
      assert.strictEqual(yield* most({ maxBytes: 650 }), 7)
      assert.strictEqual(yield* most({ maxBytes: 1 }), 1)
    }).pipe(platform))

  it.effect("a stream cut after its first content is asked again, and at last ends with what had arrived", () =>
    Effect.gen(function*() {
      const output = yield* outputPath
      const cut = failure(
        new Reason.InterruptedStreamError({ content: true, partial: { text: "Once upon" }, message: "cut" })
      )
      let times = 0
      const asked: Array<string> = []
      yield* runPrompts({
        input: `{"prompt":"heals"}\n{"prompt":"never heals"}`,
        output,
        target: stub((question) => question.text === "heals" && times++ > 0 ? echo(question) : Effect.fail(cut), {
          asked
        })
      })
      const results = yield* readResults(output)
      assert.strictEqual(asked.filter((text) => text === "heals").length, 2)
      assert.strictEqual(asked.filter((text) => text === "never heals").length, 3)
      assert.deepInclude(results.find((line) => line.id === "line-1"), { text: "re: heals", attempts: 2 })
      const failed = results.find(isError)
      assert.deepInclude(failed?.error, { reason: "InterruptedStreamError", partialText: "Once upon" })
    }).pipe(platform))

  it.effect("a throttled line does not end in its throttle: it is asked again after a pause, and the wait is told", () =>
    Effect.gen(function*() {
      const output = yield* outputPath
      const input = Array.from({ length: 20 }, (_, i) => `{"prompt":"${i}"}\n`).join("")
      const asked: Array<string> = []
      const fiber = yield* Effect.forkChild(runPrompts({
        input,
        output,
        target: stub(
          (question) =>
            asked.filter((text) => text === question.text).length === 1 ? Effect.fail(throttled) : echo(question),
          { asked }
        )
      }))
      const { view, written } = yield* settled(fiber)
      assert.deepInclude(view.counts, { answered: 20, failed: 0, waiting: 0, sent: 0, pausing: 0 })
      assert.strictEqual(written.filter((text) => text.includes("more than the given quotas explain")).length, 1)
      const results = (yield* readResults(output)).filter(isAnswer)
      assert.strictEqual(results.length, 20)
      assert.isTrue(results.every(({ attempts, waitedMillis }) => attempts === 2 && waitedMillis >= 500))
    }).pipe(platform))

  it.effect("a quota of nothing stops the run, after more than a minute", () =>
    Effect.gen(function*() {
      const output = yield* outputPath
      const input = Array.from({ length: 300 }, (_, i) => `{"prompt":"${i}"}\n`).join("")
      const asked: Array<string> = []
      const fiber = yield* Effect.forkChild(runPrompts({
        input,
        output,
        target: stub(() => Effect.fail(throttled), { asked }),
        limits: { maxCalls: 4 }
      }))
      const { outcome } = yield* settled(fiber)
      if (outcome.stop?._tag !== "Failure") return assert.fail("it was not stopped")
      assert.include(outcome.stop.failure.remedy, "the quota may be 0")
      // Each of the four pauses half a second to a second, then twice as long each time, up to half a minute: in 100 s no more than 11 times,
      // and is then asked once more.
      assert.isAtMost(asked.length, 4 * 12)
      assert.isAtMost((yield* readResults(output)).length, 4)
    }).pipe(platform))

  it.effect("an access error stops the run at once, another hopeless one after five in a row", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const output = yield* outputPath
      const input = Array.from({ length: 100 }, (_, i) => `{"prompt":"${i}"}\n`).join("")
      const cases = [
        [new Reason.AccessError({ kind: "expired-credentials", message: "The security token is expired" }), 1],
        [new Reason.AccessError({ kind: "denied", message: "You don't have access to the model" }), 5],
        [new Reason.TimeoutError({ kind: "connect", message: "No connection within 10000 ms." }), 5],
        [new Reason.TimeoutError({ kind: "first-token", message: "The first token did not come" }), 100],
        [new Reason.ThrottlingError({ limit: "tokens-per-day", message: "Too many tokens per day" }), 1],
        [new Reason.ValidationError({ kind: "malformed", message: "no" }), 100]
      ] as const
      for (const [reason, lines] of cases) {
        const { outcome } = yield* runPrompts({
          input,
          output,
          target: stub(() => Effect.fail(failure(reason))),
          limits: { maxCalls: 1 }
        })
        assert.strictEqual(outcome.stop?._tag, lines === 100 ? undefined : "Failure", reason._tag)
        assert.strictEqual((yield* readResults(output)).length, lines, reason._tag)
        yield* fs.remove(output)
      }
    }).pipe(platform))

  describe("an output that fails", () => {
    const input = Array.from(
      { length: 20 },
      (_, i) => i === 2 ? `{"prompt":"2"}\n` : `{"id":"r${i}","prompt":"${i}"}\n`
    )
      .join("")
    /** Four are sent, one answers after the other; the others wait for quota that never comes. */
    const slowly = (asked: Array<string>, before: (text: string) => Effect.Effect<void>) =>
      stub((question) => {
        if (Number(question.text) > 3) return Effect.never
        question.events({ _tag: "Admitted", pool: "pool", attempt: 1, waitedMillis: 0 })
        return Effect.andThen(before(question.text), echo(question)).pipe(
          Effect.delay(`${1 + Number(question.text)} seconds`)
        )
      }, { asked, admit: false })

    it.effect("sends nothing more; what was under way is held, and written when there is room again", () =>
      Effect.gen(function*() {
        const output = yield* outputPath
        const asked: Array<string> = []
        const disk = { left: 300 }
        const fiber = yield* Effect.forkChild(runPrompts({
          input,
          output,
          disk,
          target: slowly(asked, (text) =>
            Effect.gen(function*() {
              if (text !== "3") return
              // Files are written in real time: it must have been full before there is room.
              while (disk.left > 0) yield* Effect.sleep("1 second")
              disk.left = 1e6
            }))
        }))
        const { outcome, view, written } = yield* settled(fiber)
        if (outcome.stop?._tag !== "Failure") return assert.fail("it was not stopped")
        assert.include(outcome.stop.failure.message, "the disk is full (ENOSPC)")
        assert.lengthOf(written.filter((text) => text.includes("Nothing more is sent.")), 1)
        assert.deepEqual(outcome.lost, [])
        assert.sameMembers((yield* readResults(output)).map((line) => line.id), ["r0", "r1", "line-3", "r3"])
        assert.deepInclude(view.counts, { answered: 4, dropped: 8, waiting: 0, sent: 0 })
        assert.lengthOf(asked, 12)
      }).pipe(platform))

    it.effect("names what was lost when there is no room to the end, and the next run asks just that", () =>
      Effect.gen(function*() {
        const output = yield* outputPath
        const signals = yield* makeSignals
        const fiber = yield* Effect.forkChild(runPrompts({
          input,
          output,
          disk: { left: 300 },
          signals: signals.layer,
          // Stopped by hand before: the loss has to be told all the same.
          target: slowly([], (text) =>
            Effect.sync(() => {
              if (text === "0") signals.send("SIGINT")
            }))
        }))
        const { found, outcome, tally, view } = yield* settled(fiber)
        if (outcome.stop?._tag !== "Failure") return assert.fail("the loss was not told")
        assert.sameDeepMembers(outcome.lost.map(({ id, line }) => [id, line]), [["r1", 2], ["line-3", 3], ["r3", 4]])
        assert.deepEqual((yield* readResults(output)).map((line) => line.id), ["r0"])
        const summary = Summary.render(view, outcome, tally, found, { output, maxConnections: 64, quotaNames: {} })
        assert.include(summary.join("\n"), "1 answered, the rest without a result yet")
        assert.include(
          summary,
          `3 answers could not be written and are lost: lines 2 ("r1"), 3, 4 ("r3"). ` +
            "The same command asks these again, with those that had no answer yet."
        )
        const asked: Array<string> = []
        yield* runPrompts({ input, output, target: stub(echo, { asked }) })
        assert.lengthOf(asked, 19)
        assert.strictEqual(new Set((yield* readResults(output)).map((line) => line.id)).size, 20)
      }).pipe(platform))
  })

  it.effect("a defect of a layer below ends the line in an error, not in silence", () =>
    Effect.gen(function*() {
      const output = yield* outputPath
      yield* runPrompts({ input: `{"prompt":"x"}`, output, target: stub(() => Effect.die(new Error("oops"))) })
      const line = (yield* readResults(output)).find(isError)
      assert.strictEqual(line?.error.reason, "UnknownError")
      assert.include(line?.error.message, "oops")
    }).pipe(platform))
})
