// The routes of a layer: their table, the client and the pool of each target, and the router.
import type * as RetryBudget from "@caprock/backoff/RetryBudget"
import type * as BedrockClient from "@caprock/client/BedrockClient"
import * as Settings from "@caprock/client/Settings"
import type * as RateLimiter from "@caprock/rate-limiter/RateLimiter"
import * as Health from "@caprock/router/Health"
import * as ModelRouter from "@caprock/router/ModelRouter"
import type { BuiltRoute, RouteTable } from "@caprock/router/RouteTable"
import type { BuiltTarget } from "@caprock/router/Target"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { type Check, type LastResorts, RegionClients, type RouteOptions } from "../Routes.ts"
import { type Desk, type Place, placeOf } from "./calls.ts"
import { RouteCounters } from "./counting.ts"
import * as questions from "./questions.ts"
import * as targets from "./targets.ts"

/** A target, and with what requests go there. */
export interface Seat {
  readonly target: BuiltTarget
  readonly client: BedrockClient.Service
  /** That of the layer, in the target's Region. */
  readonly desk: Desk
  readonly place: Place
}

/** What calls by routes share. */
export interface Routing {
  readonly desk: Desk
  readonly router: ModelRouter.ModelRouter["Service"]
  readonly table: RouteTable
  /** By the target's index. */
  readonly seats: ReadonlyArray<Seat>
  readonly health: Health.Health["Service"]
  readonly counters: RouteCounters
  /** By the routes' names. */
  readonly lastResorts: ReadonlyMap<string, LastResorts>
  readonly checks: ReadonlyMap<string, Check>
  /** What was said to have been changed in requests: it is said once. */
  readonly said: Set<string>
}

/** Of options that were checked. @internal */
export const make = Effect.fnUntraced(function*(
  desk: Desk,
  client: BedrockClient.Service,
  { checks = {}, functions, lastResorts = {}, routes = { targets: {}, routes: {} } }: RouteOptions
): Effect.fn.Return<
  Routing,
  Settings.OptionsError,
  RateLimiter.RateLimiter | RetryBudget.RetryBudget | Scope.Scope
> {
  const table = yield* Effect.fromResult(targets.table(routes, desk, functions))
  for (const [option, named] of Object.entries({ checks, lastResorts })) {
    const unknown = Object.keys(named).find((name) => table.route(name) === undefined)
    if (unknown !== undefined) return yield* Settings.fail(option, `there is no route ${unknown}`)
  }
  const clientOf = yield* clients(client)
  const seats = yield* Effect.forEach(
    table.targets,
    (target) => Effect.flatMap(clientOf(target), (client) => seatOf(desk, client, target))
  )
  const health = yield* Effect.flatMap(
    Effect.serviceOption(Health.Health),
    Option.match({ onNone: () => Health.make(), onSome: Effect.succeed })
  )
  const router = yield* ModelRouter.make({
    table,
    backoff: desk.backoff,
    pool: ({ index, name }) => seats[index]?.place.pool ?? name
  }).pipe(Effect.provideService(Health.Health, health))
  return {
    desk,
    router,
    health,
    table,
    seats,
    counters: new RouteCounters(),
    lastResorts: new Map(
      Object.entries(lastResorts).map(([name, own]) => [name, typeof own === "function" ? { converse: own } : own])
    ),
    checks: new Map(Object.entries(checks)),
    said: new Set()
  }
})

/** The client of each target: one for a Region, all with the same settings. */
const clients = Effect.fnUntraced(function*(client: BedrockClient.Service) {
  const made = yield* RegionClients
  const byRegion = new Map<string | undefined, BedrockClient.Service>([[client.region, client]])
  return ({ name, region }: BuiltTarget): Effect.Effect<BedrockClient.Service, Settings.OptionsError, Scope.Scope> => {
    const known = byRegion.get(region ?? client.region)
    if (known !== undefined) return Effect.succeed(known)
    if (region === undefined || made === undefined) {
      return Settings.fail(
        `routes.targets.${name}`,
        `it is in ${region}, and the client sends to ${client.region}: provide Routes.RegionClients`
      )
    }
    return Effect.tap(made(region), (other) => Effect.sync(() => byRegion.set(region, other)))
  }
})

const seatOf = (
  desk: Desk,
  client: BedrockClient.Service,
  target: BuiltTarget
): Effect.Effect<Seat, Settings.OptionsError> => {
  const own = { ...desk, region: target.region ?? client.region }
  const place = placeOf(own, questions.snapshot(target.model))
  return Result.isFailure(place)
    ? Settings.fail(`routes.targets.${target.name}`, place.failure.reason.message)
    : Effect.succeed({ target, client, desk: own, place: place.success })
}

/** The route that a model's id names, if it does. @internal */
export const routeOf = ({ table }: Routing, modelId: string | undefined): BuiltRoute | undefined =>
  modelId === undefined ? undefined : table.route(modelId)
