/**
 * `caprock batch`: bulk work as Bedrock's batch jobs.
 *
 * @since 0.1.0
 */
import type { BatchError } from "@caprock/batch/BatchError"
import type { Status } from "@caprock/batch/BatchJournal"
import * as BatchOffload from "@caprock/batch/BatchOffload"
import type { Prices } from "@caprock/batch/BatchPlan"
import * as Catalogue from "@caprock/quota/Catalogue"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Place from "../batch/Place.ts"
import * as Records from "../batch/Records.ts"
import * as ResultFile from "../batch/ResultFile.ts"
import * as Results from "../batch/Results.ts"
import * as Session from "../batch/Session.ts"
import { setup } from "../batch/Setup.ts"
import * as Told from "../batch/Told.ts"
import { ExitCode } from "../ExitCode.ts"
import { cannotWrite } from "../internal/platformErrors.ts"
import * as Input from "../run/Input.ts"
import * as ResultLine from "../run/ResultLine.ts"
import * as Setup from "../run/Setup.ts"
import { Quiet } from "../terminal/CliFailure.ts"
import * as Screen from "../terminal/Screen.ts"
import * as Flags from "./Flags.ts"

const name = Argument.String("name").pipe(Argument.withDescription("The batch's name"))

const poll = Flags.duration("poll").pipe(
  Flag.withDescription("How often jobs are looked at, at most (30s)"),
  Flag.optional
)

const price = (side: string, what: string) =>
  Flag.Finite(side).pipe(
    Flag.filter((n) => n >= 0, () => "a number of at least 0"),
    Flag.withDescription(`What a million tokens ${what} cost on demand, to tell what was spent and saved`),
    Flag.optional
  )

const prices = { priceIn: price("price-in", "of input"), priceOut: price("price-out", "of output") }

const onDemand = Flags.quota({
  rpm: "Your quota of requests per minute, for what is asked on demand",
  tpm: "Your quota of tokens per minute, for what is asked on demand"
})

const pricesOf = (given: {
  readonly priceIn: Option.Option<number>
  readonly priceOut: Option.Option<number>
}): Prices | undefined => Option.getOrUndefined(Option.all({ input: given.priceIn, output: given.priceOut }))

const quotaOf = ({ rpm, tpm }: { readonly rpm: Option.Option<number>; readonly tpm: Option.Option<number> }) => ({
  ...Option.match(rpm, { onNone: () => ({}), onSome: (requestsPerMinute) => ({ requestsPerMinute }) }),
  ...Option.match(tpm, { onNone: () => ({}), onSome: (tokensPerMinute) => ({ tokensPerMinute }) })
})

const isOver = ({ state }: Status): boolean => state === "done" || state === "cancelled" || state === "failed"

const isPassing = ({ reason }: BatchError): boolean =>
  reason._tag === "StoreFailed"
    ? reason.retryable
    : reason._tag === "ServiceFailed" && reason.error.retryable

const every = Flags.duration("every").pipe(
  Flag.withDescription("How often to look (30s)"),
  Flag.withDefault(BatchOffload.defaults.poll.min)
)

