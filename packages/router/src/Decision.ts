/**
 * Where a call goes, and why: one pure function from a route and what is known now to an ordered list of targets.
 *
 * It knows no clock, no chance and no store: the same decision is made when a call runs, when it is described, and in a test.
 *
 * @since 0.1.0
 */
import type { Priority } from "@caprock/rate-limiter/Priority"
import * as Fence from "./Fence.ts"
import { lotOf } from "./internal/draw.ts"
import { evaluate, inOrder, type Seats, usualPatience } from "./internal/policies.ts"
import { plan } from "./internal/tree.ts"
import type { BuiltRoute } from "./RouteTable.ts"
import type { BuiltTarget, Capability } from "./Target.ts"

// -----------------------------------------------------------------------------
// What is known
// -----------------------------------------------------------------------------

/**
 * A part of a prompt, from its beginning, that a cache may have.
 *
 * - `key`: what stands for it. Two parts that are the same have the same key.
 * - `millis`: how long a cache keeps it from its last use. 0 where this call does not ask for that, and an earlier one may have: it is looked for, and not kept.
 *
 * @category models
 * @since 0.1.0
 */
export interface Prefix {
  readonly key: string
  readonly millis: number
}

/**
 * What of a call decides where it goes.
 *
 * @category models
 * @since 0.1.0
 */
export interface Ask {
  /** Tokens that it sends, as estimated. */
  readonly input: number
  /** Tokens that it may get back, as predicted. */
  readonly output: number
  /** What a target has to be able to do. */
  readonly needs: ReadonlyArray<Capability>
  /** The parts of its prompt that a cache may have, from the shortest to the longest. Without any, no target is warm. */
  readonly prefixes?: ReadonlyArray<Prefix> | undefined
  /** Its class, as the limiter knows it: what it waits depends on it. `"standard"` unless set. */
  readonly priority?: Priority | undefined
  /** The level of difficulty to begin at, from 0, after answers of easier ones were rejected. Unless set, the user's function tells. */
  readonly level?: number | undefined
  /** Milliseconds until its deadline; `Infinity` without one. */
  readonly leftMillis: number
  /** A fence that it has to stay in besides its route's: that of what it is a part of. */
  readonly fence?: Fence.Fence | undefined
  /** The request as its caller has it, for the functions of the user's. Nothing else looks at it. */
  readonly request?: unknown
  /** The pool that it will be charged to at a target, where that is not the same for all calls. Else it is what the router knows. */
  readonly pool?: ((target: BuiltTarget) => string) | undefined
}

/**
 * How healthy a target is.
 *
 * - `Closed`: it takes calls; this share of them (0 to 1) while it comes back, which grows until that time, where it is known.
 * - `Open`: it takes none before that time, in milliseconds on the clock of `decide`.
 * - `HalfOpen`: it takes one that shows whether it is back, unless that is under way (`probing`).
 *
 * @category models
 * @since 0.1.0
 */
export type Standing =
  | { readonly _tag: "Closed"; readonly share: number; readonly untilMillis?: number }
  | { readonly _tag: "Open"; readonly untilMillis: number }
  | { readonly _tag: "HalfOpen"; readonly probing: boolean }

/**
 * What is known of a target now.
 *
 * @category models
 * @since 0.1.0
 */
export interface Facts {
  /** Milliseconds until its pool is predicted to admit the call. */
  readonly waitMillis: number
  /** The part of its capacity that is free, 0 to 1. */
  readonly free: number
  /** Why its pool would refuse the call at once, as a word. */
  readonly refused?: string | undefined
  readonly standing: Standing
  /** What an answer takes, as far as it was seen: the median. */
  readonly latencyMillis?: number | undefined
  /** How much of the call's prompt its cache has: so many of its prefixes, from the shortest. 0 for none. */
  readonly warm: number
}

/**
 * What this call has tried before, by the index of the target.
 *
 * @category models
 * @since 0.1.0
 */
export interface Tried {
  readonly at: (index: number) => Trace | undefined
}

/**
 * What came of a target that a call has tried.
 *
 * @category models
 * @since 0.1.0
 */
export interface Trace {
  /** When it may be tried again, in milliseconds on the clock of `decide`; `Infinity` for never. */
  readonly notBeforeMillis: number
  /** Whether it failed rather than refused: it comes after all others then. */
  readonly sick: boolean
  /** How it failed, as a word. */
  readonly why: string
}

