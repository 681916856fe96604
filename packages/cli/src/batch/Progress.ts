/**
 * What is known of a batch while a command is at it, and how that is shown.
 *
 * @since 0.1.0
 */
import type { Status } from "@caprock/batch/BatchJournal"
import type { Prices } from "@caprock/batch/BatchPlan"
import { JobControl } from "@caprock/batch/JobControl"
import type { CallEvent } from "@caprock/bedrock/CallEvents"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Input from "../run/Input.ts"
import * as Screen from "../terminal/Screen.ts"
import * as Panel from "./Panel.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Progress {
  /** How the batch stands. */
  readonly status: (status: Status) => void
  /** A record was read, with the bytes of the input up to its end. */
  readonly record: (end: number, isBad: boolean) => void
  /** What happens to calls on demand. */
  readonly call: (event: CallEvent) => void
  readonly stopping: () => void
  readonly view: Effect.Effect<Panel.View>
  /** All of it on one line, where that says something new. */
  readonly line: Effect.Effect<string | undefined>
  /** Shows, again and again, until it is interrupted. */
  readonly display: Effect.Effect<never>
}

/**
 * - `input`: of who uploads.
 * - `every`: how often a job is looked at that has a row.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface Options {
  readonly name: string
  readonly input: Input.Input | undefined
  readonly prices: Prices | undefined
  readonly every: Duration.Duration
}

/** Whether there is a row whose job is due costs nothing to see; one that is new is looked at at once. */
const betweenLooks = "250 millis"

/**
 * Costs a request for each job that has a row, each time that it is looked at; and none where no panel is shown.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(options: Options): Effect.fn.Return<
  Progress,
  never,
  JobControl | Screen.Screen
> {
  const screen = yield* Screen.Screen
  const control = yield* JobControl
  const clock = yield* Clock.Clock
  const now = () => clock.currentTimeMillisUnsafe()
  const startedAt = now()
  const every = Duration.toMillis(options.every)
  const jobs = new Map<string, Panel.Job>()
  /** When each was last asked for, answered or not. */
  const askedAt = new Map<string, number>()
  const calls = { answered: 0, failed: 0 }
  const read = { records: 0, bad: 0, bytes: 0, at: startedAt }
  let status: Status | undefined
  let isStopping = false

  const view = Effect.sync((): Panel.View => ({
    name: options.name,
    status,
    reading: options.input === undefined ? undefined : {
      records: read.records,
      bad: read.bad,
      bytes: read.bytes,
      size: options.input.size,
      millis: read.at - startedAt
    },
    jobs,
    calls,
    prices: options.prices,
    now: now(),
    elapsedMillis: now() - startedAt,
    stopping: isStopping
  }))

  const lookAt = (arn: string) =>
    Effect.suspend(() => {
      askedAt.set(arn, now())
      return Effect.map(control.get(arn), ({ counts, expiresAt, submittedAt }) => {
        const seenAt = now()
        const before = jobs.get(arn)?.first
        jobs.set(arn, {
          submittedAt,
          expiresAt,
          counts,
          seenAt,
          first: before ?? (counts === undefined ? undefined : { at: seenAt, processed: counts.processed })
        })
      })
    })

  const look = Effect.suspend(() =>
    Effect.forEach(
      (status === undefined ? [] : Panel.shown(status)).flatMap(({ arn }) =>
        arn === undefined || now() - (askedAt.get(arn) ?? -Infinity) < every ? [] : [arn]
      ),
      // What is wrong is told by whoever drives it, or looks at all of it.
      (arn) => Effect.ignore(lookAt(arn)),
      { discard: true }
    )
  )

  /** Of one that says again what it said before, nothing. */
  let said: string | undefined
  const line = Effect.map(view, (view) => {
    const now = Panel.renderLine(view)
    if (now === said) return undefined
    said = now
    return now
  })

  const shown = Screen.display(screen, { panel: Effect.map(view, Panel.render), line })
  return {
    status: (now) => {
      status = now
    },
    record: (end, isBad) => {
      read.records++
      if (isBad) read.bad++
      read.bytes = end
      read.at = now()
    },
    call: (event) => {
      if (event._tag === "CallEnded") calls[event.succeeded ? "answered" : "failed"]++
    },
    stopping: () => {
      isStopping = true
    },
    view,
    line,
    display: screen.live
      ? Effect.raceFirst(shown, Effect.forever(Effect.andThen(look, Effect.sleep(betweenLooks))))
      : shown
  }
})
