/**
 * `caprock batch setup`: who has to be allowed what.
 *
 * @since 0.1.0
 */
import * as BatchAccess from "@caprock/batch/BatchAccess"
import * as JobEvents from "@caprock/batch/JobEvents"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

import { ExitCode } from "../ExitCode.ts"
import { CliFailure, Quiet } from "../terminal/CliFailure.ts"
import * as Place from "./Place.ts"

const setupFlags = {
  ...Place.flags,
  model: Place.model,
  role: Place.role,
  kmsKey: Flag.String("kms-key").pipe(
    Flag.withMetavar("arn"),
    Flag.withDescription("The key that the bucket is encrypted with, if it is one of your own"),
    Flag.optional
  ),
  events: Place.events,
  print: Flag.Boolean("print").pipe(
    Flag.withDescription("Print the policies that are needed, as JSON"),
    Flag.withDefault(false)
  ),
  check: Flag.Boolean("check").pipe(
    Flag.withDescription("Try what a batch will do: the bucket, its conditions, the list of jobs"),
    Flag.withDefault(false)
  ),
  checkCreate: Flag.Boolean("check-create").pipe(
    Flag.withDescription(
      "Also create a job of one record, the only proof that the role works. Bedrock refuses it for being too small: it costs nothing"
    ),
    Flag.withDefault(false)
  )
}

/**
 * @category commands
 * @since 0.1.0
 */
export const setup = Command.make(
  "setup",
  setupFlags,
  Effect.fnUntraced(function*(given) {
    const checks = given.check || given.checkCreate
    if (given.print === checks) {
      return yield* new CliFailure({
        problem: "Print the policies that are needed, or check that they work?",
        remedy: "Add --print, or --check, or --check-create."
      })
    }
    yield* checks ? check(given) : print(given)
  })
).pipe(Command.withDescription("Prints the IAM policies that batches need, or checks that they work."))

const print = Effect.fnUntraced(function*(given: {
  readonly bucket: string
  readonly events: Option.Option<string>
  readonly kmsKey: Option.Option<string>
  readonly model: string
  readonly prefix: string
  readonly region: Option.Option<string>
  readonly role: string
}) {
  const [, partition, account] = Place.roleArn.exec(given.role) ?? []
  if (partition === undefined || account === undefined) {
    return yield* new CliFailure({
      problem: `${given.role} is not the ARN of a role.`,
      remedy: `Give ${Place.notRole}: the one that it has, or will have.`
    })
  }
  if (Option.isNone(given.region)) {
    return yield* new CliFailure({
      problem: "The role trusts Bedrock in one Region, and there is none.",
      remedy: "Add --region, or set AWS_REGION."
    })
  }
  const region = given.region.value
  const policies = BatchAccess.policies({
    account,
    region,
    bucket: given.bucket,
    role: given.role,
    model: given.model,
    prefix: given.prefix,
    kmsKeyArn: Option.getOrUndefined(given.kmsKey),
    queueArn: Option.getOrUndefined(Option.map(given.events, (url) => Place.queueArn(url, partition, region)))
  })
  const rule = Option.isSome(given.events) ? { rule: JobEvents.rule() } : {}
  yield* Console.log(JSON.stringify({ ...policies, ...rule }, undefined, 2))
})

const check = Effect.fnUntraced(function*(
  given: Place.Place & {
    readonly checkCreate: boolean
    readonly model: string
    readonly prefix: string
    readonly role: string
  }
) {
  const { model, prefix, role } = given
  const findings = yield* BatchAccess.check({ role, model, prefix, job: given.checkCreate }).pipe(
    Effect.provide(Place.layer(given))
  )
  for (const { ok, remedy, said, step } of findings) {
    yield* Console.log(`${ok ? "ok  " : "FAIL"} ${step}: ${said}${remedy === undefined ? "" : `\n     ${remedy}`}`)
  }
  if (findings.some(({ ok }) => !ok)) return yield* new Quiet({ code: ExitCode.setup })
})