/**
 * Nothing was tried before.
 *
 * @category constants
 * @since 0.1.0
 */
export const untried: Tried = { at: () => undefined }

/**
 * A target as a function of the user's sees it that orders those which are able.
 *
 * @category models
 * @since 0.1.0
 */
export interface Choosable extends Facts {
  readonly target: BuiltTarget
  /** What the call would cost there; `undefined` where the target has no price. */
  readonly usd: number | undefined
}

// -----------------------------------------------------------------------------
// What is decided
// -----------------------------------------------------------------------------

/**
 * Why a target is where it is in the order.
 *
 * - `Preferred`: the policy names it first.
 * - `Overflow`: it comes after `of`, of which this wait is predicted.
 * - `Drawn`: it has this share of the weights of all that can take it.
 * - `LeastWait`, `MostFree`: it makes wait the least, or as little as others and has more room.
 * - `Cheapest`: it costs this.
 * - `Warm`: its cache has the prompt.
 * - `Level`: the call is of this difficulty.
 * - `Chosen`: a function of the user's put it there.
 * - `Probe`: it was sick, and this call shows whether it is back.
 * - `Recovering`: it comes back and takes this share of calls, but nobody else can take this one.
 * - `LastTry`: it failed for this call before, in this way.
 *
 * @category models
 * @since 0.1.0
 */
export type Why =
  | { readonly _tag: "Preferred" }
  | { readonly _tag: "Overflow"; readonly of: string; readonly waitMillis: number }
  | { readonly _tag: "Drawn"; readonly share: number }
  | { readonly _tag: "LeastWait" }
  | { readonly _tag: "MostFree" }
  | { readonly _tag: "Cheapest"; readonly usd: number }
  | { readonly _tag: "Warm" }
  | { readonly _tag: "Level"; readonly name: string }
  | { readonly _tag: "Chosen" }
  | { readonly _tag: "Probe" }
  | { readonly _tag: "Recovering"; readonly share: number }
  | { readonly _tag: "LastTry"; readonly after: string }

/**
 * Why a target is not used.
 *
 * - `Outside`: it may process requests at this place, outside of the call's fence; `undefined` where it does not say where.
 * - `Lacks`: it is not able to do this.
 * - `TooLong`: the request has this many tokens, and it takes at most so many.
 * - `Failed`: it failed for this call in a way that no other try can cure.
 * - `Refused`: its pool would refuse the call.
 * - `Open`, `Probing`: it is sick, for so long; or another call shows whether it is back.
 * - `Recovering`: it comes back, takes this share of calls, and this one is not among them; it will be in about so long, where that is known.
 * - `TooLate`: its answer is predicted later than the deadline.
 * - `Level`: it is for work of this level, and the call is harder.
 * - `NotChosen`: the policy left it out: a function of the user's, or a weight of 0.
 *
 * @category models
 * @since 0.1.0
 */
export type WhyNot =
  | { readonly _tag: "Outside"; readonly place: string | undefined }
  | { readonly _tag: "Lacks"; readonly needs: ReadonlyArray<Capability> }
  | { readonly _tag: "TooLong"; readonly tokens: number; readonly most: number }
  | { readonly _tag: "Failed"; readonly why: string }
  | { readonly _tag: "Refused"; readonly tag: string }
  | { readonly _tag: "Open"; readonly forMillis: number }
  | { readonly _tag: "Probing" }
  | { readonly _tag: "Recovering"; readonly share: number; readonly forMillis?: number }
  | { readonly _tag: "TooLate"; readonly predictedMillis: number; readonly leftMillis: number }
  | { readonly _tag: "Level"; readonly name: string }
  | { readonly _tag: "NotChosen" }

/**
 * A target that the call may go to.
 *
 * @category models
 * @since 0.1.0
 */
export interface Candidate {
  readonly target: BuiltTarget
  /** In how many milliseconds from now it is worth to wait in its line too. `Infinity` where it never is. */
  readonly afterMillis: number
  /** Its pool's predicted wait. */
  readonly waitMillis: number
  readonly why: Why
}

/**
 * A target that the call does not go to.
 *
 * @category models
 * @since 0.1.0
 */
export interface Exclusion {
  readonly target: BuiltTarget
  readonly why: WhyNot
}

/**
 * The level of difficulty that a call is at.
 *
 * @category models
 * @since 0.1.0
 */
