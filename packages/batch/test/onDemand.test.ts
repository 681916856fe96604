import { Bedrock, CallTurn } from "@caprock/bedrock"
import * as Emulator from "@caprock/emulator/Emulator"
import { BedrockError } from "@caprock/errors/BedrockError"
import * as Reason from "@caprock/errors/Reason"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import { ServiceFailed } from "../src/BatchError.ts"
import * as Answers from "../src/internal/answers.ts"
import * as OnDemand from "../src/internal/onDemand.ts"
import { passing } from "./passing.ts"
import { settled } from "./settled.ts"

const model = "amazon.nova-lite-v1:0"

const question = (text: string) => ({
  messages: [{ role: "user", content: [{ text }] }],
  inferenceConfig: { maxTokens: 20 }
})

const asked = (n: number): Stream.Stream<OnDemand.Asked> =>
  Stream.map(Stream.range(0, n - 1), (index) => ({ index, id: `doc-${index}`, input: question(`Document ${index}.`) }))

const failure = (reason: Reason.Reason) => new BedrockError({ operation: "Converse", attempts: 4, reason })
const throttled = failure(new Reason.ThrottlingError({ limit: "requests", message: "Too many requests" }))
const invalid = failure(new Reason.ValidationError({ kind: "context-overflow", message: "Input is too long." }))
const broken = failure(new Reason.ServerError({ kind: "model", message: "The model failed." }))
const denied = failure(new Reason.AccessError({ kind: "denied", message: "You may not." }))

type Converse = Bedrock.Bedrock["Service"]["converse"]
type Said = Effect.Effect<string, BedrockError>

const textOf = (input: Parameters<Converse>[0]) => input.messages?.[0]?.content?.[0]?.text ?? ""

/** A Bedrock that answers by the text of the question. */
const answering = (answer: (text: string) => Said) =>
  Layer.mock(Bedrock.Bedrock, {
    converse: (input) =>
      Effect.map(answer(textOf(input)), (text) => ({
        $metadata: {},
        output: { message: { role: "assistant", content: [{ text }] } },
        stopReason: "end_turn",
        usage: { inputTokens: 3, outputTokens: 2, totalTokens: 5 },
        metrics: { latencyMs: 1 }
      }))
  })

/** Asks so many, and keeps what is written. */
const run = <E>(
  records: Stream.Stream<OnDemand.Asked, E>,
  invocationType: "Converse" | "InvokeModel" = "Converse",
  sure: Effect.Effect<void> = Effect.void
) =>
  Effect.gen(function*() {
    const writes: Array<ReadonlyArray<Answers.Answer | undefined>> = []
    const end = yield* OnDemand.onDemand(
      { batch: "nightly", settings: { model, invocationType }, sure },
      records,
      (lines) =>
        Effect.sync(() => {
          const text = Buffer.from(lines).toString()
          assert.isTrue(text.endsWith("\n"))
          writes.push(text.trimEnd().split("\n").map((line) => Answers.of(Buffer.from(line))))
        })
    ).pipe(Effect.match({ onFailure: (error) => error, onSuccess: (tally) => tally }))
    return { end, writes, answers: writes.flat() }
  })

