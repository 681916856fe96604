/**
 * `caprock batch`: bulk work as Bedrock's batch jobs.
 *
 * @since 0.1.0
 */
import type { BatchError } from "@caprock/batch/BatchError"
import type { Status } from "@caprock/batch/BatchJournal"
import * as BatchOffload from "@caprock/batch/BatchOffload"
import type { OptionsError } from "@caprock/client/Settings"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import * as Place from "../batch/Place.ts"
import * as Records from "../batch/Records.ts"
import * as Results from "../batch/Results.ts"
import { setup } from "../batch/Setup.ts"
import * as Told from "../batch/Told.ts"
import { ExitCode } from "../ExitCode.ts"
import { cannotWrite } from "../internal/platformErrors.ts"
import * as Input from "../run/Input.ts"
import * as ResultLine from "../run/ResultLine.ts"
import { CliFailure, Quiet } from "../terminal/CliFailure.ts"
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

const onDemand = Flags.quota({
  rpm: "Your quota of requests per minute, for what is asked on demand",
  tpm: "Your quota of tokens per minute, for what is asked on demand"
})

type Where = Place.Place & { readonly prefix: string; readonly poll?: Option.Option<Duration.Duration> }
type Quota = { readonly rpm: Option.Option<number>; readonly tpm: Option.Option<number> }

/** Runs with the batches of the bucket, and says of what stops it where its things are. */
const offloaded = <A, R>(
  where: Where,
  use: (offload: BatchOffload.BatchOffload["Service"]) => Effect.Effect<A, BatchError | CliFailure, R>,
  quota?: Quota
) =>
  Effect.flatMap(BatchOffload.BatchOffload, use).pipe(
    Effect.provide(
      Place.layerOffload(
        { ...where, poll: where.poll ?? Option.none() },
        {
          ...(quota === undefined || Option.isNone(quota.rpm) ? {} : { requestsPerMinute: quota.rpm.value }),
          ...(quota === undefined || Option.isNone(quota.tpm) ? {} : { tokensPerMinute: quota.tpm.value })
        }
      )
    ),
    Effect.catchTag("BatchError", (error: BatchError) =>
      Effect.fail(
        new CliFailure({
          problem: `${error.message}.`,
          remedy: `What is there of it is in s3://${where.bucket}/${where.prefix}${error.batch}/.`
        })
      )),
    Effect.catchTag("OptionsError", (error: OptionsError) =>
      Effect.fail(new CliFailure({ problem: error.message, remedy: "Look at the flags, and at the environment." })))
  )

const say = (status: Status, { bucket }: Where) => Console.error(Told.lines(status, bucket).join("\n"))

const isOver = ({ state }: Status): boolean => state === "done" || state === "cancelled" || state === "failed"

/** Tells each change, until it is over. */
const watched = (offload: BatchOffload.BatchOffload["Service"], batch: string, every: Duration.Duration) =>
  Stream.fromEffectSchedule(offload.status(batch), Schedule.spaced(every)).pipe(
    Stream.changesWith((a, b) => Told.line(a) === Told.line(b)),
    Stream.tap((status) => Console.error(Told.line(status))),
    Stream.takeUntil(isOver),
    Stream.runDrain
  )

const every = Flags.duration("every").pipe(
  Flag.withDescription("How often to look (30s)"),
  Flag.withDefault(Duration.seconds(30))
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
    role: Place.role,
    system: Flag.String("system").pipe(
      Flag.withDescription("System prompt, for lines that have none"),
      Flag.optional
    ),
    maxTokens: Flags.count("max-tokens").pipe(Flag.withDescription("Longest answer in tokens"), Flag.optional),
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
    ...onDemand
  },
  Effect.fnUntraced(function*(given) {
    const input = yield* Input.open(given.input)
    const records = Records.read(input, {
      model: given.model,
      ...(Option.isNone(given.system) ? {} : { system: given.system.value }),
      ...(Option.isNone(given.maxTokens) ? {} : { maxTokens: given.maxTokens.value })
    })
    yield* offloaded(given, (offload) =>
      Effect.gen(function*() {
        const submitted = yield* offload.submit(given.name, {
          model: given.model,
          invocationType: "Converse",
          roleArn: given.role,
          timeoutHours: Option.getOrUndefined(given.timeout)
        }, records)
        const status = given.wait && !isOver(submitted) ? yield* offload.resume(given.name) : submitted
        yield* say(status, given)
      }), given)
  })
).pipe(Command.withDescription("Uploads records, and has jobs created for them. The same again goes on where it was."))

const resume = Command.make(
  "resume",
  { name, ...Place.flags, poll, ...onDemand },
  Effect.fnUntraced(function*(given) {
    yield* offloaded(
      given,
      (offload) => Effect.flatMap(offload.resume(given.name), (status) => say(status, given)),
      given
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
    const told = yield* offloaded(given, (offload) => offload.status(given.name))
    yield* Console.log(given.json ? JSON.stringify(told, undefined, 2) : Told.lines(told, given.bucket).join("\n"))
  })
).pipe(Command.withDescription("Says how far a batch is, and what to do."))

const watch = Command.make(
  "watch",
  { name, ...Place.flags, every },
  Effect.fnUntraced(function*(given) {
    yield* offloaded(given, (offload) => watched(offload, given.name, given.every))
  })
).pipe(Command.withDescription("Tells each change of a batch until it is over. It drives nothing."))

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
    priceIn: price("price-in", "of input"),
    priceOut: price("price-out", "of output")
  },
  Effect.fnUntraced(function*(given) {
    const { order, out } = given
    const stdio = yield* Stdio.Stdio
    const fs = yield* FileSystem.FileSystem
    const account = Results.emptyAccount()
    const sink = out === "-" ? stdio.stdout({ endOnDone: false }) : fs.sink(out)
    yield* offloaded(given, (offload) =>
      Effect.gen(function*() {
        const told = yield* offload.status(given.name)
        if (!isOver(told)) {
          yield* Console.error(`${given.name} is not over: these are the records that are known by now.`)
        }
        yield* offload.results(given.name, { order, input: true }).pipe(
          Stream.map((result) => {
            Results.add(account, result)
            return encoder.encode(ResultLine.encode(Results.lineOf(result, told.model)))
          }),
          Stream.run(sink),
          Effect.catchTag("PlatformError", (error) =>
            Effect.fail(cannotWrite(out === "-" ? "to standard output" : out, error)))
        )
      }))
    const prices = Option.all({ input: given.priceIn, output: given.priceOut })
    yield* Console.error(Results.summary(account, Option.getOrUndefined(prices)).join("\n"))
    if (account.failed > 0) return yield* new Quiet({ code: ExitCode.partial })
  })
).pipe(Command.withDescription("Writes what became of each record, as `caprock run` does. It can be asked again."))

const cancel = Command.make(
  "cancel",
  { name, ...Place.flags },
  Effect.fnUntraced(function*(given) {
    yield* offloaded(given, (offload) => offload.cancel(given.name))
    yield* Console.error(
      `${given.name} is being cancelled: its jobs stop. What was answered stays, and is paid for. ` +
        `\`caprock batch resume ${given.name} --bucket ${given.bucket}\` brings it to its end.`
    )
  })
).pipe(Command.withDescription("Stops a batch's jobs."))

const list = Command.make(
  "list",
  Place.flags,
  Effect.fnUntraced(function*(given) {
    yield* offloaded(given, (offload) => Stream.runForEach(offload.list, (status) => Console.log(Told.line(status))))
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
