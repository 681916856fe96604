#!/usr/bin/env node
/**
 * The `caprock` program: the root command with its subcommands, on Node.
 *
 * @since 0.1.0
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as Cli from "./Cli.ts"
import { batch } from "./commands/batch.ts"
import { demo } from "./commands/demo.ts"
import { emulate } from "./commands/emulate.ts"
import { route } from "./commands/route.ts"
import { run } from "./commands/run.ts"
import * as ExitCode from "./ExitCode.ts"
import * as Signals from "./Signals.ts"

// One line per subcommand.
const commands = [
  run,
  emulate,
  route,
  batch,
  demo
] as const

Cli.root.pipe(
  Command.withSubcommands(commands),
  Command.run({ version: Cli.version }),
  Effect.provideService(Logger.LogToStderr, true),
  Effect.provide([NodeServices.layer, Cli.layer]),
  (program) => Signals.runMain(program, ExitCode.teardown)
)
