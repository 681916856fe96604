/**
 * `caprock route explain`: where a call would go by a route, in which order, and why.
 *
 * @since 0.1.0
 */
import * as Fence from "@caprock/router/Fence"
import { Capability } from "@caprock/router/Target"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { cannotRead } from "../internal/platformErrors.ts"
import * as Explain from "../route/Explain.ts"
import { CliFailure } from "../terminal/CliFailure.ts"
import * as Flags from "./Flags.ts"

/** Names, or whatever a schema takes for a list, with commas between. */
const list = <A>(name: string, schema: Schema.Codec<A, unknown>, expected: string) =>
  Flag.String(name).pipe(
    Flag.filterMap(
      (text) => Result.getSuccess(Schema.decodeUnknownResult(schema)(text.split(",").map((part) => part.trim()))),
      () => expected
    )
  )

const explainFlags = {
  file: Argument.String("file").pipe(Argument.withDescription("A file of targets and routes, as JSON")),
  route: Argument.String("route").pipe(Argument.withDescription("The name of the route that a call goes by")),
  region: Flags.region("AWS Region of targets that name none; else AWS_REGION or AWS_DEFAULT_REGION"),
  input: Flags.count("input").pipe(
    Flag.withDescription("Tokens that the call sends (1000)"),
    Flag.withDefault(1_000)
  ),
  output: Flags.count("output").pipe(
    Flag.withDescription("Tokens that it gets back (300)"),
    Flag.withDefault(300)
  ),
  needs: list("needs", Schema.Array(Capability), `any of ${Capability.literals.join(", ")}, with commas between`).pipe(
    Flag.withMetavar("what,..."),
    Flag.withDescription(`What a target has to be able to do: ${Capability.literals.join(", ")}`),
    Flag.withDefault([])
  ),
  deadline: Flags.duration("deadline").pipe(
    Flag.withDescription("How much time is left for the answer; without an end unless given"),
    Flag.optional
  ),
  fence: list("fence", Fence.Fence, "places such as eu-central-1, or beginnings such as eu-*, with commas between")
    .pipe(
      Flag.withMetavar("place,..."),
      Flag.withDescription("Where the call has to stay besides its route's own fence"),
      Flag.optional
    ),
  level: Flag.String("level").pipe(
    Flag.withDescription("What your program's function says how difficult the call is, for a route that asks it"),
    Flag.optional
  ),
  choose: list("choose", Schema.Array(Schema.NonEmptyString), "names of targets, with commas between").pipe(
    Flag.withMetavar("target,..."),
    Flag.withDescription(
      "What your program's function chooses, for a route that asks it; all as they come unless given"
    ),
    Flag.optional
  ),
  state: Flag.String("state").pipe(
    Flag.withMetavar("file"),
    Flag.withDescription(
      `What is known of targets: {"sage":{"wait":"7 seconds","free":0.2,"latency":"1 second","sick":"2 seconds"}}; idle and well unless given`
    ),
    Flag.optional
  ),
  at: Flag.String("at").pipe(
    Flag.filterMap((text) => DateTime.make(text), () => "an instant, such as 2026-12-01T00:00:00Z"),
    Flag.withMetavar("instant"),
    Flag.withDescription("When the call is made, for weights that grow: now unless given"),
    Flag.optional
  ),
  draws: Flags.count("draws").pipe(
    Flag.withDescription("Over how many calls to count who comes first, where chance has a part in it (10000)"),
    Flag.withDefault(10_000)
  ),
  json: Flag.Boolean("json").pipe(Flag.withDescription("Print the decision as JSON"), Flag.withDefault(false))
}

const read = Effect.fnUntraced(function*(what: string, path: string) {
  const fs = yield* FileSystem.FileSystem
  return yield* Effect.mapError(fs.readFileString(path), (error) => cannotRead(`the ${what} ${path}`, error))
})

const State = Schema.fromJsonString(Explain.State)

const readState = Effect.fnUntraced(function*(path: string) {
  const text = yield* read("state", path)
  return yield* Effect.mapError(
    Schema.decodeUnknownEffect(State, { errors: "all", onExcessProperty: "error" })(text),
    (error) =>
      new CliFailure({
        problem: `The state ${path} can't be used. ${error.message}`,
        remedy:
          `Each target has any of wait, free, refused, latency, warm, share, sick: {"sage":{"wait":"7 seconds","free":0.2}}`
      })
  )
})

const explain = Command.make(
  "explain",
  explainFlags,
  Effect.fnUntraced(function*(given) {
    const text = yield* read("route file", given.file)
    const region = Option.getOrUndefined(given.region)
    const { route, table } = yield* Effect.fromResult(Explain.routeOf(text, given.file, given.route, region, {
      level: Option.getOrUndefined(given.level),
      chosen: Option.getOrUndefined(given.choose)
    }))
    const now = Option.isSome(given.at) ? DateTime.toEpochMillis(given.at.value) : yield* Clock.currentTimeMillis
    const state = Option.isSome(given.state) ? yield* readState(given.state.value) : {}
    const facts = yield* Effect.fromResult(Explain.factsOf(table, state, now))
    const chances = yield* Effect.replicateEffect(Random.next, given.draws)
    const explained = Explain.explain(
      route,
      {
        input: given.input,
        output: given.output,
        needs: given.needs,
        leftMillis: Option.match(given.deadline, { onNone: () => Infinity, onSome: Duration.toMillis }),
        fence: Option.getOrUndefined(given.fence)
      },
      facts,
      now,
      chances
    )
    yield* Console.log(given.json ? Explain.toJson(explained) : Explain.toText(explained, given.draws))
  })
).pipe(Command.withDescription("Says where a call would go by a route of a file, in which order, and why."))

/**
 * @category commands
 * @since 0.1.0
 */
export const route = Command.make("route").pipe(
  Command.withDescription("What routes of a file do."),
  Command.withSubcommands([explain])
)
