// What is allowed for each option, and the variables that set them: once for code and for the environment.
import * as RetryBudget from "@caprock/backoff/RetryBudget"
import * as BedrockClient from "@caprock/client/BedrockClient"
import * as Settings from "@caprock/client/Settings"
import * as Quotas from "@caprock/quota/Quotas"
import type * as Order from "@caprock/rate-limiter/Order"
import type { Priority } from "@caprock/rate-limiter/Priority"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

const entries = Schema.Record(Schema.String, Quotas.Quota).check(
  Schema.makeFilter((entries) => {
    const quotas = Quotas.make(entries)
    return Result.isSuccess(quotas) ? true : quotas.failure.message
  })
).annotate({ identifier: "quotas by model id, such as {\"default\":{\"tokensPerMinute\":200000}}" })

const models = Schema.declare<ReadonlyMap<string, string>>(
  (value): value is ReadonlyMap<string, string> => value instanceof Map,
  { expected: "a Map from ids to model ids" }
)

// What a weight gives, the limiter sees call by call.
const weight = Schema.declare<NonNullable<Order.Options["weight"]>>(
  (value): value is NonNullable<Order.Options["weight"]> => typeof value === "function",
  { expected: "a function from a tenant to its weight" }
)

const classes: ReadonlyArray<Priority> = ["interactive", "standard", "bulk"]

const priority = Schema.declare<Priority>(
  (value): value is Priority => typeof value === "number" || classes.some((name) => name === value),
  { expected: `a number, or one of ${classes.join(", ")}` }
)

const guarantees = Schema.Array(Schema.Struct({
  priority: Schema.optional(priority),
  tenant: Schema.optional(Schema.String),
  share: Settings.share
})).check(Schema.makeFilter((guarantees) => {
  const sum = guarantees.reduce((sum, { share }) => sum + share, 0)
  // Thirds do not add up to the last digit.
  return sum <= 1 + 1e-9 || `their shares add up to ${sum}, and at most 1 can be kept`
}))

/** @internal */
export const QuotaOptions = Schema.Struct({
  quotas: Schema.optionalKey(entries),
  meters: Schema.optionalKey(Schema.Struct({
    window: Schema.optionalKey(Settings.span),
    day: Schema.optionalKey(Settings.span),
    burst: Schema.optionalKey(Schema.Struct({ share: Settings.share, window: Settings.span }))
  })),
  withoutQuota: Schema.optionalKey(Settings.oneOf("probe", "unlimited")),
  guard: Schema.optionalKey(Settings.wait),
  order: Schema.optionalKey(Schema.Struct({
    ageing: Schema.optionalKey(Settings.timeLimit),
    weight: Schema.optionalKey(weight),
    guarantees: Schema.optionalKey(guarantees)
  })),
  room: Schema.optionalKey(Schema.Struct({
    requests: Schema.optionalKey(Settings.count),
    tokens: Schema.optionalKey(Settings.count)
  }))
})

const SharingOptions = Schema.Struct({
  onLoss: Schema.optionalKey(Settings.oneOf("fail", "wait", "share")),
  lease: Schema.optionalKey(Settings.span),
  beat: Schema.optionalKey(Settings.span)
})

/** @internal */
export const SharedQuotaOptions = Schema.Struct({ ...QuotaOptions.fields, ...SharingOptions.fields })

/** Something that is looked into where it is used. */
const object = (expected: string) =>
  Schema.declare<object>((value): value is object => typeof value === "object" && value !== null, { expected })

/** What is wrong with them in themselves is told when they are built. */
const RouteOptions = Schema.Struct({
  routes: Schema.optionalKey(object("targets and routes, as in a file of routes")),
  functions: Schema.optionalKey(object("functions by the names that routes have for them")),
  checks: Schema.optionalKey(object("functions by the names of routes")),
  lastResorts: Schema.optionalKey(object("functions by the names of routes"))
})

/** Those that a limiter for clients of the SDK has as well: such clients have settings of their own, and nobody here can end their requests. */
const LimitedOptions = Schema.Struct({
  account: Schema.optionalKey(Settings.name),
  resolve: Schema.optionalKey(models),
  backoff: Schema.optionalKey(Schema.Struct({
    base: Schema.optionalKey(Settings.wait),
    factor: Schema.optionalKey(Settings.factor),
    cap: Schema.optionalKey(Settings.wait),
    jitter: Schema.optionalKey(Settings.oneOf("full", "equal", "decorrelated", "none")),
    attempts: Schema.optionalKey(Settings.count),
    elapsed: Schema.optionalKey(Settings.wait)
  })),
  maxWait: Schema.optionalKey(Settings.wait),
  countThrottled: Schema.optionalKey(Settings.flag)
})

