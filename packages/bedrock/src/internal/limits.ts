// How long a call may take: what its caller says, else what holds for all calls of the layer.
import { CallDeadline } from "@caprock/client/CallDeadline"
import * as Settings from "@caprock/client/Settings"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import { CallLimits } from "../CallLimits.ts"

/** Milliseconds; `Infinity` for none. */
export interface Limits {
  /** A moment of the clock's monotonic time. */
  readonly deadline: number
  readonly maxWait: number
}

/** What holds where the caller says nothing, in milliseconds. */
export interface Defaults {
  readonly deadline: number
  readonly maxWait: number
}

/** @internal */
export const monotonic = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6

/** The limits of a call that begins now, or what is wrong with them. @internal */
export const limitsOf = (defaults: Defaults, fiber: Fiber.Fiber<unknown, unknown>): Result.Result<Limits, string> => {
  const own = fiber.getRef(CallLimits)
  const deadline = own.deadline === undefined ? defaults.deadline : Settings.millisOf(own.deadline)
  const maxWait = own.maxWait === undefined ? defaults.maxWait : Settings.millisOf(own.maxWait)
  for (const field in own) {
    if (field !== "deadline" && field !== "maxWait") {
      return Result.fail(`CallLimits.${field} is not known. There are deadline and maxWait`)
    }
  }
  if (Number.isNaN(deadline)) return Result.fail(problem("deadline", own.deadline))
  if (Number.isNaN(maxWait)) return Result.fail(problem("maxWait", own.maxWait))
  const outer = fiber.getRef(CallDeadline)
  return Result.succeed({
    deadline: deadline === Infinity ? outer : Math.min(outer, monotonic(fiber.getRef(Clock.Clock)) + deadline),
    maxWait
  })
}

/** A request that ends at the call's deadline. @internal */
export const timely = <A, E, R>(request: Effect.Effect<A, E, R>, { deadline }: Limits): Effect.Effect<A, E, R> =>
  deadline === Infinity ? request : Effect.provideService(request, CallDeadline, deadline)

const problem = (field: string, value: unknown): string =>
  `CallLimits.${field} is ${String(value)}: it must be a duration of 0 or more, such as "30 seconds"`
