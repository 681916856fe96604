// Operations that no model's quota meters: sent at once, retried and counted like the others.
import { Bedrock, CallEvents } from "@caprock/bedrock"
import { BedrockClientTest } from "@caprock/client"
import { Emulator, Fault } from "@caprock/emulator"
import { BedrockError, Reason } from "@caprock/errors"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Random, Stream } from "effect"
import { TestClock } from "effect/testing"

const failed = (reason: Reason.Reason, httpStatus?: number) =>
  new BedrockError.BedrockError({
    operation: "any",
    attempts: 1,
    reason,
    ...(httpStatus === undefined ? {} : { httpStatus })
  })
const unavailable = failed(new Reason.ServerError({ kind: "unavailable", message: "no" }), 503)
const lost = failed(new Reason.TransportError({ kind: "reset", message: "cut" }))
const conflict = failed(new Reason.ConflictError({ message: "the token is taken" }), 400)

const $metadata = {}
const modelId = "amazon.nova-reel-v1:1"
const job = { modelId, modelInput: {}, outputDataConfig: { s3OutputDataConfig: { s3Uri: "s3://bucket" } } }
const started = { $metadata, invocationArn: "arn" }

/** Asks for each of them, whatever it gives. */
const all = Effect.map(Bedrock.Bedrock, (bedrock) => ({
  CountTokens: bedrock.countTokens({ modelId, input: undefined }),
  ApplyGuardrail: bedrock.applyGuardrail({
    guardrailIdentifier: "abc",
    guardrailVersion: "1",
    source: "INPUT",
    content: []
  }),
  InvokeGuardrailChecks: bedrock.invokeGuardrailChecks({ messages: [], checks: {} }),
  StartAsyncInvoke: bedrock.startAsyncInvoke(job),
  GetAsyncInvoke: bedrock.getAsyncInvoke({ invocationArn: "arn" }),
  ListAsyncInvokes: bedrock.listAsyncInvokes({})
}))

const scriptOf = (error: BedrockError.BedrockError): BedrockClientTest.Script => ({
  countTokens: () => error,
  applyGuardrail: () => error,
  invokeGuardrailChecks: () => error,
  startAsyncInvoke: () => error,
  getAsyncInvoke: () => error,
  listAsyncInvokes: () => error
})

/** Runs an effect in virtual time, and gives what was told meanwhile. */
const listened = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const events: Array<CallEvents.CallEvent> = []
    const fiber = yield* effect.pipe(
      Effect.provideService(CallEvents.CallEvents, (event) => events.push(event)),
      Effect.forkChild
    )
    yield* TestClock.adjust("1 minute")
    return { result: yield* Fiber.join(fiber), events }
  })

const tokens = Effect.gen(function*() {
  const { requests } = yield* BedrockClientTest.BedrockClientTest
  return (yield* requests).map(({ input }) => "clientRequestToken" in input ? input.clientRequestToken : undefined)
})

