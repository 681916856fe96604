import { Classification, Reason, type Verdict } from "@caprock/errors"
import { assert, describe, it } from "@effect/vitest"
import { bareError, sdkError, systemError } from "./support.ts"

const context = { operation: "Converse", modelId: "anthropic.claude-sonnet-4-6-v1:0", region: "us-east-1" }

const rowOf = (error: unknown, operation = "Converse"): Verdict.Row =>
  Reason.rowOf(Classification.fromUnknown(error, { ...context, operation }).reason)

describe("Classification: the exceptions of the service model (BEDROCK.md §1.1)", () => {
  const rows: ReadonlyArray<
    readonly [name: string, status: number, row: Verdict.Row, extra?: Record<string, unknown>]
  > = [
    ["ThrottlingException", 429, "ThrottlingError/unknown"],
    ["ModelNotReadyException", 429, "ServerError/not-ready", { $retryable: {} }],
    ["ServiceUnavailableException", 503, "ServerError/unavailable"],
    ["InternalServerException", 500, "ServerError/internal"],
    ["ModelTimeoutException", 408, "ServerError/model-timeout"],
    ["ModelErrorException", 424, "ServerError/model", { originalStatusCode: 500, resourceName: "r" }],
    ["ModelErrorException", 424, "ServerError/model-refused", { originalStatusCode: 400 }],
    ["ModelStreamErrorException", 424, "ServerError/model", { originalStatusCode: 503, originalMessage: "lost" }],
    ["ServiceQuotaExceededException", 400, "ResourceQuotaError"],
    ["ValidationException", 400, "ValidationError/malformed"],
    ["AccessDeniedException", 403, "AccessError/denied"],
    ["ResourceNotFoundException", 404, "NotFoundError/resource"],
    ["ConflictException", 400, "ConflictError"],
    ["FTUFormNotFilled", 404, "NotFoundError/form-not-filled"],
    ["MPAgreementBeingCreated", 403, "AccessError/agreement-pending"],
    ["InternalFailure", 500, "ServerError/internal"],
    ["RequestExpired", 400, "AccessError/clock-skew"],
    ["IncompleteSignature", 400, "AccessError/invalid-credentials"],
    ["InvalidClientTokenId", 403, "AccessError/invalid-credentials"]
  ]
  for (const [name, status, row, extra] of rows) {
    it(`${name} ${status} is ${row}, in either case of its first letter, with and without metadata`, () => {
      const lower = name.charAt(0).toLowerCase() + name.slice(1)
      for (const spelled of [name, lower]) {
        assert.strictEqual(rowOf(sdkError({ name: spelled, status, message: "m", ...(extra && { extra }) })), row)
        assert.strictEqual(rowOf(bareError(spelled, "m", extra)), row)
      }
    })
  }
})

describe("Classification: throttling and capacity messages (BEDROCK.md §2)", () => {
  const rows: ReadonlyArray<readonly [name: string, status: number, message: string, row: Verdict.Row]> = [
    ["ThrottlingException", 429, "Too many requests, please wait before trying again.", "ThrottlingError/requests"],
    [
      "ThrottlingException",
      429,
      "Too many requests, please wait before trying again. You have sent too many requests.  Wait before trying again.",
      "ThrottlingError/requests"
    ],
    ["ThrottlingException", 429, "Too many tokens, please wait before trying again.", "ThrottlingError/tokens"],
    [
      "ThrottlingException",
      429,
      "Too many tokens per day, please wait before trying again.",
      "ThrottlingError/tokens-per-day"
    ],
    [
      "ThrottlingException",
      429,
      "Model anthropic.claude-sonnet-4-6 is currently overloaded. Please try again later.",
      "ServerError/overloaded"
    ],
    ["ModelNotReadyException", 429, "Model is not ready for inference requests", "ServerError/not-ready"],
    ["ServiceUnavailableException", 503, "Bedrock is unable to process your request.", "ServerError/unavailable"],
    [
      "ServiceUnavailableException",
      503,
      "Too many connections, please wait before trying again.",
      "ServerError/connections"
    ],
    [
      "ServiceUnavailableException",
      503,
      "Service temporarily unavailable, please try again.",
      "ServerError/unavailable"
    ],
    ["BedrockRuntimeServiceException", 529, "overloaded_error", "ServerError/overloaded"],
    ["ServiceQuotaExceededException", 400, "You can resubmit your request later", "ResourceQuotaError"],
    ["ValidationException", 400, "Input is too long for requested model.", "ValidationError/context-overflow"],
    [
      "ValidationException",
      400,
      "The maximum tokens you requested exceed the model limit of 8192. Try again with a maximum tokens value that is lower than 8192.",
      "ValidationError/max-tokens"
    ],
    [
      "ValidationException",
      400,
      "Invocation of model ID anthropic.claude-x with on-demand throughput isn\u2019t supported. Retry your request with the ID or ARN of an inference profile that contains this model.",
      "ValidationError/on-demand-unsupported"
    ]
  ]
  for (const [name, status, message, row] of rows) {
    it(`${name} "${message.slice(0, 60)}" is ${row}`, () => {
      assert.strictEqual(rowOf(sdkError({ name, status, message })), row)
    })
  }
})

describe("Classification: connections", () => {
  for (
    const [error, row] of [
      [systemError("ECONNRESET", "aborted"), "TransportError/reset"],
      [systemError("ECONNREFUSED"), "TransportError/connect"],
      [systemError("ENOTFOUND"), "TransportError/dns"],
      [systemError("ERR_HTTP2_STREAM_ERROR"), "TransportError/reset"],
      [new Error("Truncated event message received."), "TransportError/closed"]
    ] as const
  ) {
    it(`${error.message} is ${row}`, () => assert.strictEqual(rowOf(error), row))
  }
})

describe("Classification: what nobody knows", () => {
  for (const value of [undefined, null, 0, "text", Symbol("s"), {}, [], () => 1, new Error("?"), { name: "Weird" }]) {
    it(`${String(typeof value)} becomes an UnknownError`, () => assert.strictEqual(rowOf(value), "UnknownError"))
  }
})
