import * as Cli from "@caprock/cli/Cli"
import { batch } from "@caprock/cli/commands/batch"
import { emulate } from "@caprock/cli/commands/emulate"
import { route } from "@caprock/cli/commands/route"
import { run } from "@caprock/cli/commands/run"
import { teardown } from "@caprock/cli/ExitCode"
import { Signals } from "@caprock/cli/Signals"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect, Layer, Sink, Stdio, Stream } from "effect"
import { Command } from "effect/cli"
import type { makeSignals } from "./support.ts"

const decoder = new TextDecoder()

/** Runs the program in this process, with its own standard streams. */
export const caprock = (
  args: ReadonlyArray<string>,
  options: {
    readonly stdin?: string
    readonly signals?: Effect.Success<typeof makeSignals>["layer"]
    /** Whether standard error is one. */
    readonly terminal?: boolean
  } = {}
) =>
  Effect.gen(function*() {
    const written = { stdout: "", stderr: "" }
    const to = (name: keyof typeof written) => () =>
      Sink.forEach((chunk: string | Uint8Array) =>
        Effect.sync(() => {
          written[name] += typeof chunk === "string" ? chunk : decoder.decode(chunk)
        })
      )
    const say = (name: keyof typeof written) => (...texts: ReadonlyArray<unknown>) => {
      written[name] += `${texts.join(" ")}\n`
    }
    const exit = yield* Effect.exit(
      Command.runWith(Cli.root.pipe(Command.withSubcommands([run, emulate, route, batch])), { version: "test" })(args)
        .pipe(
          Effect.provide([
            Cli.layer,
            options.signals ?? Layer.succeed(Signals, Signals.never),
            Stdio.layerTest({
              stdout: to("stdout"),
              stderr: to("stderr"),
              stderrIsTerminal: Effect.succeed(options.terminal ?? false),
              stdin: Stream.make(new TextEncoder().encode(options.stdin ?? ""))
            })
          ]),
          Effect.provideService(Console.Console, { ...console, log: say("stdout"), error: say("stderr") }),
          Effect.provide(NodeServices.layer)
        )
    )
    let code = -1
    teardown(exit, (told) => {
      code = told
    })
    return { ...written, code }
  })