describe("each", () => {
  it.effect("is tried four times, and tells of each attempt and of its one end", () =>
    Effect.gen(function*() {
      for (const [operation, call] of Object.entries(yield* all)) {
        const { events, result } = yield* listened(Effect.flip<unknown, BedrockError.BedrockError, never>(call))
        assert.strictEqual(result.attempts, 4, operation)
        assert.deepStrictEqual(
          events.map((event) => [event._tag, event.pool]),
          [...Array.from({ length: 4 }, () => ["AttemptFailed", operation]), ["CallEnded", operation]]
        )
        const attempts = events.map((event) => event._tag === "AttemptFailed" ? event.attempt : undefined)
        assert.deepStrictEqual(attempts, [1, 2, 3, 4, undefined])
        const end = events.at(-1)
        assert.deepStrictEqual(end, {
          _tag: "CallEnded",
          pool: operation,
          attempts: 4,
          waitedMillis: 0,
          serviceMillis: 0,
          succeeded: false
        })
      }
    }).pipe(Effect.provide(Bedrock.layerTest(scriptOf(unavailable)))))

  it.effect("is not held back by a quota of no requests at all", () =>
    Effect.gen(function*() {
      for (const call of Object.values(yield* all)) {
        assert.strictEqual((yield* Effect.flip<unknown, BedrockError.BedrockError, never>(call)).attempts, 1)
      }
    }).pipe(Effect.provide(Bedrock.layerTest(scriptOf(conflict), { quotas: { default: { requestsPerMinute: 0 } } }))))

  it.effect("counts the time with the server, and not that between attempts", () =>
    Effect.gen(function*() {
      const { getAsyncInvoke } = yield* Bedrock.Bedrock
      const { events } = yield* listened(getAsyncInvoke({ invocationArn: "arn" }).pipe(Effect.flip))
      const end = events.find((event) => event._tag === "CallEnded")
      assert.deepStrictEqual([end?.attempts, end?.serviceMillis], [4, 400])
    }).pipe(Effect.provide(Bedrock.layerTest({
      getAsyncInvoke: () => Effect.delay(Effect.fail(unavailable), "100 millis")
    }))))

  it.effect("ends once when it is interrupted", () =>
    Effect.gen(function*() {
      const { applyGuardrail } = yield* Bedrock.Bedrock
      const call = applyGuardrail({ guardrailIdentifier: "a", guardrailVersion: "1", source: "INPUT", content: [] })
      const { events } = yield* listened(Effect.timeoutOption(call, "50 millis"))
      assert.deepStrictEqual(events.map(({ _tag }) => _tag), ["CallEnded"])
    }).pipe(Effect.provide(Bedrock.layerTest({ applyGuardrail: () => Effect.never }))))
})

describe("startAsyncInvoke", () => {
  it.effect("sends one token in all its attempts, and another in another call", () =>
    Effect.gen(function*() {
      const { startAsyncInvoke } = yield* Bedrock.Bedrock
      const call = startAsyncInvoke(job)
      yield* listened(call)
      yield* listened(call)
      const [first, second, third, fourth] = yield* tokens
      assert.match(String(first), /^[0-9a-f]{32}$/)
      assert.deepStrictEqual([second, third], [first, first])
      assert.match(String(fourth), /^[0-9a-f]{32}$/)
      assert.notStrictEqual(fourth, first)
    }).pipe(Effect.provide(Bedrock.layerTest({ startAsyncInvoke: [lost, lost, started, started] }))))

  it.effect("takes its token of Random, so that a seed decides it", () =>
    Effect.gen(function*() {
      const { startAsyncInvoke } = yield* Bedrock.Bedrock
      for (const seed of ["a", "a", "b"]) yield* Random.withSeed(startAsyncInvoke(job), seed)
      const [first, second, third] = yield* tokens
      assert.strictEqual(second, first)
      assert.notStrictEqual(third, first)
    }).pipe(Effect.provide(Bedrock.layerTest({ startAsyncInvoke: () => started }))))

  it.effect("leaves the caller's own token as it is", () =>
    Effect.gen(function*() {
      const { startAsyncInvoke } = yield* Bedrock.Bedrock
      yield* listened(startAsyncInvoke({ ...job, clientRequestToken: "mine" }))
      assert.deepStrictEqual(yield* tokens, ["mine", "mine"])
    }).pipe(Effect.provide(Bedrock.layerTest({ startAsyncInvoke: [lost, started] }))))

  it.effect("is not tried again when its token is taken", () =>
    Effect.gen(function*() {
      const { startAsyncInvoke } = yield* Bedrock.Bedrock
      assert.strictEqual((yield* Effect.flip(startAsyncInvoke(job))).reason._tag, "ConflictError")
      assert.lengthOf(yield* tokens, 1)
    }).pipe(Effect.provide(Bedrock.layerTest({ startAsyncInvoke: [conflict] }))))
})

