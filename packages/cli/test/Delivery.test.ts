import * as Delivery from "@caprock/cli/run/Delivery"
import * as IdTable from "@caprock/cli/run/IdTable"
import { Journal } from "@caprock/cli/run/Journal"
import type { ResultLine } from "@caprock/cli/run/ResultLine"
import { CliFailure } from "@caprock/cli/terminal/CliFailure"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Support from "./support.ts"

const full = new CliFailure({ problem: "full", remedy: "free" })

const answered = (line: number): ResultLine => Support.answered(`r${line}`, line)

const failed = (line: number): ResultLine => ({
  id: `r${line}`,
  line,
  error: { reason: "ServerError", message: "no", retryable: true },
  attempts: 4,
  waitedMillis: 0,
  serviceMillis: 1
})

/** A journal that is full until it is not, and what it has and was told. */
const onDisk = (options: { readonly retryable: boolean; readonly sync?: Effect.Effect<void, CliFailure> }) => {
  const state = { full: true, tries: 0, lines: Array<number>(), counted: Array<number>(), failures: 0 }
  const journal = Journal.of({
    found: { answered: 0, failed: 0, repeated: 0, tornBytes: 0, models: new Map(), tookOverFrom: undefined },
    ids: IdTable.make(),
    append: (results) =>
      Effect.suspend(() => {
        state.tries += 1
        if (state.full) return Effect.fail(full)
        // As a disk does, it takes its time.
        return Effect.andThen(
          Effect.yieldNow,
          Effect.sync(() => void state.lines.push(...results.map(({ line }) => line)))
        )
      }),
    retryable: options.retryable,
    sync: options.sync ?? Effect.void
  })
  const delivery = Delivery.make(journal, () =>
    Effect.sync(() => {
      state.failures += 1
    }))
  const write = (result: ResultLine) =>
    delivery.write([result], Effect.sync(() => void state.counted.push(result.line)))
  return { delivery, state, write }
}

describe("Delivery", () => {
  it.effect("writes what it holds as soon as there is room for anything", () =>
    Effect.gen(function*() {
      const { delivery, state, write } = onDisk({ retryable: true })
      yield* write(answered(1))
      yield* write(failed(2))
      assert.deepStrictEqual(state, { full: true, tries: 2, lines: [], counted: [], failures: 1 })
      state.full = false
      yield* write(answered(3))
      assert.deepStrictEqual(state.lines, [3, 1, 2])
      assert.deepStrictEqual(state.counted, [3, 1, 2])
      // The run was stopped all the same: the failure is told.
      assert.deepStrictEqual(yield* delivery.finish(Effect.never), { failure: full, lost: [] })
    }))

  it.effect("writes nothing twice, however many find room at once, and whoever is interrupted", () =>
    Effect.gen(function*() {
      const { state, write } = onDisk({ retryable: true })
      yield* Effect.forEach([1, 2, 3], (line) => write(answered(line)))
      state.full = false
      const writers = yield* Effect.forEach(
        [4, 5, 6],
        (line) => Effect.forkChild(write(answered(line)), { startImmediately: true })
      )
      yield* Effect.yieldNow
      yield* Fiber.interruptAll(writers)
      assert.deepStrictEqual(state.lines.toSorted(), [1, 2, 3, 4, 5, 6])
    }))

  it.effect("tries three times more in the end, a second apart", () =>
    Effect.gen(function*() {
      const { delivery, state, write } = onDisk({ retryable: true })
      yield* write(answered(1))
      const fiber = yield* Effect.forkChild(delivery.finish(Effect.never))
      for (const tries of [2, 3]) {
        yield* TestClock.adjust("1 second")
        assert.strictEqual(state.tries, tries)
      }
      state.full = false
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual((yield* Fiber.join(fiber)).lost, [])
      assert.deepStrictEqual(state.lines, [1])
    }))

  it.effect("names the answers that are lost, and does not wait for them where that is not wanted", () =>
    Effect.gen(function*() {
      const { delivery, write } = onDisk({ retryable: true })
      yield* write(answered(1))
      yield* write(failed(2))
      const { failure, lost } = yield* delivery.finish(Effect.void)
      assert.strictEqual(failure, full)
      assert.deepStrictEqual(lost.map(({ line }) => line), [1])
    }))

  it.effect("has no hope for a pipe, and tries it no more", () =>
    Effect.gen(function*() {
      const { delivery, state, write } = onDisk({ retryable: false })
      const fiber = yield* Effect.forkChild(delivery.hopeless)
      yield* write(answered(1))
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* delivery.finish(Effect.never), { failure: full, lost: [] })
      assert.strictEqual(state.tries, 1)
    }))

  it.effect("tells that the disk did not take in the end what it had taken", () =>
    Effect.gen(function*() {
      const { delivery, state, write } = onDisk({ retryable: true, sync: Effect.fail(full) })
      state.full = false
      yield* write(answered(1))
      assert.deepStrictEqual(yield* delivery.finish(Effect.never), { failure: full, lost: [] })
      assert.strictEqual(state.failures, 0)
    }))
})
