/**
 * `caprock run`: drives a file of prompts through Bedrock at exactly the quota's speed.
 *
 * @since 0.1.0
 */
import * as BedrockClient from "@caprock/client/BedrockClient"
import * as Emulator from "@caprock/emulator/Emulator"
import * as LatencyModel from "@caprock/emulator/LatencyModel"
import * as Catalogue from "@caprock/quota/Catalogue"
import * as Quotas from "@caprock/quota/Quotas"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as Result from "effect/Result"
import { ExitCode } from "../ExitCode.ts"
import { cannotRead } from "../internal/platformErrors.ts"
import * as BedrockTarget from "../run/BedrockTarget.ts"
import * as Heap from "../run/Heap.ts"
import * as Input from "../run/Input.ts"
import * as InputLine from "../run/InputLine.ts"
import { Journal } from "../run/Journal.ts"
import { Progress } from "../run/Progress.ts"
import type { Defaults } from "../run/PromptLine.ts"
import * as RoutesFile from "../run/RoutesFile.ts"
import * as Runner from "../run/Runner.ts"
import * as Setup from "../run/Setup.ts"
import * as Summary from "../run/Summary.ts"
import * as Signals from "../Signals.ts"
import { CliFailure, Quiet } from "../terminal/CliFailure.ts"
import * as Screen from "../terminal/Screen.ts"
import * as Flags from "./Flags.ts"

const runFlags = {
  input: Argument.String("prompts").pipe(
    Argument.withDescription("A file of JSON Lines, or - for standard input")
  ),
  out: Flag.String("out").pipe(
    Flag.withAlias("o"),
    Flag.withMetavar("file"),
    Flag.withDescription("Where results go. A file that has results already is continued. - is standard output")
  ),
  model: Flag.String("model").pipe(
    Flag.withAlias("m"),
    Flag.withMetavar("id"),
    Flag.withDescription("Model id, inference profile, ARN or route, for lines that name none"),
    Flag.optional
  ),
  routes: Flag.String("routes").pipe(
    Flag.withMetavar("file"),
    Flag.withDescription(
      "Targets and routes, as `caprock route explain` reads them: a route's name then stands wherever a model's id does"
    ),
    Flag.optional
  ),
  region: Flags.region(),
  system: Flag.String("system").pipe(
    Flag.withDescription("System prompt, for lines that have none"),
    Flag.optional
  ),
  maxTokens: Flags.count("max-tokens").pipe(
    Flag.withDescription("Longest answer in tokens. Bedrock reserves this much of the quota for each request"),
    Flag.optional
  ),
  temperature: Flags.temperature,
  ...Flags.quota({
    rpm: "Your quota of requests per minute; leave it out if the model has none",
    tpm: "Your quota of tokens per minute"
  }),
  quotaFile: Flag.String("quota-file").pipe(
    Flag.withMetavar("file"),
    Flag.withDescription(
      `Quotas by model: {"default":{"requestsPerMinute":100,"tokensPerMinute":200000},"<model id>":{...}}`
    ),
    Flag.optional
  ),
  share: Flag.String("share").pipe(
    Flag.withMetavar("file or URL"),
    Flag.withDescription(
      "Keep the quota together with all that share it: other runs with the same file on this machine, or the same redis:// on any"
    ),
    Flag.optional
  ),
  strict: Flags.strict,
  stream: Flag.Boolean("stream").pipe(
    Flag.withDescription("Stream answers, so that a dead connection is noticed early and a cut answer is kept in part"),
    Flag.withDefault(false)
  ),
  maxConnections: Flags.count("max-connections").pipe(
    Flag.withDescription("Most requests that are under way at once (1024)"),
    Flag.withDefault(BedrockClient.defaults.maxConnections)
  ),
  endpoint: Flags.endpoint,
  emulate: Flag.Boolean("emulate").pipe(
    Flag.withDescription("Ask a built-in emulator with the given quotas. Needs no account and no credentials"),
    Flag.withDefault(false)
  ),
  window: Flags.window(
    "How long an emulator's minute is (60s). Bedrock's own is what it is"
  )
}

