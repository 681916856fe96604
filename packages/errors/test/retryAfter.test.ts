import { Classification } from "@caprock/errors"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Schema } from "effect"
import { sdkError } from "./support.ts"

const millis = (headers: Record<string, string>, now?: number): number | undefined => {
  const wait = Classification.retryAfterFromHeaders(headers, now)
  return wait === undefined ? undefined : Duration.toMillis(wait)
}

const now = Date.UTC(2026, 10, 21, 8, 0, 0)
const in30 = "Sat, 21 Nov 2026 08:00:30 GMT"

describe("retryAfterFromHeaders", () => {
  const rows: ReadonlyArray<readonly [what: string, headers: Record<string, string>, expected: number | undefined]> = [
    ["nothing is not zero", {}, undefined],
    ["seconds", { "retry-after": "7" }, 7_000],
    ["a header's name in any case", { "Retry-After": "7" }, 7_000],
    ["space around it", { "retry-after": " 7 " }, 7_000],
    ["zero is zero", { "retry-after": "0" }, 0],
    ["fractions, rounded up to the millisecond", { "retry-after": "1.2341" }, 1_235],
    ["a date, against our clock", { "retry-after": in30 }, 30_000],
    [
      "a date, against the response's own clock first",
      { "retry-after": in30, date: "Sat, 21 Nov 2026 08:00:20 GMT" },
      10_000
    ],
    ["a date, against ours when the response's can't be read", { "retry-after": in30, date: "soon" }, 30_000],
    ["a date in the past is now", { "retry-after": "Sat, 21 Nov 2026 07:00:00 GMT" }, 0],
    ["milliseconds of AWS's own header", { "x-amz-retry-after": "1500" }, 1_500],
    ["the longer of the two", { "retry-after": "1", "x-amz-retry-after": "1500" }, 1_500],
    ["the longer of the two, the other way round", { "retry-after": "2", "x-amz-retry-after": "1500" }, 2_000],
    ["one of the two, when the other is nonsense", { "retry-after": "soon", "x-amz-retry-after": "1500" }, 1_500],
    ["the other one", { "retry-after": "2", "x-amz-retry-after": "1.5" }, 2_000],
    ["an exponent of AWS's own header", { "x-amz-retry-after": "1e3" }, undefined],
    ["a negative one of AWS's own header", { "x-amz-retry-after": "-5" }, undefined],
    ["nonsense", { "retry-after": "soon" }, undefined],
    ["an empty one", { "retry-after": "" }, undefined],
    ["a negative one", { "retry-after": "-5" }, undefined],
    ["an exponent", { "retry-after": "1e3" }, undefined],
    ["a number and more", { "retry-after": "7 days" }, undefined],
    ["more and a number", { "retry-after": "in 7" }, undefined],
    ["a date in another form is no date", { "retry-after": "2026-11-21" }, undefined],
    ["more than a number holds", { "retry-after": "9".repeat(400) }, undefined],
    ["more than is exact", { "x-amz-retry-after": "99999999999999999" }, undefined]
  ]
  for (const [what, headers, expected] of rows) {
    it(what, () => assert.strictEqual(millis(headers, now), expected))
  }

  it("does not use a date when no clock is known", () => {
    assert.isUndefined(millis({ "retry-after": in30 }))
    assert.strictEqual(millis({ "retry-after": in30, date: "Sat, 21 Nov 2026 08:00:20 GMT" }), 10_000)
  })

  it.prop(
    "gives back any whole number of seconds and milliseconds",
    [Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 }))],
    ([n]) => {
      assert.strictEqual(millis({ "retry-after": String(n) }), n * 1_000)
      assert.strictEqual(millis({ "x-amz-retry-after": String(n) }), n)
      assert.strictEqual(millis({ "retry-after": new Date(now + n * 1_000).toUTCString() }, now), n * 1_000)
    }
  )
})

describe("the hint of a response", () => {
  const headers = { "Retry-After": "7" }
  const retryAfter = (name: string, given: Record<string, string> = headers, at?: number) =>
    Classification.fromUnknown(sdkError({ name, status: 429, headers: given }), { operation: "Converse", now: at })
      .retryAfter

  it("reaches every reason that may be waited for", () => {
    for (
      const name of [
        "ThrottlingException",
        "ServiceUnavailableException",
        "ModelNotReadyException",
        "AccessDeniedException",
        "ResourceNotFoundException"
      ]
    ) {
      assert.deepStrictEqual(retryAfter(name), Duration.seconds(7), name)
      assert.isUndefined(retryAfter(name, {}), name)
    }
  })

  it("goes before what the message or the table says", () => {
    assert.deepStrictEqual(retryAfter("MPAgreementBeingCreated"), Duration.seconds(7))
  })

  it("as a date uses the context's clock", () => {
    assert.deepStrictEqual(retryAfter("ThrottlingException", { "retry-after": in30 }, now), Duration.seconds(30))
    assert.isUndefined(retryAfter("ThrottlingException", { "retry-after": in30 }))
  })

  it("is left out where waiting is no use", () => {
    assert.isUndefined(retryAfter("ValidationException"))
  })
})
