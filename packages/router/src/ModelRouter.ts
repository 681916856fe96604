/**
 * Sends each call to the target that serves it best now, and to another one when that fails.
 *
 * **When to use**
 *
 * Use where the same request can be sent to several models, Regions or accounts: one of them fails, is full or is slow, and the
 * others go on.
 *
 * **Details**
 *
 * A call names a route. One pure function turns the route and what is known now into targets in order, with reasons. The call waits in
 * the lines of all that are due, and goes to the first that admits it. It fails over by what its error says: a limit is waited for here or elsewhere,
 * whichever is sooner; what is sick comes last; what is the caller's own ends the call. One budget of requests and one deadline hold over all targets.
 *
 * **Gotchas**
 *
 * The answer's reservation, and a stream's connection, belong to the scope that `run` is called in: run it in a scope of the call's own.
 *
 * **Example** (Two Regions, of which one fails)
 *
 * ```ts
 * import { RetryBudget } from "@caprock/backoff"
 * import { Meter, RateLimiter } from "@caprock/rate-limiter"
 * import { Health, ModelRouter, RouteTable } from "@caprock/router"
 * import { Console, Data, Effect, Layer, Result } from "effect"
 *
 * class Unavailable extends Data.TaggedError("Unavailable")<{
 *   readonly retryable: boolean
 *   readonly retryableElsewhere: boolean
 * }> {}
 *
 * const table = Result.getOrThrow(RouteTable.make({
 *   targets: { ireland: { model: "sage", region: "eu-west-1" }, frankfurt: { model: "sage", region: "eu-central-1" } },
 *   routes: { chat: { policy: { ordered: ["ireland", "frankfurt"] } } }
 * }))
 *
 * const call = Effect.gen(function*() {
 *   const router = yield* ModelRouter.ModelRouter
 *   const { account, value } = yield* router.run("chat", {
 *     ask: { input: 100, output: 200, needs: [], leftMillis: Infinity },
 *     offer: ({ name }) => ({
 *       cost: { pool: name, requests: 1, tokens: 300 },
 *       send: ({ reservation }) => {
 *         reservation.sentUnsafe()
 *         return name === "ireland"
 *           ? Effect.fail(new Unavailable({ retryable: true, retryableElsewhere: true }))
 *           : Effect.as(reservation.settle({ tokens: 120 }), "blue")
 *       }
 *     }),
 *     refused: () => new Unavailable({ retryable: true, retryableElsewhere: true })
 *   })
 *   yield* Console.log(value, account.target, account.trials.map(({ outcome, target }) => `${target}: ${JSON.stringify(outcome)}`))
 *   // => blue frankfurt [ 'ireland: {"failed":"Unavailable","message":""}', 'frankfurt: "answered"' ]
 * }).pipe(Effect.scoped)
 *
 * export const main = Effect.provide(
 *   call,
 *   ModelRouter.layer({ table }).pipe(Layer.provide([
 *     RateLimiter.layer({ meters: () => [Meter.tokens(1_000)] }),
 *     Health.layer(),
 *     RetryBudget.layer()
 *   ]))
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as Backoff from "@caprock/backoff/Backoff"
import * as RetryBudget from "@caprock/backoff/RetryBudget"
import { RateLimiter } from "@caprock/rate-limiter/RateLimiter"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Routed, RouteFailure } from "./Account.ts"
import { type Ask, decide, type Decision, untried } from "./Decision.ts"
import * as Fence from "./Fence.ts"
import { Health } from "./Health.ts"
import { Affinity } from "./internal/affinity.ts"
import { Board } from "./internal/board.ts"
import { Call, type Now } from "./internal/call.ts"
import type { Desk, Fund } from "./internal/desk.ts"
import { within } from "./internal/fences.ts"
import { Purse } from "./internal/hedge.ts"
import { Alarm, Stakes } from "./internal/late.ts"
import * as Listeners from "./internal/listeners.ts"
import { Lookout } from "./internal/lookout.ts"
import { fewestAnswers } from "./internal/requests.ts"
import { Runner } from "./internal/runner.ts"
import { RouterError, UnknownRoute } from "./RouterError.ts"
import type { HealthEvent, RouterEvent } from "./RouterEvent.ts"
import type { BuiltRoute, RouteTable } from "./RouteTable.ts"
import type { Sending } from "./Sending.ts"
import type { BuiltTarget } from "./Target.ts"

// -----------------------------------------------------------------------------
// Options
// -----------------------------------------------------------------------------

/**
 * Options of {@link make}.
 *
 * - `table`: the targets and routes, see `RouteTable`.
 * - `backoff`: how many requests are sent for a call, over all targets, and how long it waits between two at the same one. See `Backoff`.
 * - `pool`: the pool that a target's requests are charged to, as their costs have it. Its name unless given.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface Options {
  readonly table: RouteTable
  readonly backoff?: Omit<Backoff.Options, "budget" | "pool"> | undefined
  readonly pool?: ((target: BuiltTarget) => string) | undefined
}

// -----------------------------------------------------------------------------
// Service
// -----------------------------------------------------------------------------

/**
 * The router.
 *
 * @category services
 * @since 0.1.0
 */
export class ModelRouter extends Context.Service<ModelRouter, {
  /**
   * Sends a call by a route, and gives the answer with its account. Fails with `RouteFailure`, which has the most telling error and the account.
   *
   * Interrupting it leaves nothing behind. What it gives, the answer's reservation and whatever `send` opened, lives in the scope.
   */
  readonly run: <A, E extends Backoff.Retryable, R>(
    route: string,
    sending: Sending<A, E, R>
  ) => Effect.Effect<Routed<A>, RouteFailure<E>, R | Scope.Scope>

