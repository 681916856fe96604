/**
 * The run itself: reads lines, asks each that has no answer yet, and writes what came of it.
 *
 * @since 0.1.0
 */
import type { CallEvent } from "@caprock/bedrock/CallEvents"
import { BedrockError } from "@caprock/errors/BedrockError"
import * as Reason from "@caprock/errors/Reason"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as lines from "../internal/lines.ts"
import type { Signal } from "../Signals.ts"
import { Signals } from "../Signals.ts"
import { CliFailure } from "../terminal/CliFailure.ts"
import * as Delivery from "./Delivery.ts"
import * as Fatal from "./Fatal.ts"
import * as Gate from "./Gate.ts"
import { InputError } from "./InputError.ts"
import * as InputLine from "./InputLine.ts"
import { Journal } from "./Journal.ts"
import { stoppingText } from "./Panel.ts"
import * as Patience from "./Patience.ts"
import { Progress } from "./Progress.ts"
import type * as PromptLine from "./PromptLine.ts"
import * as ResultLine from "./ResultLine.ts"
import type { CallState } from "./Tally.ts"
import { type Answer, Target } from "./Target.ts"

/**
 * @category configuration
 * @since 0.1.0
 */
export interface Options {
  readonly input: Stream.Stream<Uint8Array, CliFailure>
  readonly defaults: PromptLine.Defaults
  /** Tells what is wrong with a model that a line names; `undefined` when nothing is. */
  readonly checkModel: (model: string) => string | undefined
  readonly limits: Gate.Limits
  /** Bytes of a line; longer ones end in an error. */
  readonly maxLineBytes: number
  /** Whether a line that can't be asked stops it, instead of ending in an error of its own. */
  readonly strict: boolean
}

/**
 * Why a run stopped before the end of its input.
 *
 * @category models
 * @since 0.1.0
 */
export type Stop =
  | { readonly _tag: "Signal"; readonly signal: Signal }
  | { readonly _tag: "Failure"; readonly failure: CliFailure }

/**
 * @category models
 * @since 0.1.0
 */
export interface Outcome {
  readonly stop: Stop | undefined
  /** The first few lines whose request is no longer the one that was answered. */
  readonly changedLines: ReadonlyArray<number>
  readonly lost: Delivery.Delivered["lost"]
}

/** A stream that was cut after its first content is asked again from the start this often: nobody has seen the part. */
const maxCuts = 2
const maxNamed = 5

interface Call {
  state: CallState
  readonly drop: Deferred.Deferred<undefined>
}

/**
 * Runs until each line has its result, or something stops it. What is under way when it stops is finished first, unless
 * the fiber is interrupted, or the output is one that can't be mended.
 *
 * An output that fails stops it too; what is under way is held, and what is lost in the end is told: see `Delivery`.
 *
 * @category running
 * @since 0.1.0
 */