/** Enough that the next one is always there when quota frees, few enough to be dropped without regret. */
const maxWaiting = 128
/** Bytes of lines in hand, beyond the first: most lines are small, some carry images. */
const maxBytes = 64 * 1024 * 1024
/** Answers without an account come from somebody that everybody knows. */
const emulatedModel = "us.anthropic.claude-sonnet-4-6"

/** Where the SDK goes when no endpoint is given, as `caprock emulate` exports it. */
const configuredEndpoint = Config.String("AWS_ENDPOINT_URL_BEDROCK_RUNTIME").pipe(
  Config.orElse(() => Config.String("AWS_ENDPOINT_URL")),
  Config.withDefault(undefined)
)

/**
 * @category commands
 * @since 0.1.0
 */
export const run = Command.make(
  "run",
  runFlags,
  Effect.fnUntraced(
    function*(given) {
      yield* Heap.keepSmall
      const screen = yield* Screen.Screen
      const catalogue = yield* Catalogue.Current
      const endpoint = yield* readEndpoint(given)
      const region = Option.getOrUndefined(given.region)
      const routes = Option.isNone(given.routes) ? undefined : yield* RoutesFile.read(given.routes.value)
      const isRoute = (name: string) => routes !== undefined && Object.hasOwn(routes.routes, name)
      /** What to say of a model that nobody knows, where a route may have been meant. */
      const hint = (name: string) =>
        routes === undefined || isRoute(name)
          ? undefined
          : RoutesFile.instead(name, Option.getOrElse(given.routes, () => ""), Object.keys(routes.routes))
      const id = Option.getOrElse(given.model, () => given.emulate ? emulatedModel : undefined)
      const model = id === undefined || isRoute(id) ? undefined : yield* Setup.readModel(id, catalogue, hint(id))
      const quotas = yield* readQuotas(given)
      const quota = Setup.quotaOf(quotas, id, region)
      const input = yield* Input.open(given.input)

      for (const warning of model?.warnings ?? []) yield* screen.say(warning)
      // A name of the account's own may be one, or a slip.
      const meant = id === undefined || id.startsWith("arn:") || model?.entry?.known === true ? undefined : hint(id)
      if (meant !== undefined) yield* screen.say(`Warning: ${meant} It is asked as a model.`)
      // An emulator has the quota that is given: where there is none, there is nothing to exceed.
      if (!given.emulate && quota?.requestsPerMinute === undefined && quota?.tokensPerMinute === undefined) {
        yield* screen.say(Setup.unknownQuota(model, region))
      }
      const unset = Option.isNone(given.maxTokens) ? Setup.unsetMaxTokens(model, quota) : undefined
      if (unset !== undefined) yield* screen.say(unset)

      const emulator = given.emulate ? yield* startEmulator(model, quota, given.window) : undefined
      if (emulator !== undefined) {
        yield* screen.say(`Asking an emulator at ${emulator.url}: the answers are made up, and nothing is charged.`)
      }

      const target = BedrockTarget.layer({
        region: region ?? (emulator === undefined ? undefined : "us-east-1"),
        endpoint: emulator?.url ?? endpoint,
        ...(emulator === undefined
          ? {}
          : { credentials: { accessKeyId: "emulated", secretAccessKey: "emulated" } }),
        ...(routes === undefined ? {} : { routes }),
        hint,
        quotas,
        meters: { window: given.window, day: Duration.times(given.window, 1440) },
        maxConnections: given.maxConnections,
        stream: given.stream,
        share: Option.getOrUndefined(given.share)
      })
      const defaults: Defaults = {
        ...(id === undefined ? {} : { model: id }),
        ...Option.match(given.system, { onNone: () => ({}), onSome: (system) => ({ system }) }),
        ...Option.match(given.maxTokens, { onNone: () => ({}), onSome: (maxTokens) => ({ maxTokens }) }),
        ...Option.match(given.temperature, { onNone: () => ({}), onSome: (temperature) => ({ temperature }) })
      }
      const checkModel = (name: string) =>
        isRoute(name)
          ? undefined
          : Result.match(Setup.model(name, catalogue), {
            onSuccess: () => undefined,
            onFailure: ({ message }) => [message, hint(name) ?? []].flat().join(" ")
          })
      yield* execute({ input, inputPath: given.input, output: given.out, defaults, checkModel, id, model, given }).pipe(
        Effect.provide(
          Layer.mergeAll(
            Journal.layer({ output: given.out, input: given.input }),
            Progress.layer({ maxConnections: given.maxConnections }),
            Screen.layerLogger
          ).pipe(Layer.provideMerge(target))
        ),
        Effect.catchTags({
          OptionsError: ({ message, problems }) =>
            Effect.fail(
              Option.isSome(given.routes) && problems.every(({ name }) => name.split(".")[0] === "routes")
                ? RoutesFile.wrong(given.routes.value, message)
                : new CliFailure({
                  problem: message,
                  remedy: "Correct the flag of that name, or the variable that stands in for it."
                })
            ),
          ShareError: ({ message }) =>
            Effect.fail(
              new CliFailure({
                problem: `--share: ${message}`,
                remedy: "Give a file in a folder of this machine's disk, or redis://host:port of a Redis that runs."
              })
            )
        }),
        // Each failed line has its own in the output; what the layers log besides is asked for with --log-level.
        Effect.provideService(
          References.MinimumLogLevel,
          Option.getOrElse(yield* GlobalFlag.LogLevel, () => "Error" as const)
        )
      )
    },
    Effect.scoped,
    Effect.provide(Screen.layer)
  )
).pipe(
  Command.withDescription(
    "Drives a file of prompts through Bedrock at exactly the quota's speed. Each line of the input is " +
      `{"id"?, "prompt": "..."} or {"id"?, "request": <Converse request>}. Run the same command again to continue. ` +
      "Exit codes: 0 all answered, 1 some lines failed, 2 could not start or had to stop, 130 interrupted, 143 terminated."
  ),
  Command.withShortDescription("Drives a file of prompts through Bedrock at exactly the quota's speed"),
  Command.withExamples([
    {
      command:
        "caprock run prompts.jsonl --out results.jsonl --model us.anthropic.claude-sonnet-4-6 --region us-east-1 --tpm 200000 --max-tokens 800",
      description: "Ask each line, and never exceed 200,000 tokens per minute"
    },
    {
      command: "caprock run prompts.jsonl --out results.jsonl --emulate --rpm 60 --window 6s",
      description: "Try it without an account"
    }
  ])
)