const submit = Command.make(
  "submit",
  {
    input: Argument.String("prompts").pipe(
      Argument.withDescription("A file of JSON Lines, or - for standard input, as `caprock run` reads them")
    ),
    name: Flag.String("name").pipe(Flag.withDescription("What the batch is called from now on")),
    ...Place.flags,
    model: Place.model,
    role: Place.role.pipe(Flag.filter((arn) => Place.roleArn.test(arn), () => Place.notRole)),
    system: Flag.String("system").pipe(
      Flag.withDescription("System prompt, for lines that have none"),
      Flag.optional
    ),
    maxTokens: Flags.count("max-tokens").pipe(Flag.withDescription("Longest answer in tokens"), Flag.optional),
    temperature: Flags.temperature,
    strict: Flags.strict,
    timeout: Flag.Int("timeout-hours").pipe(
      Flag.filter((n) => n >= 24 && n <= 168, () => "a number of hours, 24 to 168"),
      Flag.withDescription("How long a job may take until it expires, and is submitted again (72)"),
      Flag.optional
    ),
    wait: Flag.Boolean("wait").pipe(
      Flag.withDescription("Stay until it is over, as `caprock batch resume` does"),
      Flag.withDefault(false)
    ),
    poll,
    events: Place.events,
    ...onDemand,
    ...prices
  },
  Effect.fnUntraced(function*(given) {
    yield* Setup.readModel(given.model, yield* Catalogue.Current)
    const input = yield* Input.open(given.input)
    yield* Session.shown(
      {
        name: given.name,
        place: given,
        prices: pricesOf(given),
        input,
        every: Option.getOrUndefined(given.poll),
        events: Option.getOrUndefined(given.events),
        quota: quotaOf(given),
        stopped:
          "What was uploaded stays, and jobs that were created go on. Run the same command again: it goes on where it stopped."
      },
      (offload, { record, status }) =>
        Effect.gen(function*() {
          const screen = yield* Screen.Screen
          const kinds = new Set<string>()
          const records = Records.read(input, {
            strict: given.strict,
            defaults: {
              model: given.model,
              ...Option.match(given.system, { onNone: () => ({}), onSome: (system) => ({ system }) }),
              ...Option.match(given.maxTokens, { onNone: () => ({}), onSome: (maxTokens) => ({ maxTokens }) }),
              ...Option.match(given.temperature, { onNone: () => ({}), onSome: (temperature) => ({ temperature }) })
            },
            onRead: record,
            // Of each kind the first: the others are in the results.
            onBad: ({ kind, message }) => {
              if (kinds.has(kind)) return Effect.void
              kinds.add(kind)
              return screen.say(message)
            }
          })
          const submitted = yield* offload.submit(
            given.name,
            {
              model: given.model,
              invocationType: "Converse",
              roleArn: given.role,
              timeoutHours: Option.getOrUndefined(given.timeout),
              strict: given.strict
            },
            records,
            { onChange: status }
          )
          if (submitted.records === 0) return yield* Input.empty(given.input)
          return given.wait && !isOver(submitted)
            ? yield* offload.resume(given.name, { onChange: status })
            : submitted
        })
    )
  })
).pipe(Command.withDescription("Uploads records, and has jobs created for them. The same again goes on where it was."))

const resume = Command.make(
  "resume",
  { name, ...Place.flags, poll, events: Place.events, ...onDemand, ...prices },
  Effect.fnUntraced(function*(given) {
    yield* Session.shown(
      {
        name: given.name,
        place: given,
        prices: pricesOf(given),
        every: Option.getOrUndefined(given.poll),
        events: Option.getOrUndefined(given.events),
        quota: quotaOf(given),
        stopped:
          "Its jobs go on by themselves. Run the same command again, here or anywhere: it goes on where it stopped."
      },
      (offload, progress) => offload.resume(given.name, { onChange: progress.status })
    )
  })
).pipe(
  Command.withDescription(
    "Drives a batch to its end, from any machine: its jobs, what failed in them, what is too little for one."
  )
)

const status = Command.make(
  "status",
  { name, ...Place.flags, json: Flag.Boolean("json").pipe(Flag.withDescription("As JSON"), Flag.withDefault(false)) },
  Effect.fnUntraced(function*(given) {
    const told = yield* Session.offloaded({ place: given }, (offload) => offload.status(given.name))
    yield* Console.log(
      given.json ? JSON.stringify(told, undefined, 2) : Told.lines(told, Place.command(given)).join("\n")
    )
  })
).pipe(Command.withDescription("Says how far a batch is, and what to do."))