describe("on demand", () => {
  it.effect("asks all, and writes each as a job would have", () =>
    Effect.gen(function*() {
      const { answers, end } = yield* run(asked(250)).pipe(
        Effect.provide(answering((text) => Effect.succeed(`${text} Yes.`)))
      )
      assert.deepStrictEqual(end, { answered: 250, failed: 0, rejected: 0 })
      assert.deepStrictEqual(
        answers.map((answer) => answer?.index).toSorted((a = 0, b = 0) => a - b),
        Array.from({ length: 250 }, (_, i) => i)
      )
      const first = answers.find((answer) => answer?.index === 7)
      assert.deepStrictEqual(first, {
        index: 7,
        input: question("Document 7."),
        error: undefined,
        output: {
          output: { message: { role: "assistant", content: [{ text: "Document 7. Yes." }] } },
          stopReason: "end_turn",
          usage: { inputTokens: 3, outputTokens: 2, totalTokens: 5 },
          metrics: { latencyMs: 1 }
        },
        via: "on-demand"
      })
    }))

  it.effect("goes behind all other calls, as a tenant of its own", () =>
    Effect.gen(function*() {
      const turns: Array<CallTurn.CallTurn> = []
      yield* run(asked(1)).pipe(Effect.provide(answering(() =>
        Effect.map(Effect.service(CallTurn.CallTurn), (turn) => {
          turns.push(turn)
          return ""
        })
      )))
      assert.deepStrictEqual(turns, [{ priority: "bulk", tenant: "nightly" }])
    }))

  it.effect("writes a hundred answers at a time, and what there is after five seconds", () =>
    Effect.gen(function*() {
      const { writes } = yield* run(asked(250)).pipe(Effect.provide(answering(() => Effect.succeed(""))))
      assert.deepStrictEqual(writes.map(({ length }) => length), [100, 100, 50])
      const slow = yield* run(asked(3)).pipe(
        Effect.provide(answering((text) => Effect.delay(Effect.succeed(""), text === "Document 2." ? 60_000 : 1_000))),
        Effect.forkChild
      )
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual((yield* Fiber.join(slow)).writes.map(({ length }) => length), [2, 1])
    }))

  it.effect("asks nothing, and nothing again, while somebody else may have taken over", () =>
    Effect.gen(function*() {
      let asks = 0
      let isSure = true
      const until = Effect.suspend(() =>
        isSure ? Effect.void : Effect.repeat(Effect.sleep("1 second"), { until: () => isSure })
      )
      const answer = () =>
        Effect.suspend(() => {
          isSure = ++asks < 100
          return asks % 10 === 0 ? Effect.fail(throttled) : Effect.succeed("Yes.")
        })
      const fiber = yield* Effect.forkChild(
        run(asked(250), "Converse", until).pipe(Effect.provide(answering(answer)))
      )
      yield* TestClock.adjust("1 hour")
      // Those that were under way, and no other.
      assert.isAtMost(asks, 100 + 63)
      const before = asks
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(asks, before)
      isSure = true
      asks = -1e9
      yield* TestClock.adjust("1 hour")
      const { end } = yield* Fiber.join(fiber)
      assert.deepStrictEqual(end, { answered: 250, failed: 0, rejected: 0 })
    }))

  it.effect("has at most 64 under way", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      let open = 0
      let read = 0
      const fiber = yield* run(Stream.tap(asked(1_000), () => Effect.sync(() => read++))).pipe(
        Effect.provide(answering(() => Effect.suspend(() => (open++, Effect.as(Deferred.await(gate), ""))))),
        Effect.forkChild
      )
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(open, 64)
      assert.isAtMost(read, 200)
      yield* Deferred.succeed(gate, undefined)
      assert.lengthOf((yield* Fiber.join(fiber)).answers, 1_000)
    }))

  it.effect("tells the record's own fault from its bad luck, and goes on", () =>
    Effect.gen(function*() {
      const { answers, end } = yield* run(asked(3)).pipe(Effect.provide(answering((text) =>
        text === "Document 0."
          ? Effect.fail(invalid)
          : text === "Document 1."
          ? Effect.fail(broken)
          : Effect.succeed("")
      )))
      assert.deepStrictEqual(end, { answered: 1, failed: 1, rejected: 1 })
      assert.deepStrictEqual(
        answers.toSorted((a, b) => (a?.index ?? 0) - (b?.index ?? 0)).map((answer) => answer?.error),
        [
          { kind: "rejected", code: "400", message: "ValidationError/context-overflow: Input is too long." },
          { kind: "service", code: "500", message: "ServerError/model: The model failed." },
          undefined
        ]
      )
    }))

  it.effect("refuses by itself what is no request", () =>
    Effect.gen(function*() {
      const { answers } = yield* run(Stream.make({ index: 0, id: "a", input: { massages: [] } })).pipe(
        Effect.provide(answering(() => Effect.die("nothing is asked")))
      )
      assert.strictEqual(answers[0]?.error?.kind, "rejected")
      assert.match(answers[0]?.error?.message ?? "", /massages is not a field/)
    }))

  it.effect("waits while a throttle lasts, and ends with it when it does not pass, with nothing lost", () =>
    Effect.gen(function*() {
      let left = 3
      const passing = yield* run(asked(1)).pipe(
        Effect.provide(answering(() => Effect.suspend(() => left-- > 0 ? Effect.fail(throttled) : Effect.succeed("")))),
        Effect.forkChild
      )
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(left, 2)
      yield* TestClock.adjust("95 seconds")
      assert.strictEqual((yield* Fiber.join(passing)).answers[0]?.error, undefined)

      let requests = 0
      const lasting = yield* run(asked(2)).pipe(
        Effect.provide(
          answering((text) =>
            Effect.suspend(() => text === "Document 0." ? Effect.succeed("") : (requests++, Effect.fail(throttled)))
          )
        ),
        Effect.forkChild
      )
      yield* TestClock.adjust("20 minutes")
      const { answers, end } = yield* Fiber.join(lasting)
      assert.strictEqual(requests, 7)
      assert.strictEqual(end instanceof ServiceFailed && end.error, throttled)
      assert.deepStrictEqual(answers.map((answer) => answer?.index), [0])
    }))

  it.effect("writes full groups, and the last one that is not, before it ends with what concerns every record", () =>
    Effect.gen(function*() {
      const others = yield* Deferred.make<void>()
      let answered = 0
      const last = (text: string): Said =>
        text === "Document 249."
          ? Effect.andThen(Deferred.await(others), Effect.fail(denied))
          : Effect.sync(() => `Yes, ${answered++}.`)
      const asking = yield* Effect.forkChild(run(asked(250)).pipe(Effect.provide(answering(last))))
      yield* Effect.repeat(Effect.yieldNow, { until: () => answered === 249 })
      yield* Effect.repeat(Effect.yieldNow, { times: 100 })
      yield* Deferred.succeed(others, undefined)
      const { answers, end, writes } = yield* Fiber.join(asking)
      assert.instanceOf(end, ServiceFailed)
      assert.deepStrictEqual(writes.map(({ length }) => length), [100, 100, 49])
      assert.isTrue(answers.every((answer) => answer?.error === undefined && answer?.index !== 249))
      const exactly = yield* run(asked(200)).pipe(Effect.provide(answering(() => Effect.succeed("Yes."))))
      assert.deepStrictEqual(exactly.writes.map(({ length }) => length), [100, 100])
    }))

  it.effect("ends at once with what concerns every record, and writes what was answered before", () =>
    Effect.gen(function*() {
      const { answers, end } = yield* run(Stream.concat(asked(5), Stream.never)).pipe(
        Effect.provide(answering((text) => text === "Document 4." ? Effect.fail(denied) : Effect.succeed("")))
      )
      assert.strictEqual(end instanceof ServiceFailed && end.error, denied)
      assert.lengthOf(answers, 4)
    }))

  it.effect("has from an emulator what its jobs would answer, for both kinds of input", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.make()
      const bedrock = yield* Layer.build(Bedrock.layer({
        endpoint: emulator.url,
        region: "us-east-1",
        credentials: { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "secret" },
        withoutQuota: "unlimited"
      }))
      const usageOf = Answers.usageOf(settled())
      const converse = yield* passing(Effect.provideContext(run(asked(3)), bedrock))
      const bodies = Stream.map(asked(3), ({ id, index }) => ({
        id,
        index,
        input: { ...question(`Document ${index}.`), schemaVersion: "messages-v1" }
      }))
      const invoke = yield* passing(Effect.provideContext(run(bodies, "InvokeModel"), bedrock))
      for (const { answers } of [converse, invoke]) {
        assert.deepStrictEqual(answers.map((answer) => answer?.index).toSorted(), [0, 1, 2])
        for (const answer of answers) assert.strictEqual(usageOf(answer?.output ?? null)?.outputTokens, 20)
      }
    }))
})