/** Where it goes, if that is said; refuses what contradicts it. */
const readEndpoint = Effect.fnUntraced(function*(given: {
  readonly emulate: boolean
  readonly endpoint: Option.Option<string>
  readonly share: Option.Option<string>
  readonly window: Duration.Duration
}) {
  if (given.emulate && Option.isSome(given.share)) {
    return yield* new CliFailure({
      problem: "--emulate and --share were given.",
      remedy:
        "Each run has an emulator of its own with --emulate: start `caprock emulate`, and give all runs --endpoint."
    })
  }
  if (given.emulate && Option.isSome(given.endpoint)) {
    return yield* new CliFailure({
      problem: "--emulate and --endpoint were given.",
      remedy: "Give one of them: --emulate starts an emulator of its own."
    })
  }
  const endpoint = Option.getOrUndefined(given.endpoint)
  if (endpoint !== undefined && !/^https?:$/.test(URL.parse(endpoint)?.protocol ?? "")) {
    return yield* new CliFailure({
      problem: `--endpoint ${endpoint} is not a URL.`,
      remedy: "Write it whole, such as http://127.0.0.1:8080."
    })
  }
  if (
    !given.emulate && !Duration.Equivalence(given.window, Flags.minute) &&
    Setup.isAws(endpoint ?? (yield* configuredEndpoint))
  ) {
    return yield* new CliFailure({
      problem: `--window ${Duration.format(given.window)} was given, and AWS's minutes are 60 seconds long.`,
      remedy: "Leave it out. It is for emulators that are sped up: --emulate, or --endpoint with the URL of one."
    })
  }
  return endpoint
})

const none: Quotas.Quotas = { default: undefined, pools: new Map() }

