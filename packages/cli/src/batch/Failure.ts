/**
 * What stops a batch, and what to do about it on the command line.
 *
 * @since 0.1.0
 */
import type { BatchError, Reason, StoreFailed } from "@caprock/batch/BatchError"
import type { BedrockError } from "@caprock/errors/BedrockError"
import * as Classification from "@caprock/errors/Classification"
import * as Option from "effect/Option"
import { CliFailure } from "../terminal/CliFailure.ts"
import * as Place from "./Place.ts"

/**
 * @category errors
 * @since 0.1.0
 */
export const of = ({ batch, message, reason }: BatchError, place: Place.Place): CliFailure =>
  new CliFailure({ problem: `${message}.`, remedy: remedyOf(batch, reason, place) })

const again = "Nothing is lost: run the same command again, and it goes on where it stopped."

const remedyOf = (batch: string, reason: Reason, place: Place.Place): string => {
  const command = Place.command(place)
  switch (reason._tag) {
    case "NotFound":
      return `\`${command("list")}\` says which there are.`
    case "LeaseHeld":
      return `\`${
        command(`watch ${batch}`)
      }\` shows it. If that process is dead, run the same command again in half a minute.`
    case "LeaseLost":
      return `\`${command(`watch ${batch}`)}\` shows it.`
    case "JobFailed":
      return `Whether the role and the bucket are as they should be: \`${
        command("setup --check-create --role <arn> --model <id>")
      }\`.`
    case "StoppedElsewhere":
      return `\`${command(`resume ${batch}`)}\`, or \`${command(`cancel ${batch}`)}\`.`
    case "SpillFailed":
      return "Free some space, or add --order any."
    case "StoreFailed":
      return remedyOfStore(reason, place)
    case "ServiceFailed":
      return remedyOfService(reason.error, place)
    default:
      return `What is there of it is in s3://${place.bucket}/${place.prefix}${batch}/.`
  }
}

const check = (place: Place.Place): string =>
  `What you have to be allowed: \`${Place.command(place)("setup --print --role <arn> --model <id>")}\`. ${again}`

const remedyOfStore = (failure: StoreFailed, place: Place.Place): string => {
  const { reason } = Classification.fromUnknown(failure.cause, { operation: failure.operation })
  // What the program itself lacks is told with the failure.
  if (reason._tag === "AccessError" && reason.kind !== "denied") return again
  if (reason._tag === "ValidationError" && reason.kind === "no-region") return "Here it is given as --region."
  switch (failure.kind) {
    case "denied":
      return check(place)
    case "missing":
      return `Is there a bucket ${place.bucket}, in this Region? Make it, or correct --bucket and --region.`
    case "unavailable":
      return Option.match(place.s3Endpoint, {
        onNone: () => again,
        onSome: (url) => `Is there an S3 at ${url}? ${again}`
      })
    case "other":
      return `Look at --bucket, --region and --s3-endpoint. ${again}`
  }
}

const remedyOfService = ({ reason }: BedrockError, place: Place.Place): string =>
  reason._tag === "AccessError" && reason.kind === "denied" ? check(place) : again
