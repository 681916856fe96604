/**
 * What an emulator can be told. Everything has a default; everything is checked when it starts.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as Batch from "./Batch.ts"
import { EmulatorError } from "./EmulatorError.ts"
import * as Fault from "./Fault.ts"
import { DurationInput } from "./internal/durationInput.ts"
import * as LatencyModel from "./LatencyModel.ts"
import type { Shape } from "./Meter.ts"
import * as OutputModel from "./OutputModel.ts"

const Amount = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1e15 }))
const Positive = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000_000_000 }))
const Millis = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 31_536_000_000 }))
const byModel = <S extends Schema.Top>(value: S) => Schema.Union([value, Schema.Record(Schema.String, value)])

const OutputFunction = Schema.declare(
  (input): input is OutputModel.OutputFunction => typeof input === "function",
  { expected: "a function" }
)

/**
 * The limits of a pool. A limit left out is no limit; 0 throttles every request.
 *
 * @category models
 * @since 0.1.0
 */
export const Quota = Schema.Struct({
  /** Requests per window. */
  requests: Schema.optional(Amount),
  /** Tokens per window. */
  tokens: Schema.optional(Amount),
  /** Tokens per day: 1,440 windows, as a day has 1,440 minutes. */
  tokensPerDay: Schema.optional(Amount)
})

/**
 * The limits of a pool.
 *
 * @category models
 * @since 0.1.0
 */
export type Quota = typeof Quota.Type

/**
 * A guardrail of the account.
 *
 * @category models
 * @since 0.1.0
 */
export const Guardrail = Schema.Struct({
  /** Words and phrases that it blocks, in whatever case. @default none */
  blockedWords: Schema.optional(Schema.Array(Schema.NonEmptyString)),
  /** The versions that there are of it, such as `"1"` or `"DRAFT"`. @default every one */
  versions: Schema.optional(Schema.Array(Schema.NonEmptyString)),
  /** What it says in place of what it blocks. @default "Sorry, the model cannot answer this question." */
  message: Schema.optional(Schema.String)
})

/**
 * A guardrail of the account.
 *
 * @category models
 * @since 0.1.0
 */
export type Guardrail = typeof Guardrail.Type

/**
 * A time during which every request fails with one fault (503 ServiceUnavailableException unless set).
 *
 * @category models
 * @since 0.1.0
 */
export const Outage = Schema.Struct({
  /** From the start of the emulator. */
  afterMillis: Millis,
  durationMillis: Millis,
  fault: Schema.optional(Fault.Fault),
  model: Schema.optional(Schema.String),
  /** The Region that it is in; all of them unless set. */
  region: Schema.optional(Schema.String)
})

/**
 * A time during which every quota is multiplied by `factor`.
 *
 * @category models
 * @since 0.1.0
 */
export const Dip = Schema.Struct({
  /** From the start of the emulator. */
  afterMillis: Millis,
  durationMillis: Millis,
  factor: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1000 })),
  model: Schema.optional(Schema.String)
})

/**
 * The options as a schema: what a configuration file may say. The functions and durations of `Options` are checked by it
 * too, but are not data.
 *
 * @category configuration
 * @since 0.1.0
 */