  /** Where a call would go now, in which order, and why: the decision that `run` begins with. */
  readonly describe: (route: string, ask: Ask) => Effect.Effect<Decision, RouterError>

  /** What happens to calls from now on. A listener that is more than 4,096 events behind misses the oldest. Costs nothing while nobody listens. */
  readonly events: Stream.Stream<RouterEvent>
}>()("@caprock/router/ModelRouter") {}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Makes a router.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  { backoff = {}, pool = ({ name }) => name, table }: Options
): Effect.fn.Return<
  ModelRouter["Service"],
  never,
  RateLimiter | Health | RetryBudget.RetryBudget | Scope.Scope
> {
  const clock = yield* Clock.Clock
  const limiter = yield* RateLimiter
  const health = yield* Health
  const scope = yield* Effect.scope
  const runFork = Effect.runForkWith(yield* Effect.context())
  const time: Now = {
    wall: () => clock.currentTimeMillisUnsafe(),
    monotonic: () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6,
    after: (millis, then) => {
      const asleep = millis > 0 ? Effect.sleep(Duration.millis(millis)) : Effect.yieldNow
      const fiber = runFork(Effect.andThen(asleep, Effect.sync(then)))
      return () => fiber.interruptUnsafe()
    }
  }
  const affinity = new Affinity(mostPrefixes)
  const board = new Board(table, pool, limiter, health, affinity, clock)
  const lookout = new Lookout(limiter, time.after)
  const alarm = new Alarm(time.monotonic, time.after)
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      lookout.close()
      alarm.close()
    })
  )
  const { events, tell } = Listeners.make<RouterEvent>()
  const desk: Desk = {
    limiter,
    health,
    budget: yield* RetryBudget.RetryBudget,
    backoff,
    attempts: Math.max(1, Math.floor(backoff.attempts ?? Backoff.defaults.attempts) || 0),
    baseMillis: millis(backoff.base ?? Backoff.defaults.base),
    capMillis: millis(backoff.cap ?? Backoff.defaults.cap),
    alarm,
    touch: ({ prefixes = [] }, { index }) => affinity.touch(prefixes, index, time.wall())
  }

  // What the calls have paid in that had to be seen before the first is hedged: a purse never begins with more than that.
  const funds = new Map<string, Fund>()
  const fundOf = ({ hedge, name }: BuiltRoute): Fund => {
    const known = funds.get(name)
    if (known !== undefined) return known
    const fund = {
      purse: hedge === undefined || hedge.share === 0
        ? undefined
        : new Purse(hedge.share, Math.max(1, hedge.share * fewestAnswers)),
      stakes: new Stakes()
    }
    funds.set(name, fund)
    return fund
  }

  const targets = new Map(table.targets.map((target) => [target.name, target]))
  const changed = (event: HealthEvent): Effect.Effect<void> => {
    const target = targets.get(event.target)
    if (target === undefined) return Effect.void
    const woken = Effect.forEach(board.poolsOf(target), (pool) => lookout.changed(event, pool), { discard: true })
    if (event._tag !== "Opened") return woken
    // Nobody says so when it may be probed.
    const probed = Effect.andThen(
      Effect.sleep(event.forMillis),
      Effect.sync(() => {
        for (const pool of board.poolsOf(target)) lookout.room(pool)
      })
    )
    return Effect.andThen(Effect.forkIn(probed, scope), woken)
  }
  yield* Effect.forkScoped(Stream.runForEach(health.events, changed), { startImmediately: true })

  const routeOf = (name: string): BuiltRoute | RouterError =>
    table.route(name) ??
      new RouterError({ route: name, reason: new UnknownRoute({ known: table.routes.map((route) => route.name) }) })

  return ModelRouter.of({
    run: <A, E extends Backoff.Retryable, R>(name: string, sending: Sending<A, E, R>) =>
      Effect.withFiber<Routed<A>, RouteFailure<E>, R | Scope.Scope>((fiber) => {
        const route = routeOf(name)
        if (route instanceof RouterError) return unrouted<E>(name, route)
        const fence = within(fiber.getRef(Fence.CurrentFence), sending.ask.fence)
        const chance = fiber.getRef(Random.Random).nextDoubleUnsafe()
        const call = new Call(board, lookout, route, sending, fence, chance, time, tell)
        return new Runner(desk, call, fundOf(route), Context.getUnsafe(fiber.context, Scope.Scope)).run
      }),
    describe: (name, ask) =>
      Effect.gen(function*() {
        const route = routeOf(name)
        if (route instanceof RouterError) return yield* route
        const fence = within(yield* Fence.CurrentFence, ask.fence)
        return decide(route, { ...ask, fence }, board.refresh(route, ask), untried, yield* Random.next, time.wall())
      }),
    events
  })
})

/** Of how many prompts it is known who has them in a cache: some megabytes. */
const mostPrefixes = 10_000

const millis = (input: Duration.Input): number => Math.max(0, Duration.toMillis(Duration.fromInputUnsafe(input)))

const unrouted = <E>(route: string, error: RouterError): Effect.Effect<never, RouteFailure<E>> =>
  Effect.fail({
    _tag: "RouteFailure",
    error,
    account: {
      route,
      target: undefined,
      trials: [],
      waitedMillis: 0,
      usd: undefined,
      adapted: [],
      hedged: false,
      rejected: false,
      lastResort: false,
      attempts: 0
    }
  })

// -----------------------------------------------------------------------------
// Layers
// -----------------------------------------------------------------------------

/**
 * A router, as a layer.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: Options
): Layer.Layer<ModelRouter, never, RateLimiter | Health | RetryBudget.RetryBudget> =>
  Layer.effect(ModelRouter, make(options))
