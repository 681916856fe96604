/** SQS for tests, in this process: fauxqs behind a door that can say that it is busy. */
import { CreateQueueCommand, GetQueueAttributesCommand, SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs"
import { Effect } from "effect"
import { buildApp } from "fauxqs"

const credentials = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "secret" }

/** `again`: after how many seconds what was read, and not removed, is given again. */
export const start = Effect.fnUntraced(function*({ again = 30 }: { readonly again?: number } = {}) {
  const app = yield* Effect.acquireRelease(
    Effect.sync(() => buildApp({ logger: false })),
    (app) => Effect.promise(() => app.close())
  )
  let busy = 0
  let asked = 0
  app.addHook("onRequest", async (request, reply) => {
    if (!String(request.headers["x-amz-target"]).endsWith("ReceiveMessage")) return
    asked++
    if (busy-- > 0) return reply.code(503).send()
  })
  const endpoint = yield* Effect.promise(() => app.listen({ port: 0, host: "127.0.0.1" }))
  const client = yield* Effect.acquireRelease(
    Effect.sync(() => new SQSClient({ endpoint, useQueueUrlAsEndpoint: false, region: "us-east-1", credentials })),
    (client) => Effect.sync(() => client.destroy())
  )
  const QueueName = "batch-jobs"
  const { QueueUrl = "" } = yield* Effect.promise(() =>
    client.send(new CreateQueueCommand({ QueueName, Attributes: { VisibilityTimeout: String(again) } }))
  )
  return {
    /** Of a reader. */
    options: { queueUrl: QueueUrl, endpoint, region: "us-east-1", credentials },
    send: (MessageBody: string) => Effect.promise(() => client.send(new SendMessageCommand({ QueueUrl, MessageBody }))),
    /** How many messages are in it, read or not. */
    count: Effect.promise(async () => {
      const { Attributes = {} } = await client.send(
        new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["All"] })
      )
      const { ApproximateNumberOfMessages, ApproximateNumberOfMessagesNotVisible } = Attributes
      return Number(ApproximateNumberOfMessages) + Number(ApproximateNumberOfMessagesNotVisible)
    }),
    /** Refuses so many requests for messages. */
    refuse: (times: number) => {
      busy = times
    },
    asked: () => asked
  }
})

/** As EventBridge has it. */
export const event = (arn: string, status: string, name = "caprock-0") =>
  JSON.stringify({
    version: "0",
    id: "7f0d4a1e-0000-4000-8000-000000000000",
    "detail-type": "Batch Inference Job State Change",
    source: "aws.bedrock",
    account: "111122223333",
    time: "2026-11-22T06:00:00Z",
    region: "us-east-1",
    resources: [arn],
    detail: { version: "0.0", accountId: "111122223333", batchJobName: name, batchJobArn: arn, status }
  })
