import { BedrockError, Reason } from "@caprock/errors"
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Duration, Effect, Inspectable, Schema } from "effect"
import { assertReason } from "./support.ts"

const throttled = new BedrockError.BedrockError({
  operation: "Converse",
  modelId: "m",
  region: "us-east-1",
  requestId: "r",
  httpStatus: 429,
  attempts: 2,
  reason: new Reason.ThrottlingError({ limit: "tokens", message: "Too many tokens", retryAfter: Duration.seconds(3) })
})

const withReason = (reason: Reason.Reason) =>
  new BedrockError.BedrockError({ operation: "Converse", attempts: 0, reason })

const failing: Effect.Effect<never, BedrockError.BedrockError> = Effect.fail(throttled)

describe("catching", () => {
  it.effect("one reason by its tag, with the envelope beside it", () =>
    Effect.gen(function*() {
      const caught = yield* failing.pipe(
        Effect.catchReason("BedrockError", "ThrottlingError", (reason, error) =>
          Effect.succeed([reason.limit, error.operation]))
      )
      assert.deepStrictEqual(caught, ["tokens", "Converse"])
    }))

  it.effect("another reason is left alone", () =>
    Effect.gen(function*() {
      const error = yield* failing.pipe(
        Effect.catchReason("BedrockError", "ServerError", () => Effect.succeed("wrong")),
        Effect.flip
      )
      assert.strictEqual(error, throttled)
    }))

  it.effect("several reasons at once", () =>
    Effect.gen(function*() {
      const caught = yield* failing.pipe(Effect.catchReasons("BedrockError", {
        ServerError: (reason) => Effect.succeed(reason.kind),
        ThrottlingError: (reason) => Effect.succeed(reason.limit)
      }))
      assert.strictEqual(caught, "tokens")
    }))

  it.effect("all reasons as the error itself", () =>
    Effect.gen(function*() {
      const unwrapped = Effect.unwrapReason(failing, "BedrockError")
      expectTypeOf(unwrapped).toEqualTypeOf<Effect.Effect<never, Reason.Reason>>()
      const caught = yield* unwrapped.pipe(
        Effect.catchTags({ ThrottlingError: (reason) => Effect.succeed(reason.limit) }),
        Effect.catchTag("InterruptedStreamError", (reason) => Effect.succeed(reason.partial.text))
      )
      assert.strictEqual(caught, "tokens")
    }))

  it.effect("as a value that is yielded", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(throttled)
      assert.strictEqual(error, throttled)
    }))
})

describe("the three questions", () => {
  it("says what was tried on its way, of a call that had several targets", () => {
    const error = new BedrockError.BedrockError({
      operation: "Converse",
      attempts: 2,
      tried: [
        { target: "ireland", reason: "ServerError", message: "Try again." },
        { target: "frankfurt", reason: "ThrottlingError", message: "Too many tokens." }
      ],
      reason: new Reason.ServerError({ kind: "unavailable", message: "Try again." })
    })
    assert.include(error.message, "2 requests sent, tried ireland: ServerError; frankfurt: ThrottlingError")
  })

  it("are answered by the table", () => {
    assert.deepStrictEqual([throttled.retryable, throttled.retryableElsewhere], [true, true])
    assert.deepStrictEqual(throttled.retryAfter, Duration.seconds(3))
    const denied = withReason(new Reason.AccessError({ kind: "denied", message: "" }))
    assert.deepStrictEqual([denied.retryable, denied.retryableElsewhere, denied.retryAfter], [false, true, undefined])
    const malformed = withReason(new Reason.ValidationError({ kind: "malformed", message: "" }))
    assert.deepStrictEqual([malformed.retryable, malformed.retryableElsewhere], [false, false])
  })

  it("tokens per day: not here, and elsewhere only in another account or Region", () => {
    const error = withReason(new Reason.ThrottlingError({ limit: "tokens-per-day", message: "" }))
    assert.deepStrictEqual([error.retryable, error.retryableElsewhere], [false, false])
    assert.strictEqual(error.verdict.elsewhere, "region")
  })

  it("have the shape that backoff and router read", () => {
    expectTypeOf<BedrockError.BedrockError>().toExtend<{
      readonly retryable: boolean
      readonly retryableElsewhere: boolean
      readonly retryAfter?: Duration.Duration | undefined
    }>()
  })
})

