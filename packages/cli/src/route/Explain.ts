/**
 * What `caprock route explain` works out: a route of a file asked as a call would ask it.
 *
 * @since 0.1.0
 */
import * as Routes from "@caprock/bedrock/Routes"
import { nearestFirst } from "@caprock/client/Settings"
import * as Decision from "@caprock/router/Decision"
import * as Describe from "@caprock/router/Describe"
import type * as Route from "@caprock/router/Route"
import type * as RouteTable from "@caprock/router/RouteTable"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as RoutesFile from "../run/RoutesFile.ts"
import { CliFailure } from "../terminal/CliFailure.ts"

// -----------------------------------------------------------------------------
// What is given
// -----------------------------------------------------------------------------

/**
 * What functions of the user's would say, which the command does not have.
 *
 * @category models
 * @since 0.1.0
 */
export interface Said {
  /** The level that the function returns which tells a call's difficulty. */
  readonly level: string | undefined
  /** The targets that the function returns which orders them; all of them as they come unless told. */
  readonly chosen: ReadonlyArray<string> | undefined
}

const Wait = Schema.declare(
  (input): input is Duration.Input =>
    typeof input === "number"
      ? input >= 0
      : Option.exists(Duration.fromInput(input as Duration.Input), (wait) => Duration.toMillis(wait) >= 0),
  { expected: "a duration, such as \"2 seconds\", or milliseconds" }
)
const Part = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))

/**
 * What is known of a target, as a state file has it under its name.
 *
 * - `wait`, `free`: when its pool admits the call, and which part of it is free; `refused`: why it would not.
 * - `latency`: what an answer takes. `warm`: its cache has the prompt.
 * - `share`: the part of calls that it takes while it comes back; `sick`: for how long it takes none.
 *
 * @category schemas
 * @since 0.1.0
 */
export const State = Schema.Record(
  Schema.String,
  Schema.Struct({
    wait: Schema.optionalKey(Wait),
    free: Schema.optionalKey(Part),
    refused: Schema.optionalKey(Schema.NonEmptyString),
    latency: Schema.optionalKey(Wait),
    warm: Schema.optionalKey(Schema.Boolean),
    share: Schema.optionalKey(Part),
    sick: Schema.optionalKey(Wait)
  })
)

/**
 * What is known of targets.
 *
 * @category models
 * @since 0.1.0
 */
export type State = typeof State.Type

// -----------------------------------------------------------------------------
// What comes of it
// -----------------------------------------------------------------------------

/**
 * A decision, and how often each target comes first in many.
 *
 * @category models
 * @since 0.1.0
 */
export interface Explained {
  readonly decision: Decision.Decision
  /** By name, those that ever come first, most often first. */
  readonly first: ReadonlyArray<{ readonly target: string; readonly share: number }>
}

/**
 * The route of a file, built as a program builds it, with stand-ins for the user's functions.
 *
 * @category constructors
 * @since 0.1.0
 */
export const routeOf = (
  text: string,
  where: string,
  name: string,
  region: string | undefined,
  said: Said
): Result.Result<{ readonly table: RouteTable.RouteTable; readonly route: RouteTable.BuiltRoute }, CliFailure> =>
  Result.gen(function*() {
    const file = yield* RoutesFile.parse(text, where)
    const policy = file.routes[name]?.policy
    const asks = policy === undefined ? undefined : functionsOf(policy).find(({ kind }) => kind === "classify")
    if (asks !== undefined && said.level === undefined) {
      return yield* Result.fail(
        new CliFailure({
          problem: `The function "${asks.by}" tells how difficult a call is, and only your program has it.`,
          remedy: `Say what it would: --level with one of ${asks.levels.join(", ")}.`
        })
      )
    }
    const names = Object.values(file.routes).flatMap(({ policy }) => functionsOf(policy).map(({ by }) => by))
    const table = yield* Result.mapError(
      Routes.table(file, { region }, {
        classify: Object.fromEntries(names.map((by) => [by, () => said.level ?? ""])),
        choose: Object.fromEntries(
          names.map((
            by
          ) => [
            by,
            (_: unknown, all: ReadonlyArray<Decision.Choosable>) => said.chosen ?? all.map(({ target }) => target.name)
          ])
        )
      }),
      (error) =>
        new CliFailure({
          problem: `The routes of ${where} don't make sense. ${error.message.replaceAll("\n", "\n  ")}`,
          remedy: "Every program that is given this file is told the same when it starts."
        })
    )
    const route = table.route(name)
    if (route === undefined) {
      const known = table.routes.map(({ name }) => name)
      return yield* Result.fail(
        new CliFailure({
          problem: `${where} has no route "${name}".`,
          remedy: known.length === 0
            ? "It has no routes at all."
            : `It has ${nearestFirst(name, known).join(", ")}.`
        })
      )
    }
    return { table, route }
  })

