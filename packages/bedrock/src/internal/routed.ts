// The way of a call by a route: the router picks its targets and owns its attempts, each of which is an attempt as of any other call.
import type { BedrockClient } from "@caprock/client/BedrockClient"
import type { BedrockError } from "@caprock/errors/BedrockError"
import type { Account } from "@caprock/router/Account"
import type { Decision } from "@caprock/router/Decision"
import type { BuiltRoute } from "@caprock/router/RouteTable"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Request } from "./accountant.ts"
import { key } from "./accounts.ts"
import * as attempts from "./attempt.ts"
import type { Attempt, Served } from "./attempt.ts"
import { withAttempts } from "./failures.ts"
import { begin, type Kind, type Named } from "./routedCall.ts"
import type { Routing } from "./routing.ts"
import { type Opened, type Pulled, type Reading, sending } from "./streaming.ts"

type Client = BedrockClient["Service"]

/** One call for one answer, from whichever target of a route gives it first. @internal */
export const unary = <I extends Named, A extends object>(
  routing: Routing,
  route: BuiltRoute,
  input: I,
  kind: Kind<I, A>,
  ask: (client: Client, input: I) => Effect.Effect<A, BedrockError>,
  servedBy: (answer: A, attempt: Attempt, request: Request) => Served
): Effect.Effect<A, BedrockError> =>
  Effect.withFiber((fiber) => {
    const begun = begin(routing, route, input, kind, fiber)
    if (Result.isFailure(begun)) return Effect.fail(begun.failure)
    const routed = begun.success
    const answered = routed.run(({ attempt, call, input, restore, seat }, used) =>
      attempts.settled(call, restore, attempt, ask(seat.client, input), (answer, attempt) => {
        const served = servedBy(answer, attempt, call.request)
        if (served.usage !== undefined) used(served.usage)
        return served
      })
    )
    return Effect.scoped(answered).pipe(
      Effect.tap((answer) => Effect.sync(() => note(answer, routed.account))),
      Effect.onExit((exit) => routed.over(exit))
    )
  })

/** The same for a stream, which may change its target until its first content. @internal */
export const streamed = <I extends Named, A extends object>(
  routing: Routing,
  route: BuiltRoute,
  input: I,
  kind: Kind<I, Opened<A>>,
  ask: (client: Client, input: I) => Stream.Stream<A, BedrockError>,
  reading: (request: Request) => Reading<A>
): Stream.Stream<A, BedrockError> =>
  Stream.fromChannel(Channel.fromTransformBracket((_, __, scope) =>
    Effect.withFiber((fiber) => {
      const begun = begin(routing, route, input, kind, fiber)
      if (Result.isFailure(begun)) return Effect.succeed(Effect.fail(begun.failure))
      const routed = begun.success
      let told: { readonly event: A; readonly usd: number | undefined } | undefined
      const noted = () => {
        const { account } = routed
        if (told !== undefined && account !== undefined) note(told.event, { ...account, usd: told.usd ?? account.usd })
      }
      const opened = routed.run(({ attempt, call, input, restore, seat }, used) => {
        const own = reading(call.request)
        const { close, send } = sending(
          call,
          () => ({
            ...own,
            servedBy: (event) => {
              const served = own.servedBy(event)
              if (served?.usage === undefined) return served
              told = { event, usd: used(served.usage) }
              noted()
              return served
            }
          }),
          ask(seat.client, input)
        )
        // The scope is the attempt's own, and is closed when it fails, loses, or the stream is over.
        return Effect.flatMap(
          Effect.scope,
          (scope) => Effect.andThen(Scope.addFinalizerExit(scope, close), send(restore, attempt))
        )
      })
      const final = (error: BedrockError): BedrockError => withAttempts(error, routed.tally.sent)
      let rest: Pulled<A> | undefined
      const first: Pulled<A> = Scope.provide(opened, scope).pipe(
        Effect.flatMap((opened): Pulled<A> => {
          // A short answer has told all before it is known whose it is.
          noted()
          rest = Effect.mapError(opened.rest, (error) => {
            if (Cause.isDone(error)) return error
            routed.cut(error)
            return final(error)
          })
          return Arr.isReadonlyArrayNonEmpty(opened.held) ? Effect.succeed(opened.held) : rest
        })
      )
      return Effect.as(
        Scope.addFinalizerExit(scope, (exit) => routed.over(exit)),
        Effect.suspend(() => rest ?? first)
      )
    })
  ))

/** Where a call would go now, in which order, and why. @internal */
export const describe = <I extends Named, A>(
  routing: Routing,
  route: BuiltRoute,
  input: I,
  kind: Kind<I, A>
): Effect.Effect<Decision, BedrockError> =>
  Effect.withFiber((fiber) => {
    const begun = begin(routing, route, input, kind, fiber)
    if (Result.isFailure(begun)) return Effect.fail(begun.failure)
    const routed = begun.success
    return Effect.mapError(routing.router.describe(route.name, routed.ask()), (error) => routed.unrouted(error))
  })

const note = (answer: object, account: Account | undefined): void => {
  if (account !== undefined) Object.defineProperty(answer, key, { value: account, configurable: true })
}