describe("isBedrockError", () => {
  it("knows one, also from another copy of the package, and nothing else", () => {
    assert.isTrue(BedrockError.isBedrockError(throttled))
    const key = "~@caprock/errors/BedrockError"
    assert.isTrue(BedrockError.isBedrockError({ [key]: key }))
    for (const other of [undefined, null, "BedrockError", { _tag: "BedrockError" }, new Error("x"), { [key]: true }]) {
      assert.isFalse(BedrockError.isBedrockError(other))
    }
  })
})

describe("the message", () => {
  it("says what happened, what to do, and how to find it again", () => {
    assert.strictEqual(
      throttled.message,
      "Converse of m in us-east-1 failed: ThrottlingError (tokens). Too many tokens. "
        + throttled.verdict.advice
        + " [HTTP 429, request id r, not before 3s, 2 requests sent]"
    )
  })

  it("rounds a wait up to milliseconds", () => {
    const reason = new Reason.AdmissionError({
      kind: "wait-too-long",
      predictedWait: Duration.millis(60_238.362251),
      message: ""
    })
    assert.include(withReason(reason).message, "not before 1m 239ms,")
  })

  it("leaves out what is not known", () => {
    const error = withReason(new Reason.ConflictError({ message: "" }))
    assert.strictEqual(error.message, `Converse failed: ConflictError. ${error.verdict.advice} [0 requests sent]`)
  })

  it("counts one request as one", () => {
    const error = new BedrockError.BedrockError({ operation: "X", attempts: 1, reason: throttled.reason })
    assert.include(error.message, ", 1 request sent]")
  })

  it("tells what ended the retries, where something did", () => {
    const told = (["attempts", "elapsed", "budget", "deadline"] as const).map((gaveUp) =>
      /, 2 requests sent, (.*)\]$/.exec(new BedrockError.BedrockError({ ...throttled, gaveUp }).message)?.[1]
    )
    assert.deepStrictEqual(told, [
      "no attempts left",
      "no time left for retries",
      "no retries left in the budget",
      "no time left for another try before its deadline"
    ])
  })

  it("names the kind of each reason, and what cut a stream", () => {
    const partial = { text: "half an ans" }
    const named: ReadonlyArray<readonly [Reason.Reason, string]> = [
      [new Reason.ResourceQuotaError({ message: "m" }), "ResourceQuotaError. m."],
      [new Reason.ServerError({ kind: "overloaded", message: "m" }), "ServerError (overloaded). m."],
      [new Reason.UnknownError({ message: "m" }), "UnknownError. m."],
      [new Reason.UnknownError({ message: "m", originalName: "Odd" }), "UnknownError (Odd). m."],
      [
        new Reason.InterruptedStreamError({ partial, content: true, message: "m" }),
        "InterruptedStreamError. m."
      ],
      [
        new Reason.InterruptedStreamError({
          partial,
          content: true,
          message: "m",
          origin: new Reason.TransportError({ kind: "reset", message: "" })
        }),
        "InterruptedStreamError (TransportError (reset)). m."
      ]
    ]
    for (const [reason, text] of named) assert.include(withReason(reason).message, `failed: ${text}`)
  })

  it("ends the service's sentence once, and shortens what no one would read", () => {
    const message = (text: string) => withReason(new Reason.ConflictError({ message: text })).message
    for (const text of ["Stop.", "Stop!", "Stop?"]) assert.include(message(text), `${text} Another`)
    assert.include(message("Stop"), "Stop. Another")
    assert.include(message("What? Stop"), "Stop. Another")
    assert.include(message("a".repeat(500)), `${"a".repeat(500)}. `)
    assert.include(message("a".repeat(501)), ` ${"a".repeat(500)}... `)
  })

  it("is what a log shows, with the tag as the name", () => {
    assert.strictEqual(throttled.name, "BedrockError")
    assert.strictEqual(String(throttled), `BedrockError: ${throttled.message}`)
    assert.strictEqual(throttled.reason.name, "ThrottlingError")
    assert.include(Inspectable.toStringUnknown(throttled), "Too many tokens")
  })
})

// The text of an error cause may be anything; so may its absence.
const Original = Schema.Union([
  Schema.String,
  Schema.Struct({ name: Schema.String, message: Schema.String })
])

