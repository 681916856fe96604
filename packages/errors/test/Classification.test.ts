// The rows here are written from the tables of AWS's model and documents (and from what the SDK was seen to throw), not
// from the implementation's tables: a row that is missing there fails here.
import { Classification, Reason, type Verdict } from "@caprock/errors"
import { assert, describe, it } from "@effect/vitest"
import { Duration } from "effect"
import { validateHeaderValue } from "node:http"
import { assertReason, bareError, sdkError, systemError } from "./support.ts"

const context = { operation: "Converse", modelId: "anthropic.claude-sonnet-4-6-v1:0", region: "us-east-1" }

const classify = (error: unknown, operation = "Converse") =>
  Classification.fromUnknown(error, { ...context, operation })

const rowOf = (error: unknown, operation?: string): Verdict.Row => Reason.rowOf(classify(error, operation).reason)

const thrownBy = (act: () => unknown): unknown => {
  try {
    return act()
  } catch (error) {
    return error
  }
}

const lowerFirst = (name: string) => name.charAt(0).toLowerCase() + name.slice(1)

describe("the exceptions of the service model and the documented codes", () => {
  const rows: ReadonlyArray<
    readonly [name: string, status: number, row: Verdict.Row, extra?: Record<string, unknown>]
  > = [
    // Service model 2023-09-30.
    ["ThrottlingException", 429, "ThrottlingError/unknown"],
    ["ModelNotReadyException", 429, "ServerError/not-ready", { $retryable: {} }],
    ["ServiceUnavailableException", 503, "ServerError/unavailable"],
    ["InternalServerException", 500, "ServerError/internal"],
    ["ModelTimeoutException", 408, "ServerError/model-timeout"],
    ["ModelErrorException", 424, "ServerError/model", { originalStatusCode: 500, resourceName: "r" }],
    ["ModelStreamErrorException", 424, "ServerError/model", { originalStatusCode: 503, originalMessage: "lost" }],
    ["ServiceQuotaExceededException", 400, "ResourceQuotaError"],
    ["ValidationException", 400, "ValidationError/malformed"],
    ["AccessDeniedException", 403, "AccessError/denied"],
    ["ResourceNotFoundException", 404, "NotFoundError/resource"],
    ["ConflictException", 400, "ConflictError"],
    // Bedrock user guide, troubleshooting-api-error-codes.
    ["FTUFormNotFilled", 404, "NotFoundError/form-not-filled"],
    ["MPAgreementBeingCreated", 403, "AccessError/agreement-pending"],
    ["InternalFailure", 500, "ServerError/internal"],
    ["RequestExpired", 400, "AccessError/clock-skew"],
    ["IncompleteSignature", 400, "AccessError/invalid-credentials"],
    ["InvalidClientTokenId", 403, "AccessError/invalid-credentials"],
    ["NotAuthorized", 400, "AccessError/denied"],
    ["BadCScoreException", 403, "AccessError/denied"],
    ["InvalidAction", 400, "ValidationError/malformed"],
    ["ServiceUnavailable", 503, "ServerError/unavailable"],
    ["ResourceNotFound", 404, "NotFoundError/resource"],
    ["ValidationError", 400, "ValidationError/malformed"],
    // Other ways in which AWS names the same.
    ["InternalServerError", 500, "ServerError/internal"],
    ["InternalError", 500, "ServerError/internal"],
    ["AccessDenied", 403, "AccessError/denied"],
    ["OptInRequired", 403, "AccessError/denied"],
    ["UnrecognizedClientException", 403, "AccessError/invalid-credentials"],
    ["UnauthorizedException", 401, "AccessError/invalid-credentials"],
    ["IncompleteSignatureException", 403, "AccessError/invalid-credentials"],
    ["SignatureDoesNotMatch", 403, "AccessError/invalid-credentials"],
    ["InvalidSignatureException", 403, "AccessError/invalid-credentials"],
    ["AuthFailure", 401, "AccessError/invalid-credentials"],
    ["ExpiredToken", 403, "AccessError/expired-credentials"],
    ["ExpiredTokenException", 403, "AccessError/expired-credentials"],
    ["MissingAuthenticationToken", 403, "AccessError/no-credentials"],
    ["MissingAuthenticationTokenException", 403, "AccessError/no-credentials"],
    ["RequestInTheFuture", 403, "AccessError/clock-skew"],
    ["RequestTimeTooSkewed", 403, "AccessError/clock-skew"],
    ["SerializationException", 400, "ValidationError/malformed"],
    ["RequestEntityTooLargeException", 413, "ValidationError/payload-too-large"],
    ["RequestTimeout", 408, "TimeoutError/first-token"],
    ["RequestTimeoutException", 408, "TimeoutError/first-token"],
    // What the SDK counts as a throttle.
    ["BandwidthLimitExceeded", 400, "ThrottlingError/unknown"],
    ["EC2ThrottledException", 400, "ThrottlingError/unknown"],
    ["LimitExceededException", 400, "ThrottlingError/unknown"],
    ["PriorRequestNotComplete", 400, "ThrottlingError/unknown"],
    ["ProvisionedThroughputExceededException", 400, "ThrottlingError/unknown"],
    ["RequestLimitExceeded", 400, "ThrottlingError/unknown"],
    ["RequestThrottled", 400, "ThrottlingError/unknown"],
    ["RequestThrottledException", 400, "ThrottlingError/unknown"],
    ["SlowDown", 503, "ThrottlingError/unknown"],
    ["ThrottledException", 400, "ThrottlingError/unknown"],
    ["Throttling", 400, "ThrottlingError/unknown"],
    ["TooManyRequestsException", 429, "ThrottlingError/unknown"],
    ["TransactionInProgressException", 400, "ThrottlingError/unknown"],
    // Error types of the Anthropic Messages API.
    ["overloaded_error", 529, "ServerError/overloaded"],
    ["rate_limit_error", 429, "ThrottlingError/unknown"],
    ["api_error", 500, "ServerError/internal"]
  ]
  for (const [name, status, row, extra] of rows) {
    it(`${name} is ${row}: in either case of its first letter, with metadata and without, whatever the status`, () => {
      for (
        const spelled of [name, lowerFirst(name), `com.amazonaws.bedrockruntime#${name}`, `${name}:http://internal/`]
      ) {
        const shape = { name: spelled, message: "m", ...(extra === undefined ? {} : { extra }) }
        assert.strictEqual(rowOf(sdkError({ ...shape, status })), row)
        assert.strictEqual(rowOf(sdkError({ ...shape, status: 418 })), row)
        assert.strictEqual(rowOf(bareError(spelled, "m", extra)), row)
      }
    })
  }

  it("a name that only contains a known one is not it, and neither is an object's own member", () => {
    for (const name of ["MyThrottlingException", "ThrottlingExceptions", "constructor", "toString", "__proto__"]) {
      assert.strictEqual(rowOf(bareError(name, "m")), "UnknownError", name)
    }
  })
})

