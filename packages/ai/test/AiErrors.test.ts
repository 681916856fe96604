import { AiErrors } from "@caprock/ai"
import { BedrockError, Reason, Verdict } from "@caprock/errors"
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration, Effect, Option, Schema } from "effect"
import { AiError } from "effect/ai"

const message = "what was said"
const retryAfter = Duration.seconds(7)

/** One reason for each row of the table of verdicts. */
const reasons: ReadonlyArray<Reason.Reason> = [
  ...Reason.ThrottlingError.fields.limit.literals.map((limit) =>
    new Reason.ThrottlingError({ limit, message, retryAfter })
  ),
  ...Reason.ServerError.fields.kind.literals.map((kind) => new Reason.ServerError({ kind, message })),
  new Reason.ServerError({ kind: "model", message, originalStatusCode: 400 }),
  ...Reason.ValidationError.fields.kind.literals.map((kind) => new Reason.ValidationError({ kind, message })),
  ...Reason.AccessError.fields.kind.literals.map((kind) => new Reason.AccessError({ kind, message })),
  ...Reason.NotFoundError.fields.kind.literals.map((kind) => new Reason.NotFoundError({ kind, message })),
  new Reason.ResourceQuotaError({ message }),
  new Reason.ConflictError({ message }),
  ...Reason.TransportError.fields.kind.literals.map((kind) => new Reason.TransportError({ kind, message })),
  ...Reason.TimeoutError.fields.kind.literals.map((kind) => new Reason.TimeoutError({ kind, message })),
  ...Reason.AdmissionError.fields.kind.literals.map((kind) =>
    new Reason.AdmissionError({ kind, message, predictedWait: retryAfter })
  ),
  new Reason.UnknownError({ message }),
  new Reason.UnknownError({ message, originalName: "AbortError" }),
  new Reason.InterruptedStreamError({ partial: { text: "" }, content: false, message }),
  new Reason.InterruptedStreamError({
    partial: { text: "half a sen", toolInput: "{\"a", usage: { inputTokens: 1, outputTokens: 2 } },
    content: true,
    message,
    origin: new Reason.TransportError({ kind: "reset", message })
  })
]

const errorOf = (reason: Reason.Reason) =>
  new BedrockError.BedrockError({
    operation: "Converse",
    modelId: "arn:aws:bedrock:us-east-1:1:m",
    region: "us-east-1",
    requestId: "r-1",
    attempts: 3,
    httpStatus: 400,
    gaveUp: "attempts",
    tried: [{ target: "ohio", reason: "ServerError", message }],
    reason
  })

/** Every field of it. (Chai's deep equality looks at no more of two errors than their names and messages.) */
const fieldsOf = Option.map(Schema.encodeSync(BedrockError.BedrockError))

const at = { module: "Tests", method: "generateText" }
const sent = (error: BedrockError.BedrockError): AiError.AiError => AiErrors.fromBedrock(error, at)

/** As another process has it. */
const abroad = (error: AiError.AiError) =>
  Schema.encodeEffect(Schema.toCodecJson(AiError.AiError))(error).pipe(
    Effect.map((json) => JSON.parse(JSON.stringify(json))),
    Effect.flatMap(Schema.decodeUnknownEffect(Schema.toCodecJson(AiError.AiError)))
  )

