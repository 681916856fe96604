// A policy, checked and ready to be asked: names have become targets, durations milliseconds.
import type { Ask, Choosable } from "../Decision.ts"
import type { BuiltTarget } from "../Target.ts"

export type Node =
  | { readonly _tag: "Target"; readonly target: BuiltTarget }
  | { readonly _tag: "Ordered"; readonly of: ReadonlyArray<Node>; readonly patience: number }
  | { readonly _tag: "Headroom"; readonly of: ReadonlyArray<Node> }
  | {
    readonly _tag: "Weighted"
    readonly of: ReadonlyArray<Weight> /** What it draws by: another one than the route's others. */
    readonly lot: number
  }
  | {
    readonly _tag: "Cheapest"
    readonly of: ReadonlyArray<Node> /** `undefined`: what the deadline leaves. */
    readonly patience: number | undefined
  }
  | Ladder
  | Choice

export interface Weight {
  readonly node: Node
  readonly weight: number
  /** Milliseconds since 1970, and how many more. */
  readonly ramp: { readonly from: number; readonly over: number } | undefined
}

export interface Ladder {
  readonly _tag: "Difficulty"
  readonly of: ReadonlyArray<{ readonly name: string; readonly node: Node }>
  readonly classify: (ask: Ask) => string
}

export interface Choice {
  readonly _tag: "Choose"
  readonly of: ReadonlyArray<Node>
  readonly choose: Chooser
  /** The targets below, by their names. */
  readonly named: ReadonlyMap<string, BuiltTarget>
}

type Chooser = (ask: Ask, candidates: ReadonlyArray<Choosable>) => ReadonlyArray<string>

/** Where a built route keeps its policy: only who has this symbol can read it, or make a route. */
export const plan: unique symbol = Symbol("@caprock/router/plan")

export interface Plan {
  readonly policy: Node
  /** The one node that asks for difficulty, where there is one, and the targets of each level. */
  readonly ladder:
    | {
      readonly classify: Ladder["classify"]
      readonly levels: ReadonlyArray<{ readonly name: string; readonly targets: ReadonlyArray<BuiltTarget> }>
    }
    | undefined
}

/** The policies right below. */
export const below = (node: Node): ReadonlyArray<Node> =>
  node._tag === "Target"
    ? []
    : node._tag === "Weighted" || node._tag === "Difficulty"
    ? node.of.map((part) => part.node)
    : node.of

/** The targets of a policy, each once, in the order in which it names them. */
export const targetsOf = (node: Node): ReadonlyArray<BuiltTarget> =>
  node._tag === "Target" ? [node.target] : [...new Set(below(node).flatMap(targetsOf))]
