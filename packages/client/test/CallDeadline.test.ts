import { BedrockClient, BedrockClientTest, CallDeadline } from "@caprock/client"
import type { BedrockError } from "@caprock/errors/BedrockError"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, type Duration, Effect, Exit, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  answer,
  clientOf,
  eventually,
  frames,
  request,
  saying,
  sendJson,
  server,
  startStream,
  turns
} from "./server.ts"

const within = (duration: Duration.Input) =>
  Effect.provideServiceEffect(CallDeadline.CallDeadline, CallDeadline.after(duration))

/** A server that says so much and then nothing. */
const silent = (options: BedrockClient.Options = {}, frames: ReadonlyArray<Uint8Array> = []) =>
  Effect.gen(function*() {
    const arrived = yield* Deferred.make<void>()
    const { open, opened, url } = yield* server((_request, response) => {
      if (frames.length > 0) startStream(response).write(Buffer.concat(frames))
      Deferred.doneUnsafe(arrived, Exit.void)
    })
    const client = yield* clientOf(url, options)
    return { client, open, opened, arrived: Deferred.await(arrived) }
  })

const kindOf = ({ reason }: BedrockError) => reason._tag === "TimeoutError" ? reason.kind : reason._tag

describe("a deadline", () => {
  it.effect("ends a request that is under way, and closes its connection", () =>
    Effect.gen(function*() {
      const { arrived, client, open } = yield* silent()
      const fiber = yield* client.converse(request).pipe(within("20 seconds"), Effect.flip, Effect.forkChild)
      yield* arrived
      yield* TestClock.adjust("19999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(kindOf(error), "deadline")
      assert.strictEqual(
        error.reason.message,
        "The call was not over at its deadline, which had left it 20000 ms."
      )
      assert.deepStrictEqual([error.attempts, error.retryable], [1, false])
      yield* eventually(() => open.size === 0)
    }))

  it.effect("that has passed lets nothing be sent", () =>
    Effect.gen(function*() {
      const { client, opened } = yield* silent()
      const { errors, spent } = yield* Effect.gen(function*() {
        yield* TestClock.adjust("1 second")
        const errors = [
          yield* Effect.flip(client.converse(request)),
          yield* Effect.flip(Stream.runDrain(client.converseStream(request)))
        ]
        return { errors, spent: yield* CallDeadline.after("1 hour") }
      }).pipe(within("1 second"))
      assert.deepStrictEqual(errors.map((error) => [kindOf(error), error.attempts]), [["deadline", 0], ["deadline", 0]])
      assert.strictEqual(opened(), 0)
      // A part never has more time than the whole.
      assert.strictEqual(spent, 1000)
      assert.strictEqual(yield* CallDeadline.after("1 hour"), 3_601_000)
    }))

  it.live("that has passed lets nothing be sent over a connection that is open, either", () =>
    Effect.gen(function*() {
      let requests = 0
      const { url } = yield* server((_request, response) => {
        requests++
        sendJson(response, answer)
      })
      const client = yield* clientOf(url)
      yield* client.converse(request)
      yield* client.converse(request).pipe(within(0), Effect.flip)
      yield* turns()
      assert.strictEqual(requests, 1)
    }))

  it.effect("leaves a nearer time limit its name", () =>
    Effect.gen(function*() {
      const { arrived, client } = yield* silent({ timeouts: { firstToken: "10 seconds" } })
      const fiber = yield* client.converse(request).pipe(within("20 seconds"), Effect.flip, Effect.forkChild)
      yield* arrived
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(kindOf(yield* Fiber.join(fiber)), "first-token")
    }))

  it.effect("ends a stream before its content as any call, and after it with what there was", () =>
    Effect.gen(function*() {
      for (const text of ["", "Hel"]) {
        const { arrived, client, open } = yield* silent({}, [frames.start, ...text === "" ? [] : [frames.text(text)]])
        const content = yield* Deferred.make<void>()
        const fiber = yield* client.converseStream(request).pipe(
          saying(content),
          within("5 seconds"),
          Effect.flip,
          Effect.forkChild
        )
        yield* text === "" ? arrived : Deferred.await(content)
        yield* TestClock.adjust("5 seconds")
        const { reason } = yield* Fiber.join(fiber)
        const origin = reason._tag === "InterruptedStreamError" ? reason.origin : reason
        assert.strictEqual(origin?._tag === "TimeoutError" && origin.kind, "deadline")
        assert.strictEqual(reason._tag === "InterruptedStreamError" ? reason.partial.text : "", text)
        yield* eventually(() => open.size === 0)
      }
    }))

  it.effect("closes the connection of a stream that nobody reads at the time", () =>
    Effect.gen(function*() {
      const { client, open } = yield* silent({}, [frames.start, frames.text("Hel")])
      let held = 0
      const release = yield* Deferred.make<void>()
      const fiber = yield* client.converseStream(request).pipe(
        Stream.runForEach((event) => {
          if (event.contentBlockDelta === undefined) return Effect.void
          held++
          return Deferred.await(release)
        }),
        within("5 seconds"),
        Effect.flip,
        Effect.forkChild
      )
      yield* eventually(() => held === 1)
      yield* TestClock.adjust("4999 millis")
      assert.strictEqual(open.size, 1)
      yield* TestClock.adjust("1 millis")
      yield* eventually(() => open.size === 0)
      assert.isUndefined(fiber.pollUnsafe())
      yield* Deferred.succeed(release, undefined)
      const { reason } = yield* Fiber.join(fiber)
      if (reason._tag !== "InterruptedStreamError") return assert.fail(reason.message)
      assert.strictEqual(reason.partial.text, "Hel")
      assert.strictEqual(reason.origin?._tag === "TimeoutError" && reason.origin.kind, "deadline")
    }))

  it.effect("takes nothing from an answer that is whole", () =>
    Effect.gen(function*() {
      const { client, open } = yield* silent({}, [frames.start, frames.text("Hel"), frames.stop, frames.metadata])
      let held = 0
      const release = yield* Deferred.make<void>()
      const fiber = yield* client.converseStream(request).pipe(
        Stream.runForEach((event) => {
          held++
          return event.metadata === undefined ? Effect.void : Deferred.await(release)
        }),
        within("5 seconds"),
        Effect.forkChild
      )
      yield* eventually(() => held === 4)
      yield* TestClock.adjust("5 seconds")
      yield* Deferred.succeed(release, undefined)
      // Nothing is waited for: not even the end of the response.
      yield* Fiber.join(fiber)
      yield* eventually(() => open.size === 0)
    }))

  it.effect("holds in a scripted client as well", () =>
    Effect.gen(function*() {
      const client = yield* BedrockClient.BedrockClient
      const test = yield* BedrockClientTest.BedrockClientTest
      const unary = yield* client.converse(request).pipe(within("2 seconds"), Effect.flip, Effect.forkChild)
      const stream = yield* Stream.runDrain(client.converseStream(request)).pipe(
        within("2 seconds"),
        Effect.flip,
        Effect.forkChild
      )
      yield* TestClock.adjust("1999 millis")
      assert.isUndefined(unary.pollUnsafe() ?? stream.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(
        [yield* Fiber.join(unary), yield* Fiber.join(stream)].map((error) => [error.reason._tag, error.attempts]),
        [["TimeoutError", 1], ["InterruptedStreamError", 1]]
      )
      const late = [
        yield* client.converse(request).pipe(within(0), Effect.flip),
        yield* Stream.runDrain(client.converseStream(request)).pipe(within(0), Effect.flip)
      ]
      assert.deepStrictEqual(late.map((error) => [kindOf(error), error.attempts]), [["deadline", 0], ["deadline", 0]])
      assert.lengthOf(yield* test.requests, 2)
      assert.strictEqual((yield* client.converse(request).pipe(within("2 seconds"))).stopReason, "end_turn")
      // Whole at 1.8 s or so, and then it does not end.
      const whole = yield* Stream.runDrain(client.converseStream(request)).pipe(within("2 seconds"), Effect.forkChild)
      yield* TestClock.adjust("2 seconds")
      assert.isTrue(whole.pollUnsafe() !== undefined && Exit.isSuccess(yield* Fiber.await(whole)))
    }).pipe(Effect.provide(BedrockClient.layerTest({
      converse: (_input, index) =>
        index === 0
          ? Effect.delay(Effect.succeed(BedrockClientTest.answer("Yes.")), "1 minute")
          : BedrockClientTest.answer("Yes."),
      converseStream: (_input, index) =>
        Stream.fromIterable(BedrockClientTest.events(["Hel", "lo"])).pipe(
          Stream.rechunk(1),
          Stream.tap(() => Effect.sleep(index === 0 ? "900 millis" : "300 millis")),
          Stream.concat(Stream.never)
        )
    }))))
})