describe("which quota, which capacity: the message decides", () => {
  const throttle = ["ThrottlingException", 429] as const
  const unavailable = ["ServiceUnavailableException", 503] as const
  const rows: ReadonlyArray<readonly [readonly [name: string, status: number], message: string, row: Verdict.Row]> = [
    [throttle, "Too many requests, please wait before trying again.", "ThrottlingError/requests"],
    [
      throttle,
      "Too many requests, please wait before trying again. You have sent too many requests.  Wait before trying again.",
      "ThrottlingError/requests"
    ],
    [throttle, "You have sent too many requests.  Wait before trying again.", "ThrottlingError/requests"],
    [throttle, "Your request rate is too high", "ThrottlingError/requests"],
    [throttle, "Rate exceeded", "ThrottlingError/requests"],
    [throttle, "You have exceeded your requests per minute", "ThrottlingError/requests"],
    [throttle, "Too many tokens, please wait before trying again.", "ThrottlingError/tokens"],
    [throttle, "You have exceeded your tokens per minute", "ThrottlingError/tokens"],
    [throttle, "Too many tokens per day, please wait before trying again.", "ThrottlingError/tokens-per-day"],
    [throttle, "The daily token quota is used up", "ThrottlingError/tokens-per-day"],
    [
      throttle,
      "ApplyGuardrail requestId: 1a2b got throttled for the accountId: 111122223333",
      "ThrottlingError/guardrails"
    ],
    [
      throttle,
      "Too many requests sent to ApplyGuardrail: On-demand ApplyGuardrail content filter policy text units per second limit exceeded",
      "ThrottlingError/guardrails"
    ],
    [
      throttle,
      "Model anthropic.claude-sonnet-4-6 is currently overloaded. Please try again later.",
      "ServerError/overloaded"
    ],
    [
      throttle,
      "We're currently processing too many requests \u2014 please try again later.",
      "ServerError/overloaded"
    ],
    [throttle, "Too many connections, please wait before trying again.", "ServerError/connections"],
    // The model's doc texts of the exceptions inside a stream.
    [
      ["throttlingException", 200],
      "Your request was throttled because of service-wide limitations. Resubmit your request later or in a different region.",
      "ThrottlingError/unknown"
    ],
    [
      ["throttlingException", 200],
      "Your request was denied due to exceeding the account quotas for Amazon Bedrock.",
      "ThrottlingError/unknown"
    ],
    [["ModelNotReadyException", 429], "The model is not ready for inference requests", "ServerError/not-ready"],
    [["ModelNotReadyException", 429], "Too many requests", "ServerError/not-ready"],
    [unavailable, "Bedrock is unable to process your request.", "ServerError/unavailable"],
    [["serviceUnavailableException", 200], "Bedrock is unable to process your request.", "ServerError/unavailable"],
    [unavailable, "Too many connections, please wait before trying again.", "ServerError/connections"],
    [unavailable, "Service temporarily unavailable, please try again.", "ServerError/unavailable"],
    [unavailable, "The model is overloaded", "ServerError/overloaded"],
    [["ServiceQuotaExceededException", 400], "You can resubmit your request later", "ResourceQuotaError"]
  ]
  for (const [[name, status], message, row] of rows) {
    it(`${name} "${message.slice(0, 70)}" is ${row}`, () => {
      assert.strictEqual(rowOf(sdkError({ name, status, message })), row)
      assert.strictEqual(rowOf(sdkError({ name, status, message: message.toUpperCase() })), row)
      assert.strictEqual(classify(sdkError({ name, status, message })).reason.message, message.replace(/\s+/g, " "))
    })
  }
})

describe("which kind of wrong request: the message decides", () => {
  const rows: ReadonlyArray<readonly [message: string, row: Verdict.Row]> = [
    ["Input is too long for requested model.", "ValidationError/context-overflow"],
    [
      "The model returned the following errors: prompt is too long: 200049 tokens > 200000 maximum",
      "ValidationError/context-overflow"
    ],
    [
      "input length and `max_tokens` exceed context limit: 199759 + 8192 > 200000, decrease input length or `max_tokens` and try again",
      "ValidationError/context-overflow"
    ],
    [
      "Too many input tokens. Max input tokens: 8192, request input token count: 9000",
      "ValidationError/context-overflow"
    ],
    ["The number of input tokens 140000 exceeds the maximum 128000", "ValidationError/context-overflow"],
    ["The input tokens exceed the configuration limit of 4096", "ValidationError/context-overflow"],
    ["Your input token count of 9000 exceeds 8192", "ValidationError/context-overflow"],
    ["This model's maximum context length is 131072 tokens.", "ValidationError/context-overflow"],
    ["The request does not fit the context window", "ValidationError/context-overflow"],
    [
      "The maximum tokens you requested exceeds the model limit of 8192. Try again with a maximum tokens value that is lower than 8192.",
      "ValidationError/max-tokens"
    ],
    [
      "The maximum tokens you requested exceed the model limit of 8192.",
      "ValidationError/max-tokens"
    ],
    [
      "max_tokens: 100000 > 64000, which is the maximum allowed number of output tokens for this model",
      "ValidationError/max-tokens"
    ],
    ["maxTokens exceeds the limit", "ValidationError/max-tokens"],
    [
      "Invocation of model ID anthropic.claude-x with on-demand throughput isn\u2019t supported. Retry your request with the ID or ARN of an inference profile that contains this model.",
      "ValidationError/on-demand-unsupported"
    ],
    ["on-demand throughput isn't supported", "ValidationError/on-demand-unsupported"],
    ["on-demand throughput isnt supported", "ValidationError/on-demand-unsupported"],
    ["The provided model identifier is invalid.", "ValidationError/unknown-model"],
    [
      "1 validation error detected: Value 'x' at 'modelId' failed to satisfy constraint: Member must satisfy regular expression pattern: ...",
      "ValidationError/unknown-model"
    ],
    ["Could not resolve the foundation model from the provided model identifier.", "ValidationError/unknown-model"],
    ["Malformed input request: #: required key [messages] not found", "ValidationError/malformed"],
    ["This model doesn't support tool use.", "ValidationError/malformed"],
    ["Too many requests in one body", "ValidationError/malformed"]
  ]
  for (const [message, row] of rows) {
    it(`"${message.slice(0, 70)}" is ${row}, and nothing retries it`, () => {
      const error = classify(sdkError({ name: "ValidationException", status: 400, message }))
      assert.strictEqual(Reason.rowOf(error.reason), row)
      assert.isFalse(error.retryable)
      assert.isFalse(error.retryableElsewhere)
    })
  }
})