export interface Level {
  /** From 0, of so many. */
  readonly index: number
  readonly of: number
  readonly name: string
  /** What the user's function said, where no level is called that: then the hardest is taken. */
  readonly unknown?: string | undefined
}

/**
 * Where a call goes: to whichever candidate admits it first, asked in this order. Each target of the route is in one of the lists.
 *
 * @category models
 * @since 0.1.0
 */
export interface Decision {
  readonly candidates: ReadonlyArray<Candidate>
  readonly excluded: ReadonlyArray<Exclusion>
  /** `undefined` where the route asks for no difficulty. */
  readonly level: Level | undefined
}

// -----------------------------------------------------------------------------
// Deciding
// -----------------------------------------------------------------------------

/**
 * Where a call goes, by what is known now. Costs some microseconds for 50 targets, reads nothing but its arguments, and calls nothing but the functions of the
 * user's that the route names.
 *
 * - `facts`: by the index of the target; a target without any is taken to be idle and well.
 * - `chance`: one number from 0 up to 1, of which all is worked out that is drawn. The same one for all decisions of a call.
 * - `nowMillis`: the time, in milliseconds since 1970.
 *
 * @category constructors
 * @since 0.1.0
 */
export const decide = (
  route: BuiltRoute,
  ask: Ask,
  facts: ReadonlyArray<Facts | undefined>,
  tried: Tried,
  chance: number,
  nowMillis: number
): Decision => {
  const level = levelOf(route, ask)
  const known: Array<Known | undefined> = []
  // All of the route is inside of its own.
  // Stryker disable next-line ConditionalExpression: it only takes its time to ask
  const fence = ask.fence === route.fence ? undefined : ask.fence
  let tiers = 0
  for (const target of route.targets) {
    const one = judge(target, ask, fence, facts[target.index] ?? idle, tried.at(target.index), chance, nowMillis)
    known[target.index] = one
    tiers |= one.tier
  }
  let asked = 0
  const seats = (tier: Tier): Seats | undefined => {
    if ((tiers & tier) === 0) return undefined
    asked |= tier
    return evaluate(route[plan].policy, {
      ask,
      chance,
      nowMillis,
      level,
      affinity: route.affinityMillis,
      seat: (target) => {
        const one = known[target.index]
        return one?.tier === tier
          ? { target, facts: one.facts, after: one.after, ready: one.ready, why: preferred, next: undefined }
          : undefined
      }
    })
  }
  const first = seats(well) ?? seats(recovering) ?? seats(late)
  const last = seats(sick)
  const order = first === undefined || last === undefined ? first ?? last : inOrder([first, last], () => usualPatience)

  const candidates: Array<Candidate> = []
  const excluded: Array<Exclusion> = []
  for (let seat = order?.first; seat !== undefined; seat = seat.next) {
    const { after, facts, target, why } = seat
    const one = known[target.index]
    // A policy may name a target more than once, such as where two are each other's fallback. The first time counts.
    if (one === undefined) continue
    known[target.index] = undefined
    candidates.push({ target, afterMillis: after, waitMillis: facts.waitMillis, why: one.why ?? why })
  }
  for (const target of route.targets) {
    const one = known[target.index]
    if (one === undefined) continue
    const unasked = (asked & one.tier) === 0 ? one.whyNot : undefined
    excluded.push({ target, why: unasked ?? leftOut(route, target, level) })
  }
  return { candidates, excluded, level }
}

// -----------------------------------------------------------------------------
// What is known of one target
// -----------------------------------------------------------------------------

/** Those that take no part, and those that do only where all before them do not; `sick` comes after whoever does. */
type Tier = 0 | 1 | 2 | 4 | 8
const out = 0
const well = 1
const recovering = 2
const late = 4
const sick = 8

interface Known {
  readonly tier: Tier
  readonly facts: Facts
  /** When it may be waited for, and when it would be ready. */
  readonly after: number
  readonly ready: number
  /** What is to be said of it whatever the policy says, where it is a candidate. */
  readonly why: Why | undefined
  /** What is to be said where it is none, unless that is the policy's doing. */
  readonly whyNot: WhyNot | undefined
}

const idle: Facts = { waitMillis: 0, free: 1, standing: { _tag: "Closed", share: 1 }, warm: 0 }

const preferred: Why = { _tag: "Preferred" }

const probe: Why = { _tag: "Probe" }

