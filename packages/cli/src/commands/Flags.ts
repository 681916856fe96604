/**
 * Flags that several commands have, and the readers of values that flags have no type for.
 *
 * @since 0.1.0
 */
import * as Fault from "@caprock/emulator/Fault"
import * as LatencyModel from "@caprock/emulator/LatencyModel"
import * as OutputModel from "@caprock/emulator/OutputModel"
import * as CliError from "effect/cli/CliError"
import * as Flag from "effect/cli/Flag"
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"

/**
 * A port to listen on.
 *
 * @category flags
 * @since 0.1.0
 */
export const port = (name: string) =>
  Flag.Int(name).pipe(Flag.filter((n) => n >= 0 && n <= 65_535, () => "a port, 0 to 65535"))

/**
 * A number of at least 1.
 *
 * @category flags
 * @since 0.1.0
 */
export const count = (name: string) =>
  Flag.Int(name).pipe(Flag.filter((n) => n >= 1, () => "a whole number of at least 1"))

/**
 * A length of time, such as `60s`, `500ms` or `1 minute`. A bare number is seconds.
 *
 * @category flags
 * @since 0.1.0
 */
export const duration = (name: string) =>
  Flag.String(name).pipe(
    Flag.withMetavar("duration"),
    Flag.filterMap(
      readDuration,
      () => `a length of time, such as 60s, 500ms or "1 minute"`
    )
  )

/**
 * An AWS Region, from the environment where it is not given. What it is for is said by its description, where it is more than where to ask.
 *
 * @category flags
 * @since 0.1.0
 */
export const region = (
  description = "AWS Region; else AWS_REGION or AWS_DEFAULT_REGION, else what the AWS configuration says"
) =>
  Flag.String("region").pipe(
    Flag.withDescription(description),
    Flag.withFallbackConfig(Config.String("AWS_REGION").pipe(Config.orElse(() => Config.String("AWS_DEFAULT_REGION")))),
    Flag.optional
  )

/**
 * Where to ask, if it is not Bedrock itself.
 *
 * @category flags
 * @since 0.1.0
 */
export const endpoint = Flag.String("endpoint").pipe(
  Flag.withMetavar("url"),
  Flag.withDescription("Another endpoint than Bedrock's own, such as a running `caprock emulate`"),
  Flag.optional
)

/**
 * How far the wording may stray.
 *
 * @category flags
 * @since 0.1.0
 */
export const temperature = Flag.Finite("temperature").pipe(
  Flag.filter((n) => n >= 0, () => "a number of at least 0"),
  Flag.withDescription("How far the wording may stray"),
  Flag.optional
)

/**
 * What becomes of the others, where a line can't be asked.
 *
 * @category flags
 * @since 0.1.0
 */
export const strict = Flag.Boolean("strict").pipe(
  Flag.withDescription("Stop at the first line that can't be asked, instead of writing an error for it and going on"),
  Flag.withDefault(false)
)

/**
 * The quota of a pool, by what it counts. What it means to the command is said by its description.
 *
 * @category flags
 * @since 0.1.0
 */
export const quota = (descriptions: { readonly rpm: string; readonly tpm: string }) => ({
  rpm: count("rpm").pipe(Flag.withDescription(descriptions.rpm), Flag.optional),
  tpm: count("tpm").pipe(Flag.withDescription(descriptions.tpm), Flag.optional)
})

/**
 * The length of an emulator's minute.
 *
 * @category flags
 * @since 0.1.0
 */
export const window = (description: string) =>
  duration("window").pipe(Flag.withDescription(description), Flag.withDefault(minute))

/**
 * A minute as it is everywhere but in emulators.
 *
 * @category constants
 * @since 0.1.0
 */
export const minute = Duration.minutes(1)

const units: Readonly<Record<string, Duration.Unit>> = {
  ms: "millis",
  s: "seconds",
  m: "minutes",
  min: "minutes",
  h: "hours"
}