describe("the model's own failures", () => {
  for (
    const [originalStatusCode, row] of [
      [undefined, "ServerError/model"],
      [399, "ServerError/model"],
      [400, "ServerError/model-refused"],
      [422, "ServerError/model-refused"],
      [499, "ServerError/model-refused"],
      [408, "ServerError/model"],
      [429, "ServerError/model"],
      [500, "ServerError/model"]
    ] as const
  ) {
    it(`with the original status ${originalStatusCode} are ${row}`, () => {
      for (const name of ["ModelErrorException", "modelStreamErrorException"]) {
        const error = classify(bareError(name, "m", originalStatusCode === undefined ? {} : { originalStatusCode }))
        assert.strictEqual(Reason.rowOf(error.reason), row)
        assert.strictEqual(
          error.reason._tag === "ServerError" ? error.reason.originalStatusCode : Number.NaN,
          originalStatusCode
        )
      }
    })
  }

  it("an original status that can't be one is left out", () => {
    for (const originalStatusCode of [99, 600, 400.5, "400", Number.NaN]) {
      const { reason } = classify(bareError("ModelErrorException", "m", { originalStatusCode }))
      assertReason(reason, new Reason.ServerError({ kind: "model", message: "m" }))
    }
    for (const originalStatusCode of [100, 599]) {
      const { reason } = classify(bareError("ModelErrorException", "m", { originalStatusCode }))
      assertReason(reason, new Reason.ServerError({ kind: "model", message: "m", originalStatusCode }))
    }
  })

  it("only these carry one: a status of another kind does not make it a refusal", () => {
    const reason = new Reason.ServerError({ kind: "internal", message: "", originalStatusCode: 400 })
    assert.strictEqual(Reason.rowOf(reason), "ServerError/internal")
  })

  it("keep the original message, once", () => {
    const message = (own: string, originalMessage: string) =>
      classify(bareError("modelStreamErrorException", own, { originalMessage })).reason.message
    assert.strictEqual(message("failed", "socket closed"), "failed (socket closed)")
    assert.strictEqual(message("failed: socket closed", "socket closed"), "failed: socket closed")
    assert.strictEqual(message("", "socket closed"), "(socket closed)")
    assert.strictEqual(message("  ", "socket closed"), "(socket closed)")
    assert.strictEqual(message(" failed\n\tbadly ", "  "), "failed badly")
  })
})

describe("what the JS SDK does to errors of streams", () => {
  it("first frame: the typed exception, with the response's 200", () => {
    const error = classify(
      sdkError({
        name: "ThrottlingException",
        message: "Too many tokens, please wait before trying again.",
        attempts: 1,
        requestId: "req",
        status: 200
      }),
      "ConverseStream"
    )
    assert.strictEqual(Reason.rowOf(error.reason), "ThrottlingError/tokens")
    assert.deepStrictEqual([error.httpStatus, error.requestId, error.attempts], [200, "req", 1])
  })

  it("without httpStatusCode in $metadata", () => {
    const error = classify(sdkError({ name: "ThrottlingException", message: "Too many tokens", attempts: 3 }))
    assert.strictEqual(Reason.rowOf(error.reason), "ThrottlingError/tokens")
    assert.deepStrictEqual([error.httpStatus, error.requestId, error.attempts], [undefined, undefined, 3])
  })

  it("later: $metadata and $response are undefined", () => {
    const error = classify(
      bareError("ThrottlingException", "Too many requests", { $metadata: undefined, $response: undefined }),
      "ConverseStream"
    )
    assert.strictEqual(Reason.rowOf(error.reason), "ThrottlingError/requests")
    assert.deepStrictEqual([error.httpStatus, error.requestId, error.attempts], [undefined, undefined, 1])
  })

  it(":message-type error: a plain Error, its name the error code", () => {
    assert.strictEqual(rowOf(bareError("InternalFailure", "boom"), "ConverseStream"), "ServerError/internal")
    const unknown = classify(bareError("SomethingNew", "boom"), "ConverseStream")
    assertReason(unknown.reason, new Reason.UnknownError({ originalName: "SomethingNew", message: "boom" }))
  })

  it("an exception outside the union: lowerCamel name, and the raw JSON as message", () => {
    const timeout = classify(bareError("modelTimeoutException", `{"message":"The model took too long"}`))
    assert.strictEqual(Reason.rowOf(timeout.reason), "ServerError/model-timeout")
    assert.strictEqual(timeout.reason.message, "The model took too long")
    const rows = [
      [`{"Message":"Too many tokens per day"}`, "ThrottlingError/tokens-per-day", "Too many tokens per day"],
      [`{"error":{"message":"Too many tokens"}}`, "ThrottlingError/tokens", "Too many tokens"],
      [`{"msg":"Too many tokens"}`, "ThrottlingError/tokens", `{"msg":"Too many tokens"}`],
      [`{"message":17}`, "ThrottlingError/unknown", `{"message":17}`],
      [`{broken`, "ThrottlingError/unknown", "{broken"]
    ] as const
    for (const [raw, row, message] of rows) {
      const error = classify(bareError("throttlingException", raw))
      assert.strictEqual(Reason.rowOf(error.reason), row)
      assert.strictEqual(error.reason.message, message)
    }
  })

  it("frames that are cut or damaged", () => {
    assert.strictEqual(rowOf(new Error("Truncated event message received.")), "TransportError/closed")
    for (const what of ["message", "prelude"]) {
      assert.strictEqual(
        rowOf(new Error(`The ${what} checksum (1) did not match the expected value of 2`)),
        "TransportError/protocol"
      )
    }
  })
})

