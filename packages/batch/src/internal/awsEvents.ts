// The one file that knows the SDK's client of SQS.
import { DeleteMessageBatchCommand, type Message, ReceiveMessageCommand, SQSClient } from "@aws-sdk/client-sqs"
import * as Backoff from "@caprock/backoff/Backoff"
import type { BedrockError } from "@caprock/errors/BedrockError"
import * as Classification from "@caprock/errors/Classification"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { JobEvent, Options } from "../JobEvents.ts"
import { eventOf } from "./jobEvent.ts"

/** The longest that SQS waits for a message, and the most that it gives at once (API reference, ReceiveMessage, read 2026-11). */
const waitSeconds = 20
const most = 10
/** More than it waits. */
const silentMillis = 30_000
const connectMillis = 5_000
/** Nobody waits for an event: from one second up to a minute, for as long as it takes. */
const patience: Backoff.Options = { base: "1 second", cap: "1 minute", attempts: Number.POSITIVE_INFINITY }

/** What was handed on, and can be removed from the queue. */
type Handed = ReadonlyArray<Message>

export const events = (options: Options): Stream.Stream<JobEvent> =>
  Stream.unwrap(Effect.map(
    Effect.acquireRelease(
      Effect.sync(() =>
        new SQSClient({
          ...whereOf(options),
          // Else it says on the console what it takes for the endpoint.
          useQueueUrlAsEndpoint: false,
          ...(options.credentials === undefined ? {} : { credentials: options.credentials }),
          maxAttempts: 1,
          requestHandler: { connectionTimeout: connectMillis, socketTimeout: silentMillis }
        })
      ),
      (client) => Effect.sync(() => client.destroy())
    ),
    (client) => read(client, options.queueUrl)
  ))

/** A queue's URL says where it is: a request that is signed for another Region is refused. */
const whereOf = ({ endpoint, queueUrl, region }: Options) => {
  const url = URL.canParse(queueUrl) ? new URL(queueUrl) : undefined
  const signed = /^sqs\.([a-z0-9-]+)\.amazonaws\./.exec(url?.hostname ?? "")?.[1] ?? region
  const asked = endpoint ?? url?.origin
  return {
    ...(signed === undefined ? {} : { region: signed }),
    ...(asked === undefined ? {} : { endpoint: asked })
  }
}

const read = (client: SQSClient, QueueUrl: string): Stream.Stream<JobEvent> => {
  const sent = <A>(operation: string, send: (abortSignal: AbortSignal) => Promise<A>) =>
    Effect.tryPromise({ try: send, catch: (error) => Classification.fromUnknown(error, { operation }) })

  const received = Backoff.retry(
    sent("ReceiveMessage", (abortSignal) =>
      client.send(
        new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: most, WaitTimeSeconds: waitSeconds }),
        { abortSignal }
      )),
    patience
  )

  /** Why not all of them were, where it is for good. What else stays is seen again, which does no harm. */
  const removed = (messages: Handed): Effect.Effect<string | undefined> =>
    messages.length === 0 ? Effect.undefined : Effect.match(
      sent("DeleteMessageBatch", (abortSignal) =>
        client.send(
          new DeleteMessageBatchCommand({
            QueueUrl,
            Entries: messages.map(({ ReceiptHandle }, i) => ({ Id: String(i), ReceiptHandle }))
          }),
          { abortSignal }
        )),
      {
        onFailure: (error) => error.retryable ? undefined : error.message,
        onSuccess: ({ Failed = [] }) => Failed.map(({ Code, Message }) => Message ?? Code ?? "Failed")[0]
      }
    )

  return Stream.suspend(() => {
    let isTold = false
    /** Somebody may have named a queue of other things: what is no event stays in it, for whom it concerns. */
    const told = Effect.suspend(() => {
      if (isTold) return Effect.void
      isTold = true
      return Effect.logWarning("A queue of job events has other messages, which are left in it", { queue: QueueUrl })
    })

    let isStuck = false
    const stuck = (error: string) =>
      Effect.suspend(() => {
        if (isStuck) return Effect.void
        isStuck = true
        return Effect.logWarning(
          "Job events can't be removed from their queue: they come again and again",
          { queue: QueueUrl, error, needed: "sqs:DeleteMessage" }
        )
      })

    return Stream.unfold<Handed, ReadonlyArray<JobEvent>, BedrockError, never>([], (handed) =>
      Effect.gen(function*() {
        const left = yield* removed(handed)
        if (left !== undefined) yield* stuck(left)
        const { Messages = [] } = yield* received
        const read = Messages.map((message) => ({ message, event: eventOf(message.Body ?? "") }))
        const known = read.flatMap(({ event, message }) =>
          Option.isSome(event) ? [{ message, event: event.value }] : []
        )
        if (known.length < read.length) yield* told
        // A queue may give them again at once.
        if (known.length === 0 && read.length > 0) yield* Effect.sleep(Duration.seconds(waitSeconds))
        return [known.map(({ event }) => event), known.map(({ message }) => message)] as const
      })).pipe(
        Stream.flattenIterable,
        // A batch does without: it looks at its jobs anyway.
        Stream.catch((error) =>
          Stream.fromEffectDrain(Effect.logWarning(
            "Job events can't be read any more: jobs are looked at now and then, as without them",
            { queue: QueueUrl, error: error.message }
          ))
        )
      )
  })
}
