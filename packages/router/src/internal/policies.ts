// The order in which policies put targets, and when each is worth waiting for.
//
// Preference is measured in waiting time alone. A target has a predicted `ready`: when it would be admitted if one waited for it from `after` on. A
// policy is as ready as the readiest of its targets; one that comes after another is due at once where that makes wait for longer than it and the patience,
// and else when the patience is over.
import type { Ask, Choosable, Facts, Level, Why } from "../Decision.ts"
import { type BuiltTarget, usd } from "../Target.ts"
import { lotOf } from "./draw.ts"
import type { Chooser, Ladder, Node, Weight } from "./tree.ts"

/** A target's place in an order. */
interface Seat {
  readonly target: BuiltTarget
  readonly facts: Facts
  after: number
  ready: number
  why: Why
}

/** Targets in order, at least one. */
export interface Seats {
  readonly first: Seat
  readonly all: Array<Seat>
  ready: number
}

/** What policies are asked with. */
export interface Question {
  readonly ask: Ask
  readonly chance: number
  readonly nowMillis: number
  /** How much longer one waits for a target whose cache has the prompt. */
  readonly affinity: number
  readonly level: Level | undefined
  /** A new seat for a target; `undefined` where it takes no part. */
  readonly seat: (target: BuiltTarget) => Seat | undefined
}

/** How long one waits for what is preferred where nothing else is said: a wait that nobody minds. */
export const usualPatience = 1_000

/** How long one waits to pay less where no deadline is known: as long as most people's own patience lasts. */
const thriftyPatience = 20_000

/** The targets of a policy that take part, in its order; `undefined` where there are none. */
export const evaluate = (node: Node, question: Question): Seats | undefined => {
  switch (node._tag) {
    case "Target": {
      const seat = question.seat(node.target)
      return seat === undefined ? undefined : { first: seat, all: [seat], ready: seat.ready }
    }
    case "Ordered":
      return inOrder(evaluateAll(node.of, question), () => node.patience)
    case "Headroom":
      return headroom(evaluateAll(node.of, question), question.affinity)
    case "Weighted":
      return weighted(node.of, node.lot, question)
    case "Cheapest":
      return cheapest(evaluateAll(node.of, question), node.patience, question.ask)
    case "Difficulty":
      return difficulty(node, question)
    case "Choose":
      return choose(evaluateAll(node.of, question), node.choose, question)
  }
}

const evaluateAll = (nodes: ReadonlyArray<Node>, question: Question): Array<Seats> => {
  const all: Array<Seats> = []
  for (const node of nodes) {
    const seats = evaluate(node, question)
    if (seats !== undefined) all.push(seats)
  }
  return all
}

/** Says why a policy is where it is, unless a policy within it has said so already. */
const label = (seats: Seats, why: Why): void => {
  if (seats.first.why._tag === "Preferred") seats.first.why = why
}

/** All of them from now on. */
const together = (groups: ReadonlyArray<Seats>): Seats | undefined => {
  const [seats, ...others] = groups
  for (const group of others) {
    for (const seat of group.all) seats?.all.push(seat)
    if (seats !== undefined) seats.ready = Math.min(seats.ready, group.ready)
  }
  return seats
}

/** One after the other. `patience` is of each but the first: how much longer than for it one waits for those before it. */
export const inOrder = (
  groups: ReadonlyArray<Seats>,
  patience: (group: Seats) => number
): Seats | undefined => {
  const [seats, ...others] = groups
  if (seats === undefined) return undefined
  // The readiest of those before.
  let best = seats.first
  for (const seat of seats.all) if (seat.ready < best.ready) best = seat
  for (const group of others) {
    const most = patience(group)
    const shift = best.ready > group.ready + most ? 0 : most
    label(group, { _tag: "Overflow", of: best.target.name, waitMillis: best.ready })
    for (const seat of group.all) {
      seat.after += shift
      seat.ready += shift
      seats.all.push(seat)
    }
    for (const seat of group.all) if (seat.ready < best.ready) best = seat
  }
  seats.ready = best.ready
  return seats
}