describe("connections", () => {
  const rows: ReadonlyArray<readonly [code: string, row: Verdict.Row]> = [
    ["ECONNREFUSED", "TransportError/connect"],
    ["EHOSTUNREACH", "TransportError/connect"],
    ["ENETUNREACH", "TransportError/connect"],
    ["ENETDOWN", "TransportError/connect"],
    ["EADDRNOTAVAIL", "TransportError/connect"],
    ["EMFILE", "TransportError/connect"],
    ["ENFILE", "TransportError/connect"],
    ["ENOBUFS", "TransportError/connect"],
    ["ETIMEDOUT", "TransportError/connect"],
    ["ENOTFOUND", "TransportError/dns"],
    ["EAI_AGAIN", "TransportError/dns"],
    ["ECONNRESET", "TransportError/reset"],
    ["ECONNABORTED", "TransportError/reset"],
    ["EPIPE", "TransportError/reset"],
    ["ERR_HTTP2_STREAM_ERROR", "TransportError/reset"],
    ["ERR_HTTP2_SESSION_ERROR", "TransportError/reset"],
    ["ERR_HTTP2_GOAWAY_SESSION", "TransportError/closed"],
    ["ERR_HTTP2_INVALID_SESSION", "TransportError/closed"],
    ["ERR_HTTP2_INVALID_STREAM", "TransportError/closed"],
    ["ERR_HTTP2_STREAM_CANCEL", "TransportError/closed"],
    ["ERR_HTTP2_ERROR", "TransportError/protocol"],
    ["ERR_HTTP2_PING_LENGTH", "TransportError/protocol"],
    ["ERR_STREAM_PREMATURE_CLOSE", "TransportError/closed"],
    ["ERR_SOCKET_CLOSED", "TransportError/closed"],
    ["HPE_INVALID_CONSTANT", "TransportError/protocol"],
    ["EPROTO", "TransportError/tls"],
    ["CERT_HAS_EXPIRED", "TransportError/tls"],
    ["CERT_NOT_YET_VALID", "TransportError/tls"],
    ["DEPTH_ZERO_SELF_SIGNED_CERT", "TransportError/tls"],
    ["SELF_SIGNED_CERT_IN_CHAIN", "TransportError/tls"],
    ["UNABLE_TO_GET_ISSUER_CERT", "TransportError/tls"],
    ["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "TransportError/tls"],
    ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "TransportError/tls"],
    ["ERR_TLS_CERT_ALTNAME_INVALID", "TransportError/tls"],
    ["ERR_SSL_WRONG_VERSION_NUMBER", "TransportError/tls"],
    ["UND_ERR_CONNECT_TIMEOUT", "TimeoutError/connect"],
    ["UND_ERR_HEADERS_TIMEOUT", "TimeoutError/first-token"],
    ["UND_ERR_BODY_TIMEOUT", "TimeoutError/between-tokens"],
    ["UND_ERR_SOCKET", "TransportError/reset"]
  ]
  for (const [code, row] of rows) {
    it(`${code} is ${row}, also as a cause`, () => {
      assert.strictEqual(rowOf(systemError(code, "m")), row)
      assert.strictEqual(rowOf(new Error("fetch failed", { cause: systemError(code, "m") })), row)
    })
  }

  it("codes that only look like known ones are not", () => {
    for (const code of ["ECONN", "XERR_HTTP2_ERROR", "XHPE_X", "XERR_TLS_X", "constructor", "EACCES"]) {
      assert.strictEqual(rowOf(systemError(code, "m")), "UnknownError", code)
    }
  })

  it("ETIMEDOUT while reading is a reset", () => {
    assert.strictEqual(rowOf(systemError("ETIMEDOUT", "m", { syscall: "connect" })), "TransportError/connect")
    assert.strictEqual(rowOf(systemError("ETIMEDOUT", "m", { syscall: "read" })), "TransportError/reset")
  })

  it("NodeHttpHandler gives resets the name TimeoutError; they are resets all the same", () => {
    for (
      const [code, message, row] of [
        ["ECONNRESET", "socket hang up", "TransportError/reset"],
        ["EPIPE", "write EPIPE", "TransportError/reset"],
        ["ETIMEDOUT", "connect ETIMEDOUT 192.0.2.1:443", "TransportError/connect"],
        ["ERR_HTTP2_STREAM_CANCEL", "The operation timed out", "TimeoutError/call"],
        ["ERR_HTTP2_ERROR", "Protocol error", "TransportError/protocol"],
        ["23", "The operation was aborted due to timeout", "TimeoutError/call"]
      ] as const
    ) {
      const error = classify(systemError(code, message, { name: "TimeoutError", $metadata: { attempts: 1 } }))
      assert.strictEqual(Reason.rowOf(error.reason), row)
    }
  })

  it("the HTTP/2 handler's refused connection: the cause says more than ERR_HTTP2_STREAM_CANCEL", () => {
    const cause = systemError("ECONNREFUSED", "connect ECONNREFUSED 127.0.0.1:1")
    const error = systemError("ERR_HTTP2_STREAM_CANCEL", "The pending stream has been canceled", { cause })
    assert.strictEqual(rowOf(error), "TransportError/connect")
    const other = systemError("ERR_HTTP2_STREAM_CANCEL", "canceled", { cause: new Error("socket hang up") })
    assert.strictEqual(rowOf(other), "TransportError/closed")
  })

  it("an endpoint that is no URL is named, and how it may have been set", () => {
    const thrown = thrownBy(() => new URL("here"))
    assert.strictEqual(rowOf(thrown), "ValidationError/malformed")
    assert.match(
      classify(thrown).reason.message,
      /^Invalid URL "here"\. An endpoint is set that is none: .*AWS_ENDPOINT_URL.*profile\.$/
    )
    assert.match(classify(systemError("ERR_INVALID_URL", "Invalid URL")).reason.message, /^Invalid URL\. An endpoint/)
    // Nothing else quotes its input.
    const other = Object.assign(new Error("No."), { code: "ERR_OTHER", input: "secret" })
    assert.strictEqual(classify(other).reason.message, "No.")
  })

  it("a character that no header may have: in a key that was pasted, or in what the request says", () => {
    const refused = (name: string, value: string) => rowOf(thrownBy(() => validateHeaderValue(name, value)))
    assert.strictEqual(refused("authorization", "Bearer a\n"), "AccessError/invalid-credentials")
    assert.strictEqual(refused("Authorization", "Bearer a\n"), "AccessError/invalid-credentials")
    assert.strictEqual(refused("x-amz-security-token", "a\n"), "AccessError/invalid-credentials")
    assert.strictEqual(refused("content-type", "a\n"), "ValidationError/malformed")
  })

  it("an AggregateError without a code of its own: its parts", () => {
    const error = new AggregateError([systemError("ECONNREFUSED"), systemError("EHOSTUNREACH")], "")
    assert.strictEqual(rowOf(error), "TransportError/connect")
  })

  it("texts of errors that have neither name nor code", () => {
    for (
      const [message, row] of [
        ["socket hang up", "TransportError/reset"],
        ["HTTP/2 stream is abnormally aborted in mid-communication with result code 2.", "TransportError/reset"],
        ["Frame type id 7 in stream id 1 has failed with code 2.", "TransportError/protocol"],
        ["Region is missing", "ValidationError/no-region"],
        [`Region not accepted: region="x y" is not a valid hostname component.`, "ValidationError/no-region"],
        ["Invalid Configuration: Missing Region", "ValidationError/no-region"],
        ["No value provided for input HTTP label: modelId.", "ValidationError/malformed"],
        ["Empty value provided for input HTTP label: modelId.", "ValidationError/malformed"],
        ["Resolved credential object is not valid", "AccessError/no-credentials"],
        ["Credential is missing", "AccessError/no-credentials"]
      ] as const
    ) {
      assert.strictEqual(rowOf(new Error(message)), row, message)
      assert.strictEqual(rowOf({ message }), row, message)
      assert.strictEqual(rowOf(bareError("MyError", message)), "UnknownError", message)
    }
    assert.strictEqual(
      rowOf(bareError("EndpointError", "Invalid Configuration: Missing Region")),
      "ValidationError/no-region"
    )
  })

  it("texts that only quote a known one are not it", () => {
    for (
      const message of [
        "He said: truncated event message received",
        "Why Region is missing",
        "The Region not accepted",
        "There is No value provided for input HTTP label",
        "A Frame type id 1 has failed",
        "checksum"
      ]
    ) {
      assert.strictEqual(rowOf(new Error(message)), "UnknownError", message)
    }
  })
})

