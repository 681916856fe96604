/**
 * Targets and routes of a file, checked, fenced and ready to be asked.
 *
 * A route can be had from here only, and it holds its targets themselves: whatever it decides, whichever names a function of the user's returns, it
 * never gets to a target that was not found to be inside of its fence.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Ask, Choosable } from "./Decision.ts"
import * as Fence from "./Fence.ts"
import { compile } from "./internal/compile.ts"
import { below, type Ladder, type Node, type Plan, plan, targetsOf } from "./internal/tree.ts"
import { fromUnknown, type Route, type RouteFile } from "./Route.ts"
import type { BuiltTarget } from "./Target.ts"

// -----------------------------------------------------------------------------
// Models and errors
// -----------------------------------------------------------------------------

const TypeId: unique symbol = Symbol("@caprock/router/BuiltRoute")

/**
 * A route that was checked.
 *
 * @category models
 * @since 0.1.0
 */
export interface BuiltRoute {
  readonly name: string
  /** Those that its policy names, each once, in the order in which it does. */
  readonly targets: ReadonlyArray<BuiltTarget>
  readonly fence: Fence.Fence | undefined
  readonly hedge: { readonly percentile: number; readonly share: number } | undefined
  /** How much longer a call waits for the target whose cache has its prompt. */
  readonly affinityMillis: number
  /** Nobody has this key but `make`, which is why there is no other way to a route. */
  readonly [TypeId]: true
  /** @internal */
  readonly [plan]: Plan
}

/**
 * Targets and routes that were checked together.
 *
 * @category models
 * @since 0.1.0
 */
export interface RouteTable {
  /** By their index. */
  readonly targets: ReadonlyArray<BuiltTarget>
  readonly routes: ReadonlyArray<BuiltRoute>
  readonly route: (name: string) => BuiltRoute | undefined
}

/**
 * Functions of the user's that routes name with `by`. They are called while a call is decided, often, and must return at once.
 *
 * @category models
 * @since 0.1.0
 */
export interface Functions {
  /** For `difficulty`: the name of the call's level. */
  readonly classify?: Readonly<Record<string, (ask: Ask) => string>> | undefined
  /** For `choose`: the names of the targets to use, best first. What is no name of one that it was given is passed over. */
  readonly choose?:
    | Readonly<Record<string, (ask: Ask, candidates: ReadonlyArray<Choosable>) => ReadonlyArray<string>>>
    | undefined
}

/**
 * One thing that is wrong with a file of routes.
 *
 * - `shape`: it has not the form of such a file.
 * - `name`: a route is called what may be a model's id, beside which it has to be told.
 * - `unknown-target`, `unknown-function`: a policy names what is not there.
 * - `empty`, `no-weight`: it has nothing to pick from, or only weights of 0.
 * - `circle`: it is a part of itself.
 * - `no-price`: a target has to be compared by price and has none.
 * - `levels`: difficulty is asked for twice, or two levels are called the same.
 * - `outside-fence`, `residency-unknown`: a target may process requests outside of the route's fence, or does not say where it does.
 *
 * @category models
 * @since 0.1.0
 */
export const Problem = Schema.Struct({
  reason: Schema.Literals([
    "shape",
    "name",
    "unknown-target",
    "unknown-function",
    "empty",
    "no-weight",
    "circle",
    "no-price",
    "levels",
    "outside-fence",
    "residency-unknown"
  ]),
  route: Schema.optionalKey(Schema.String),
  target: Schema.optionalKey(Schema.String),
  /** What is wrong, where, and what to do about it. */
  message: Schema.String
})

/**
 * One thing that is wrong with a file of routes.
 *
 * @category models
 * @since 0.1.0
 */
export type Problem = typeof Problem.Type

/**
 * A file of routes does not make sense. All that is wrong with it is told at once.
 *
 * @category errors
 * @since 0.1.0
 */
