import { BedrockError, Classification } from "@caprock/errors"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { inspect } from "node:util"
import { bareError } from "./support.ts"

// Made up, in the shapes of the real ones.
const token = "IQoJb3JpZ2luX2VjEXAMPLEtokenEXAMPLE/wEaCXVzLWVhc3QtMSJHMEUCIQ=="
const signature = "fe5f80f77d5fa3beca038a248ff027d0445342fe2855ddc963176630326f1024"
const secretKey = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
const longTerm = "ABSKQmVkcm9ja0FQSUtleS1FWEFNUExFLWF0LTEyMzQ1Njc4OTAxMjpFWEFNUExF"
const shortTerm = "bedrock-api-key-YmVkcm9jay5hbWF6b25hd3MuY29tLz9BY3Rpb249RVhBTVBMRQ=="
const keyId = "AKIAIOSFODNN7EXAMPLE"
const temporaryId = "ASIAIOSFODNN7EXAMPLE"

const texts: ReadonlyArray<
  readonly [what: string, text: string, secrets: ReadonlyArray<string>, kept: ReadonlyArray<string>]
> = [
  [
    "the canonical request that AWS quotes for a wrong signature",
    `The request signature we calculated does not match the signature you provided.\n\nThe Canonical String for this request should have been\n'POST\n/model/m/converse\n\ncontent-type:application/json\nhost:bedrock-runtime.us-east-1.amazonaws.com\nx-amz-date:20261121T080000Z\nx-amz-security-token:${token}\n\ncontent-type;host;x-amz-date;x-amz-security-token\n${
      "e3b0c442".repeat(8)
    }'`,
    [token],
    ["does not match", "x-amz-date:20261121T080000Z", "host:bedrock-runtime", "x-amz-security-token:<redacted>"]
  ],
  [
    "an authorization header",
    `Authorization: AWS4-HMAC-SHA256 Credential=${keyId}/20261121/us-east-1/bedrock/aws4_request, SignedHeaders=host;x-amz-date, Signature=${signature}`,
    [keyId, signature],
    ["Authorization"]
  ],
  [
    "an authorization header without its name",
    `AWS4-HMAC-SHA256 Credential=${keyId}/20261121/us-east-1, Signature=${signature}`,
    [keyId, signature],
    ["AWS4-HMAC-SHA256 Credential=<redacted>, Signature=<redacted>"]
  ],
  [
    "an authorization header of another scheme, twice",
    "Authorization: Opaque one two, three\nauthorization: Opaque four",
    ["Opaque", "one", "two", "three", "four"],
    ["Authorization: <redacted> authorization: <redacted>"]
  ],
  ["a header in JSON", `{"authorization":"Bearer ${longTerm}","host":"h"}`, [longTerm], [`"host":"h"`]],
  ["a bearer token", `sent Bearer ${token} to host`, [token], ["sent Bearer <redacted> to host"]],
  [
    "bearer tokens, spaced and without padding",
    `sent Bearer\t ${signature} to bearer ${signature}`,
    [signature],
    ["sent Bearer <redacted> to bearer <redacted>"]
  ],
  ["a long-term API key by itself", `key ${longTerm}= refused`, [longTerm], ["key <redacted> refused"]],
  ["a long-term API key without padding", `key ${longTerm} refused`, [longTerm], ["key <redacted> refused"]],
  ["a short-term API key by itself", `key ${shortTerm} refused`, [shortTerm], ["key <redacted> refused"]],
  [
    "a short-term API key without padding",
    `key ${shortTerm.slice(0, -2)} refused`,
    [shortTerm.slice(0, -2)],
    ["key <redacted> refused"]
  ],
  [
    "access key ids",
    `${keyId} and ${temporaryId} are unknown`,
    [keyId, temporaryId],
    ["<redacted> and <redacted> are unknown"]
  ],
  [
    "a presigned URL",
    `GET https://host/?X-Amz-Credential=${keyId}%2F20261121&X-Amz-Security-Token=${
      encodeURIComponent(token)
    }&X-Amz-Signature=${signature}&X-Amz-Expires=60`,
    [keyId, encodeURIComponent(token), signature],
    ["X-Amz-Expires=60"]
  ],
  [
    "a URL with a password",
    `connect to http://proxy:${secretKey.replaceAll("/", "")}@10.0.0.1:3128/a@b failed`,
    [secretKey.replaceAll("/", "")],
    ["http://<redacted>@10.0.0.1:3128/a@b failed"]
  ],
  [
    "environment variables",
    `AWS_SECRET_ACCESS_KEY=${secretKey} AWS_SESSION_TOKEN=${token} AWS_BEARER_TOKEN_BEDROCK=${token} AWS_REGION=us-east-1`,
    [secretKey, token],
    ["AWS_SECRET_ACCESS_KEY=", "AWS_SESSION_TOKEN=", "AWS_BEARER_TOKEN_BEDROCK=", "AWS_REGION=us-east-1"]
  ],
  [
    "credentials of the SDK, as JSON",
    `{"accessKeyId":"${keyId}","secretAccessKey":"${secretKey}","sessionToken":"${token}","accountId":"1"}`,
    [keyId, secretKey, token],
    [`"accountId":"1"`]
  ]
]

// Everything that an error shows of itself: to a log, to a console, to another process.
const shown = (error: BedrockError.BedrockError) =>
  Effect.map(Schema.encodeEffect(BedrockError.BedrockError)(error), (encoded) => [
    error.message,
    error.reason.message,
    String(error),
    inspect(error, { depth: 10, showHidden: true }),
    JSON.stringify(encoded)
  ])