describe("across a process boundary", () => {
  it.effect.prop(
    "every error comes back from JSON as it was",
    { error: BedrockError.BedrockError, original: Schema.optional(Original) },
    ({ error, original }) =>
      Effect.gen(function*() {
        const { cause: _, ...fields } = error
        const cause = typeof original === "object"
          ? Object.assign(new Error(original.message), { name: original.name })
          : original
        const sent = new BedrockError.BedrockError({ ...fields, ...(cause === undefined ? {} : { cause }) })
        const json = JSON.stringify(yield* Schema.encodeEffect(BedrockError.BedrockError)(sent))
        const back = yield* Schema.decodeUnknownEffect(BedrockError.BedrockError)(JSON.parse(json))
        assert.isTrue(BedrockError.isBedrockError(back))
        assert.deepStrictEqual(
          [back.operation, back.modelId, back.region, back.requestId, back.attempts, back.httpStatus],
          [sent.operation, sent.modelId, sent.region, sent.requestId, sent.attempts, sent.httpStatus]
        )
        assertReason(back.reason, sent.reason)
        assert.deepStrictEqual(JSON.parse(json), yield* Schema.encodeEffect(BedrockError.BedrockError)(back))
        assert.strictEqual(back.message, sent.message)
        assert.deepStrictEqual(
          [back.retryable, back.retryableElsewhere, back.retryAfter],
          [sent.retryable, sent.retryableElsewhere, sent.retryAfter]
        )
        if (cause instanceof Error) {
          assert.instanceOf(back.cause, Error)
          assert.include(String(back.cause), cause.message)
        } else assert.strictEqual(back.cause, cause)
      }),
    { arbitrary: { runs: 500 } }
  )

  it.effect("what had arrived of a stream, with every token that was reported", () =>
    Effect.gen(function*() {
      const partial = {
        text: "half an ans",
        toolInput: `{"city":"Zü`,
        stopReason: "tool_use",
        usage: { inputTokens: 10, outputTokens: 20, cacheReadInputTokens: 30, cacheWriteInputTokens: 40 }
      }
      const origin = new Reason.ServerError({ kind: "model", message: "lost", originalStatusCode: 503 })
      const error = withReason(
        new Reason.InterruptedStreamError({ partial, content: true, message: "cut", origin })
      )
      const encoded = yield* Schema.encodeEffect(BedrockError.BedrockError)(error)
      assert.deepStrictEqual(JSON.parse(JSON.stringify(encoded)).reason, {
        _tag: "InterruptedStreamError",
        partial,
        content: true,
        message: "cut",
        origin: { _tag: "ServerError", kind: "model", message: "lost", originalStatusCode: 503 }
      })
      const negative = { ...partial, usage: { ...partial.usage, outputTokens: -1 } }
      const decode = Schema.decodeUnknownEffect(BedrockError.BedrockError)
      yield* Effect.flip(decode({ ...encoded, reason: { ...encoded.reason, partial: negative } }))
    }))

  it.effect("a wait without end, and one of nanoseconds, too", () =>
    Effect.gen(function*() {
      for (const wait of [Duration.infinity, Duration.nanos(1_234_567n), Duration.zero]) {
        const error = withReason(new Reason.AdmissionError({ kind: "wait-too-long", message: "", predictedWait: wait }))
        const json = JSON.stringify(yield* Schema.encodeEffect(BedrockError.BedrockError)(error))
        const back = yield* Schema.decodeUnknownEffect(BedrockError.BedrockError)(JSON.parse(json))
        assert.deepStrictEqual(back.retryAfter, wait)
      }
    }))

  it.effect("reads well on the way", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Schema.encodeEffect(BedrockError.BedrockError)(throttled), {
        _tag: "BedrockError",
        operation: "Converse",
        modelId: "m",
        region: "us-east-1",
        requestId: "r",
        httpStatus: 429,
        attempts: 2,
        reason: { _tag: "ThrottlingError", limit: "tokens", message: "Too many tokens", retryAfter: "3000 millis" }
      })
    }))

  it.effect("refuses what is not one", () =>
    Effect.gen(function*() {
      const decode = Schema.decodeUnknownEffect(BedrockError.BedrockError)
      const good = { _tag: "BedrockError", operation: "X", attempts: 0, reason: { _tag: "ConflictError", message: "" } }
      yield* decode(good)
      for (
        const bad of [
          { ...good, attempts: -1 },
          { ...good, attempts: 1.5 },
          { ...good, reason: { _tag: "NewError", message: "" } },
          { ...good, reason: { _tag: "TransportError", kind: "new", message: "" } },
          { ...good, operation: undefined }
        ]
      ) {
        yield* Effect.flip(decode(bad))
      }
    }))
})
