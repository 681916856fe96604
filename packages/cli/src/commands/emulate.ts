/**
 * `caprock emulate`: a local Bedrock that enforces quotas, to test programs against.
 *
 * @since 0.1.0
 */
import * as Emulator from "@caprock/emulator/Emulator"
import type * as Options from "@caprock/emulator/Options"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Panel from "../emulate/Panel.ts"
import { Signals } from "../Signals.ts"
import { CliFailure } from "../terminal/CliFailure.ts"
import * as Screen from "../terminal/Screen.ts"
import * as Flags from "./Flags.ts"

const emulateFlags = {
  port: Flags.port("port").pipe(
    Flag.withDescription("Port to listen on; 0 takes a free one"),
    Flag.withDefault(0)
  ),
  host: Flag.String("host").pipe(
    Flag.withDescription("Address to listen on; the default can be reached from this machine only"),
    Flag.withDefault("127.0.0.1")
  ),
  ...Flags.quota({
    rpm: "Requests per minute of each pool; no limit unless given",
    tpm: "Tokens per minute of each pool; no limit unless given"
  }),
  tpd: Flags.count("tpd").pipe(
    Flag.withDescription("Tokens per day of each pool; no limit unless given"),
    Flag.optional
  ),
  window: Flags.window("How long a minute of the quotas is (60s): shorter makes tests faster"),
  shape: Flag.Literals("shape", ["rolling", "fixed", "bucket"]).pipe(
    Flag.withDescription(
      "What a minute is: any 60 seconds, each clock minute, or a bucket that refills (rolling; AWS does not say)"
    ),
    Flag.withDefault("rolling")
  ),
  adjust: Flag.Literals("adjust", ["end", "during"]).pipe(
    Flag.withDescription("When output beyond the reservation is charged (end; AWS does not say)"),
    Flag.withDefault("end")
  ),
  countRejected: Flag.Boolean("count-rejected").pipe(
    Flag.withDescription("Count refused requests against the requests quota (AWS does not say)"),
    Flag.withDefault(false)
  ),
  burndown: Flag.Finite("burndown").pipe(
    Flag.withDescription("Quota tokens that an output token costs (1)"),
    Flag.withDefault(1)
  ),
  maxOutput: Flags.count("max-output").pipe(
    Flag.withDescription("Output tokens that are reserved where a request sets no maxTokens"),
    Flag.optional
  ),
  latency: Flag.String("latency").pipe(
    Flag.filterMap(
      Flags.readLatency,
      (text) =>
        `"${text}" is no latency. Write milliseconds (200), a range (100-900), or first token + each token (400+10)`
    ),
    Flag.withMetavar("ms"),
    Flag.withDescription(
      "Milliseconds to an answer: 200, between 100-900, or 400+10 for the first and each further token"
    ),
    Flag.optional
  ),
  output: Flag.String("output").pipe(
    Flag.filterMap(
      Flags.readOutput,
      () => "tokens (300), or a share of maxTokens (0.1-0.5)"
    ),
    Flag.withMetavar("tokens"),
    Flag.withDescription("Length of answers: 300 tokens, or 0.1-0.5 of maxTokens"),
    Flag.optional
  ),
  seed: Flag.String("seed").pipe(
    Flag.withDescription("Decides every length, delay and fault"),
    Flag.withDefault("caprock")
  ),
  faults: Flags.faults("faults").pipe(
    Flag.withDescription("What befalls requests at random, such as InternalServerException=0.02,reset=0.01,cut=0.01"),
    Flag.optional
  ),
  s3: Flag.String("s3").pipe(
    Flag.withMetavar("url"),
    Flag.withDescription("A server that speaks S3, for batch jobs to read and write; without it there are none"),
    Flag.optional
  )
}

/**
 * @category commands
 * @since 0.1.0
 */
export const emulate = Command.make(
  "emulate",
  emulateFlags,
  Effect.fnUntraced(
    function*(given) {
      const screen = yield* Screen.Screen
      const signals = yield* Signals
      const options: Options.Options = {
        port: given.port,
        host: given.host,
        seed: given.seed,
        window: given.window,
        shape: given.shape,
        adjust: given.adjust,
        countRejected: given.countRejected,
        burndown: given.burndown,
        quota: {
          requests: Option.getOrUndefined(given.rpm),
          tokens: Option.getOrUndefined(given.tpm),
          tokensPerDay: Option.getOrUndefined(given.tpd)
        },
        maxOutput: Option.getOrUndefined(given.maxOutput),
        latency: Option.getOrUndefined(given.latency),
        output: Option.getOrUndefined(given.output),
        faults: Option.getOrUndefined(given.faults),
        batch: Option.getOrUndefined(Option.map(given.s3, (endpoint) => ({ s3: { endpoint } })))
      }
      const emulator = yield* Emulator.make(options).pipe(
        Effect.mapError((error) =>
          new CliFailure({
            problem: error.message,
            remedy: error.kind === "listen" ? "Choose another --port, or 0 for a free one." : "Correct the flag."
          })
        )
      )
      yield* screen.say(Panel.started(emulator.url, options))
      // On standard output and nothing else, so that a shell can `eval` it.
      yield* Console.log(Panel.environment(emulator.url, options))
      yield* screen.say("Ctrl-C stops it.")

      const first = yield* signals.takeFirst
      const show = Effect.map(emulator.stats, Panel.render)
      const display = Screen.display(screen, { panel: show, line: Effect.map(emulator.stats, Panel.changes()) })
      yield* Effect.raceFirst(display, first)
      yield* screen.say((yield* show).join("\n"))
    },
    Effect.scoped,
    Effect.provide(Screen.layer)
  )
).pipe(
  Command.withDescription("Runs a local Bedrock that enforces quotas, for any program that uses the AWS SDK"),
  Command.withExamples([
    {
      command: "caprock emulate --rpm 60 --tpm 100000 --port 8080",
      description: "A Bedrock with a quota of 60 requests and 100,000 tokens per minute"
    },
    {
      command: "caprock emulate --tpm 50000 --window 6s --faults InternalServerException=0.02,reset=0.01",
      description: "Minutes of 6 seconds, and now and then an error"
    }
  ])
)