describe("listAsyncInvokesAll", () => {
  it.effect("retries the page that failed, and no other", () =>
    Effect.gen(function*() {
      const { listAsyncInvokesAll } = yield* Bedrock.Bedrock
      const { events } = yield* listened(Stream.runDrain(listAsyncInvokesAll()))
      assert.deepStrictEqual(events.map(({ _tag }) => _tag), ["CallEnded", "AttemptFailed", "CallEnded"])
      const { requests } = yield* BedrockClientTest.BedrockClientTest
      assert.deepStrictEqual((yield* requests).map(({ input }) => input), [{}, { nextToken: "2" }, { nextToken: "2" }])
    }).pipe(Effect.provide(Bedrock.layerTest({
      listAsyncInvokes: [{ $metadata, nextToken: "2" }, unavailable, { $metadata }]
    }))))
})

describe("against the emulator", () => {
  const setUp = (options: Bedrock.Options = {}) =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.make({
        jobDuration: "50 millis",
        guardrails: { abc123: { blockedWords: ["anvil"] } }
      })
      const context = yield* Layer.build(Bedrock.layer({
        endpoint: emulator.url,
        region: "us-east-1",
        credentials: { accessKeyId: "any", secretAccessKey: "any" },
        backoff: { base: "1 millis" },
        ...options
      }))
      return { emulator, bedrock: Context.get(context, Bedrock.Bedrock) }
    })

  // Real time: sockets.
  it.live("a job is one, whatever becomes of the answers", () =>
    Effect.gen(function*() {
      const { bedrock, emulator } = yield* setUp({ timeouts: { firstToken: "200 millis" } })
      const lost = [Fault.cut(), Fault.silence(), Fault.badBody("half"), Fault.badHead("too-large")]
      for (const [i, fault] of lost.entries()) {
        yield* emulator.inject(fault, { operation: "StartAsyncInvoke" })
        const { invocationArn } = yield* bedrock.startAsyncInvoke(job)
        const jobs = yield* Stream.runCollect(bedrock.listAsyncInvokesAll({ maxResults: 1 }))
        assert.strictEqual(jobs[0]?.invocationArn, invocationArn, fault._tag)
        assert.lengthOf(jobs, i + 1, fault._tag)
      }
      const [newest] = yield* Stream.runCollect(Stream.take(bedrock.listAsyncInvokesAll(), 1))
      const done = yield* bedrock.getAsyncInvoke({ invocationArn: newest?.invocationArn }).pipe(
        Effect.repeat({ until: ({ status }) => status === "Completed" })
      )
      assert.isDefined(done.endTime)
    }))

  it.live("what a guardrail said is given, after what is worth another try", () =>
    Effect.gen(function*() {
      const { bedrock, emulator } = yield* setUp()
      const apply = (text: string) =>
        bedrock.applyGuardrail({
          guardrailIdentifier: "abc123",
          guardrailVersion: "1",
          source: "INPUT",
          content: [{ text: { text } }]
        })
      yield* emulator.inject(Fault.reset, { times: 2 })
      assert.strictEqual((yield* apply("Send me an anvil.")).action, "GUARDRAIL_INTERVENED")
      assert.strictEqual((yield* emulator.stats).requests, 3)
      yield* emulator.inject(
        Fault.error("ThrottlingException", {
          message:
            "Too many requests sent to ApplyGuardrail: On-demand ApplyGuardrail content filter policy text units per " +
            "second limit exceeded"
        }),
        { times: 4 }
      )
      const { attempts, reason } = yield* Effect.flip(apply("Hello"))
      assert.deepStrictEqual(
        [attempts, reason._tag === "ThrottlingError" && reason.limit],
        [4, "guardrails"]
      )
      const unknown = yield* Effect.flip(bedrock.applyGuardrail({
        guardrailIdentifier: "other",
        guardrailVersion: "1",
        source: "OUTPUT",
        content: []
      }))
      assert.deepStrictEqual([unknown.attempts, unknown.reason._tag], [1, "NotFoundError"])
      const { results } = yield* bedrock.invokeGuardrailChecks({
        messages: [{ role: "user", content: [{ text: "[[emulate severity=0.5]]" }] }],
        checks: { promptAttack: { categories: [{ category: "JAILBREAK" }] } }
      })
      assert.strictEqual(results?.promptAttack?.results?.[0]?.severityScore, 0.5)
    }))
})