/**
 * A length of time as it is written; none for anything else, and for none at all.
 *
 * @category parsing
 * @since 0.1.0
 */
export const readDuration = (text: string): Option.Option<Duration.Duration> => {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(text)
  if (match === null) return Option.none()
  const [, number = "", unit = ""] = match
  const name = unit === "" ? "seconds" : units[unit.toLowerCase()] ?? unit.toLowerCase()
  return Option.filter(
    Duration.fromInput(`${Number(number)} ${name}` as Duration.Input), // Wrong units give none.
    (duration) => Duration.toMillis(duration) > 0 && Duration.isFinite(duration)
  )
}

/**
 * Faults by rate, as `readFaults` reads them.
 *
 * @category flags
 * @since 0.1.0
 */
export const faults = (name: string) =>
  Flag.String(name).pipe(
    Flag.withMetavar("name=share,..."),
    Flag.mapEffect((text) =>
      Result.match(readFaults(text), {
        onSuccess: (faults) => Effect.succeed(faults),
        onFailure: (message) =>
          Effect.fail(new CliError.InvalidValue({ option: name, value: text, expected: message, kind: "flag" }))
      })
    )
  )

/**
 * `InternalServerException=0.02,reset=0.01,cut=0.01`: faults with how often they befall a request.
 *
 * @category parsing
 * @since 0.1.0
 */
export const readFaults = (text: string): Result.Result<ReadonlyArray<Fault.FaultRate>, string> => {
  const faults: Array<Fault.FaultRate> = []
  for (const part of text.split(",")) {
    const [name = "", rate = ""] = part.split("=").map((piece) => piece.trim())
    const fault = readFault(name)
    if (fault === undefined) {
      return Result.fail(
        `"${name}" is no fault. There are reset, cut, truncate, silence, and the errors ${
          Fault.ErrorName.literals.join(", ")
        }`
      )
    }
    const share = rate === "" ? Number.NaN : Number(rate)
    if (!(share >= 0 && share <= 1)) return Result.fail(`"${part.trim()}": write ${name}=<share from 0 to 1>`)
    faults.push({ fault, rate: share })
  }
  return Result.succeed(faults)
}

const readFault = (name: string): Fault.Fault | undefined => {
  switch (name.toLowerCase()) {
    case "reset":
      return Fault.reset
    case "cut":
      return Fault.cut()
    case "truncate":
      return Fault.truncate()
    case "silence":
      return Fault.silence()
  }
  const known = Fault.ErrorName.literals.find((literal) => literal.toLowerCase() === name.toLowerCase())
  return known === undefined ? undefined : Fault.error(known)
}

/**
 * `200`: milliseconds; `100-900`: anything between; `400+10`: to the first token, and for each token.
 *
 * @category parsing
 * @since 0.1.0
 */
export const readLatency = (text: string): Option.Option<LatencyModel.LatencyModel> => {
  const match = /^(\d+(?:\.\d+)?)(?:([-+])(\d+(?:\.\d+)?))?$/.exec(text.trim())
  if (match === null) return Option.none()
  const [, first, operator, second] = match
  const a = Number(first)
  const b = Number(second)
  if (operator === undefined) return Option.some(LatencyModel.fixed(a))
  if (operator === "+") return Option.some(LatencyModel.perToken(a, b))
  return a <= b ? Option.some(LatencyModel.uniform(a, b)) : Option.none()
}

/**
 * `300`: tokens; `0.1-0.5`: a share of the request's maxTokens.
 *
 * @category parsing
 * @since 0.1.0
 */
export const readOutput = (text: string): Option.Option<OutputModel.OutputModel> => {
  if (/^\d+$/.test(text.trim())) return Option.some(OutputModel.fixed(Number(text)))
  const match = /^(\d*\.?\d+)-(\d*\.?\d+)$/.exec(text.trim())
  if (match === null) return Option.none()
  const min = Number(match[1])
  const max = Number(match[2])
  return min <= max && max <= 100 ? Option.some(OutputModel.fraction(min, max)) : Option.none()
}
