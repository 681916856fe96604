import * as JobEvents from "@caprock/batch/JobEvents"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Logger, Stream } from "effect"
import { make } from "./offloadLab.ts"
import { passing } from "./passing.ts"
import { event, rule, start } from "./queueServer.ts"
import { records, settings } from "./work.ts"

const arn = "arn:aws:bedrock:us-east-1:111122223333:model-invocation-job/abcdefghwxyz"

/** All that is logged meanwhile. */
const logged = Effect.gen(function*() {
  const lines: Array<string> = []
  const layer = Logger.layer([
    Logger.make(({ message }) => void lines.push(String(Array.isArray(message) ? message[0] : message)))
  ])
  return { lines, layer }
})

describe("events of jobs", () => {
  it.live("come out of the queue, and are removed once they were taken", () =>
    Effect.gen(function*() {
      const queue = yield* start()
      yield* queue.send(event(arn, "InProgress", "caprock-1"))
      yield* queue.send(event(arn, "Completed", "caprock-1"))
      const events = yield* JobEvents.fromQueue(queue.options).pipe(
        // The next request removes what the one before it gave.
        Stream.interruptWhen(Effect.repeat(queue.count, { until: (n) => n === 0, times: 1000 })),
        Stream.runCollect
      )
      assert.strictEqual(yield* queue.count, 0)
      assert.deepEqual(
        new Set(events.map(({ status }) => status)),
        new Set(["InProgress", "Completed"])
      )
      assert.deepInclude(events[0], { arn, name: "caprock-1" })
    }))

  it.live("are not all that may be in a queue: other messages stay there, and one warning says so", () =>
    Effect.gen(function*() {
      const queue = yield* start()
      // More than one request gives.
      const others = Array.from({ length: 3 }, () => [
        "{",
        JSON.stringify({ order: 7 }),
        JSON.stringify({ ...JSON.parse(event(arn, "Completed")), source: "my.app" }),
        JSON.stringify({ ...JSON.parse(event(arn, "Completed")), detail: { status: 7 } })
      ]).flat()
      for (const body of [event(arn, "Completed"), ...others, event(arn, "Completed")]) yield* queue.send(body)
      const { layer, lines } = yield* logged
      const events = yield* JobEvents.fromQueue(queue.options).pipe(
        Stream.interruptWhen(Effect.repeat(queue.count, { until: (n) => n === others.length, times: 1000 })),
        Stream.runCollect,
        Effect.provide(layer)
      )
      assert.isTrue(events.length > 0 && events.every(({ status }) => status === "Completed"))
      assert.strictEqual(yield* queue.count, others.length)
      assert.deepEqual(lines, ["A queue of job events has other messages, which are left in it"])
    }))

  it.effect("are not asked for all the time where a queue gives others again at once", () =>
    Effect.gen(function*() {
      const queue = yield* start({ again: 0 })
      yield* queue.send("{}")
      yield* Effect.forkScoped(Stream.runDrain(JobEvents.fromQueue(queue.options)))
      yield* Effect.repeat(queue.count, { until: () => queue.asked() > 0 })
      yield* Effect.repeat(queue.count, { times: 50 })
      assert.strictEqual(queue.asked(), 1)
    }))

  for (
    const [what, code, body, warnings] of [
      ["may not", 403, { __type: "com.amazonaws.sqs#AccessDenied", message: "not authorized" }, 1],
      ["can't", 200, { Failed: [{ Id: "0", SenderFault: true, Code: "ReceiptHandleIsInvalid" }] }, 1],
      ["could not yet", 503, {}, 0]
    ] as const
  ) {
    it.live(`come again where they ${what} be removed: ${warnings === 0 ? "no warning" : "one warning"} says so`, () =>
      Effect.gen(function*() {
        const queue = yield* start({ again: 0 })
        queue.keep(code, body)
        yield* queue.send(event(arn, "Completed"))
        const { layer, lines } = yield* logged
        const events = yield* Stream.runCollect(Stream.take(JobEvents.fromQueue(queue.options), 3)).pipe(
          Effect.provide(layer)
        )
        assert.lengthOf(events, 3)
        assert.deepEqual(
          lines,
          Array(warnings).fill("Job events can't be removed from their queue: they come again and again")
        )
      }))
  }

  it.effect("are asked for again where the queue is busy", () =>
    Effect.gen(function*() {
      const queue = yield* start()
      queue.refuse(5)
      yield* queue.send(event(arn, "Completed"))
      const events = yield* passing(Stream.runCollect(Stream.take(JobEvents.fromQueue(queue.options), 1)))
      assert.deepEqual(events, [{ arn, name: "caprock-0", status: "Completed" }])
      assert.isAtLeast(queue.asked(), 6)
    }))

  it.live("end with a warning where there is no such queue", () =>
    Effect.gen(function*() {
      const queue = yield* start()
      const { layer, lines } = yield* logged
      const queueUrl = `${queue.options.queueUrl}-of-nobody`
      const events = yield* Stream.runCollect(JobEvents.fromQueue({ ...queue.options, queueUrl })).pipe(
        Effect.provide(layer)
      )
      assert.deepEqual(events, [])
      assert.deepEqual(lines, [
        "Job events can't be read any more: jobs are looked at now and then, as without them"
      ])
    }))

  it.live("are asked for as of the Region that the queue's URL tells", () =>
    Effect.gen(function*() {
      const queue = yield* start()
      for (
        const [queueUrl, region] of [
          ["https://sqs.eu-west-1.amazonaws.com/111122223333/other", "eu-west-1"],
          [`${queue.options.queueUrl}-other`, "us-east-1"]
        ] as const
      ) {
        yield* Stream.runDrain(JobEvents.fromQueue({ ...queue.options, queueUrl }))
        assert.include(queue.authorization(), `/${region}/sqs/`)
      }
      // The SDK can't ask for a queue that has no URL.
      assert.deepEqual(yield* Stream.runCollect(JobEvents.fromQueue({ queueUrl: "other" })), [])
    }))

  it.live("are waited for by a request that ends with whoever waits", () =>
    Effect.gen(function*() {
      const queue = yield* start()
      const fiber = yield* Effect.forkChild(Stream.runDrain(JobEvents.fromQueue(queue.options)))
      yield* Effect.repeat(queue.count, { until: () => queue.asked() > 0 })
      yield* Fiber.interrupt(fiber)
    }))

  it.live("have a batch look at its jobs long before it would by itself", () =>
    Effect.gen(function*() {
      const queue = yield* start()
      const { emulator, process } = yield* make()
      const { run } = yield* process({
        poll: { min: "1 hour", max: "1 hour" },
        wake: JobEvents.fromQueue(queue.options)
      })
      yield* rule(queue, emulator)
      const results = yield* Stream.runCollect(run("nightly", settings, records(500)))
      assert.lengthOf(results, 500)
    }))
})

describe("the rule", () => {
  it("is for jobs of this package", () =>
    assert.deepEqual(JobEvents.rule(), {
      source: ["aws.bedrock"],
      "detail-type": ["Batch Inference Job State Change"],
      detail: { batchJobName: [{ prefix: "caprock-" }] }
    }))
})
