// A program that needs only this package. `pnpm packages` runs it in an empty project, and starts `caprock` there.
import { Cli, ExitCode, Signals } from "@caprock/cli"

if (!/^\d+\.\d+\.\d+/.test(Cli.version) || Signals.exitCode.SIGINT !== 130 || typeof ExitCode.teardown !== "function") {
  throw new Error(Cli.version)
}