/** @internal */
export const CallOptions = Schema.Struct({
  ...RouteOptions.fields,
  ...LimitedOptions.fields,
  deadline: Schema.optionalKey(Settings.timeLimit)
})

const budget = { retryBudget: Schema.optionalKey(RetryBudget.Options) }

/** Those of a service on a client that is there already. @internal */
export const ServiceOptions = Schema.Struct({ ...QuotaOptions.fields, ...CallOptions.fields, ...budget })

/** @internal */
export const Options = Schema.Struct({ ...BedrockClient.Options.fields, ...ServiceOptions.fields })

/** @internal */
export const SharedOptions = Schema.Struct({ ...Options.fields, ...SharingOptions.fields })

const { json, number, text } = Settings.readers
const unless = ["quotas"]

/** @internal */
export const variables: ReadonlyArray<Settings.Variable> = [
  ...BedrockClient.variables,
  {
    name: "CAPROCK_QUOTAS",
    option: "quotas",
    read: json,
    example: "{\"default\":{\"tokensPerMinute\":200000}}",
    unless
  },
  { name: "CAPROCK_RPM", option: "quotas.default.requestsPerMinute", read: number, example: "200", unless },
  { name: "CAPROCK_TPM", option: "quotas.default.tokensPerMinute", read: number, example: "200000", unless },
  { name: "CAPROCK_ACCOUNT", option: "account", read: text, example: "production" },
  { name: "CAPROCK_ROUTES", option: "routes", read: json, example: "{\"targets\":{},\"routes\":{}}" },
  { name: "CAPROCK_MAX_WAIT", option: "maxWait", read: text, example: "20 seconds" },
  { name: "CAPROCK_DEADLINE", option: "deadline", read: text, example: "2 minutes" },
  { name: "CAPROCK_ATTEMPTS", option: "backoff.attempts", read: number, example: "6" },
  { name: "CAPROCK_RETRY_RATIO", option: "retryBudget.ratio", read: number, example: "0.1" },
  { name: "CAPROCK_RETRY_PER_SECOND", option: "retryBudget.perSecond", read: number, example: "0.5" },
  { name: "CAPROCK_RETRY_CAPACITY", option: "retryBudget.capacity", read: number, example: "20" }
]

type Entries = Quotas.Quotas | Readonly<Record<string, Quotas.Quota>>

interface Given {
  readonly quotas?: Entries | undefined
}

/** Holds options with quotas against their Schema. @internal */
export const check = <A extends Given>(
  schema: Parameters<typeof Settings.check>[0],
  options: A
): Effect.Effect<A, Settings.OptionsError> => Effect.as(Settings.check(schema, withoutQuotas(options)), options)

/** Completes options from the environment. @internal */
export const load = <A extends Given>(options: A): Effect.Effect<A, Settings.OptionsError> =>
  isQuotas(options.quotas)
    ? Effect.map(
      Settings.load(Options, variables.filter(({ unless: silencing }) => silencing !== unless), withoutQuotas(options)),
      (loaded) => ({ ...loaded, quotas: options.quotas })
    )
    : Settings.load(Options, variables, options)

const LimiterOptions = Schema.Struct({ ...QuotaOptions.fields, ...LimitedOptions.fields, ...budget })

/** The same for a limiter for clients of the SDK. @internal */
export const loadLimiter = <A extends Given>(options: A): Effect.Effect<A, Settings.OptionsError> =>
  Settings.load(
    LimiterOptions,
    variables.filter(({ option }) => Object.hasOwn(LimiterOptions.fields, option.split(".", 1)[0] ?? "")),
    options
  )

/** The quotas of options that were checked. @internal */
export const quotasOf = ({ quotas = {} }: Given): Quotas.Quotas =>
  isQuotas(quotas) ? quotas : Result.getOrThrow(Quotas.make(quotas))

// Made of entries, they have been checked.
const withoutQuotas = <A extends Given>(options: A): A =>
  isQuotas(options.quotas) ? { ...options, quotas: undefined } : options

const isQuotas = (quotas: Entries | undefined): quotas is Quotas.Quotas =>
  typeof quotas === "object" && quotas !== null && "pools" in quotas && quotas.pools instanceof Map