describe("secrets", () => {
  for (const [what, text, secrets, kept] of texts) {
    it.effect(`${what}: nowhere in what is shown`, () =>
      Effect.gen(function*() {
        const stackless = bareError("SignatureDoesNotMatch", text)
        delete stackless.stack
        for (
          const thrown of [
            bareError("SignatureDoesNotMatch", text),
            stackless,
            bareError("unheardOf", text),
            new Error("wrapper", { cause: bareError("AccessDeniedException", text) }),
            new Error("outer", { cause: new Error("wrapper", { cause: new Error(text) }) }),
            bareError("modelStreamErrorException", "m", { originalMessage: text }),
            bareError("throttlingException", JSON.stringify({ message: text })),
            text,
            { message: text },
            { detail: text },
            new Error("wrapper", { cause: text }),
            new Error("wrapper", { cause: { detail: text } }),
            Object.assign(new Error("m"), { stack: text })
          ]
        ) {
          const error = Classification.fromUnknown(thrown, { operation: "Converse" })
          for (const output of yield* shown(error)) {
            for (const secret of secrets) assert.notInclude(output, secret)
          }
        }
        const { message } = Classification.fromUnknown(new Error(text), { operation: "Converse" }).reason
        for (const part of kept) assert.include(message, part)
      }))
  }

  it("do not change how an error is classified, nor its name or the names of its causes", () => {
    const cause = bareError("ThrottlingException", `Too many tokens for ${keyId}`)
    const error = Classification.fromUnknown(new TypeError("wrapper", { cause }), { operation: "Converse" })
    assert.strictEqual(error.reason._tag === "ThrottlingError" && error.reason.limit, "tokens")
    assert.instanceOf(error.cause, Error)
    const copy = error.cause instanceof Error ? error.cause : new Error("none")
    assert.deepStrictEqual([copy.name, copy.message], ["TypeError", "wrapper"])
    assert.deepStrictEqual(String(copy.cause), "ThrottlingException: Too many tokens for <redacted>")
    const inner = copy.cause instanceof Error ? copy.cause : new Error("none")
    assert.isFalse(Object.hasOwn(inner, "cause"))
  })

  it("leave the stack where it was, and take only themselves out of it", () => {
    const thrown = new Error(`key ${keyId}`)
    const error = Classification.fromUnknown(thrown, { operation: "Converse" })
    assert.instanceOf(error.cause, Error)
    assert.notStrictEqual(error.cause, thrown)
    assert.strictEqual(
      error.cause instanceof Error ? error.cause.stack : undefined,
      String(thrown.stack).replaceAll(keyId, "<redacted>")
    )
  })

  it("of an error without a stack, too", () => {
    const thrown = bareError("Odd", `key ${keyId}`)
    delete thrown.stack
    const { cause } = Classification.fromUnknown(thrown, { operation: "Converse" })
    assert.strictEqual(cause instanceof Error ? cause.stack : undefined, "Odd: key <redacted>")
  })

  it("in a text that was thrown: the text without them", () => {
    assert.strictEqual(
      Classification.fromUnknown(`key ${keyId}`, { operation: "Converse" }).cause,
      "key <redacted>"
    )
    const wrapped = Classification.fromUnknown(new Error("x", { cause: `key ${keyId}` }), { operation: "Converse" })
    assert.strictEqual(wrapped.cause instanceof Error ? wrapped.cause.cause : undefined, "key <redacted>")
  })

  it("of ordinary messages nothing is taken, and the original is kept as it is", () => {
    for (
      const text of [
        "The security token included in the request is invalid.",
        "Bearer token has expired",
        "The bearer token provided is invalid",
        "Signature expired: 20261121T080000Z is now earlier than 20261121T083000Z (20261121T083500Z - 5 min.)",
        "Too many tokens, please wait before trying again.",
        "Token is expired. To refresh this SSO session run 'aws sso login'",
        "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abcdef123456",
        "Value 'AKIA' at 'modelId' failed",
        "Value 'ABSKA' at 'modelId' failed",
        "keys begin with bedrock-api-key-abc",
        "x-amz-date:20261121T080000Z"
      ]
    ) {
      const thrown = bareError("unheardOf", text)
      const error = Classification.fromUnknown(thrown, { operation: "Converse" })
      assert.strictEqual(error.reason.message, text)
      assert.strictEqual(error.cause, thrown)
    }
    const plain = { some: "object" }
    assert.strictEqual(Classification.fromUnknown(plain, { operation: "Converse" }).cause, plain)
  })

  it("a loop of causes that holds one ends", () => {
    const loop: Error & { cause?: unknown } = new Error(`key ${keyId}`)
    loop.cause = loop
    const error = Classification.fromUnknown(loop, { operation: "Converse" })
    assert.notInclude(inspect(error, { depth: 30 }), keyId)
    let length = 0
    for (let at: unknown = error.cause; at instanceof Error; at = at.cause) length++
    assert.strictEqual(length, 11)
  })

  it("of an error whose members can't be looked through, the rest is kept", () => {
    const socket: Record<string, unknown> = { authorization: "x" }
    socket["server"] = socket
    const thrown = Object.assign(new TypeError("odd"), { socket, code: "EODD" })
    const { cause } = Classification.fromUnknown(new Error("outer", { cause: thrown }), { operation: "Converse" })
    const inner = cause instanceof Error ? cause.cause : undefined
    assert.instanceOf(inner, Error)
    assert.strictEqual(String(inner), "TypeError: odd")
    assert.isFalse(Object.hasOwn(Object(inner), "socket"))
    assert.strictEqual(inner instanceof Error ? inner.stack : undefined, thrown.stack)
  })

  it("what can't be looked through is not kept", () => {
    const loop: Record<string, unknown> = { key: keyId }
    loop["self"] = loop
    assert.strictEqual(
      Classification.fromUnknown(loop, { operation: "Converse" }).cause,
      "a value that can't be shown"
    )
  })
})