const watch = Command.make(
  "watch",
  { name, ...Place.flags, every, ...prices },
  Effect.fnUntraced(function*(given) {
    yield* Session.shown(
      {
        name: given.name,
        place: given,
        prices: pricesOf(given),
        every: given.every,
        stopped: "The batch goes on."
      },
      (offload, progress) =>
        Effect.gen(function*() {
          const screen = yield* Screen.Screen
          let status = yield* offload.status(given.name)
          while (true) {
            progress.status(status)
            // The last one is told with all that there is to say of it.
            if (isOver(status)) return status
            const line = screen.live ? undefined : yield* progress.line
            if (line !== undefined) yield* screen.say(line)
            yield* Effect.sleep(given.every)
            const before = status
            // Who looks on for hours outlasts a minute without an answer.
            status = yield* offload.status(given.name).pipe(
              Effect.catchIf(
                isPassing,
                (error) =>
                  Effect.as(Effect.logWarning("The batch could not be looked at", { error: error.message }), before)
              )
            )
          }
        })
    )
  })
).pipe(Command.withDescription("Shows a batch until it is over. It drives nothing."))

const results = Command.make(
  "results",
  {
    name,
    ...Place.flags,
    out: Flag.String("out").pipe(
      Flag.withAlias("o"),
      Flag.withMetavar("file"),
      Flag.withDescription("Where the lines go; what is there is written over. - is standard output"),
      Flag.withDefault("-")
    ),
    order: Flag.Literals("order", ["any", "input"]).pipe(
      Flag.withDescription("input: in the order of the input, by way of the disk (any)"),
      Flag.withDefault("any")
    ),
    ...prices
  },
  Effect.fnUntraced(function*(given) {
    yield* Session.onScreen(Effect.gen(function*() {
      const screen = yield* Screen.Screen
      const account = Results.emptyAccount()
      const told = yield* Session.untilSignal(
        Session.offloaded({ place: given }, (offload) =>
          Effect.gen(function*() {
            const told = yield* offload.status(given.name)
            const file = yield* ResultFile.open(given.out)
            // Where the lines go to the terminal, there is no room for both.
            if (given.out !== "-") yield* Effect.forkScoped(Screen.display(screen, Results.progress(account, told)))
            yield* offload.results(given.name, { order: given.order, input: true }).pipe(
              Stream.map((result) => {
                Results.add(account, result)
                return encoder.encode(ResultLine.encode(Results.lineOf(result, told.settings.model)))
              }),
              Stream.run(file.sink),
              Effect.catchTag("PlatformError", (error) => Effect.fail(cannotWrite(file.name, error)))
            )
            yield* file.commit
            return told
          }).pipe(Effect.scoped, Effect.catchTag("CliFailure", Results.notLost))),
        "The results are in the bucket: run the same command again."
      )
      yield* screen.say(Results.summary(account, pricesOf(given)).join("\n"))
      const missing = Results.missing(account, told)
      if (missing > 0) {
        yield* screen.say(Results.incomplete(missing, told, Place.command(given)).join("\n"))
      }
      if (account.failed > 0 || missing > 0) return yield* new Quiet({ code: ExitCode.partial })
    }))
  })
).pipe(Command.withDescription("Writes what became of each record, as `caprock run` does. It can be asked again."))

const cancel = Command.make(
  "cancel",
  { name, ...Place.flags },
  Effect.fnUntraced(function*(given) {
    yield* Session.offloaded({ place: given }, (offload) => offload.cancel(given.name))
    yield* Console.error(
      `${given.name} is being cancelled: its jobs stop. What was answered stays, and is paid for. ` +
        `\`${Place.command(given)(`resume ${given.name}`)}\` brings it to its end.`
    )
  })
).pipe(Command.withDescription("Stops a batch's jobs."))

const list = Command.make(
  "list",
  Place.flags,
  Effect.fnUntraced(function*(given) {
    const count = yield* Session.offloaded(
      { place: given },
      (offload) => Stream.runCount(Stream.tap(offload.list, (status) => Console.log(Told.line(status))))
    )
    if (count === 0) yield* Console.error(`There is no batch in s3://${given.bucket}/${given.prefix}.`)
  })
).pipe(Command.withDescription("Says of each batch below the prefix how far it is."))

const encoder = new TextEncoder()

/**
 * @category commands
 * @since 0.1.0
 */
export const batch = Command.make("batch").pipe(
  Command.withDescription("Bulk work as batch jobs of Bedrock, at half the price."),
  Command.withSubcommands([submit, status, watch, results, cancel, resume, list, setup])
)
