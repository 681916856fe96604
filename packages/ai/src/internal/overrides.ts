// Settings that hold for the calls of a fiber, in place of those that a model was made with.
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"

interface Overriding<Overrides> {
  /** What the fiber has. */
  readonly current: Effect.Effect<Overrides>
  /** What is not named stays as it was. */
  readonly with: {
    (overrides: Overrides): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
    <A, E, R>(self: Effect.Effect<A, E, R>, overrides: Overrides): Effect.Effect<A, E, R>
  }
}

/** `none`: what a fiber has that was given nothing. Nobody has to provide `config`. */
export const of = <Id, Overrides extends object>(
  config: Context.Key<Id, Overrides>,
  none: Overrides
): Overriding<Overrides> => {
  const current = Effect.map(
    Effect.context<never>(),
    (context) => Context.getOrUndefined(context, config) ?? none
  )
  return {
    current,
    with: dual(
      2,
      <A, E, R>(self: Effect.Effect<A, E, R>, overrides: Overrides): Effect.Effect<A, E, R> =>
        Effect.flatMap(current, (before) => Effect.provideService(self, config, { ...before, ...overrides }))
    )
  }
}