describe("timeouts of the SDK's handlers, all named TimeoutError", () => {
  const rows: ReadonlyArray<readonly [message: string, unary: Verdict.Row, stream: Verdict.Row]> = [
    [
      "@smithy/node-http-handler - the request socket did not establish a connection with the server within the configured timeout of 500 ms.",
      "TimeoutError/connect",
      "TimeoutError/connect"
    ],
    [
      "@smithy/node-http-handler - the request socket timed out after 600 ms of inactivity (configured by client requestHandler).",
      "TimeoutError/first-token",
      "TimeoutError/between-tokens"
    ],
    ["Stream timed out because of no activity for 600 ms", "TimeoutError/first-token", "TimeoutError/between-tokens"],
    [
      "@smithy/node-http-handler - [ERROR] a request has exceeded the configured 700 ms requestTimeout.",
      "TimeoutError/first-token",
      "TimeoutError/first-token"
    ],
    [
      "Unexpected error: http2 request did not get a response",
      "TimeoutError/first-token",
      "TimeoutError/first-token"
    ],
    ["Operation timed out after '1s'", "TimeoutError/call", "TimeoutError/call"]
  ]
  for (const [message, unary, stream] of rows) {
    it(`"${message.slice(0, 70)}" is ${unary}; of a stream ${stream}`, () => {
      for (const extra of [{}, { code: "ETIMEDOUT" }]) {
        if (message.startsWith("Operation") && "code" in extra) continue
        assert.strictEqual(rowOf(bareError("TimeoutError", message, extra), "Converse"), unary)
        assert.strictEqual(rowOf(bareError("TimeoutError", message, extra), "InvokeModel"), unary)
        assert.strictEqual(rowOf(bareError("TimeoutError", message, extra), "ConverseStream"), stream)
        assert.strictEqual(rowOf(bareError("TimeoutError", message, extra), "InvokeModelWithResponseStream"), stream)
      }
    })
  }
})

describe("cancelled by the caller", () => {
  it("is never tried again, whatever the connection said when it was torn down", () => {
    for (const cause of [undefined, new Error("user left"), systemError("ECONNRESET", "aborted")]) {
      const error = classify(bareError("AbortError", "Request aborted", { cause, $metadata: { httpStatusCode: 503 } }))
      assert.strictEqual(Reason.rowOf(error.reason), "UnknownError/aborted")
      assert.deepStrictEqual([error.retryable, error.retryableElsewhere], [false, false])
      assert.include(error.message, "cancelled")
    }
  })

  it("by AbortSignal.timeout is the call's time limit", () => {
    const cause = bareError("TimeoutError", "The operation was aborted due to timeout")
    assert.strictEqual(rowOf(bareError("AbortError", "Request aborted", { cause })), "TimeoutError/call")
    assert.strictEqual(rowOf(cause), "TimeoutError/call")
  })
})

describe("while credentials are looked for", () => {
  const search = (error: unknown) =>
    Classification.fromUnknown(error, { operation: "Converse", attempts: 0, credentials: true })
  const answered = (name: string, message: string, httpStatusCode: number) =>
    bareError(name, message, { $metadata: { httpStatusCode }, $response: { headers: { "retry-after": "3" } } })

  it("nothing is a throttle, a refusal or a failure of Bedrock", () => {
    const rows: ReadonlyArray<readonly [error: unknown, row: Verdict.Row]> = [
      [answered("Throttling", "Rate exceeded", 400), "AccessError/provider-unavailable"],
      [answered("InternalFailure", "x", 500), "AccessError/provider-unavailable"],
      [answered("IDPCommunicationErrorException", "x", 400), "AccessError/provider-unavailable"],
      [systemError("ECONNREFUSED", "connect ECONNREFUSED 127.0.0.1:9"), "AccessError/provider-unavailable"],
      [bareError("TimeoutError", "No answer within 20000 ms."), "AccessError/provider-unavailable"],
      [answered("AccessDenied", "Not authorized to perform sts:AssumeRole", 403), "AccessError/provider-failed"],
      [answered("InvalidIdentityToken", "No OpenIDConnect provider found", 400), "AccessError/provider-failed"],
      [systemError("ENOENT", "ENOENT: no such file or directory, open '/token'"), "AccessError/provider-failed"],
      [systemError("CERT_HAS_EXPIRED", "certificate has expired"), "AccessError/provider-failed"],
      [new Error("the vault is sealed"), "AccessError/provider-failed"],
      ["the vault is sealed", "AccessError/provider-failed"],
      [answered("ExpiredTokenException", "Token expired", 400), "AccessError/expired-credentials"],
      [answered("InvalidClientTokenId", "The security token is invalid", 403), "AccessError/invalid-credentials"],
      [answered("SignatureDoesNotMatch", "Signature expired: x is now earlier than y", 403), "AccessError/clock-skew"],
      [bareError("CredentialsProviderError", "Could not load credentials"), "AccessError/no-credentials"]
    ]
    for (const [error, row] of rows) assert.strictEqual(Reason.rowOf(search(error).reason), row, String(error))
  })

  it("what was said is kept: the words, and the wait that was asked for", () => {
    const { message, reason, retryAfter } = search(answered("Throttling", "Rate exceeded", 400))
    assert.strictEqual(reason.message, "Rate exceeded")
    assert.deepStrictEqual(retryAfter, Duration.seconds(3))
    assert.include(message, "0 requests sent")
    assert.isUndefined(search(new Error("x")).retryAfter)
  })

  it("nothing had been sent", () => {
    for (
      const [name, text] of [["CredentialsProviderError", "Command failed: x"], ["ProviderError", "socket hang up"]]
    ) {
      assert.strictEqual(
        Classification.fromUnknown(bareError(name ?? "", text ?? ""), { operation: "X", credentials: true }).attempts,
        0
      )
    }
  })
})

