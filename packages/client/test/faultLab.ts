// One call under one fault: real sockets, virtual time, what has to come of it, and everything that it could leave behind.
import { Emulator, LatencyModel } from "@caprock/emulator"
import type { BedrockError } from "@caprock/errors/BedrockError"
import * as Reason from "@caprock/errors/Reason"
import * as Verdict from "@caprock/errors/Verdict"
import { assert } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { End, Operation, Row, Shape } from "./faultTable.ts"
import { turns } from "./server.ts"

// -----------------------------------------------------------------------------
// What a call is made in
// -----------------------------------------------------------------------------

/** The window of all quotas: longer than any call takes here, in virtual time. */
export const window = "100 hours"

/** Time limits that pass in virtual time alone. */
export const timeouts = { firstToken: "10 minutes", betweenTokens: "10 minutes", call: "1000 hours" } as const

/** What each answer says: as many words as tokens. */
const words = Array.from({ length: 12 }, (_, i) => `word${String.fromCharCode(97 + i)}`)

export const makeEmulator = Emulator.make({
  latency: LatencyModel.fixed(0),
  output: () => ({ text: words.join(" "), outputTokens: words.length }),
  quota: { tokens: 1_000_000, requests: 1_000 },
  burndown: { "anthropic.claude-sonnet-4-5-20250929-v1:0": 5 },
  window
})