export const run = (
  options: Options
): Effect.Effect<Outcome, never, Journal | Progress | Signals | Target> =>
  Effect.scoped(Effect.gen(function*() {
    const journal = yield* Journal
    const progress = yield* Progress
    const signals = yield* Signals
    const target = yield* Target
    const scope = yield* Scope.Scope
    const { now, tally } = progress
    const gate = Gate.make(options.limits)
    const breaker = Fatal.makeBreaker()
    const patience = Patience.make(now)
    const calls = new Set<Call>()
    const noted = new Set<string>()
    const stopped = Deferred.makeUnsafe<void>()
    let stop: Stop | undefined
    const isStopping = () => stop !== undefined
    const changedLines: Array<number> = []

    const requestStop = (why: Stop) => {
      if (stop !== undefined) return
      stop = why
      progress.tell({ stopping: true })
      for (const call of calls) dropUnlessSent(call)
      Deferred.doneUnsafe(stopped, Effect.void)
    }
    /** What was sent is paid for; what was not costs nothing to ask later. */
    const dropUnlessSent = (call: Call) => {
      if (call.state !== "sent") Deferred.doneUnsafe(call.drop, Effect.undefined)
    }
    const delivery = Delivery.make(journal, (failure) => {
      requestStop({ _tag: "Failure", failure })
      return journal.retryable ? progress.note(holdingText(failure)) : Effect.void
    })

    const ask = (prompt: PromptLine.Prompt, bytes: number): Effect.Effect<void> => {
      const call: Call = { state: "waiting", drop: Deferred.makeUnsafe() }
      const effort = { attempts: 0, waitedMillis: 0, serviceMillis: 0 }
      const move = (to: CallState) => {
        if (to === call.state) return
        if (call.state === "waiting") gate.admitted()
        else if (to === "waiting") gate.returned()
        tally.move(call.state, to, now())
        call.state = to
        if (stop !== undefined) dropUnlessSent(call)
      }
      // By a route a second request may be under way beside the first, or wait to be.
      let flying = 0
      const onEvent = (event: CallEvent) => {
        tally.event(event, now())
        switch (event._tag) {
          case "Waiting":
            return flying === 0 ? move("waiting") : undefined
          case "Admitted":
            flying += 1
            return move("sent")
          case "AttemptFailed":
            flying = Math.max(0, flying - 1)
            return flying === 0 ? move("pausing") : undefined
          case "CallEnded":
            flying = 0
            effort.attempts += event.attempts
            effort.waitedMillis += event.waitedMillis
            effort.serviceMillis += event.serviceMillis
            return
          case "Adapted":
          case "Hedged":
          case "Left":
          case "Routed":
          case "Settled":
            return
        }
      }
      const dropped = Deferred.await(call.drop)
      const once = Effect.raceFirst(
        target.ask(prompt.input, onEvent).pipe(
          Effect.catchDefect((defect) => Effect.fail(asError(defect, prompt.model))),
          Effect.result
        ),
        dropped
      )
      const finish = Effect.fnUntraced(function*(result: Result.Result<Answer, BedrockError>, givenUp: boolean) {
        const line = Result.isSuccess(result)
          ? ResultLine.fromAnswer(prompt, result.success, effort)
          : ResultLine.fromBedrockError(prompt, result.failure, effort)
        yield* delivery.write([line], count(result, givenUp))
      })
      const count = Effect.fnUntraced(function*(result: Result.Result<Answer, BedrockError>, givenUp: boolean) {
        tally.update((counts) => {
          counts.bytesDone += bytes
          counts.bytesAsked += bytes
        })
        if (Result.isSuccess(result)) {
          breaker.answered()
          tally.answer(result.success.usage, result.success.stopReason)
          return
        }
        const error = result.failure
        const isFirst = tally.failure(ResultLine.nameOf(error))
        if (error.retryable || isCut(result)) {
          tally.update((counts) => {
            counts.curable += 1
          })
        }
        if (breaker.failed(error, prompt.model === options.defaults.model, givenUp)) {
          requestStop({ _tag: "Failure", failure: fatal(prompt.line, error) })
        } else if (isFirst) {
          yield* progress.note(`line ${prompt.line}: ${error.message}`)
        }
      })

      return Effect.suspend(() => {
        calls.add(call)
        gate.enter(bytes)
        tally.move(undefined, "waiting", now())
        return Effect.uninterruptibleMask((restore) =>
          Effect.gen(function*() {
            const drop = Effect.sync(() =>
              tally.update((counts) => {
                counts.dropped += 1
              })
            )
            for (let cuts = 0, throttles = 0;;) {
              const result = yield* restore(once)
              if (result === undefined) return yield* drop
              if (Result.isSuccess(result)) patience.answered(prompt.model)
              if (Result.isFailure(result) && Patience.isPassing(result.failure)) {
                const verdict = yield* patience.throttled(prompt.model, throttles++)
                if (verdict._tag === "GivenUp") return yield* finish(result, true)
                if (verdict.first && noted.size < maxNamed && !noted.has(prompt.model)) {
                  noted.add(prompt.model)
                  yield* progress.note(throttledText(prompt.model))
                }
                move("waiting")
                const pause = Effect.as(Effect.sleep(verdict.pause), "over" as const)
                if ((yield* restore(Effect.raceFirst(pause, dropped))) === undefined) return yield* drop
                effort.waitedMillis += Duration.toMillis(verdict.pause)
              } else if (isStopping() || !isCut(result) || cuts++ === maxCuts) {
                return yield* finish(result, false)
              }
              move("waiting")
            }
          })
        )
      }).pipe(
        Effect.ensuring(Effect.sync(() => {
          calls.delete(call)
          tally.move(call.state, undefined, now())
          gate.leave(bytes, call.state === "waiting")
        }))
      )
    }

    /** What is to be done about a line: nothing, an error to write, or a prompt to ask. */
    const read = (raw: lines.RawLine): PromptLine.Prompt | InputError | undefined => {
      const { ids } = journal
      const parsed = InputLine.read(raw, options.defaults, options.maxLineBytes)
      if (parsed === undefined) return undefined
      tally.update((counts) => {
        counts.lines += 1
      })
      const checked = Result.flatMap(parsed, (prompt) => {
        const problem = prompt.model === options.defaults.model ? undefined : options.checkModel(prompt.model)
        return problem === undefined ? Result.succeed(prompt) : Result.fail(
          new InputError({
            line: raw.number,
            id: prompt.id,
            kind: "malformed-model",
            message: `line ${raw.number}: ${problem}`
          })
        )
      })
      const id = Result.isSuccess(checked) ? checked.success.id : InputLine.idOf(checked.failure)
      const before = ids.seen(String(id), raw.number)
      if (before !== undefined && before.line !== 0) {
        return new InputError({
          line: raw.number,
          id,
          kind: "duplicate-id",
          message:
            `line ${raw.number} repeats the id ${
              JSON.stringify(id)
            } of line ${before.line}, which counts. Give it an ` +
            `id of its own`
        })
      }
      if (before?.answered !== undefined) {
        const same = Result.isSuccess(checked) && checked.success.digest === before.answered
        if (!same && changedLines.length < maxNamed) changedLines.push(raw.number)
        tally.update((counts) => {
          counts.skipped += 1
          if (!same) counts.changed += 1
        })
        return undefined
      }
      return Result.isSuccess(checked) ? checked.success : checked.failure
    }

    const readChunk = (chunk: ReadonlyArray<lines.RawLine>): Effect.Effect<void> =>
      Effect.gen(function*() {
        let bad: Array<ResultLine.ResultLine> = []
        const flush = Effect.suspend(() => {
          const results = bad
          bad = []
          return results.length === 0 ? Effect.void : delivery.write(results, Effect.void)
        })
        let position = tally.counts.bytesRead
        for (const raw of chunk) {
          const bytes = raw.end - position
          position = raw.end
          tally.update((counts) => {
            counts.bytesRead = raw.end
          })
          const next = read(raw)
          if (next?._tag === "InputError" && options.strict) {
            yield* flush
            return requestStop({ _tag: "Failure", failure: strict(next) })
          }
          if (next === undefined || next._tag === "InputError") {
            if (next !== undefined) bad.push(ResultLine.fromInputError(InputLine.idOf(next), next))
            tally.update((counts) => {
              counts.bytesDone += bytes
              if (next !== undefined) counts.badLines += 1
            })
            if (next !== undefined && tally.failure(next.kind)) yield* progress.note(next.message)
            continue
          }
          if (!gate.isOpen()) {
            yield* flush
            yield* gate.open
          }
          if (isStopping()) return
          progress.tell({ model: options.defaults.model ?? next.model })
          yield* Effect.forkIn(ask(next, bytes), scope, { startImmediately: true })
        }
        yield* flush
      })

    const firstSignal = yield* signals.takeFirst
    yield* Effect.forkIn(
      Effect.flatMap(firstSignal, (signal) => {
        requestStop({ _tag: "Signal", signal })
        return progress.note(stoppingText(tally.counts))
      }),
      scope
    )
    yield* Effect.forkIn(progress.display, scope)

    const pull = Stream.runForEachArray(lines.split(options.input, { maxBytes: options.maxLineBytes }), readChunk).pipe(
      Effect.catch((failure) => Effect.sync(() => requestStop({ _tag: "Failure", failure })))
    )
    yield* Effect.raceFirst(pull, Deferred.await(stopped))
    yield* Effect.raceFirst(gate.idle, delivery.hopeless)
    // Whoever asks it to stop does not want to wait for another try.
    const { failure, lost } = yield* delivery.finish(firstSignal)
    // Who stopped it by hand has to know that not all was written.
    if (failure !== undefined && stop?._tag !== "Failure") stop = { _tag: "Failure", failure }
    return { stop, changedLines, lost }
  }))

const holdingText = ({ problem }: CliFailure): string =>
  `${problem} Nothing more is sent. The answers that are under way are held, and tried again when the last is there.`

const throttledText = (model: string): string =>
  `Bedrock throttles ${model} more than the given quotas explain: requests go more slowly from here on, and throttled lines are asked again.`

const isCut = (result: Result.Result<Answer, BedrockError>): boolean =>
  Result.isFailure(result) && result.failure.reason._tag === "InterruptedStreamError" &&
  result.failure.reason.content

const asError = (defect: unknown, modelId: string) =>
  new BedrockError({
    operation: "Converse",
    modelId,
    attempts: 0,
    reason: new Reason.UnknownError({
      message: `a defect of caprock: ${defect instanceof Error ? defect.message : String(defect)}. Please report it.`
    }),
    cause: defect
  })

const strict = ({ message }: InputError) =>
  new CliFailure({
    problem: `Stopped: ${message}.`,
    remedy: "Mend it, and run the same command again; or leave --strict out, and each such line ends in an error."
  })

const fatal = (line: number, error: BedrockError) =>
  new CliFailure({ problem: `Stopped at line ${line}: ${error.message}`, remedy: Fatal.remedyOf(error) })