describe("credentials", () => {
  const rows: ReadonlyArray<readonly [name: string, message: string, row: Verdict.Row]> = [
    ["CredentialsProviderError", "Could not load credentials from any providers", "AccessError/no-credentials"],
    [
      "CredentialsProviderError",
      "Profile x could not be found in shared credentials file.",
      "AccessError/no-credentials"
    ],
    ["TokenProviderError", "Could not load token from any providers", "AccessError/no-credentials"],
    ["ProviderError", "Unable to connect to instance metadata service", "AccessError/no-credentials"],
    [
      "CredentialsProviderError",
      "The SSO session associated with this profile has expired. To refresh this SSO session run 'aws sso login'.",
      "AccessError/expired-credentials"
    ],
    [
      "CredentialsProviderError",
      "The SSO session associated with this profile is invalid. To refresh this SSO session run 'aws sso login'.",
      "AccessError/expired-credentials"
    ],
    [
      "CredentialsProviderError",
      "Failed to load a token for session x, please re-authenticate using aws login",
      "AccessError/expired-credentials"
    ],
    [
      "CredentialsProviderError",
      "The login session is over. Please reauthenticate using aws login",
      "AccessError/expired-credentials"
    ],
    ["CredentialsProviderError", "Failed to refresh token: x", "AccessError/expired-credentials"],
    [
      "CredentialsProviderError",
      "UnauthorizedException: Session token not found or invalid",
      "AccessError/expired-credentials"
    ],
    [
      "CredentialsProviderError",
      "Could not load credentials from any providers: Profile default credential_process returned expired credentials.",
      "AccessError/expired-credentials"
    ],
    [
      "CredentialsProviderError",
      "Could not load credentials from any providers: Command failed: /opt/sign-in --profile x",
      "AccessError/provider-failed"
    ],
    [
      "CredentialsProviderError",
      "Could not load credentials from any providers: Profile default credential_process returned invalid JSON.",
      "AccessError/provider-failed"
    ],
    ["CredentialsProviderError", "ForbiddenException: No access", "AccessError/provider-failed"],
    ["CredentialsProviderError", "SyntaxError: Unexpected token 'o'", "AccessError/provider-failed"],
    [
      "CredentialsProviderError",
      "Could not load credentials from any providers: The container's endpoint gave none.",
      "AccessError/provider-unavailable"
    ],
    ["CredentialsProviderError", "Error: connect ECONNREFUSED 127.0.0.1:9", "AccessError/provider-unavailable"],
    ["CredentialsProviderError", "Error: getaddrinfo EAI_AGAIN sts.amazonaws.com", "AccessError/provider-unavailable"],
    ["CredentialsProviderError", "TooManyRequestsException: slow down", "AccessError/provider-unavailable"],
    [
      "CredentialsProviderError",
      "Failed to load token from /home/x/.aws/login/cache/1.json: Error: ENOENT: no such file or directory",
      "AccessError/no-credentials"
    ],
    [
      "TokenProviderError",
      "Token is expired. To refresh this SSO session run 'aws sso login'.",
      "AccessError/expired-credentials"
    ],
    [
      "TokenProviderError",
      "Value not present for 'refreshToken' in SSO Token. Cannot refresh. To refresh run 'aws sso login'",
      "AccessError/expired-credentials"
    ],
    [
      "ExpiredTokenException",
      "The security token included in the request is expired",
      "AccessError/expired-credentials"
    ],
    [
      "UnrecognizedClientException",
      "The security token included in the request is invalid.",
      "AccessError/invalid-credentials"
    ],
    [
      "UnrecognizedClientException",
      "The security token included in the request is expired",
      "AccessError/expired-credentials"
    ],
    [
      "AccessDeniedException",
      "Authentication failed: Please make sure your API Key is valid.",
      "AccessError/invalid-credentials"
    ],
    ["AccessDeniedException", "Bearer Token has expired", "AccessError/expired-credentials"],
    ["AccessDeniedException", "The API key has expired", "AccessError/expired-credentials"],
    ["AccessDeniedException", "Your session credentials have expired", "AccessError/expired-credentials"],
    ["AccessDeniedException", "The credentials are expired", "AccessError/expired-credentials"],
    ["AccessDeniedException", "The credential is expired", "AccessError/expired-credentials"],
    ["AccessDeniedException", "The bearer token provided is invalid", "AccessError/invalid-credentials"],
    ["AccessDeniedException", "Invalid security token", "AccessError/invalid-credentials"],
    ["AccessDeniedException", "Your API key is not valid", "AccessError/invalid-credentials"],
    ["AccessDeniedException", "Signature expired: 20261121T080000Z is now earlier than x", "AccessError/clock-skew"],
    ["AccessDeniedException", "Signature not yet current", "AccessError/clock-skew"],
    [
      "AccessDeniedException",
      "User: arn:aws:iam::123456789012:user/u is not authorized to perform: bedrock:InvokeModel on resource: x because no identity-based policy allows the bedrock:InvokeModel action",
      "AccessError/denied"
    ],
    ["AccessDeniedException", "You don't have access to the model with the specified model ID.", "AccessError/denied"],
    [
      "AccessDeniedException",
      "The AWS Marketplace agreement for this model is being created",
      "AccessError/agreement-pending"
    ],
    ["AccessDeniedException", "The agreement is in progress", "AccessError/agreement-pending"],
    [
      "ResourceNotFoundException",
      "Model use case details have not been submitted for this account. Fill out the Anthropic use case details form before using the model. If you have already filled out the form, try again in 15 minutes.",
      "NotFoundError/form-not-filled"
    ],
    ["ResourceNotFoundException", "Submit the use case form", "NotFoundError/form-not-filled"],
    [
      "ResourceNotFoundException",
      "Access denied. This Model is marked by provider as Legacy and you have not been actively using the model in the last 15 days.",
      "NotFoundError/resource"
    ],
    [
      "SignatureDoesNotMatch",
      "The request signature we calculated does not match the signature you provided.",
      "AccessError/invalid-credentials"
    ],
    [
      "InvalidSignatureException",
      "Signature expired: 20261121T080000Z is now earlier than 20261121T083000Z (20261121T083500Z - 5 min.)",
      "AccessError/clock-skew"
    ],
    ["InvalidSignatureException", "Signature not yet current: 20261121T090000Z", "AccessError/clock-skew"],
    ["AuthFailure", "The request is too skewed", "AccessError/clock-skew"],
    ["SignatureDoesNotMatch", "The request has expired", "AccessError/clock-skew"]
  ]
  for (const [name, message, row] of rows) {
    it(`${name} "${message.slice(0, 70)}" is ${row}`, () => {
      assert.strictEqual(rowOf(bareError(name, message)), row)
    })
  }

  it("a wrong clock is worth another try once the SDK has measured the difference, and only then", () => {
    const corrected = (name: string, message: string) =>
      rowOf(bareError(name, message, { $metadata: { httpStatusCode: 403, clockSkewCorrected: true } }))
    assert.strictEqual(
      corrected("InvalidSignatureException", "Signature expired: x"),
      "AccessError/clock-skew-corrected"
    )
    assert.strictEqual(corrected("RequestTimeTooSkewed", "x"), "AccessError/clock-skew-corrected")
    assert.strictEqual(corrected("AccessDeniedException", "Signature expired: x"), "AccessError/clock-skew-corrected")
    // The SDK sets the mark on any error that it gets while the clock is wrong.
    assert.strictEqual(corrected("AccessDeniedException", "no policy"), "AccessError/denied")
    assert.strictEqual(corrected("SignatureDoesNotMatch", "does not match"), "AccessError/invalid-credentials")
    const truthy = bareError("RequestExpired", "x", { $metadata: { clockSkewCorrected: "no" } })
    assert.strictEqual(rowOf(truthy), "AccessError/clock-skew")
  })

  it("a wait that the message names is kept", () => {
    const retryAfter = (name: string, message: string) => classify(bareError(name, message)).retryAfter
    const minutes = (n: number) => Duration.minutes(n)
    assert.deepStrictEqual(
      retryAfter("ResourceNotFoundException", "use case form: try again in 15 minutes."),
      minutes(15)
    )
    assert.deepStrictEqual(retryAfter("AccessDeniedException", "If fixed, try again after 2 minutes"), minutes(2))
    assert.deepStrictEqual(retryAfter("AccessDeniedException", "Try again in 1 minute"), minutes(1))
    assert.isUndefined(retryAfter("AccessDeniedException", "try again in many minutes"))
    assert.isUndefined(retryAfter("AccessDeniedException", "no"))
    assert.isUndefined(retryAfter("ResourceNotFoundException", "no"))
    assert.deepStrictEqual(retryAfter("MPAgreementBeingCreated", "pending"), minutes(15))
    assert.deepStrictEqual(retryAfter("MPAgreementBeingCreated", "try again in 30 minutes"), minutes(30))
  })
})