const headroom = (groups: Array<Seats>, affinity: number): Seats | undefined => {
  // Not a number where both are never ready, which says nothing, as 0 does.
  groups.sort((a, b) => (a.ready - b.ready) || (b.first.facts.free - a.first.facts.free))
  const [best, next] = groups
  if (best === undefined || next === undefined) return best
  const least = best.ready
  const warm: Array<Seats> = []
  const cold: Array<Seats> = []
  for (const group of groups) {
    if (group.first.facts.warm && group.first.ready <= least + affinity) {
      label(group, { _tag: "Warm" })
      warm.push(group)
    } else {
      label(group, group.ready === least ? { _tag: "MostFree" } : { _tag: "LeastWait" })
      cold.push(group)
    }
  }
  const others = together(cold)
  const first = together(warm)
  if (first === undefined || others === undefined) return first ?? others
  return inOrder([first, others], () => affinity)
}

const weighted = (parts: ReadonlyArray<Weight>, lot: number, question: Question): Seats | undefined => {
  const drawn: Array<{ readonly group: Seats; readonly weight: number; readonly lot: number }> = []
  let left = 0
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i]
    const weight = part === undefined ? 0 : weightAt(part, question.nowMillis)
    const group = part === undefined || weight <= 0 ? undefined : evaluate(part.node, question)
    if (group === undefined) continue
    left += weight
    // Whose exponential time ends first is drawn by weight, and so is each next one among the rest: without regard to who takes no part.
    drawn.push({ group, weight, lot: -Math.log(lotOf(question.chance, lot + i)) / weight })
  }
  drawn.sort((a, b) => a.lot - b.lot)
  for (const { group, weight } of drawn) {
    label(group, { _tag: "Drawn", share: weight / left })
    left -= weight
  }
  return inOrder(drawn.map(({ group }) => group), () => usualPatience)
}

const weightAt = ({ ramp, weight }: Weight, nowMillis: number): number =>
  ramp === undefined ? weight : weight * Math.min(1, Math.max(0, (nowMillis - ramp.from) / ramp.over))

/** What the call would cost; `undefined` where the target has no price. */
const usdOf = ({ price }: BuiltTarget, ask: Ask): number | undefined =>
  price === undefined ? undefined : usd(price, ask)

const cheapest = (groups: Array<Seats>, patience: number | undefined, ask: Ask): Seats | undefined => {
  const priced = groups.map((group) => ({ group, usd: usdOf(group.first.target, ask) ?? Infinity }))
  priced.sort((a, b) => (a.usd - b.usd) || (a.group.ready - b.group.ready))
  for (const { group, usd } of priced) label(group, { _tag: "Cheapest", usd })
  return inOrder(priced.map(({ group }) => group), patience === undefined ? thrifty(ask) : () => patience)
}

/** How long one waits before one pays more: until what is dearer would just be in time. */
const thrifty = ({ leftMillis }: Ask) => ({ first, ready }: Seats): number =>
  leftMillis === Infinity ? thriftyPatience : Math.max(0, leftMillis - ready - (first.facts.latencyMillis ?? 0))

const difficulty = ({ of }: Ladder, question: Question): Seats | undefined => {
  const groups: Array<Seats> = []
  for (const { name, node } of of.slice(question.level?.index)) {
    const group = evaluate(node, question)
    if (group === undefined) continue
    label(group, { _tag: "Level", name })
    groups.push(group)
  }
  return inOrder(groups, thrifty(question.ask))
}

const choose = (groups: ReadonlyArray<Seats>, chooser: Chooser, question: Question): Seats | undefined => {
  const able = new Map<string, Choosable>()
  for (const { facts, target } of together(groups)?.all ?? []) {
    able.set(target.name, { ...facts, target, usd: usdOf(target, question.ask) })
  }
  const chosen: Array<Seats> = []
  for (const name of new Set(chooser(question.ask, [...able.values()]))) {
    const choosable = able.get(name)
    // Its place is the function's to say, whatever policy it came from.
    const first = choosable && question.seat(choosable.target)
    if (first === undefined) continue
    first.why = { _tag: "Chosen" }
    chosen.push({ first, all: [first], ready: first.ready })
  }
  return inOrder(chosen, () => usualPatience)
}