const readQuotas = Effect.fnUntraced(function*(given: {
  readonly rpm: Option.Option<number>
  readonly tpm: Option.Option<number>
  readonly quotaFile: Option.Option<string>
}) {
  if (Option.isNone(given.quotaFile)) {
    // Nothing known: the limits are found by what is refused.
    if (Option.isNone(given.rpm) && Option.isNone(given.tpm)) return none
    return Quotas.uniform({
      ...Option.match(given.rpm, { onNone: () => ({}), onSome: (requestsPerMinute) => ({ requestsPerMinute }) }),
      ...Option.match(given.tpm, { onNone: () => ({}), onSome: (tokensPerMinute) => ({ tokensPerMinute }) })
    })
  }
  const path = given.quotaFile.value
  if (Option.isSome(given.rpm) || Option.isSome(given.tpm)) {
    return yield* new CliFailure({
      problem: "--quota-file and --rpm or --tpm were given.",
      remedy: `Give one of them. In ${path}, "default" holds for every model without an entry of its own.`
    })
  }
  const fs = yield* FileSystem.FileSystem
  const text = yield* fs.readFileString(path).pipe(
    Effect.mapError((error) => cannotRead(`the quota file ${path}`, error))
  )
  const quotas = Quotas.fromJson(text)
  if (Result.isSuccess(quotas)) return quotas.success
  return yield* new CliFailure({
    problem: `The quota file ${path} can't be used. ${quotas.failure.message}`,
    remedy: `Write it like {"default":{"requestsPerMinute":100,"tokensPerMinute":200000}}`
  })
})

/** As fast as a model is within its minute: 0.4 s to the first token, 10 ms for each further one. */
const startEmulator = (model: Setup.Model | undefined, quota: Quotas.Quota | undefined, window: Duration.Duration) => {
  const scale = Duration.toMillis(window) / 60_000
  return Emulator.make({
    window,
    quota: {
      requests: quota?.requestsPerMinute,
      tokens: quota?.tokensPerMinute,
      tokensPerDay: quota?.tokensPerDay
    },
    burndown: model?.entry?.burndown,
    maxOutput: model?.entry?.maxOutputTokens,
    latency: LatencyModel.perToken(400 * scale, 10 * scale)
  }).pipe(
    Effect.mapError((error) =>
      new CliFailure({ problem: error.message, remedy: "This is a defect of caprock. Please report it." })
    )
  )
}

const execute = Effect.fnUntraced(function*(options: {
  readonly input: Input.Input
  readonly inputPath: string
  readonly output: string
  readonly defaults: Defaults
  readonly checkModel: (name: string) => string | undefined
  readonly id: string | undefined
  readonly model: Setup.Model | undefined
  readonly given: { readonly maxConnections: number; readonly strict: boolean }
}) {
  const { given, input, output } = options
  const screen = yield* Screen.Screen
  const journal = yield* Journal
  const progress = yield* Progress
  if (input.size !== undefined) progress.tell({ size: input.size })
  for (const text of Summary.renderFound(journal.found, output, options.id)) yield* screen.say(text)

  const outcome = yield* Runner.run({
    input: input.bytes,
    defaults: options.defaults,
    checkModel: options.checkModel,
    limits: { maxWaiting, maxCalls: given.maxConnections, maxBytes },
    maxLineBytes: InputLine.maxLineBytes,
    strict: given.strict
  })

  const view = yield* progress.view
  if (view.counts.lines === 0 && outcome.stop === undefined) return yield* Input.empty(options.inputPath)
  const summary = Summary.render(view, outcome, progress.tally, journal.found, {
    output,
    maxConnections: given.maxConnections,
    quotaNames: options.model?.quotaNames ?? {}
  })
  yield* screen.say(summary.join("\n"))
  if (outcome.stop?._tag === "Failure") return yield* outcome.stop.failure
  if (outcome.stop?._tag === "Signal") return yield* new Quiet({ code: Signals.exitCode[outcome.stop.signal] })
  if (view.counts.failed > 0 || view.counts.changed > 0) return yield* new Quiet({ code: ExitCode.partial })
})