describe("status, last", () => {
  const rows: ReadonlyArray<readonly [status: number, row: Verdict.Row]> = [
    [400, "ValidationError/malformed"],
    [401, "AccessError/invalid-credentials"],
    [403, "AccessError/denied"],
    [404, "NotFoundError/resource"],
    [408, "ServerError/model-timeout"],
    [409, "ConflictError"],
    [413, "ValidationError/payload-too-large"],
    [422, "ValidationError/malformed"],
    [424, "ServerError/model"],
    [429, "ThrottlingError/unknown"],
    [500, "ServerError/internal"],
    [501, "ServerError/internal"],
    [502, "ServerError/unavailable"],
    [503, "ServerError/unavailable"],
    [504, "ServerError/unavailable"],
    [529, "ServerError/overloaded"],
    [599, "ServerError/internal"],
    [200, "UnknownError"],
    [299, "UnknownError"],
    [300, "TransportError/protocol"],
    [302, "TransportError/protocol"],
    [399, "TransportError/protocol"],
    [402, "UnknownError"],
    [418, "UnknownError"],
    [499, "UnknownError"]
  ]
  for (const [status, row] of rows) {
    it(`${status} without a known name is ${row}`, () => {
      for (const name of ["BedrockRuntimeServiceException", "Unknown", "UnknownError", "SomethingNew", "Error"]) {
        const error = classify(sdkError({ name, status, message: "m" }))
        assert.strictEqual(Reason.rowOf(error.reason), row)
        assert.strictEqual(error.httpStatus, status)
        assert.strictEqual(error.reason.message, "m")
      }
      const response = Object.defineProperty(new Error("m"), "$response", { value: { statusCode: status } })
      assert.strictEqual(rowOf(response), row)
    })
  }

  it("the message still says which quota", () => {
    const shape = { name: "Unknown", message: "Too many tokens, please wait before trying again." }
    assert.strictEqual(rowOf(sdkError({ ...shape, status: 429 })), "ThrottlingError/tokens")
    assert.strictEqual(
      rowOf(sdkError({ ...shape, message: "Too many connections", status: 503 })),
      "ServerError/connections"
    )
    assert.strictEqual(
      rowOf(sdkError({ ...shape, message: "Input is too long", status: 400 })),
      "ValidationError/context-overflow"
    )
  })

  it("what can't be a status is none", () => {
    assert.strictEqual(classify(sdkError({ name: "Unknown", status: 100 })).httpStatus, 100)
    for (const status of [0, 99, 600, 503.5, Number.NaN]) {
      const error = classify(sdkError({ name: "Unknown", status, message: "m" }))
      assert.strictEqual(Reason.rowOf(error.reason), "UnknownError")
      assert.isUndefined(error.httpStatus)
    }
  })

  it("a body of the Anthropic Messages API, as the SDK leaves it", () => {
    const anthropic = (type: string, message: string, status: number) =>
      classify(
        sdkError({
          name: "Unknown",
          message: "UnknownError",
          status,
          headers: { "retry-after": "7" },
          extra: { type: "error", error: { type, message } }
        })
      )
    const overloaded = anthropic("overloaded_error", "Overloaded", 529)
    assertReason(
      overloaded.reason,
      new Reason.ServerError({ kind: "overloaded", message: "Overloaded", retryAfter: Duration.seconds(7) })
    )
    assert.strictEqual(Reason.rowOf(anthropic("overloaded_error", "Overloaded", 500).reason), "ServerError/overloaded")
    assert.strictEqual(Reason.rowOf(anthropic("new_error", "x", 529).reason), "ServerError/overloaded")
    assert.strictEqual(anthropic("new_error", "x", 418).reason.message, "x")
  })

  it("an answer that can't be read: by its status, and as a fault of the protocol where that is good", () => {
    const unreadable = (status: number, name = "SyntaxError") =>
      classify(
        sdkError({
          name,
          status,
          message:
            "Unexpected end of JSON input\n  Deserialization error: to see the raw response, inspect the hidden field {error}.$response on this object."
        })
      )
    assertReason(
      unreadable(200).reason,
      new Reason.TransportError({ kind: "protocol", message: "Unexpected end of JSON input" })
    )
    assert.strictEqual(Reason.rowOf(unreadable(299).reason), "TransportError/protocol")
    assert.strictEqual(Reason.rowOf(unreadable(418).reason), "UnknownError")
    assert.strictEqual(Reason.rowOf(unreadable(900).reason), "TransportError/protocol")
    assert.strictEqual(Reason.rowOf(unreadable(900, "SomethingNew").reason), "UnknownError")
    assert.strictEqual(Reason.rowOf(unreadable(502).reason), "ServerError/unavailable")
    for (const name of ["Error", "TypeError", "RangeError"]) {
      assert.strictEqual(Reason.rowOf(unreadable(200, name).reason), "TransportError/protocol")
    }
    // An exception that nobody knows, in the first frame of a stream, comes the same way.
    assertReason(
      unreadable(200, "neverHeardOfException").reason,
      new Reason.UnknownError({ originalName: "neverHeardOfException", message: "Unexpected end of JSON input" })
    )
    assert.strictEqual(rowOf(sdkError({ name: "SyntaxError", status: 200, message: "x" })), "UnknownError")
  })
})