/** The functions that a policy names, and what for. */
const functionsOf = (
  policy: Route.Policy
): ReadonlyArray<
  { readonly kind: "classify" | "choose"; readonly by: string; readonly levels: ReadonlyArray<string> }
> => {
  if (typeof policy === "string") return []
  if ("difficulty" in policy) {
    const { by, difficulty } = policy
    const own = { kind: "classify", by, levels: difficulty.map(({ level }) => level) } as const
    return [own, ...difficulty.flatMap(({ to }) => functionsOf(to))]
  }
  if ("choose" in policy) {
    return [{ kind: "choose", by: policy.by, levels: [] }, ...policy.choose.flatMap(functionsOf)]
  }
  if ("weighted" in policy) return policy.weighted.flatMap(({ to }) => functionsOf(to))
  if ("ordered" in policy) return policy.ordered.flatMap(functionsOf)
  return ("headroom" in policy ? policy.headroom : policy.cheapest).flatMap(functionsOf)
}

/**
 * What is known of each target of a table, by its index; fails where the state names others.
 *
 * @category constructors
 * @since 0.1.0
 */
export const factsOf = (
  { targets }: RouteTable.RouteTable,
  state: State,
  nowMillis: number
): Result.Result<ReadonlyArray<Decision.Facts>, CliFailure> => {
  const unknown = Object.keys(state).filter((name) => !targets.some((target) => target.name === name))
  return unknown.length > 0
    ? Result.fail(
      new CliFailure({
        problem: `The state is of ${unknown.join(", ")}, and there is no such target.`,
        remedy: `The targets are ${targets.map(({ name }) => name).join(", ")}.`
      })
    )
    : Result.succeed(targets.map(({ name }): Decision.Facts => {
      const { free = 1, latency, refused, share = 1, sick, wait = 0, warm = false } = state[name] ?? {}
      return {
        waitMillis: Duration.toMillis(wait),
        free,
        refused,
        standing: sick === undefined
          ? { _tag: "Closed", share }
          : { _tag: "Open", untilMillis: nowMillis + Duration.toMillis(sick) },
        latencyMillis: latency === undefined ? undefined : Duration.toMillis(latency),
        warm: warm ? 1 : 0
      }
    }))
}

/**
 * A decision, and who comes first in so many, of which each is drawn anew.
 *
 * @category accessors
 * @since 0.1.0
 */
export const explain = (
  route: RouteTable.BuiltRoute,
  ask: Decision.Ask,
  facts: ReadonlyArray<Decision.Facts>,
  nowMillis: number,
  chances: ReadonlyArray<number>
): Explained => {
  const decide = (chance: number) => Decision.decide(route, ask, facts, Decision.untried, chance, nowMillis)
  const count = new Map<string, number>()
  for (const chance of chances) {
    const name = decide(chance).candidates[0]?.target.name
    if (name !== undefined) count.set(name, (count.get(name) ?? 0) + 1)
  }
  return {
    decision: decide(chances[0] ?? 0),
    first: Array.from(count, ([target, times]) => ({ target, share: times / chances.length }))
      .sort((a, b) => b.share - a.share)
  }
}

// -----------------------------------------------------------------------------
// How it is told
// -----------------------------------------------------------------------------

/**
 * As lines for a person.
 *
 * @category accessors
 * @since 0.1.0
 */
export const toText = ({ decision, first }: Explained, draws: number): string =>
  [
    ...Describe.toLines(decision),
    ...(decision.candidates.length === 0 ? ["No target can take this call."] : []),
    ...(first.length > 1
      ? [
        `Of ${draws.toLocaleString("en")} calls, first goes to: ` +
        first.map(({ share, target }) => `${target} ${(100 * share).toFixed(1)} %`).join(", ")
      ]
      : [])
  ].join("\n")

/**
 * As JSON: targets by their names, and times in milliseconds, which are `null` where they never come.
 *
 * @category accessors
 * @since 0.1.0
 */
export const toJson = ({ decision: { candidates, excluded, level }, first }: Explained): string =>
  JSON.stringify({
    candidates: candidates.map((candidate) => ({ ...candidate, target: candidate.target.name })),
    excluded: excluded.map(({ target, why }) => ({ target: target.name, why })),
    level,
    first
  })
