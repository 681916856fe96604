import { Reason, Verdict } from "@caprock/errors"
import { assert, describe, it } from "@effect/vitest"
import { Duration } from "effect"

// Every answer, written out again by hand: a change of policy has to be made in two places, on purpose.
const answers: Readonly<Record<Verdict.Row, readonly [here: boolean, elsewhere: Verdict.Elsewhere, minutes?: number]>> =
  {
    "ThrottlingError/requests": [true, "target"],
    "ThrottlingError/tokens": [true, "target"],
    "ThrottlingError/tokens-per-day": [false, "region"],
    "ThrottlingError/guardrails": [true, "region"],
    "ThrottlingError/unknown": [true, "target"],
    "ServerError/internal": [true, "target"],
    "ServerError/unavailable": [true, "target"],
    "ServerError/overloaded": [true, "target"],
    "ServerError/model": [true, "target"],
    "ServerError/model-refused": [false, "target"],
    "ServerError/model-timeout": [true, "target"],
    "ServerError/not-ready": [true, "target"],
    "ServerError/connections": [true, "target"],
    "ValidationError/exceeds-quota": [false, "none"],
    "ValidationError/context-overflow": [false, "none"],
    "ValidationError/max-tokens": [false, "none"],
    "ValidationError/on-demand-unsupported": [false, "none"],
    "ValidationError/unknown-model": [false, "none"],
    "ValidationError/payload-too-large": [false, "none"],
    "ValidationError/no-region": [false, "none"],
    "ValidationError/malformed": [false, "none"],
    "AccessError/denied": [false, "target"],
    "AccessError/no-credentials": [false, "none"],
    "AccessError/expired-credentials": [false, "none"],
    "AccessError/invalid-credentials": [false, "none"],
    "AccessError/provider-failed": [false, "none"],
    "AccessError/provider-unavailable": [true, "none"],
    "AccessError/clock-skew": [false, "none"],
    "AccessError/clock-skew-corrected": [true, "none"],
    "AccessError/agreement-pending": [false, "target", 15],
    "NotFoundError/resource": [false, "target"],
    "NotFoundError/form-not-filled": [false, "target"],
    ResourceQuotaError: [false, "target"],
    ConflictError: [false, "none"],
    "TransportError/connect": [true, "target"],
    "TransportError/dns": [true, "target"],
    "TransportError/reset": [true, "target"],
    "TransportError/protocol": [true, "target"],
    "TransportError/closed": [true, "target"],
    "TransportError/tls": [false, "none"],
    "TimeoutError/credentials": [false, "none"],
    "TimeoutError/connect": [true, "target"],
    "TimeoutError/first-token": [true, "target"],
    "TimeoutError/between-tokens": [true, "target"],
    "TimeoutError/call": [false, "none"],
    "TimeoutError/deadline": [false, "none"],
    "InterruptedStreamError/content": [false, "none"],
    "InterruptedStreamError/empty": [true, "target"],
    "AdmissionError/wait-too-long": [false, "target"],
    "AdmissionError/room-full": [false, "target"],
    "AdmissionError/store-unavailable": [true, "target"],
    "AdmissionError/no-target": [false, "none"],
    "AdmissionError/shutting-down": [false, "none"],
    "UnknownError/aborted": [false, "none"],
    UnknownError: [false, "none"]
  }

const table: Readonly<Record<Verdict.Row, Verdict.Verdict>> = Verdict.table

describe("the table", () => {
  it("has the rows that are answered here, and no others", () => {
    assert.sameMembers(Object.keys(table), Object.keys(answers))
  })

  for (const [row, { advice, elsewhere, notBefore, retryable }] of Object.entries(table)) {
    it(`answers for ${row}, and names the next step`, () => {
      const expected = Object.entries(answers).find(([key]) => key === row)?.[1]
      assert.isDefined(expected)
      assert.deepStrictEqual([retryable, elsewhere], expected?.slice(0, 2))
      assert.deepStrictEqual(notBefore, expected?.[2] === undefined ? undefined : Duration.minutes(expected[2]))
      assert.match(advice, /^[A-Z].{20,}\.$/)
    })
  }

  it("names what each person needs for the steps that they take most often", () => {
    for (
      const variable of [
        "AWS_BEARER_TOKEN_BEDROCK",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE"
      ]
    ) {
      assert.include(table["AccessError/no-credentials"].advice, variable)
    }
    assert.include(table["AccessError/expired-credentials"].advice, "aws sso login")
    assert.include(table["ThrottlingError/tokens"].advice, "maxTokens")
    assert.include(table["ThrottlingError/tokens-per-day"].advice, "L-E3F10727")
    assert.include(table["ValidationError/on-demand-unsupported"].advice, "profile")
    assert.include(table["ValidationError/no-region"].advice, "AWS_REGION")
  })
})