/** What each is called, by the name of its row. */
const expected: Record<Verdict.Row, AiError.AiErrorReason["_tag"]> = {
  "ThrottlingError/requests": "RateLimitError",
  "ThrottlingError/tokens": "RateLimitError",
  "ThrottlingError/tokens-per-day": "QuotaExhaustedError",
  "ThrottlingError/guardrails": "RateLimitError",
  "ThrottlingError/unknown": "RateLimitError",
  "ServerError/internal": "InternalProviderError",
  "ServerError/unavailable": "InternalProviderError",
  "ServerError/overloaded": "InternalProviderError",
  "ServerError/model": "InternalProviderError",
  "ServerError/model-refused": "InvalidRequestError",
  "ServerError/model-timeout": "InternalProviderError",
  "ServerError/not-ready": "InternalProviderError",
  "ServerError/connections": "InternalProviderError",
  "ValidationError/exceeds-quota": "InvalidRequestError",
  "ValidationError/context-overflow": "InvalidRequestError",
  "ValidationError/max-tokens": "InvalidRequestError",
  "ValidationError/on-demand-unsupported": "InvalidRequestError",
  "ValidationError/unknown-model": "InvalidRequestError",
  "ValidationError/payload-too-large": "InvalidRequestError",
  "ValidationError/no-region": "InvalidRequestError",
  "ValidationError/malformed": "InvalidRequestError",
  "AccessError/denied": "AuthenticationError",
  "AccessError/no-credentials": "AuthenticationError",
  "AccessError/expired-credentials": "AuthenticationError",
  "AccessError/invalid-credentials": "AuthenticationError",
  "AccessError/provider-failed": "AuthenticationError",
  "AccessError/provider-unavailable": "InternalProviderError",
  "AccessError/clock-skew": "AuthenticationError",
  "AccessError/clock-skew-corrected": "InternalProviderError",
  "AccessError/agreement-pending": "AuthenticationError",
  "NotFoundError/resource": "InvalidRequestError",
  "NotFoundError/form-not-filled": "AuthenticationError",
  ResourceQuotaError: "QuotaExhaustedError",
  ConflictError: "InvalidRequestError",
  "TransportError/connect": "NetworkError",
  "TransportError/dns": "NetworkError",
  "TransportError/reset": "NetworkError",
  "TransportError/protocol": "NetworkError",
  "TransportError/closed": "NetworkError",
  "TransportError/tls": "UnknownError",
  "TimeoutError/credentials": "UnknownError",
  "TimeoutError/connect": "NetworkError",
  "TimeoutError/first-token": "NetworkError",
  "TimeoutError/between-tokens": "NetworkError",
  "TimeoutError/call": "UnknownError",
  "TimeoutError/deadline": "UnknownError",
  "InterruptedStreamError/content": "InvalidResponseError",
  "InterruptedStreamError/empty": "NetworkError",
  "AdmissionError/wait-too-long": "QuotaExhaustedError",
  "AdmissionError/room-full": "QuotaExhaustedError",
  "AdmissionError/store-unavailable": "InternalProviderError",
  "AdmissionError/no-target": "UnknownError",
  "AdmissionError/shutting-down": "UnknownError",
  "UnknownError/aborted": "UnknownError",
  UnknownError: "UnknownError"
}

describe("a reason", () => {
  it("has a sample for each row of the table", () => {
    assert.sameMembers([...new Set(reasons.map(Reason.rowOf))], Object.keys(Verdict.table))
  })

  it.effect.each(reasons.map((reason) => [Reason.rowOf(reason), reason] as const))(
    "%s: its name, whether it is worth another try, and the way back, also from another process",
    ([row, reason]) =>
      Effect.gen(function*() {
        const error = errorOf(reason)
        const ai = sent(error)
        assert.strictEqual(ai.reason._tag, expected[row])
        assert.strictEqual(ai.isRetryable, Verdict.table[row].retryable)
        assert.deepStrictEqual(fieldsOf(AiErrors.toBedrock(ai)), fieldsOf(Option.some(error)))
        const there = yield* abroad(ai)
        assert.strictEqual(there.message, ai.message)
        assert.deepStrictEqual(fieldsOf(AiErrors.toBedrock(there)), fieldsOf(Option.some(error)))
      })
  )

  it.effect.prop("of any shape comes back as it was", [BedrockError.BedrockError], ([error]) =>
    Effect.gen(function*() {
      const { cause: _, ...rest } = error
      const plain = new BedrockError.BedrockError(rest)
      const ai = yield* abroad(sent(plain))
      assert.strictEqual(ai.isRetryable, plain.retryable)
      assert.deepStrictEqual(fieldsOf(AiErrors.toBedrock(ai)), fieldsOf(Option.some(plain)))
    }))
})

