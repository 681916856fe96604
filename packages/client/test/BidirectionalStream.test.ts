import type { InvokeModelWithBidirectionalStreamOutput } from "@aws-sdk/client-bedrock-runtime"
import { BedrockClient, BedrockClientTest, BidirectionalStream, CallDeadline, CallObserver } from "@caprock/client"
import { BedrockError, Reason } from "@caprock/errors"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"

const modelId = "amazon.nova-sonic-v1:0"
const reply = (event: unknown): InvokeModelWithBidirectionalStreamOutput => {
  const { chunk } = BidirectionalStream.chunk({ event })
  return chunk === undefined ? assert.fail() : { chunk }
}
const answer = [
  reply({ completionStart: {} }),
  reply({ textOutput: { role: "ASSISTANT", content: "Hi." } }),
  reply({ completionEnd: {} })
]
const busy = new BedrockError.BedrockError({
  operation: "InvokeModelWithBidirectionalStream",
  attempts: 1,
  httpStatus: 429,
  reason: new Reason.ThrottlingError({ limit: "requests", message: "Too many requests" })
})

const events = Stream.make("a", "b").pipe(Stream.map(BidirectionalStream.chunk))

const ask = <E>(body: BidirectionalStream.Input<E>["body"]) =>
  Effect.gen(function*() {
    const client = yield* BedrockClient.BedrockClient
    return yield* client.invokeModelWithBidirectionalStream({ modelId, body }).pipe(
      Stream.map(BidirectionalStream.json),
      Stream.runCollect
    )
  })

describe("BidirectionalStream", () => {
  it("puts JSON into events, and takes it out", () => {
    const { chunk } = BidirectionalStream.chunk({ event: { text: "größer" } })
    assert.deepStrictEqual(BidirectionalStream.json({ chunk: chunk ?? {} }), { event: { text: "größer" } })
    assert.isUndefined(BidirectionalStream.json({ chunk: {} }))
    assert.isUndefined(BidirectionalStream.json({ chunk: { bytes: new Uint8Array([123]) } }))
  })
})

describe("a scripted session", () => {
  it.effect("says its list when the input has ended, and knows what was sent", () =>
    Effect.gen(function*() {
      assert.lengthOf(yield* ask(events), 3)
      const [error] = [yield* Effect.flip(ask(events))]
      assert.strictEqual(error.reason._tag, "ThrottlingError")
      const { requests } = yield* BedrockClientTest.BedrockClientTest
      const sent = (yield* requests).map((request) => "sent" in request ? request.sent.map(textOf) : [])
      assert.deepStrictEqual(sent, [["\"a\"", "\"b\""], []])
    }).pipe(Effect.provide(BedrockClient.layerTest({ invokeModelWithBidirectionalStream: [answer, busy] }))))

  it.effect("answers what it hears where it is a stream of its input", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* ask(events), ["heard \"a\"", "heard \"b\""])
    }).pipe(Effect.provide(BedrockClient.layerTest({
      invokeModelWithBidirectionalStream: ({ body }) =>
        Stream.map(body, (event) => {
          const { chunk } = BidirectionalStream.chunk(`heard ${textOf(event)}`)
          return { chunk: chunk ?? {} }
        })
    }))))

  it.effect("is held to the rules of the real one", () =>
    Effect.gen(function*() {
      const cut = yield* Effect.flip(ask(events))
      assert.strictEqual(cut.reason._tag === "InterruptedStreamError" && cut.reason.partial.text, "Hi.")
      assert.strictEqual(
        yield* Effect.flip(ask(Stream.concat(events, Stream.fail("no microphone" as const)))),
        "no microphone"
      )
      const defect = yield* Effect.exit(ask(events))
      assert.isTrue(Exit.isFailure(defect) && defect.cause.reasons[0]?._tag === "Die")
    }).pipe(Effect.provide(BedrockClient.layerTest({
      invokeModelWithBidirectionalStream: [answer.slice(0, 2), answer]
    }))))

  it.effect("with two prompts is over after the second, whatever the first had ended", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(ask(events))
      yield* TestClock.adjust("5 seconds")
      assert.lengthOf(yield* Fiber.join(fiber), 103)
      // It has said all, and does not end: what follows is waited for, and no longer than it takes to think.
      const open = yield* Effect.forkChild(ask(events))
      yield* TestClock.adjust("9999 millis")
      assert.isUndefined(open.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.lengthOf(yield* Fiber.join(open), 3)
      // What goes wrong then is nobody's loss.
      assert.lengthOf(yield* ask(events), 3)
      const cut = yield* Effect.flip(ask(events))
      assert.strictEqual(cut.reason._tag, "InterruptedStreamError")
    }).pipe(Effect.provide(BedrockClient.layerTest({
      invokeModelWithBidirectionalStream: ({ body }, index) =>
        Stream.concat(Stream.drain(body), Stream.fromIterable(answer)).pipe(
          Stream.concat(
            [
              Stream.concat(
                Stream.fromEffectDrain(Effect.sleep("5 seconds")),
                Stream.fromIterable([
                  answer[0] ?? assert.fail(),
                  ...Array.from({ length: 98 }, () => answer[1] ?? assert.fail()),
                  answer[2] ?? assert.fail()
                ])
              ),
              Stream.never,
              Stream.fail(busy),
              Stream.concat(Stream.make(answer[0] ?? assert.fail()), Stream.fail(busy))
            ][index] ?? Stream.empty
          )
        )
    }))))

  it.effect("ends with its deadline, and is not begun after it", () =>
    Effect.gen(function*() {
      const left: Array<string> = []
      const timely = Effect.provideServiceEffect(CallDeadline.CallDeadline, CallDeadline.after("1 minute"))
      const silent = Stream.ensuring(Stream.never, Effect.sync(() => left.push("input")))
      const fiber = yield* Effect.forkChild(timely(Effect.flip(ask(silent))))
      yield* TestClock.adjust("1 minute")
      const { attempts, reason } = yield* Fiber.join(fiber)
      assert.deepStrictEqual([reason._tag === "TimeoutError" && reason.kind, attempts], ["deadline", 1])
      assert.deepStrictEqual(left, ["input"])
      const late = yield* ask(silent).pipe(
        Effect.provideService(CallDeadline.CallDeadline, 0),
        Effect.flip
      )
      const { requests } = yield* BedrockClientTest.BedrockClientTest
      assert.deepStrictEqual([late.attempts, (yield* requests).length], [0, 1])
    }).pipe(Effect.provide(BedrockClient.layerTest({ invokeModelWithBidirectionalStream: [answer] }))))

  it.effect("lets the observer know, and leaves nothing when it is interrupted", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const fiber = yield* ask(Stream.concat(events, Stream.never)).pipe(
        Effect.provideService(CallObserver.CallObserver, {
          onFlushed: () => seen.push("flushed"),
          onResponse: ({ statusCode }) => seen.push(`response ${statusCode}`)
        }),
        Effect.forkChild
      )
      yield* Effect.yieldNow
      yield* TestClock.adjust(0)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(seen, ["flushed", "response 200"])
    }).pipe(Effect.provide(BedrockClient.layerTest({ invokeModelWithBidirectionalStream: [answer] }))))
})

const textOf = ({ chunk }: { readonly chunk?: { readonly bytes?: Uint8Array | undefined } | undefined }) =>
  new TextDecoder().decode(chunk?.bytes)
