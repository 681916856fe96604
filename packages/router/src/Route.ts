/**
 * Routes as data: which of several targets a call goes to, as a policy over them, and where its requests may be processed.
 *
 * **Details**
 *
 * A file of routes is a JSON object. A policy is the name of a target, or an object with one of the keys below, whose list has policies
 * again:
 *
 * ```json
 * {
 *   "targets": {
 *     "bought": { "model": "arn:aws:bedrock:eu-west-1:111122223333:provisioned-model/abc", "residency": ["eu-west-1"] },
 *     "ireland": { "model": "acme.sage-v1:0", "region": "eu-west-1", "residency": ["eu-west-1"] },
 *     "frankfurt": { "model": "acme.sage-v1:0", "region": "eu-central-1", "residency": ["eu-central-1"] }
 *   },
 *   "routes": {
 *     "chat": {
 *       "policy": { "ordered": ["bought", { "headroom": ["ireland", "frankfurt"] }], "patience": 0 },
 *       "fence": ["eu-*"]
 *     }
 *   }
 * }
 * ```
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { Fence } from "./Fence.ts"
import { Target } from "./Target.ts"

/** Milliseconds; NaN of what is no duration. (`Duration` itself takes NaN for nothing.) */
const millis = (input: unknown): number =>
  typeof input === "number" ? input : Option.match(Duration.fromInput(input as Duration.Input), {
    onNone: () => Number.NaN,
    onSome: Duration.toMillis
  })

const Patience = Schema.declare(
  (input): input is Duration.Input => millis(input) >= 0,
  { expected: "a duration, such as \"1 second\", milliseconds, or \"Infinity\"" }
)

const Span = Schema.declare(
  (input): input is Duration.Input => millis(input) > 0 && millis(input) < Infinity,
  { expected: "a duration of more than 0, such as \"3 days\"" }
)

const Instant = Schema.declare(
  (input): input is string => typeof input === "string" && Option.isSome(DateTime.make(input)),
  { expected: "an instant, such as \"2026-12-01T00:00:00Z\"" }
)

const share = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))

/**
 * How a call's targets are picked: a target, or several policies and how one goes to one of them.
 *
 * @category models
 * @since 0.1.0
 */
export type Policy = string | Ordered | Headroom | Weighted | Cheapest | Difficulty | Choose

/**
 * The first that can take it; the next ones while it can't, or while it makes wait for longer.
 *
 * @category models
 * @since 0.1.0
 */
export interface Ordered {
  readonly ordered: ReadonlyArray<Policy>
  /**
   * How much longer one waits for a policy than for the best of those after it. 1 second unless set: a wait that nobody minds. 0 for whoever goes on
   * as soon as the first is full.
   */
  readonly patience?: Duration.Input
}

/**
 * The one that makes wait the least, and of several such the one with the most room: together they are one pool of capacity. Where the prompt is in
 * the cache of one, that one, as long as it makes wait no longer than the route's affinity has patience.
 *
 * @category models
 * @since 0.1.0
 */
export interface Headroom {
  readonly headroom: ReadonlyArray<Policy>
}

/**
 * One that is drawn, each as often as its weight says; the others, drawn in the same way, are for when it can't take the call, or makes wait for more
 * than 1 second longer than they do. A weight of 0 takes none at all.
 *
 * @category models
 * @since 0.1.0
 */
export interface Weighted {
  readonly weighted: ReadonlyArray<Share>
}

/**
 * One part of a {@link Weighted} policy.
 *
 * @category models
 * @since 0.1.0
 */
export interface Share {
  readonly to: Policy
  readonly weight: number
  /** The weight grows evenly from 0 at `from` (such as `2026-12-01T00:00:00Z`) to what is told at `over` later. */
  readonly ramp?: { readonly from: string; readonly over: Duration.Input }
}

/**
 * The cheapest that is able and in time; dearer ones while it makes wait for longer.
 *
 * @category models
 * @since 0.1.0
 */
export interface Cheapest {
  readonly cheapest: ReadonlyArray<Policy>
  /** How much longer one waits for a cheaper one. Unless set, what the call's deadline leaves beside a dearer one's own time; 20 seconds without a deadline. */
  readonly patience?: Duration.Input
}

/**
 * Levels from easy to hard, and the function of the user's that tells a call's. Harder ones are for when those of its level can't take it, and for a
 * call whose answer was rejected.
 *
 * @category models
 * @since 0.1.0
 */
export interface Difficulty {
  readonly difficulty: ReadonlyArray<{ readonly level: string; readonly to: Policy }>
  /** The function's name. It returns a level's; the hardest is taken for what is none. */
  readonly by: string
}