/** Runs on a clock that knows how many sleep by it. */
export const counted = <A, E, R>(run: (sleeping: () => number) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(Clock.Clock, (clock) => {
    let sleeping = 0
    const counting: Clock.Clock = {
      ...clock,
      sleep: (duration) =>
        Effect.suspend(() => {
          sleeping++
          return Effect.ensuring(clock.sleep(duration), Effect.sync(() => sleeping--))
        })
    }
    return Effect.provideService(run(() => sleeping), Clock.Clock, counting)
  })

/** Lets the event loop turn until something is true of the outside world. */
export const until = (what: string, condition: Effect.Effect<boolean>): Effect.Effect<void> =>
  Effect.gen(function*() {
    for (let turn = 0; turn < 20_000; turn++) {
      if (yield* condition) return
      yield* turns(1)
    }
    return yield* Effect.die(new Error(`never happened: ${what}`))
  })

/** What was seen of one call. */
export interface Seen {
  readonly exit: Exit.Exit<void, BedrockError>
  readonly events: ReadonlyArray<object>
  /** Requests that reached the server. */
  readonly sent: number
}

/**
 * Makes a call, and lets virtual time pass where nothing else goes on: between attempts, and where the fault makes it wait.
 * `shows`: so many events come before that. `failures`: attempts that have failed, where it is tried again by itself.
 */
export const observe = Effect.fnUntraced(function*(options: {
  readonly emulator: Emulator.Service
  readonly call: Effect.Effect<unknown, BedrockError> | Stream.Stream<object, BedrockError>
  readonly waits?: Row["waits"]
  readonly shows?: number
  readonly failures?: () => number
}) {
  const { call, emulator, failures = () => 0, shows = 0, waits } = options
  const events: Array<object> = []
  const sentBefore = (yield* emulator.stats).requests
  const failedBefore = failures()
  const running = yield* Effect.forkChild(Effect.exit(
    Stream.isStream(call)
      ? Stream.runForEach(call, (event) => Effect.sync(() => void events.push(event)))
      : Effect.asVoid(call)
  ))
  let waitedFor = 0
  for (let turn = 0; running.pollUnsafe() === undefined; turn++) {
    if (turn > 100_000) return yield* Effect.die(new Error("the call did not end"))
    yield* turns(1)
    const sent = (yield* emulator.stats).requests - sentBefore
    if (running.pollUnsafe() !== undefined || sent === 0) continue
    if (sent === failures() - failedBefore) yield* TestClock.adjust("1 minute")
    else if (events.length < shows) continue
    else if (waits === "bytes") yield* TestClock.adjust("1 minute")
    else if (waits === "limit" && waitedFor < sent) {
      // Once for each request, when what came before the silence has been read.
      waitedFor = sent
      yield* turns(5)
      yield* TestClock.adjust("1 hour")
    }
  }
  const seen: Seen = { exit: yield* Fiber.join(running), events, sent: (yield* emulator.stats).requests - sentBefore }
  return seen
})

/** Fails where a call has left anything under way. */
export const nothingIsLeft = Effect.fnUntraced(function*(emulator: Emulator.Service, sleeping: () => number) {
  yield* until("the server has nothing in flight", Effect.map(emulator.stats, ({ inFlight }) => inFlight === 0))
  yield* until("nobody sleeps", Effect.sync(() => sleeping() === 0))
  yield* until("one connection is kept at most", Effect.map(emulator.stats, ({ open }) => open <= 1))
})

// -----------------------------------------------------------------------------
// What has to come of it
// -----------------------------------------------------------------------------

type Stream_ = Pick<Operation, "shape" | "isContent" | "isWhole" | "textIn">

/** What an attempt has to come to. */
export type Expected =
  | { readonly _tag: "Answered" }
  /** Nothing of the answer was given: another try may be worth it. */
  | { readonly _tag: "Failed"; readonly row: Verdict.Row }
  /** A part of it was given. Without `origin` it just ended. */
  | { readonly _tag: "Interrupted"; readonly origin: Verdict.Row | undefined; readonly text: string | undefined }

const answered: Expected = { _tag: "Answered" }

const text = ({ textIn }: Stream_, events: ReadonlyArray<object>): string | undefined =>
  textIn === undefined ? undefined : events.map(textIn).join("")

/** What has to come of an attempt of which so many events of the intact stream arrive before the fault has its end. */
export const expected = (stream: Stream_, end: End, arrived: ReadonlyArray<object>): Expected => {
  if (end === "answered" || stream.isWhole?.(arrived) === true) return answered
  if (!arrived.some((event) => stream.isContent?.(event) === true)) return { _tag: "Failed", row: end }
  return {
    _tag: "Interrupted",
    origin: end === "InterruptedStreamError/empty"
      ? undefined
      : end === "TimeoutError/first-token"
      ? "TimeoutError/between-tokens"
      : end,
    text: text(stream, arrived)
  }
}

const errorOf = ({ exit }: Seen): BedrockError => {
  if (Exit.isSuccess(exit)) return assert.fail("it succeeded")
  const [reason, ...more] = exit.cause.reasons
  return reason?._tag === "Fail" && more.length === 0 ? reason.error : assert.fail(`a defect: ${String(exit.cause)}`)
}

/** Compares what was seen with what was expected; `sent` are the requests that it takes. */
export const compare = (expected: Expected, seen: Seen, sent: number): void => {
  if (expected._tag === "Answered") {
    assert.strictEqual(seen.exit._tag, "Success", String(Exit.isFailure(seen.exit) ? seen.exit.cause : ""))
    return assert.strictEqual(seen.sent, sent, "requests sent")
  }
  const error = errorOf(seen)
  const row: Verdict.Row = expected._tag === "Failed" ? expected.row : "InterruptedStreamError/content"
  assert.strictEqual(Reason.rowOf(error.reason), row, error.message)
  const { elsewhere, retryable } = Verdict.table[row]
  assert.deepStrictEqual([error.retryable, error.retryableElsewhere], [retryable, elsewhere !== "none"])
  assert.strictEqual(seen.sent, sent, "requests sent")
  assert.strictEqual(error.attempts, sent, "attempts on the error")
  const { reason } = error
  assert.strictEqual(reason._tag === "InterruptedStreamError", row.startsWith("InterruptedStreamError"))
  if (reason._tag !== "InterruptedStreamError") return
  const origin = expected._tag === "Interrupted" ? expected.origin : undefined
  assert.strictEqual(reason.origin === undefined ? undefined : Reason.rowOf(reason.origin), origin, error.message)
  const said = expected._tag === "Interrupted" ? expected.text : ""
  if (said !== undefined) assert.strictEqual(reason.partial.text, said)
}

/** Says where it was, if it fails. */
export const at = <A, E, R>(place: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.catchDefect(effect, (defect) => {
    if (defect instanceof Error) defect.message = `${place}: ${defect.message}`
    return Effect.die(defect)
  })

/** After how many frames of a stream a fault is let loose, one time after the other. */
export const placesOf = ({ places }: Row, shape: Shape, frames: number): ReadonlyArray<number> => {
  if (shape !== "events" && shape !== "session") return [0]
  switch (places) {
    case "any":
      return [0]
    case "each":
      return Array.from({ length: frames + 1 }, (_, frame) => frame)
    case "each frame":
      return Array.from({ length: frames }, (_, frame) => frame)
    case "some frames":
      return [0, Math.floor(frames / 2), frames - 1]
  }
}