export const Options = Schema.Struct({
  port: Schema.optional(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65_535 }))),
  host: Schema.optional(Schema.NonEmptyString),
  seed: Schema.optional(Schema.Union([Schema.String, Schema.Finite])),
  window: Schema.optional(DurationInput),
  shape: Schema.optional(Schema.Literals(["rolling", "fixed", "bucket"])),
  adjust: Schema.optional(Schema.Literals(["end", "during"])),
  countRejected: Schema.optional(Schema.Boolean),
  reserveCacheReads: Schema.optional(Schema.Boolean),
  quota: Schema.optional(Quota),
  quotas: Schema.optional(Schema.Record(Schema.String, Quota)),
  accountTokensPerDay: Schema.optional(Amount),
  burndown: Schema.optional(byModel(Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1000 })))),
  maxOutput: Schema.optional(byModel(Positive)),
  contextWindow: Schema.optional(byModel(Positive)),
  models: Schema.optional(Schema.Array(Schema.NonEmptyString)),
  account: Schema.optional(Schema.NonEmptyString),
  region: Schema.optional(Schema.NonEmptyString),
  requireAuth: Schema.optional(Schema.Boolean),
  cacheMinimumTokens: Schema.optional(Positive),
  cacheTtl: Schema.optional(DurationInput),
  latency: Schema.optional(LatencyModel.LatencyModel),
  latencies: Schema.optional(Schema.Record(Schema.String, LatencyModel.LatencyModel)),
  output: Schema.optional(Schema.Union([OutputModel.OutputModel, OutputFunction])),
  steering: Schema.optional(Schema.Boolean),
  usageHeaders: Schema.optional(Schema.Boolean),
  guardrails: Schema.optional(Schema.Record(Schema.String.check(Schema.isPattern(/^[a-z0-9]+$/)), Guardrail)),
  jobDuration: Schema.optional(DurationInput),
  batch: Schema.optional(Batch.Options),
  faults: Schema.optional(
    Schema.Array(Fault.FaultRate).check(
      Schema.makeFilter((faults) =>
        faults.reduce((sum, fault) => sum + fault.rate, 0) <= 1 + 1e-9 || "the rates must not add up to more than 1"
      )
    )
  ),
  outages: Schema.optional(Schema.Array(Outage)),
  dips: Schema.optional(Schema.Array(Dip)),
  log: Schema.optional(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 10_000_000 })))
})

/**
 * What an emulator can be told.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface Options {
  /** @default 0, a free port */
  readonly port?: number | undefined
  /** @default "127.0.0.1" */
  readonly host?: string | undefined
  /** Decides every length, delay, fault, text and phase. @default "caprock" */
  readonly seed?: string | number | undefined
  /** The period of the quotas: Bedrock's minute, or something shorter. @default 60 seconds */
  readonly window?: Duration.Input | undefined
  /** AWS does not document the shape of the period. @default "rolling" */
  readonly shape?: Shape | undefined
  /**
   * When output beyond the reservation is charged: at the end, or in steps while it is generated. AWS says
   * "periodically adjusted" and nothing more. @default "end"
   */
  readonly adjust?: "end" | "during" | undefined
  /** Whether a refused request counts against the request quota. Not documented. @default false */
  readonly countRejected?: boolean | undefined
  /** Whether what the cache will read is reserved at arrival, and refunded at the end. AWS contradicts itself. @default false */
  readonly reserveCacheReads?: boolean | undefined
  /** The limits of each pool. @default no limits */
  readonly quota?: Quota | undefined
  /** Limits by model id, with or without its profile prefix; they replace `quota` for that pool as a whole. */
  readonly quotas?: Readonly<Record<string, Quota>> | undefined
  /**
   * Tokens per day (1,440 windows) of all models of an account and Region together, as Bedrock has it since 2026-09-21 (quotas-runtime, Bedrock user
   * guide). AWS weights them by price; here a quota token is one of it. @default no limit
   */
  readonly accountTokensPerDay?: number | undefined
  /** How many quota tokens an output token costs, for all models or by model id (others: 1). @default 1 */
  readonly burndown?: number | Readonly<Record<string, number>> | undefined
  /** The models' largest output, reserved when a request sets no maximum. @default 64,000 */
  readonly maxOutput?: number | Readonly<Record<string, number>> | undefined
  /** The models' largest input. @default 200,000 */
  readonly contextWindow?: number | Readonly<Record<string, number>> | undefined
  /** The models there are. @default all whose id looks like one */
  readonly models?: ReadonlyArray<string> | undefined
  /** One account for all credentials. @default each access key is an account of its own */
  readonly account?: string | undefined
  /** The Region of requests whose credentials name none. @default "us-east-1" */
  readonly region?: string | undefined
  /** Whether requests without credentials are refused. Signatures are never verified. @default false */
  readonly requireAuth?: boolean | undefined
  /** Prompts are cached from this length on. @default 1,024 */
  readonly cacheMinimumTokens?: number | undefined
  /** How long a cached prompt lives since its last use. @default 5 minutes */
  readonly cacheTtl?: Duration.Input | undefined
  /** @default 10 milliseconds */
  readonly latency?: LatencyModel.LatencyModel | undefined
  /** Of Regions that are slower or faster than the others. */
  readonly latencies?: Readonly<Record<string, LatencyModel.LatencyModel>> | undefined
  /** @default lognormal around 150 tokens */
  readonly output?: OutputModel.OutputModel | OutputModel.OutputFunction | undefined
  /**
   * Whether a prompt may say how it is answered: `[[emulate output=300 latency=50 error=ThrottlingException]]` anywhere
   * in the last user message. @default true
   */
  readonly steering?: boolean | undefined
  /**
   * Whether InvokeModel tells its usage outside the body too: in headers, and in the metrics of a stream's last chunk. Bedrock does, as far
   * as each model family has it; a proxy may drop it. @default true
   */
  readonly usageHeaders?: boolean | undefined
  /** The guardrails of the account, by id. @default all whose id looks like one, and they block nothing */
  readonly guardrails?: Readonly<Record<string, Guardrail>> | undefined
  /** How long an asynchronous invocation takes. @default 1 second */
  readonly jobDuration?: Duration.Input | undefined
  /** Batch jobs, and the S3 that they read and write. @default no S3, so no jobs */
  readonly batch?: Batch.Options | undefined
  /** Faults by rate. @default none */
  readonly faults?: ReadonlyArray<Fault.FaultRate> | undefined
  /** @default none */
  readonly outages?: ReadonlyArray<typeof Outage.Type> | undefined
  /** @default none */
  readonly dips?: ReadonlyArray<typeof Dip.Type> | undefined
  /** How many requests the log keeps. @default 0 */
  readonly log?: number | undefined
}

