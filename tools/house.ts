// The house rules as data, each said once: who may import whom, what of Effect and of the SDK a room may use, and which
// files are excused from what, with the reason. `oxlint.config.ts` makes lint rules of them, and `pnpm check` holds
// them. To change one, change it here, in a commit that says why.

/** What a package may import. */
export interface Room {
  /** Packages of ours: all of one (`quota`), or a single module (`rate-limiter/Cost`). */
  readonly imports: ReadonlyArray<string>
  /**
   * What Effect marks unstable and this package may use nevertheless: a module (`FileSystem`) or an area (`cli`).
   * `core` stands for the packages that no minor version of Effect may break: nothing unstable, no single unstable
   * function of a stable module, no Node, and nothing else from outside.
   */
  readonly effect: "core" | ReadonlyArray<string>
}

/** Who may import whom. A package that is not written yet has its row already. */
export const rooms: Readonly<Record<string, Room>> = {
  errors: { imports: [], effect: "core" },
  backoff: { imports: [], effect: "core" },
  "rate-limiter": { imports: [], effect: "core" },
  quota: { imports: ["rate-limiter/Cost", "rate-limiter/Meter"], effect: "core" },
  client: { imports: ["errors"], effect: [] },
  router: { imports: ["rate-limiter", "backoff"], effect: [] },
  bedrock: { imports: ["client", "quota", "router", "errors", "rate-limiter", "backoff"], effect: [] },
  batch: {
    imports: ["bedrock", "client", "errors", "quota", "backoff"],
    effect: ["FileSystem", "Path", "PlatformError"]
  },
  ai: { imports: ["bedrock", "errors", "quota", "rate-limiter", "backoff"], effect: ["ai"] },
  capacity: { imports: ["client", "quota", "rate-limiter"], effect: [] },
  queue: { imports: ["rate-limiter"], effect: [] },
  // The event types of the others, and nothing else of them.
  telemetry: { imports: ["bedrock/CallEvents"], effect: [] },
  // Nothing: a judge must not borrow the books of the judged.
  emulator: { imports: [], effect: [] },
  cli: {
    imports: [
      "errors",
      "backoff",
      "rate-limiter",
      "quota",
      "client",
      "router",
      "bedrock",
      "batch",
      "ai",
      "capacity",
      "queue",
      "telemetry",
      "emulator"
    ],
    effect: ["cli", "ByteSize", "FileSystem", "Path", "PlatformError", "Stdio"]
  }
}

/**
 * Where each client of the SDK is at home: a package, or the one adapter file of it. Everybody else meets it behind a
 * service. A client that is not here is at home nowhere yet.
 */
export const clients: Readonly<Record<string, string>> = {
  "@aws-sdk/client-bedrock-runtime": "packages/client/src/**",
  "@aws-sdk/client-bedrock": "packages/batch/src/internal/awsJobs.ts",
  "@aws-sdk/client-s3": "packages/batch/src/internal/aws.ts",
  "@aws-sdk/lib-storage": "packages/batch/src/internal/aws.ts",
  "@aws-sdk/client-service-quotas": "packages/capacity/src/internal/aws.ts",
  "@aws-sdk/client-cloudwatch": "packages/capacity/src/internal/aws.ts",
  "@aws-sdk/client-sqs": "packages/queue/src/internal/aws.ts",
  "@smithy/core": "packages/client/src/**",
  "@smithy/types": "packages/client/src/**"
}

/** A source that needs what no other may use. */
export interface Exception {
  /** A file, or a glob that ends in `**`. */
  readonly path: string
  /** Globals, modules or `object.property`, as the rules below and the tables above name them. */
  readonly uses: ReadonlyArray<string>
  /** Where only the types of a module are needed, which are gone when the program runs. */
  readonly typesOnly?: boolean
  readonly reason: string
}

