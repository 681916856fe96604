import * as Errors from "@caprock/batch/BatchError"
import * as Failure from "@caprock/cli/batch/Failure"
import { BedrockError } from "@caprock/errors/BedrockError"
import * as Reason from "@caprock/errors/Reason"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Option } from "effect"

const place = {
  bucket: "nightly",
  prefix: "bulk/",
  region: Option.some("eu-west-1"),
  endpoint: Option.none<string>(),
  s3Endpoint: Option.none<string>()
}

const flags = "--bucket nightly --prefix bulk/ --region eu-west-1"

const store = (kind: Errors.StoreFailed["kind"], name: string, message = "no") =>
  new Errors.StoreFailed({
    operation: "put",
    key: "bulk/a/lease.json",
    kind,
    problem: name,
    cause: Object.assign(new Error(message), { name })
  })

const service = (reason: Reason.Reason) =>
  new Errors.ServiceFailed({ error: new BedrockError({ operation: "CreateModelInvocationJob", attempts: 1, reason }) })

const reasons: ReadonlyArray<readonly [reason: Errors.Reason, remedy: string]> = [
  [new Errors.NotFound(), `\`caprock batch list ${flags}\` says which there are.`],
  [
    new Errors.LeaseHeld({ owner: "a", watched: Duration.seconds(30) }),
    `\`caprock batch watch a ${flags}\` shows it. If`
  ],
  [new Errors.LeaseLost(), `\`caprock batch watch a ${flags}\` shows it.`],
  [new Errors.JobFailed({ job: "j", status: "Failed", problem: "no" }), `\`caprock batch setup --check-create --role`],
  [new Errors.StoppedElsewhere({ job: "j" }), `\`caprock batch resume a ${flags}\`, or \`caprock batch cancel a`],
  [new Errors.SpillFailed({ problem: "full" }), "--order any"],
  [store("denied", "CredentialsProviderError"), "Nothing is lost"],
  [store("other", "Error", "Region is missing"), "Here it is given as --region."],
  [store("denied", "AccessDenied"), `\`caprock batch setup --print --role <arn> --model <id> ${flags}\``],
  [store("missing", "NoSuchBucket"), "Is there a bucket nightly, in this Region?"],
  [store("unavailable", "SlowDown"), "Nothing is lost: run the same command again"],
  [store("other", "PermanentRedirect"), "Look at --bucket, --region and --s3-endpoint."],
  [
    service(new Reason.AccessError({ kind: "denied", message: "no" })),
    `\`caprock batch setup --print --role <arn> --model <id> ${flags}\``
  ],
  [service(new Reason.AccessError({ kind: "no-credentials", message: "none" })), "Nothing is lost"],
  [service(new Reason.ServerError({ kind: "unavailable", message: "busy" })), "Nothing is lost"],
  [new Errors.InputChanged({ index: 7 }), "What is there of it is in s3://nightly/bulk/a/."]
]

describe("what stops a batch", () => {
  it.each(reasons)("%s: says what to do next", (reason, remedy) => {
    const failure = Failure.of(new Errors.BatchError({ batch: "a", reason }), place)
    assert.match(failure.problem, /^batch a: .*\.$/)
    assert.include(failure.remedy, remedy)
  })
})