const judge = (
  target: BuiltTarget,
  ask: Ask,
  fence: Fence.Fence | undefined,
  facts: Facts,
  trace: Trace | undefined,
  chance: number,
  nowMillis: number
): Known => {
  const after = trace === undefined ? 0 : Math.max(0, trace.notBeforeMillis - nowMillis)
  const ready = Math.max(after, facts.waitMillis)
  const predicted = ready + (facts.latencyMillis ?? 0)
  const { leftMillis } = ask
  const { standing } = facts
  let tier: Tier = well
  let why: Why | undefined = standing._tag === "Closed" ? undefined : probe
  let whyNot = unable(target, ask, fence) ?? shut(facts, trace, nowMillis)
  if (whyNot !== undefined) {
    tier = out
  } else if (ready < Infinity ? ready >= leftMillis : leftMillis <= 0) {
    // No answer comes before admission, unless nobody can tell when that is.
    tier = out
    whyNot = { _tag: "TooLate", predictedMillis: predicted, leftMillis }
  } else if (trace?.sick === true) {
    tier = sick
    why = { _tag: "LastTry", after: trace.why }
  } else if (predicted > leftMillis) {
    // What an answer takes is a guess: where all are late by that, they are still better than none.
    tier = late
    whyNot = { _tag: "TooLate", predictedMillis: predicted, leftMillis }
    // Stryker disable next-line ConditionalExpression,EqualityOperator: of 1 all lots are less
  } else if (standing._tag === "Closed" && standing.share < 1) {
    const { share, untilMillis } = standing
    // Stryker disable next-line ArithmeticOperator,UnaryOperator: any number does that no weight has
    const lot = lotOf(chance, -1 - target.index)
    if (lot >= share) {
      tier = recovering
      why = { _tag: "Recovering", share }
      whyNot = untilMillis === undefined
        ? why
        : { ...why, forMillis: Math.max(0, (untilMillis - nowMillis) * (lot - share) / (1 - share)) }
    }
  }
  return { tier, facts, after, ready, why, whyNot }
}

/** What nothing changes about a target while the call waits. */
const unable = (
  { able, residency }: BuiltTarget,
  { input, needs }: Ask,
  fence: Fence.Fence | undefined
): WhyNot | undefined => {
  const outside = fence === undefined ? undefined : Fence.outside(fence, residency)
  if (outside !== undefined) {
    return { _tag: "Outside", place: outside._tag === "Place" ? outside.place : undefined }
  }
  if (able === undefined) return undefined
  for (const need of needs) {
    if (able[need] === false) return { _tag: "Lacks", needs: needs.filter((need) => able[need] === false) }
  }
  const most = able.input ?? Infinity
  return input > most ? { _tag: "TooLong", tokens: input, most } : undefined
}

/** What does not let the call in now. */
const shut = ({ refused, standing }: Facts, trace: Trace | undefined, nowMillis: number): WhyNot | undefined => {
  if (trace?.notBeforeMillis === Infinity) return { _tag: "Failed", why: trace.why }
  if (refused !== undefined) return { _tag: "Refused", tag: refused }
  if (standing._tag === "Open" && standing.untilMillis > nowMillis) {
    return { _tag: "Open", forMillis: standing.untilMillis - nowMillis }
  }
  return standing._tag === "HalfOpen" && standing.probing ? { _tag: "Probing" } : undefined
}

// -----------------------------------------------------------------------------
// What the policy leaves out
// -----------------------------------------------------------------------------

const levelOf = (route: BuiltRoute, ask: Ask): Level | undefined => {
  const ladder = route[plan].ladder
  if (ladder === undefined) return undefined
  const of = ladder.levels.length
  const said = ask.level === undefined ? ladder.classify(ask) : undefined
  const found = ask.level ?? ladder.levels.findIndex(({ name }) => name === said)
  const index = found < 0 ? of - 1 : Math.min(found, of - 1)
  return { index, of, name: ladder.levels[index]?.name ?? "", unknown: found < 0 ? said : undefined }
}

/** Why a policy left out a target that it was asked about. */
const leftOut = (route: BuiltRoute, target: BuiltTarget, level: Level | undefined): WhyNot => {
  const below = route[plan].ladder?.levels.slice(0, level?.index ?? 0).findLast(({ targets }) =>
    targets.includes(target)
  )
  return below === undefined ? { _tag: "NotChosen" } : { _tag: "Level", name: below.name }
}