const message = ""
const examples: ReadonlyArray<readonly [Reason.Reason, Verdict.Row]> = [
  ...(["requests", "tokens", "tokens-per-day", "guardrails", "unknown"] as const).map((limit) =>
    [new Reason.ThrottlingError({ limit, message }), `ThrottlingError/${limit}`] as const
  ),
  ...(["internal", "unavailable", "overloaded", "model", "model-timeout", "not-ready", "connections"] as const).map((
    kind
  ) => [new Reason.ServerError({ kind, message }), `ServerError/${kind}`] as const),
  ...([
    "exceeds-quota",
    "context-overflow",
    "max-tokens",
    "on-demand-unsupported",
    "unknown-model",
    "payload-too-large",
    "no-region",
    "malformed"
  ] as const).map((kind) => [new Reason.ValidationError({ kind, message }), `ValidationError/${kind}`] as const),
  ...([
    "denied",
    "no-credentials",
    "expired-credentials",
    "invalid-credentials",
    "provider-failed",
    "provider-unavailable",
    "clock-skew",
    "clock-skew-corrected",
    "agreement-pending"
  ] as const).map((kind) => [new Reason.AccessError({ kind, message }), `AccessError/${kind}`] as const),
  ...(["resource", "form-not-filled"] as const).map((kind) =>
    [new Reason.NotFoundError({ kind, message }), `NotFoundError/${kind}`] as const
  ),
  [new Reason.ResourceQuotaError({ message }), "ResourceQuotaError"],
  [new Reason.ConflictError({ message }), "ConflictError"],
  ...(["connect", "dns", "reset", "protocol", "closed", "tls"] as const).map((kind) =>
    [new Reason.TransportError({ kind, message }), `TransportError/${kind}`] as const
  ),
  ...(["credentials", "connect", "first-token", "between-tokens", "call", "deadline"] as const).map((kind) =>
    [new Reason.TimeoutError({ kind, message }), `TimeoutError/${kind}`] as const
  ),
  ...(["wait-too-long", "room-full", "store-unavailable", "no-target", "shutting-down"] as const).map((kind) =>
    [new Reason.AdmissionError({ kind, message }), `AdmissionError/${kind}`] as const
  ),
  [new Reason.UnknownError({ message }), "UnknownError"],
  [new Reason.UnknownError({ message, originalName: "X" }), "UnknownError"],
  [new Reason.UnknownError({ message, originalName: "AbortError" }), "UnknownError/aborted"]
]

const cut = (content: boolean, origin?: Exclude<Reason.Reason, Reason.InterruptedStreamError>) =>
  new Reason.InterruptedStreamError({
    partial: { text: "" },
    content,
    message,
    ...(origin === undefined ? {} : { origin })
  })

describe("the row of a reason", () => {
  for (const [reason, row] of examples) {
    it(`is ${row}, and of a stream that it cut before any content the same`, () => {
      assert.strictEqual(Reason.rowOf(reason), row)
      assert.strictEqual(Reason.verdictOf(reason), table[row])
      if (reason._tag === "InterruptedStreamError") return
      assert.strictEqual(Reason.rowOf(cut(false, reason)), row)
      assert.strictEqual(Reason.rowOf(cut(true, reason)), "InterruptedStreamError/content")
    })
  }

  it("of a stream that ended early by itself depends on what had been handed over", () => {
    assert.strictEqual(Reason.rowOf(cut(false)), "InterruptedStreamError/empty")
    assert.strictEqual(Reason.rowOf(cut(true)), "InterruptedStreamError/content")
  })
})

describe("not before when", () => {
  const seven = Duration.seconds(7)

  it("is what the response said, on each reason that carries it", () => {
    for (
      const reason of [
        new Reason.ThrottlingError({ limit: "tokens", message, retryAfter: seven }),
        new Reason.ServerError({ kind: "overloaded", message, retryAfter: seven }),
        new Reason.AccessError({ kind: "agreement-pending", message, retryAfter: seven }),
        new Reason.NotFoundError({ kind: "form-not-filled", message, retryAfter: seven })
      ]
    ) {
      assert.deepStrictEqual(Reason.retryAfterOf(reason), seven)
      assert.deepStrictEqual(Reason.retryAfterOf(cut(false, reason)), seven)
      assert.isUndefined(Reason.retryAfterOf(cut(true, reason)))
    }
  })

  it("is the predicted wait of a refused admission", () => {
    const refused = new Reason.AdmissionError({ kind: "wait-too-long", message, predictedWait: seven })
    assert.deepStrictEqual(Reason.retryAfterOf(refused), seven)
  })

  it("is else what the table says, or nothing", () => {
    for (const [reason, row] of examples) {
      assert.deepStrictEqual(Reason.retryAfterOf(reason), table[row].notBefore, row)
    }
    assert.isUndefined(Reason.retryAfterOf(cut(false)))
  })
})
