// An event of EventBridge, as a queue gives it.
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { JobEvent } from "../JobEvents.ts"

/** User Guide, "How EventBridge for Amazon Bedrock works", read 2026-11. */
const Envelope = Schema.fromJsonString(Schema.Struct({
  source: Schema.Literal("aws.bedrock"),
  "detail-type": Schema.Literal("Batch Inference Job State Change"),
  detail: Schema.Struct({
    batchJobArn: Schema.String,
    batchJobName: Schema.optionalKey(Schema.String),
    status: Schema.String
  })
}))

const decode = Schema.decodeUnknownOption(Envelope)

export const eventOf = (body: string): Option.Option<JobEvent> =>
  Option.map(decode(body), ({ detail: { batchJobArn, batchJobName, status } }) => ({
    arn: batchJobArn,
    name: batchJobName ?? "",
    status
  }))