/**
 * The defaults, named once.
 *
 * @category configuration
 * @since 0.1.0
 */
export const defaults = {
  port: 0,
  host: "127.0.0.1",
  seed: "caprock",
  window: "60 seconds",
  shape: "rolling",
  adjust: "end",
  countRejected: false,
  reserveCacheReads: false,
  quota: {},
  burndown: 1,
  // Claude Sonnet 4.5's maximum; models of 2025 and later allow 32,000 to 128,000.
  maxOutput: 64_000,
  contextWindow: 200_000,
  region: "us-east-1",
  requireAuth: false,
  // Amazon Bedrock User Guide, "Prompt caching": 1,024 tokens per checkpoint for most models, 5 minutes.
  cacheMinimumTokens: 1024,
  cacheTtl: "5 minutes",
  latency: LatencyModel.fixed(10),
  output: OutputModel.logNormal(150, 0.6),
  steering: true,
  usageHeaders: true,
  // Long enough to be seen in progress, and short enough for a test.
  jobDuration: "1 second",
  log: 0
} as const satisfies Options

const decode = Schema.decodeUnknownEffect(Options, { onExcessProperty: "error", errors: "all" })

const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1()

/**
 * Checks options. Fails with an `EmulatorError` that names each field that is wrong.
 *
 * @category constructors
 * @since 0.1.0
 */
export const check = (options: unknown): Effect.Effect<Options, EmulatorError> =>
  decode(options).pipe(
    Effect.mapError((error) =>
      new EmulatorError({
        kind: "options",
        message: formatIssue(error.issue).issues
          .map(({ message, path }) => `emulator option ${path?.map(String).join(".") ?? ""}: ${message}`)
          .join("\n")
      })
    )
  )