/**
 * As a function of the user's orders those that are able. What it leaves out is not used.
 *
 * @category models
 * @since 0.1.0
 */
export interface Choose {
  readonly choose: ReadonlyArray<Policy>
  /** The function's name. */
  readonly by: string
}

const policy = Schema.suspend((): Schema.Codec<Policy, unknown> => Policy)
const policies = Schema.optionalKey(Schema.Array(policy))
const patience = Schema.optionalKey(Patience)

const kinds =
  "the name of a target, or one of { ordered, patience? }, { headroom }, { weighted }, { cheapest, patience? }, " +
  "{ difficulty, by }, { choose, by }"

// All kinds in one: of a union, each kind would say what it misses in what was meant to be another.
const AnyKind = Schema.Struct({
  ordered: policies,
  headroom: policies,
  weighted: Schema.optionalKey(Schema.Array(
    Schema.Struct({
      to: policy,
      weight: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1e9 })),
      ramp: Schema.optionalKey(Schema.Struct({ from: Instant, over: Span }))
    })
  )),
  cheapest: policies,
  difficulty: Schema.optionalKey(Schema.Array(Schema.Struct({ level: Schema.NonEmptyString, to: policy }))),
  choose: policies,
  patience,
  by: Schema.optionalKey(Schema.NonEmptyString)
})

const isOneKind = (any: typeof AnyKind.Type): any is typeof AnyKind.Type & Exclude<Policy, string> => {
  const { by, patience, ...lists } = any
  const [kind, ...others] = Object.keys(lists)
  return others.length === 0 && kind !== undefined &&
    (by !== undefined) === (kind === "difficulty" || kind === "choose") &&
    (patience === undefined || kind === "ordered" || kind === "cheapest")
}

/**
 * How a call's targets are picked.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Policy: Schema.Codec<Policy, unknown> = Schema.Union([
  Schema.NonEmptyString,
  AnyKind.pipe(Schema.refine(isOneKind, { message: `Expected ${kinds}` }))
])

/**
 * A route, as a file has it under its name.
 *
 * - `policy`: how targets are picked.
 * - `fence`: where its requests may be processed; anywhere unless set. It holds for what its last resort sends as well.
 * - `hedge`: a second request after so long that only this part of the answers takes longer (`percentile`: 0.95 unless set), for at most this
 *   `share` of the calls (0.05). No call is hedged unless this is set.
 * - `affinity`: how much longer a call waits for the target whose cache has its prompt; 5 seconds unless set.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Route = Schema.Struct({
  policy: Policy,
  fence: Schema.optionalKey(Fence),
  hedge: Schema.optionalKey(
    Schema.Struct({ percentile: Schema.optionalKey(share), share: Schema.optionalKey(share) })
  ),
  affinity: Schema.optionalKey(Schema.Struct({ patience }))
})

/**
 * A route.
 *
 * @category models
 * @since 0.1.0
 */
export type Route = typeof Route.Type

/**
 * Targets and routes, each under its name.
 *
 * @category schemas
 * @since 0.1.0
 */
export const RouteFile = Schema.Struct({
  targets: Schema.Record(Schema.String, Target),
  routes: Schema.Record(Schema.String, Route)
})

/**
 * Targets and routes, each under its name.
 *
 * @category models
 * @since 0.1.0
 */
export type RouteFile = typeof RouteFile.Type

/**
 * The text is no file of routes. `message` says where, and what was expected there.
 *
 * @category errors
 * @since 0.1.0
 */
export class RouteFileError extends Schema.TaggedError<RouteFileError>()("RouteFileError", {
  reason: Schema.Literals(["json", "shape"]),
  message: Schema.String
}) {}

const decode = Schema.decodeUnknownResult(RouteFile, { errors: "all", onExcessProperty: "error" })

/**
 * Targets and routes from what a file has. Whether they make sense together is found by `RouteTable.make`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromUnknown = (file: unknown): Result.Result<RouteFile, RouteFileError> =>
  Result.mapError(
    decode(file),
    (error) => new RouteFileError({ reason: "shape", message: `${error.message}\nA policy is ${kinds}` })
  )

/**
 * Targets and routes from the text of a file: {@link fromUnknown} of its JSON.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromJson = (text: string): Result.Result<RouteFile, RouteFileError> =>
  Result.flatMap(
    Result.try({
      try: (): unknown => JSON.parse(text),
      catch: (cause) =>
        new RouteFileError({
          reason: "json",
          message: `Not JSON: ${cause instanceof Error ? cause.message : String(cause)}`
        })
    }),
    fromUnknown
  )