/** All of them. One that excuses nothing any more is a finding too. */
export const exceptions: ReadonlyArray<Exception> = [
  {
    path: "packages/rate-limiter/src/internal/localFile.ts",
    uses: ["node:fs", "node:sqlite"],
    typesOnly: true,
    reason: "a file is what the processes of one machine have in common: the types of what Node has for it"
  },
  {
    path: "packages/rate-limiter/src/internal/localStore.ts",
    uses: ["process"],
    reason:
      "asks whether this is Node, and has the modules for that file: nothing but `layerLocal` leads here, and nothing is imported"
  },
  {
    path: "packages/bedrock/src/promise.ts",
    uses: ["@aws-sdk/client-bedrock-runtime"],
    typesOnly: true,
    reason: "what it takes and gives is written down without Effect, whose types the service's own lead to"
  },
  {
    path: "packages/bedrock/src/sdk.ts",
    uses: ["@smithy/types"],
    typesOnly: true,
    reason: "its plugins go into a client of the SDK that is its user's own"
  },
  {
    path: "packages/bedrock/src/internal/sdk/middleware.ts",
    uses: ["@smithy/types"],
    typesOnly: true,
    reason: "the middlewares of those plugins"
  },
  {
    path: "packages/rate-limiter/src/LimiterStore.ts",
    uses: ["effect/persistence/Redis"],
    typesOnly: true,
    reason: "the type of what `layerRedis` needs"
  },
  {
    path: "packages/rate-limiter/src/internal/sharing.ts",
    uses: ["crypto"],
    reason: "a process's name among all that share a quota: two with one seed must not have the same"
  },
  {
    path: "packages/rate-limiter/src/RateLimiter.ts",
    uses: ["effect/persistence/Redis"],
    typesOnly: true,
    reason: "the type of what `layerRedis` needs"
  },
  {
    path: "packages/rate-limiter/src/internal/redisStore.ts",
    uses: ["effect/persistence/Redis"],
    reason:
      "Redis as Effect has it, for whoever asks for it: it is loaded only then, so that another minor version of Effect breaks nobody else"
  },
  {
    path: "packages/emulator/src/internal/s3.ts",
    uses: ["@aws-sdk/client-s3"],
    reason: "batch jobs read and write S3; the emulator imports nothing of ours, and so has its own way there"
  },
  {
    path: "packages/batch/src/internal/awsEvents.ts",
    uses: ["@aws-sdk/client-sqs"],
    reason: "what EventBridge says of batch jobs comes through a queue, which is read where those jobs are"
  },
  {
    path: "packages/batch/src/internal/unique.ts",
    uses: ["crypto"],
    reason: "the name of a lease's holder: two processes with one seed must not have the same"
  },
  {
    path: "packages/router/src/Health.ts",
    uses: ["effect/persistence/CircuitBreaker"],
    typesOnly: true,
    reason: "the type of what `layerShared` needs"
  },
  {
    path: "packages/router/src/internal/circuits.ts",
    uses: ["effect/persistence/CircuitBreaker"],
    reason:
      "Effect's breaker counts, opens and probes for `Health`, and may change in a minor version: it is met in one file"
  },
  {
    path: "packages/cli/src/**",
    uses: ["@aws-sdk/client-bedrock-runtime"],
    typesOnly: true,
    reason: "a line of the input is a request in the SDK's own shape, and an answer is written as the SDK has it"
  },
  {
    path: "packages/cli/src/demo/PlainSdk.ts",
    uses: ["@aws-sdk/client-bedrock-runtime"],
    reason: "the other side of the demo's contest: the SDK as it comes"
  },
  {
    path: "packages/cli/src/Signals.ts",
    uses: ["process"],
    reason: "the one owner of the process's signals and of its exit"
  },
  {
    path: "packages/cli/src/terminal/Screen.ts",
    uses: ["process"],
    reason: "Stdio does not tell how wide the terminal is"
  },
  {
    path: "packages/cli/src/run/OutputLock.ts",
    uses: ["process", "node:os"],
    reason: "a lock names the process and the machine that hold it, and asks whether that process still lives"
  }
]

/** A name that brings time, chance, the environment or the terminal in by the back door, and what to use instead. */
export interface Ambient {
  readonly name: string
  readonly instead: string
}

const clock = "time comes from Clock (Clock.currentTimeMillis, Effect.timed, DateTime.now)"
const timer = "waiting is Effect.sleep, Effect.timeout or a Schedule, which a test can drive"
const chance = "chance comes from Random, which a seed makes repeatable"
const environment = "settings come from Config, and the process is met in the bin only"
const terminal = "what is told goes through Effect.log, Console or Stdio"

/** Globals that no source may read. */
export const globals: ReadonlyArray<Ambient> = [
  { name: "Date", instead: clock },
  { name: "performance", instead: clock },
  { name: "setTimeout", instead: timer },
  { name: "setInterval", instead: timer },
  { name: "setImmediate", instead: timer },
  { name: "crypto", instead: chance },
  { name: "process", instead: environment },
  { name: "navigator", instead: environment },
  { name: "console", instead: terminal },
  { name: "fetch", instead: "requests go through a client that is a service" }
]

/** Properties that no source may read. */
export const properties: ReadonlyArray<Ambient> = [
  { name: "Math.random", instead: chance },
  { name: "AbortSignal.timeout", instead: timer },
  { name: "DateTime.nowUnsafe", instead: clock }
]

/** Modules of Node that no source may import. */
export const modules: ReadonlyArray<Ambient> = [
  { name: "node:perf_hooks", instead: clock },
  { name: "node:timers", instead: timer },
  { name: "node:timers/promises", instead: timer },
  { name: "node:process", instead: environment },
  { name: "node:os", instead: environment },
  { name: "node:console", instead: terminal }
]

/** What has no chance in it, and may be imported from `node:crypto` by its name. */
export const digests: ReadonlyArray<string> = ["createHash", "createHmac", "createSecretKey", "hash", "timingSafeEqual"]
