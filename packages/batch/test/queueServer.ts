/** SQS for tests, in this process: fauxqs behind a door that can say that it is busy. */
import { CreateQueueCommand, GetQueueAttributesCommand, SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs"
import * as JobControl from "@caprock/batch/JobControl"
import { Effect, Stream } from "effect"
import { buildApp } from "fauxqs"
import { credentials } from "./work.ts"

/** `again`: after how many seconds what was read, and not removed, is given again. */
export const start = Effect.fnUntraced(function*({ again = 30 }: { readonly again?: number } = {}) {
  const app = yield* Effect.acquireRelease(
    Effect.sync(() => buildApp({ logger: false })),
    (app) => Effect.promise(() => app.close())
  )
  let busy = 0
  let asked = 0
  let kept: { readonly code: number; readonly body: unknown } | undefined
  let authorization = ""
  app.addHook("onRequest", async (request, reply) => {
    const operation = String(request.headers["x-amz-target"])
    if (kept !== undefined && operation.endsWith("DeleteMessageBatch")) {
      return reply.code(kept.code).type("application/x-amz-json-1.0").send(JSON.stringify(kept.body))
    }
    if (!operation.endsWith("ReceiveMessage")) return
    asked++
    authorization = request.headers.authorization ?? ""
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
    /** As the SDK finds it by itself. */
    url: new URL(new URL(QueueUrl).pathname, endpoint).href,
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
    /** Removes nothing, and answers so instead. */
    keep: (code: number, body: unknown) => {
      kept = { code, body }
    },
    asked: () => asked,
    /** What the last request for messages was signed with. */
    authorization: () => authorization
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

/** EventBridge of an account: each new state of its jobs in an emulator goes into the queue, until the scope closes. */
export const rule = (
  queue: { readonly send: (body: string) => Effect.Effect<unknown> },
  emulator: { readonly url: string },
  account = credentials
) => {
  const told = new Map<string, string>()
  return JobControl.watch("caprock-", { min: "20 millis", max: "20 millis" }).pipe(
    Stream.runForEach((jobs) =>
      Effect.forEach(
        jobs.filter(({ arn, status }) => told.get(arn) !== status),
        ({ arn, name, status }) => {
          told.set(arn, status)
          return queue.send(event(arn, status, name))
        }
      )
    ),
    Effect.provide(JobControl.layer({ endpoint: emulator.url, region: "us-east-1", credentials: account })),
    Effect.forkScoped
  )
}
