// Policies as a file has them, made into what can be asked: every name is looked up once, and all that is wrong is told.
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import type { Cheapest, Difficulty, Ordered, Policy, Weighted } from "../Route.ts"
import type { Functions, Problem } from "../RouteTable.ts"
import type { BuiltTarget } from "../Target.ts"
import { type Node, targetsOf, type Weight } from "./tree.ts"

export interface Context {
  readonly targets: ReadonlyMap<string, BuiltTarget>
  readonly functions: Functions
  readonly tell: (problem: Problem) => void
  /** Where in the file: `policy.ordered[1]`. */
  readonly at: string
  /** What the next weighted policy of the route draws by. */
  readonly lots: { next: number }
}

/** What is left of it where something is wrong, which was told. */
export const compile = (policy: Policy, context: Context): Node | undefined => {
  if (typeof policy === "string") return target(policy, context)
  if ("ordered" in policy) return ordered(policy, context)
  if ("headroom" in policy) return { _tag: "Headroom", of: compileAll(policy.headroom, "headroom", context) }
  if ("weighted" in policy) return weighted(policy, context)
  if ("cheapest" in policy) return cheapest(policy, context)
  if ("difficulty" in policy) return difficulty(policy, context)
  const of = compileAll(policy.choose, "choose", context)
  const choose = named(context.functions.choose, policy.by, context)
  if (choose === undefined) return undefined
  const below = of.flatMap(targetsOf)
  return { _tag: "Choose", of, choose, named: new Map(below.map((target) => [target.name, target])) }
}

const target = (name: string, { at, targets, tell }: Context): Node | undefined => {
  const target = targets.get(name)
  if (target !== undefined) return { _tag: "Target", target }
  tell({
    reason: "unknown-target",
    target: name,
    message: `${at}: there is no target ${JSON.stringify(name)}. ${known("targets", targets.keys())}`
  })
  return undefined
}

const known = (what: string, names: Iterable<string>): string => {
  const list = Array.from(names, (name) => JSON.stringify(name)).join(", ")
  return list === "" ? `There are no ${what}` : `The ${what} are ${list}`
}

const compileAll = (
  policies: ReadonlyArray<Policy>,
  key: string,
  context: Context
): ReadonlyArray<Node> => {
  const { at, tell } = context
  if (policies.length === 0) {
    tell({ reason: "empty", message: `${at}.${key}: nothing to pick from: name at least one target` })
  }
  return policies.map((policy, i) => compile(policy, { ...context, at: `${at}.${key}[${i}]` }))
    .filter((node) => node !== undefined)
}

const named = <F>(
  functions: Readonly<Record<string, F>> | undefined,
  name: string,
  { at, tell }: Context
): F | undefined => {
  if (functions !== undefined && Object.hasOwn(functions, name)) return functions[name]
  tell({
    reason: "unknown-function",
    message: `${at}.by: there is no function ${JSON.stringify(name)}. ${
      known("functions", Object.keys(functions ?? {}))
    }`
  })
  return undefined
}

const ordered = (policy: Ordered, context: Context): Node => ({
  _tag: "Ordered",
  of: compileAll(policy.ordered, "ordered", context),
  patience: Duration.toMillis(policy.patience ?? "1 second")
})

const weighted = ({ weighted }: Weighted, context: Context): Node => {
  const { at, lots, tell } = context
  const lot = lots.next
  lots.next += weighted.length
  const nodes = weighted.map(({ to }, i) => compile(to, { ...context, at: `${at}.weighted[${i}].to` }))
  const of = weighted.flatMap(({ ramp, weight }, i): ReadonlyArray<Weight> => {
    const node = nodes[i]
    return node === undefined ? [] : [{
      node,
      weight,
      ramp: ramp && { from: DateTime.toEpochMillis(DateTime.makeUnsafe(ramp.from)), over: Duration.toMillis(ramp.over) }
    }]
  })
  if (weighted.length === 0) {
    tell({ reason: "empty", message: `${at}.weighted: nothing to draw from: name at least one target` })
  } else if (weighted.every(({ weight }) => weight === 0)) {
    tell({ reason: "no-weight", message: `${at}.weighted: every weight is 0, so none is ever drawn` })
  }
  return { _tag: "Weighted", of, lot }
}

const cheapest = (policy: Cheapest, context: Context): Node => {
  const of = compileAll(policy.cheapest, "cheapest", context)
  for (const { name, price } of new Set(of.flatMap(targetsOf))) {
    if (price !== undefined) continue
    context.tell({
      reason: "no-price",
      target: name,
      message: `${context.at}.cheapest: target ${
        JSON.stringify(name)
      } has no price: say it in US dollars for a million tokens, 0 for what is paid already`
    })
  }
  return {
    _tag: "Cheapest",
    of,
    patience: policy.patience === undefined ? undefined : Duration.toMillis(policy.patience)
  }
}

const difficulty = (policy: Difficulty, context: Context): Node | undefined => {
  const { at, tell } = context
  const of = policy.difficulty.flatMap(({ level, to }, i) => {
    const node = compile(to, { ...context, at: `${at}.difficulty[${i}].to` })
    return node === undefined ? [] : [{ name: level, node }]
  })
  if (policy.difficulty.length === 0) {
    tell({ reason: "empty", message: `${at}.difficulty: no levels: name at least one` })
  }
  const names = policy.difficulty.map(({ level }) => level)
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined) {
    tell({ reason: "levels", message: `${at}.difficulty: two levels are called ${JSON.stringify(twice)}` })
  }
  const classify = named(context.functions.classify, policy.by, context)
  return classify && { _tag: "Difficulty", of, classify }
}