export class RouteTableError extends Schema.TaggedError<RouteTableError>()("RouteTableError", {
  problems: Schema.NonEmptyArray(Problem)
}) {
  override get message(): string {
    return this.problems.map(({ message }) => message).join("\n")
  }
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * A table of targets and routes, if they make sense together. Costs one walk through each policy.
 *
 * **Example** (A target outside of the fence is found when the table is made)
 *
 * ```ts
 * import { RouteTable } from "@caprock/router"
 * import { Result } from "effect"
 *
 * const table = RouteTable.make({
 *   targets: {
 *     ireland: { model: "acme.sage-v1:0", residency: ["eu-west-1"] },
 *     virginia: { model: "acme.sage-v1:0", residency: ["us-east-1"] }
 *   },
 *   routes: { chat: { policy: { ordered: ["ireland", "virginia"] }, fence: ["eu-*"] } }
 * })
 * if (Result.isFailure(table)) console.log(table.failure.message) // => Route "chat": target "virginia" may process requests at us-east-1, outside of its fence eu-*…
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (file: RouteFile, functions: Functions = {}): Result.Result<RouteTable, RouteTableError> => {
  if (isCircle(file, [])) return failure([{ reason: "circle", message: "A policy is a part of itself" }])
  const decoded = fromUnknown(file)
  if (Result.isFailure(decoded)) return failure([{ reason: "shape", message: decoded.failure.message }])

  const problems: Array<Problem> = []
  const targets = Object.entries(file.targets).map(([name, target], index): BuiltTarget => ({ ...target, name, index }))
  const byName = new Map(targets.map((target) => [target.name, target]))
  const routes = new Map<string, BuiltRoute>()
  for (const [name, route] of Object.entries(file.routes)) {
    const found: Array<Problem> = []
    const built = build(name, route, byName, functions, (problem) => found.push({ ...problem, route: name }))
    for (const problem of found) problems.push({ ...problem, message: `Route ${quoted(name)}: ${problem.message}` })
    if (built !== undefined) routes.set(name, built)
  }
  const [first, ...others] = problems
  return first === undefined
    ? Result.succeed({ targets, routes: [...routes.values()], route: (name) => routes.get(name) })
    : failure([first, ...others])
}

const failure = (problems: readonly [Problem, ...Array<Problem>]): Result.Result<never, RouteTableError> =>
  Result.fail(new RouteTableError({ problems }))

const quoted = (name: string): string => JSON.stringify(name)

/** Whether something is a part of itself. It may be anything: to check it before would never end. */
const isCircle = (whole: unknown, above: ReadonlyArray<unknown>): boolean =>
  typeof whole === "object" && whole !== null &&
  (above.includes(whole) || Object.values(whole).some((part) => isCircle(part, [...above, whole])))

type Told = (problem: Problem) => void

const build = (
  name: string,
  { affinity, fence, hedge, policy }: Route,
  targets: ReadonlyMap<string, BuiltTarget>,
  functions: Functions,
  tell: Told
): BuiltRoute | undefined => {
  // Everything that Bedrock is asked for has one of these in its name or has digits; a route stands where such a name does.
  if (name === "" || /[.:/]/.test(name)) {
    tell({ reason: "name", message: "its name may be that of a model: use one without . : and /" })
  }
  const node = compile(policy, { targets, functions, tell, at: "policy", lots: { next: 0 } })
  if (node === undefined) return undefined
  const own = targetsOf(node)
  for (const target of own) {
    const outside = fence === undefined ? undefined : Fence.outside(fence, target.residency)
    if (outside !== undefined) tell(outsideFence(target, outside, fence ?? []))
  }
  const ladders = laddersOf(node)
  const [ladder, another] = ladders
  if (another !== undefined) {
    tell({ reason: "levels", message: "it has difficulty twice, and a call has one level: keep one of them" })
  }
  return {
    name,
    targets: own,
    fence,
    hedge: hedge === undefined ? undefined : { percentile: hedge.percentile ?? 0.95, share: hedge.share ?? 0.05 },
    affinityMillis: Duration.toMillis(affinity?.patience ?? "5 seconds"),
    [TypeId]: true,
    [plan]: {
      policy: node,
      ladder: ladder === undefined ? undefined : {
        classify: ladder.classify,
        levels: ladder.of.map(({ name, node }) => ({ name, targets: targetsOf(node) }))
      }
    }
  }
}

const outsideFence = ({ name }: BuiltTarget, outside: Fence.Outside, fence: ReadonlyArray<string>): Problem =>
  outside._tag === "Unknown"
    ? {
      reason: "residency-unknown",
      target: name,
      message: `target ${quoted(name)} does not say where it may process requests, and the route has the fence ${
        fence.join(", ")
      }: list every place as its residency`
    }
    : {
      reason: "outside-fence",
      target: name,
      message: `target ${quoted(name)} may process requests at ${
        outside.place === Fence.anywhere ? "any place" : outside.place
      }, outside of its fence ${fence.join(", ")}: take it out of the route, or widen the fence`
    }

const laddersOf = (node: Node): ReadonlyArray<Ladder> => [
  ...(node._tag === "Difficulty" ? [node] : []),
  ...below(node).flatMap(laddersOf)
]
