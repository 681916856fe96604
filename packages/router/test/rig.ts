/** Targets that do what a script says, behind a real limiter, and everything that was done to them. */
import { RetryBudget } from "@caprock/backoff"
import { type Cost, Meter, RateLimiter } from "@caprock/rate-limiter"
import { type Decision, Health, ModelRouter, type Route, RouteTable, type Sending, type Target } from "@caprock/router"
import { Clock, Data, Duration, Effect, Exit, Layer, Result } from "effect"

export class Fault extends Data.TaggedError("Fault")<{
  readonly kind: "limited" | "sick" | "caller" | "here" | "gone"
  readonly message: string
  readonly retryable: boolean
  readonly retryableElsewhere: boolean
  readonly retryAfter?: Duration.Duration
}> {}

export const fault = (kind: Fault["kind"], retryAfterMillis?: number, message: string = kind): Fault =>
  new Fault({
    kind,
    message,
    retryable: kind !== "caller" && kind !== "gone",
    retryableElsewhere: kind !== "caller" && kind !== "here",
    ...(retryAfterMillis === undefined ? {} : { retryAfter: Duration.millis(retryAfterMillis) })
  })

/** What a target does with a request. */
export interface Behaviour {
  readonly took: number
  readonly fails?: Fault | undefined
}

interface Sent {
  readonly call: number
  readonly target: string
  readonly at: number
  readonly attempt: number
  readonly hedge: boolean
  readonly beganWith: number
}

/** Of what happens at each target. */
export interface World {
  readonly behave: (target: string, at: number, call: number, attempt: number) => Behaviour
  readonly sent: Array<Sent>
  /** Offers that were neither sent nor withdrawn, and requests under way. */
  open: number
  underWay: number
  /** Offers that were sent or withdrawn twice. */
  twice: number
  settled: number
}

export const world = (behave: World["behave"]): World => ({
  behave,
  sent: [],
  open: 0,
  underWay: 0,
  twice: 0,
  settled: 0
})

const plain: Decision.Ask = { input: 50, output: 50, needs: [], leftMillis: Infinity }

export const now = Clock.currentTimeMillis

/** A call of a world: each answer names its target. */
export const sending = (
  world: World,
  call: number,
  more: Partial<Sending.Sending<string, Fault, never>> & {
    readonly cost?: (target: Target.BuiltTarget) => Partial<Cost.Cost>
  } = {}
): Sending.Sending<string, Fault, never> => {
  const { cost, ...others } = more
  const ask = more.ask ?? plain
  return {
    ask,
    refused: (_, error) => fault("limited", undefined, error.reason._tag),
    offer: (target) => {
      let state: "open" | "sent" | "withdrawn" = "open"
      world.open++
      const end = (next: "sent" | "withdrawn") => {
        if (state === "open") world.open--
        else world.twice++
        state = next
      }
      return {
        cost: { pool: target.name, requests: 1, tokens: ask.input + ask.output, ...cost?.(target) },
        withdrawn: () => end("withdrawn"),
        usd: () => state === "sent" ? 1 : undefined,
        send: ({ attempt, hedge, reservation, restore }) =>
          Effect.gen(function*() {
            end("sent")
            const at = yield* now
            world.sent.push({ call, target: target.name, at, attempt, hedge, beganWith: world.underWay })
            world.underWay++
            reservation.sentUnsafe()
            const { fails, took } = world.behave(target.name, at, call, attempt)
            return yield* restore(Effect.sleep(took)).pipe(
              Effect.andThen(fails === undefined ? Effect.succeed(target.name) : Effect.fail(fails)),
              Effect.onExit((exit) => {
                world.underWay--
                world.settled++
                return reservation.settle(
                  Exit.isSuccess(exit) ? { tokens: reservation.booked } : { tokens: 0, requests: 0 }
                )
              })
            )
          })
      }
    },
    ...others
  }
}

