export * as Cli from "./Cli.ts"
export * as ExitCode from "./ExitCode.ts"
export * as Signals from "./Signals.ts"