describe("what is said of it", () => {
  const throttled = new Reason.ThrottlingError({ limit: "tokens", message, retryAfter })
  const daily = new Reason.ThrottlingError({ limit: "tokens-per-day", message, retryAfter })

  it("a throttle's wait, status and request id", () => {
    const ai = sent(errorOf(throttled))
    assert.deepStrictEqual(ai.retryAfter, retryAfter)
    const { reason } = ai
    if (reason._tag !== "RateLimitError") return assert.fail(reason._tag)
    assert.deepStrictEqual(reason.http, { response: { status: 400, headers: { "x-amzn-requestid": "r-1" } } })
    assert.strictEqual(reason.metadata.bedrock?.attempts, 3)
    assert.strictEqual(reason.metadata.bedrock?.reason.message, message)
  })

  it("when a quota is free again, for who says what time it is", () => {
    const resetAt = (now?: number) => {
      const { reason } = AiErrors.fromBedrock(errorOf(daily), { ...at, now })
      return reason._tag === "QuotaExhaustedError" ? reason.resetAt : assert.fail(reason._tag)
    }
    assert.isUndefined(resetAt())
    assert.deepStrictEqual(resetAt(1_000), DateTime.makeUnsafe(8_000))
    const never = new Reason.AdmissionError({ kind: "room-full", predictedWait: Duration.infinity, message })
    const { reason } = AiErrors.fromBedrock(errorOf(never), { ...at, now: 0 })
    assert.isUndefined(reason._tag === "QuotaExhaustedError" ? reason.resetAt : reason._tag)
  })

  it("the model of a connection that failed, whatever it is called", () => {
    const urlOf = (modelId: string) => {
      const error = new BedrockError.BedrockError({
        ...errorOf(new Reason.TransportError({ kind: "reset", message })),
        modelId
      })
      const { reason } = sent(error)
      return reason._tag === "NetworkError" ? reason.url : assert.fail(reason._tag)
    }
    assert.strictEqual(urlOf("arn:aws:bedrock:us-east-1:1:p/m"), "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ap%2Fm")
    assert.strictEqual(urlOf("\ud800"), "/model/%EF%BF%BD")
  })

  it("the whole line of the original, with its advice", () => {
    const error = errorOf(new Reason.ValidationError({ kind: "context-overflow", message }))
    const { reason } = sent(error)
    if (reason._tag !== "InvalidRequestError") return assert.fail(reason._tag)
    assert.strictEqual(reason.description, error.message)
    assert.strictEqual(`${reason.parameter} ${reason.constraint}`, "messages exceeds the context window")
  })

  it.each(["Output blocked by content filtering policy", "This request has been blocked by our content filters."])(
    "a policy, where it was refused by one: %s",
    (message) => {
      const { reason } = sent(errorOf(new Reason.ValidationError({ kind: "malformed", message })))
      assert.strictEqual(reason._tag, "ContentPolicyError")
    }
  )

  it("a cause as far as it can be written, and the rest without it", () => {
    const withCause = (cause: unknown) => new BedrockError.BedrockError({ ...errorOf(throttled), cause })
    const back = Option.getOrThrow(AiErrors.toBedrock(sent(withCause(new Error("socket hang up")))))
    assert.strictEqual(back.cause instanceof Error ? back.cause.message : back.cause, "socket hang up")
    const loop: { self?: unknown } = {}
    loop.self = loop
    const { proxy, revoke } = Proxy.revocable({}, {})
    revoke()
    for (const cause of [loop, 10n, Symbol("s"), () => {}, proxy]) {
      assert.deepStrictEqual(Option.getOrThrow(AiErrors.toBedrock(sent(withCause(cause)))).reason, throttled)
    }
  })
})

describe("what was made of something else", () => {
  it.each([
    new AiError.RateLimitError({}),
    new AiError.RateLimitError({ metadata: { bedrock: null } }),
    new AiError.NetworkError({ reason: "TransportError", method: "GET", url: "/", cause: new Error("reset") }),
    new AiError.ToolNotFoundError({ toolName: "t", availableTools: [] })
  ])("has no BedrockError: %o", (reason) => {
    assert.deepStrictEqual(AiErrors.toBedrock(AiError.make({ ...at, reason })), Option.none())
  })
})