export interface RigOptions {
  readonly targets: Readonly<Record<string, Partial<Target.Target>>>
  readonly routes: Route.RouteFile["routes"]
  readonly functions?: RouteTable.Functions
  readonly meters?: (pool: string) => ReadonlyArray<Meter.Meter>
  readonly health?: Health.Options
  readonly backoff?: ModelRouter.Options["backoff"]
  readonly retries?: number
  readonly pool?: (target: Target.BuiltTarget) => string
  readonly limiter?: Layer.Layer<RateLimiter.RateLimiter>
  /** In place of circuits. */
  readonly circuits?: Layer.Layer<Health.Health>
}

/** Two targets, in order. */
export const two: RigOptions = { targets: { a: {}, b: {} }, routes: { chat: { policy: { ordered: ["a", "b"] } } } }

const tableOf = ({ functions, routes, targets }: RigOptions): RouteTable.RouteTable =>
  Result.getOrThrow(RouteTable.make({
    targets: Object.fromEntries(Object.entries(targets).map(([name, target]) => [name, { model: "sage", ...target }])),
    routes
  }, functions))

/** The router, with the services that it stands on beside it. */
export const rig = (options: RigOptions) => {
  const { backoff, circuits, health, limiter, meters = () => [Meter.tokens(1_000_000)], pool, retries } = options
  return ModelRouter.layer({ table: tableOf(options), backoff, pool }).pipe(
    Layer.provideMerge(Layer.mergeAll(
      limiter ?? RateLimiter.layer({ meters }),
      circuits ?? Health.layer(health),
      Layer.orDie(retries === undefined ? RetryBudget.layer() : RetryBudget.layerTest(retries))
    ))
  )
}

/** Runs a call in a scope of its own, and gives what came of it. */
export const run = (route: string, call: Sending.Sending<string, Fault, never>) =>
  Effect.flatMap(ModelRouter.ModelRouter, (router) => Effect.exit(Effect.scoped(router.run(route, call))))

/** What a call that is a part of another one answers, or fails with. */
export const within = (
  router: ModelRouter.ModelRouter["Service"],
  route: string,
  call: Sending.Sending<string, Fault, never>
) =>
  Effect.scoped(router.run(route, call)).pipe(
    Effect.map(({ value }) => value),
    Effect.mapError(({ error }) => error)
  )

/** How many wait in the lines of these targets. */
export const lines = (targets: ReadonlyArray<string>) =>
  Effect.flatMap(
    RateLimiter.RateLimiter,
    (limiter) => Effect.forEach(targets, (target) => Effect.map(limiter.snapshot(target), ({ waiting }) => waiting))
  )

/** The account of a call, however it ended. */
export const accountOf = (exit: Effect.Success<ReturnType<typeof run>>) =>
  Exit.isSuccess(exit)
    ? exit.value.account
    : exit.cause.reasons.flatMap((reason) => reason._tag === "Fail" ? [reason.error.account] : [])[0]

export const errorOf = (exit: Effect.Success<ReturnType<typeof run>>) =>
  Exit.isSuccess(exit)
    ? undefined
    : exit.cause.reasons.flatMap((reason) => reason._tag === "Fail" ? [reason.error.error] : [])[0]

/** Nothing is left: nobody waits, nothing is booked or under way, no probe is stuck. */
export const leftovers = Effect.fnUntraced(function*(world: World, targets: ReadonlyArray<string>) {
  const limiter = yield* RateLimiter.RateLimiter
  const health = yield* Health.Health
  const left: Array<string> = []
  for (const target of targets) {
    const exit = yield* Effect.exit(limiter.snapshot(target))
    if (Exit.isFailure(exit)) continue
    if (exit.value.waiting > 0) left.push(`${target}: ${exit.value.waiting} wait`)
    const standing = health.standingUnsafe(target)
    if (standing._tag === "HalfOpen" && standing.probing) left.push(`${target}: probing`)
  }
  if (world.open !== 0) left.push(`${world.open} offers open`)
  if (world.underWay !== 0) left.push(`${world.underWay} requests under way`)
  if (world.twice !== 0) left.push(`${world.twice} offers ended twice`)
  return left
})
