// Random files of routes, and what may be known and asked, from a seed.
import { type Decision, type Fence, type Route, RouteTable, type Target } from "@caprock/router"
import { Result } from "effect"

/** Numbers as if drawn, the same for the same seed. */
export class Dice {
  private state: number
  constructor(seed: number) {
    this.state = seed | 0
  }
  /** From 0 up to 1. */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0
    let bits = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state)
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32
  }
  below(end: number): number {
    return Math.floor(this.next() * end)
  }
  chance(part: number): boolean {
    return this.next() < part
  }
  of<A>(all: ReadonlyArray<A>): A {
    const one = all[this.below(all.length)]
    if (one === undefined) throw new Error("there is nothing to draw from")
    return one
  }
  times<A>(count: number, make: (index: number) => A): Array<A> {
    return Array.from({ length: count }, (_, index) => make(index))
  }
}

const places = ["eu-west-1", "eu-central-1", "eu-north-1", "us-east-1", "us-west-2", "ap-south-1"] as const
const parts = ["eu-*", "us-*", "eu-west-1", "us-east-1", "*"] as const
const needs = ["tools", "images", "documents", "streaming", "caching"] as const

const fence = (dice: Dice): Fence.Fence => [dice.of(parts), ...dice.times(dice.below(3), () => dice.of(parts))]

const target = (dice: Dice): Target.Target => ({
  model: "acme.sage",
  ...(dice.chance(0.1) ? {} : {
    residency: dice.chance(0.1) ? ["*"] : [dice.of(places), ...dice.times(dice.below(2), () => dice.of(places))]
  }),
  ...(dice.chance(0.5) ? {} : {
    able: {
      ...(dice.chance(0.5) ? {} : { input: 1 + dice.below(2_000) }),
      ...Object.fromEntries(needs.filter(() => dice.chance(0.2)).map((need) => [need, dice.chance(0.5)]))
    }
  }),
  price: { input: dice.below(4), output: dice.below(10) }
})

const policy = (dice: Dice, names: ReadonlyArray<string>, depth: number, ladder: boolean): Route.Policy => {
  const leaf = () => dice.of(names)
  if (depth === 0 || dice.chance(0.2)) return leaf()
  const inner = (isFirst: boolean) => policy(dice, names, depth - 1, ladder && isFirst)
  const some = () => dice.times(1 + dice.below(4), (index) => inner(index === 0))
  const patience = dice.chance(0.5) ? {} : { patience: dice.of([0, 500, "2 seconds", "Infinity"] as const) }
  switch (dice.below(ladder ? 7 : 6)) {
    case 0:
    case 1:
      return { ordered: some(), ...patience }
    case 2:
      return { headroom: some() }
    case 3:
      return {
        weighted: some().map((to, index) => ({
          to,
          weight: index === 0 ? 1 : dice.below(4),
          ...(dice.chance(0.7) ? {} : { ramp: { from: "1970-01-01T00:00:01Z", over: 1 + dice.below(2_000) } })
        }))
      }
    case 4:
      return { cheapest: some(), ...patience }
    case 5:
      return { choose: some(), by: "any" }
    default:
      return {
        difficulty: dice.times(
          1 + dice.below(3),
          (level) => ({ level: `l${level}`, to: policy(dice, names, depth - 1, false) })
        ),
        by: "any"
      }
  }
}

/** A file of some targets and one route, `r`; fenced more often than not. */
export const file = (dice: Dice, most = 8): Route.RouteFile => {
  const names = dice.times(1 + dice.below(most), (index) => `t${index}`)
  return {
    targets: Object.fromEntries(names.map((name) => [name, target(dice)])),
    routes: {
      r: {
        policy: policy(dice, names.filter(() => dice.chance(0.7)).concat(names[0] ?? ""), 3, true),
        ...(dice.chance(0.4) ? {} : { fence: fence(dice) }),
        ...(dice.chance(0.5) ? {} : { affinity: { patience: dice.of([0, 1_000] as const) } })
      }
    }
  }
}

/** Functions that return what they like, names of other targets among it. */
export const functions = (dice: Dice): RouteTable.Functions => {
  const seed = dice.below(2 ** 31)
  return {
    classify: { any: ({ input }) => `l${new Dice(seed ^ input).below(4)}` },
    choose: {
      any: ({ input }, candidates) => {
        const own = new Dice(seed ^ input)
        return [...candidates.map(({ target }) => target.name), "t0", "t1", "elsewhere", "t1"].filter(() =>
          own.chance(0.7)
        )
      }
    }
  }
}

export const ask = (dice: Dice): Decision.Ask => ({
  input: dice.below(2_000),
  output: dice.below(1_000),
  needs: needs.filter(() => dice.chance(0.1)),
  leftMillis: dice.chance(0.5) ? Infinity : dice.below(20_000),
  ...(dice.chance(0.7) ? {} : { fence: fence(dice) }),
  ...(dice.chance(0.8) ? {} : { level: dice.below(4) })
})

/** Milliseconds since 1970 at which decisions of these tests are made. */
export const now = 2_000

const standing = (dice: Dice): Decision.Standing =>
  dice.chance(0.6)
    ? { _tag: "Closed", share: 1 }
    : dice.of<Decision.Standing>([
      { _tag: "Closed", share: dice.next() },
      { _tag: "Open", untilMillis: now - 1_000 + dice.below(3_000) },
      { _tag: "HalfOpen", probing: dice.chance(0.5) }
    ])

export const facts = (dice: Dice): Decision.Facts => ({
  waitMillis: dice.chance(0.5) ? 0 : dice.chance(0.05) ? Infinity : dice.below(10_000),
  free: dice.of([0, 0.5, 1, dice.next()]),
  standing: standing(dice),
  warm: dice.chance(0.3) ? 1 + dice.below(3) : 0,
  ...(dice.chance(0.9) ? {} : { refused: "Parked" }),
  ...(dice.chance(0.5) ? {} : { latencyMillis: dice.below(5_000) })
})

export const tried = (dice: Dice, most: number): Decision.Tried => {
  const traces = dice.times(most, (): Decision.Trace | undefined =>
    dice.chance(0.7) ? undefined : {
      notBeforeMillis: dice.chance(0.2) ? Infinity : now - 1_000 + dice.below(4_000),
      sick: dice.chance(0.5),
      why: "ServerError"
    })
  return { at: (index) => traces[index] }
}

/** A table that there has to be. */
export const tableOf = (file: Route.RouteFile, functions?: RouteTable.Functions): RouteTable.RouteTable =>
  Result.getOrThrow(RouteTable.make(file, functions))

/** The route of that name, which there has to be. */
export const routeOf = (table: RouteTable.RouteTable, name = "r"): RouteTable.BuiltRoute => {
  const route = table.route(name)
  if (route === undefined) throw new Error(`there is no route ${name}`)
  return route
}

/** The one route of these targets, each with nothing but a model and what is told of it. */
export const routeTo = (
  policy: Route.Policy,
  targets: Readonly<Record<string, Partial<Target.Target>>>,
  { functions, ...route }: Partial<Omit<Route.Route, "policy">> & { readonly functions?: RouteTable.Functions } = {}
): RouteTable.BuiltRoute =>
  routeOf(tableOf({
    targets: Object.fromEntries(Object.entries(targets).map(([name, target]) => [name, { model: "m", ...target }])),
    routes: { r: { policy, ...route } }
  }, functions))