describe("chains of causes", () => {
  it("a known name deep in the chain goes before codes and statuses further out", () => {
    const inner = sdkError({ name: "ThrottlingException", message: "Too many tokens", status: 429, requestId: "r" })
    const error = classify(systemError("ECONNRESET", "wrapped", { cause: new Error("middle", { cause: inner }) }))
    assert.strictEqual(Reason.rowOf(error.reason), "ThrottlingError/tokens")
    assert.deepStrictEqual([error.httpStatus, error.requestId], [429, "r"])
  })

  it("the outermost known name decides", () => {
    const inner = bareError("AccessDeniedException", "m")
    assert.strictEqual(rowOf(bareError("ThrottlingException", "m", { cause: inner })), "ThrottlingError/unknown")
  })

  it("is followed ten deep, and a loop ends", () => {
    const deep = (n: number): Error =>
      n === 0 ? bareError("ThrottlingException", "m") : new Error("wrapper", { cause: deep(n - 1) })
    assert.strictEqual(rowOf(deep(10)), "ThrottlingError/unknown")
    assert.strictEqual(rowOf(deep(11)), "UnknownError")
    const parts = (n: number): Error =>
      n === 0 ? bareError("ThrottlingException", "m") : new AggregateError([parts(n - 1)], "some failed")
    assert.strictEqual(rowOf(parts(10)), "ThrottlingError/unknown")
    assert.strictEqual(rowOf(parts(11)), "UnknownError")
    const loop: Error & { cause?: unknown } = new Error("loop")
    loop.cause = new Error("back", { cause: loop })
    assert.strictEqual(rowOf(loop), "UnknownError")
  })
})

describe("what nobody knows", () => {
  const revoked = Proxy.revocable({}, {})
  revoked.revoke()
  const values: ReadonlyArray<readonly [what: string, value: unknown, message: string]> = [
    ["undefined", undefined, "undefined"],
    ["null", null, "null"],
    ["a number", 0, "0"],
    ["a string", "text", "text"],
    ["a symbol", Symbol("s"), "Symbol(s)"],
    ["an object", {}, ""],
    ["an array", [], ""],
    ["an error without a message", new Error(""), ""],
    ["an object with odd members", { name: 7, message: [], code: {}, cause: null, $metadata: 1, $response: "x" }, ""],
    ["an object whose getters throw", {
      get name() {
        throw new Error("no")
      },
      get message() {
        throw new Error("no")
      }
    }, ""],
    ["a proxy that was revoked", revoked.proxy, ""]
  ]
  for (const [what, value, message] of values) {
    it(`${what} becomes an UnknownError, and nothing is thrown`, () => {
      const error = classify(value)
      assert.strictEqual(error.reason._tag, "UnknownError")
      assert.strictEqual(error.reason.message, message)
      assert.deepStrictEqual([error.retryable, error.retryableElsewhere, error.retryAfter], [false, false, undefined])
    })
  }

  it("a function whose text can't be had", () => {
    const value = Object.assign(() => 1, {
      toString: () => {
        throw new Error("no")
      }
    })
    assert.strictEqual(classify(value).reason.message, "a value that can't be shown")
  })

  it("keeps its name, and the original as cause", () => {
    const original = new TypeError("x is not a function")
    const error = classify(original)
    assertReason(
      error.reason,
      new Reason.UnknownError({ originalName: "TypeError", message: "x is not a function" })
    )
    assert.strictEqual(error.cause, original)
    assert.isFalse(Object.hasOwn(classify(undefined), "cause"))
  })
})

describe("the envelope", () => {
  it("takes operation, model and Region from the context, and leaves out what is not known", () => {
    const full = classify(new Error("x"))
    assert.deepStrictEqual([full.operation, full.modelId, full.region], ["Converse", context.modelId, "us-east-1"])
    const bare = Classification.fromUnknown(new Error("x"), { operation: "CountTokens", modelId: undefined })
    assert.deepStrictEqual(
      Object.keys(bare).filter((key) => ["modelId", "region", "requestId", "httpStatus"].includes(key)),
      []
    )
  })

  it("takes a message that is spelled with a capital, and no name where there is only space", () => {
    const error = classify({ name: " ", Message: "Too many tokens" })
    assertReason(error.reason, new Reason.UnknownError({ message: "Too many tokens" }))
  })

  it("is not upset by headers of any shape", () => {
    for (const headers of [null, undefined, "retry-after", 7, [], { "retry-after": 7 }, { "retry-after": ["7"] }]) {
      const error = classify(bareError("ThrottlingException", "m", { $response: { headers } }))
      assert.isUndefined(error.retryAfter)
    }
  })

  it("keeps null as the cause that it is", () => {
    assert.isNull(classify(null).cause)
  })

  it("takes the request id from $metadata, else from the response's header", () => {
    const headers = { "X-Amzn-RequestId": "from header" }
    assert.strictEqual(
      classify(sdkError({ name: "X", headers, requestId: "from metadata" })).requestId,
      "from metadata"
    )
    assert.strictEqual(classify(sdkError({ name: "X", headers })).requestId, "from header")
    assert.isUndefined(classify(sdkError({ name: "X", headers: { date: "x" } })).requestId)
  })

  it("counts attempts: the context's, else the SDK's, else one, less one that never left", () => {
    const attempts = (error: unknown, known?: number) =>
      Classification.fromUnknown(error, { operation: "Converse", attempts: known }).attempts
    assert.strictEqual(attempts(sdkError({ name: "ThrottlingException", attempts: 2 }), 5), 5)
    assert.strictEqual(attempts(systemError("ECONNREFUSED"), 0), 0)
    assert.strictEqual(attempts(sdkError({ name: "ThrottlingException", attempts: 2 })), 2)
    assert.strictEqual(attempts(bareError("throttlingException", "m")), 1)
    assert.strictEqual(attempts(bareError("X", "m", { $metadata: { attempts: -1 } })), 1)
    assert.strictEqual(attempts(bareError("X", "m", { $metadata: { attempts: 1.5 } })), 1)
    for (
      const unsent of [
        systemError("ECONNREFUSED"),
        systemError("ENOTFOUND"),
        systemError("CERT_HAS_EXPIRED"),
        systemError("UND_ERR_CONNECT_TIMEOUT"),
        bareError("CredentialsProviderError", "none"),
        new Error("Region is missing")
      ]
    ) {
      assert.strictEqual(attempts(unsent), 0)
      assert.strictEqual(attempts(Object.assign(unsent, { $metadata: { attempts: 3 } })), 2)
      assert.strictEqual(attempts(Object.assign(unsent, { $metadata: { attempts: 0 } })), 0)
    }
    // A response came, so a request had gone.
    const refused = { name: "MissingAuthenticationToken", status: 403 }
    assert.strictEqual(attempts(sdkError(refused)), 1)
    assert.strictEqual(attempts(sdkError({ ...refused, attempts: 2 })), 2)
    assert.strictEqual(attempts(bareError("X", "m", { $metadata: { attempts: 0 } })), 0)
    for (
      const sent of [
        systemError("ECONNRESET"),
        bareError("ExpiredTokenException", ""),
        new Error("Truncated event message received.")
      ]
    ) {
      assert.strictEqual(attempts(sent), 1)
    }
  })

  it("returns a BedrockError as it is", () => {
    const error = classify(new Error("x"))
    assert.strictEqual(Classification.fromUnknown(error, { operation: "Other" }), error)
  })
})
