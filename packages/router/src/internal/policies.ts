// The order in which policies put targets, and when each is worth waiting for.
//
// Preference is measured in waiting time alone. A target has a predicted `ready`: when it would be admitted if one waited for it from `after` on. A
// policy is as ready as the readiest of its targets; one that comes after another is due at once where that makes wait for longer than it and the patience,
// and else when the patience is over.
import type { Ask, Choosable, Facts, Level, Why } from "../Decision.ts"
import { type BuiltTarget, usd } from "../Target.ts"
import { lotOf } from "./draw.ts"
import type { Choice, Ladder, Node, Weight } from "./tree.ts"

/** A target's place in an order. */
interface Seat {
  readonly target: BuiltTarget
  readonly facts: Facts
  after: number
  ready: number
  why: Why
  /** Who comes next. */
  next: Seat | undefined
}

/** Targets in order, at least one: a chain, since most are joined to others again and again. */
export interface Seats {
  readonly first: Seat
  last: Seat
  /** Who is ready first. */
  best: Seat
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
    case "Target":
      return alone(question.seat(node.target))
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
      return choose(evaluateAll(node.of, question), node, question)
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

const alone = (seat: Seat | undefined): Seats | undefined =>
  seat === undefined ? undefined : { first: seat, last: seat, best: seat }

/**
 * In order of their keys, which are those at the same place; of two with the same the readier first. Each is moved forward to its place: of as many as
 * routes have that takes a third of what `sort` does, most of which is to ask a function.
 */
const sort = (groups: Array<Seats>, keys: Array<number>): void => {
  for (let i = 1; i < groups.length; i++) {
    const group = groups[i]
    if (group === undefined) return
    const key = keys[i] ?? 0
    let at = i
    for (; at > 0; at--) {
      const before = groups[at - 1]
      const other = keys[at - 1] ?? 0
      if (before === undefined || other < key || (other === key && before.best.ready <= group.best.ready)) break
      groups[at] = before
      keys[at] = other
    }
    groups[at] = group
    keys[at] = key
  }
}

/** Says why a policy is where it is, unless a policy within it has said so already. */
const label = (seats: Seats, why: Why): void => {
  if (seats.first.why._tag === "Preferred") seats.first.why = why
}

const labelAll = (groups: ReadonlyArray<Seats>, why: (index: number) => Why): void => {
  let index = 0
  for (const { first } of groups) {
    if (first.why._tag === "Preferred") first.why = why(index)
    index++
  }
}

const append = (seats: Seats, others: Seats): void => {
  seats.last.next = others.first
  seats.last = others.last
  if (others.best.ready < seats.best.ready) seats.best = others.best
}

/** All of them from now on. */
const together = (groups: ReadonlyArray<Seats>): Seats | undefined => {
  let seats: Seats | undefined
  for (const group of groups) {
    if (seats === undefined) seats = group
    else append(seats, group)
  }
  return seats
}

/** One after the other. `patience` is of each but the first: how much longer than for it one waits for those before it. */
export const inOrder = (
  groups: ReadonlyArray<Seats>,
  patience: (group: Seats) => number
): Seats | undefined => {
  let seats: Seats | undefined
  for (const group of groups) {
    if (seats === undefined) {
      seats = group
      continue
    }
    const { ready, target } = seats.best
    const most = patience(group)
    // Nothing is made for those who have their reason already.
    if (group.first.why._tag === "Preferred") group.first.why = { _tag: "Overflow", of: target.name, waitMillis: ready }
    if (ready <= group.best.ready + most) {
      for (let seat: Seat | undefined = group.first; seat !== undefined; seat = seat.next) {
        seat.after += most
        seat.ready += most
      }
    }
    append(seats, group)
  }
  return seats
}

const leastWait: Why = { _tag: "LeastWait" }
const mostFree: Why = { _tag: "MostFree" }
const warmest: Why = { _tag: "Warm" }

const headroom = (groups: Array<Seats>, affinity: number): Seats | undefined => {
  // Pushed rather than mapped: what `map` gives is read twice as slowly.
  // All of the room counts as much as a millisecond, more than which nobody can predict.
  const keys: Array<number> = []
  for (const { best, first } of groups) keys.push(best.ready - first.facts.free)
  sort(groups, keys)
  const [best, next] = groups
  if (best === undefined || next === undefined) return best
  const least = best.best.ready
  // By how much of the prompt their caches have. Who has less is waited for as who has none: only where it makes wait much shorter.
  const warm: Array<Array<Seats>> = []
  const cold: Array<Seats> = []
  for (const group of groups) {
    const { facts, ready } = group.first
    if (facts.warm > 0 && ready <= least + affinity) {
      label(group, warmest)
      const same = warm[facts.warm]
      if (same === undefined) warm[facts.warm] = [group]
      else same.push(group)
    } else {
      label(group, group.best.ready === least ? mostFree : leastWait)
      cold.push(group)
    }
  }
  if (warm.length === 0) return together(cold)
  const ranks: Array<Seats> = []
  for (const rank of [...warm.toReversed(), cold]) {
    const seats = together(rank ?? [])
    if (seats !== undefined) ranks.push(seats)
  }
  return inOrder(ranks, () => affinity)
}

const weighted = (parts: ReadonlyArray<Weight>, lot: number, question: Question): Seats | undefined => {
  const drawn: Array<Seats> = []
  const times: Array<number> = []
  const weights: Array<number> = []
  let sum = 0
  let number = lot
  for (const part of parts) {
    const own = lotOf(question.chance, number++)
    const weight = weightAt(part, question.nowMillis)
    const group = weight <= 0 ? undefined : evaluate(part.node, question)
    if (group === undefined) continue
    drawn.push(group)
    weights.push(weight)
    sum += weight
    // Whose exponential time ends first is drawn by weight, and so is each next one among the rest: without regard to who takes no part.
    times.push(-Math.log(own) / weight)
  }
  labelAll(drawn, (i) => ({ _tag: "Drawn", share: (weights[i] ?? 0) / sum }))
  sort(drawn, times)
  return inOrder(drawn, () => usualPatience)
}

const weightAt = ({ ramp, weight }: Weight, nowMillis: number): number =>
  ramp === undefined ? weight : weight * Math.min(1, Math.max(0, (nowMillis - ramp.from) / ramp.over))

/** What the call would cost; `undefined` where the target has no price. */
const usdOf = ({ price }: BuiltTarget, ask: Ask): number | undefined =>
  price === undefined ? undefined : usd(price, ask)

const cheapest = (groups: Array<Seats>, patience: number | undefined, ask: Ask): Seats | undefined => {
  const prices: Array<number> = []
  for (const { first } of groups) prices.push(usdOf(first.target, ask) ?? Infinity)
  labelAll(groups, (i) => ({ _tag: "Cheapest", usd: prices[i] ?? 0 }))
  sort(groups, prices)
  return inOrder(groups, patience === undefined ? thrifty(ask) : () => patience)
}

/** How long one waits before one pays more: until what is dearer would just be in time. */
const thrifty = ({ leftMillis }: Ask) => ({ best, first }: Seats): number =>
  leftMillis === Infinity ? thriftyPatience : Math.max(0, leftMillis - best.ready - (first.facts.latencyMillis ?? 0))

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

const chosen: Why = { _tag: "Chosen" }

const choose = (groups: ReadonlyArray<Seats>, { choose, named }: Choice, question: Question): Seats | undefined => {
  // By the targets' indices: who may be chosen, and was not yet.
  const able: Array<boolean | undefined> = []
  const choosable: Array<Choosable> = []
  for (let seat = together(groups)?.first; seat !== undefined; seat = seat.next) {
    const { facts, target } = seat
    if (able[target.index] === true) continue
    able[target.index] = true
    const { free, latencyMillis, refused, standing, waitMillis, warm } = facts
    const usd = usdOf(target, question.ask)
    choosable.push({ target, usd, waitMillis, free, refused, standing, latencyMillis, warm })
  }
  const order: Array<Seats> = []
  for (const name of choose(question.ask, choosable)) {
    const target = named.get(name)
    // The first time that it is named counts.
    if (target === undefined || able[target.index] !== true) continue
    able[target.index] = false
    // Its place is the function's to say, whatever policy it came from.
    const group = alone(question.seat(target))
    if (group === undefined) continue
    group.first.why = chosen
    order.push(group)
  }
  return inOrder(order, () => usualPatience)
}
