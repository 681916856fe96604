/**
 * The root of the command `caprock`, what its exit codes say, and how it takes signals.
 *
 * @since 0.1.0
 */
export * as Cli from "./Cli.ts"
export * as ExitCode from "./ExitCode.ts"
export * as Signals from "./Signals.ts"
