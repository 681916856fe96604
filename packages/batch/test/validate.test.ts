import type { BatchRecord } from "@caprock/batch/BatchRecord"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Validate from "../src/internal/validate.ts"
import { limited, settled } from "./settled.ts"

const converse = Validate.make(settled(), limited())
const invoke = Validate.make(settled({ invocationType: "InvokeModel" }), limited())

const message = { role: "user", content: [{ text: "Translate: über 漢字 😀" }] }

/** A record as a caller without types may write it. */
const record = (input: unknown, id: unknown = "a") => ({ id, input }) as BatchRecord

const refusal = (make: typeof converse, input: unknown, id?: unknown): string => {
  const item = make(record(input, id), 7)
  assert.strictEqual(item.index, 7)
  return "refused" in item ? item.refused : ""
}

describe("a record", () => {
  it.effect.prop(
    "becomes a line with its input as it is, and is counted to the byte",
    [Schema.Record(Schema.String, Schema.Json), Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(512))],
    ([input, id]) =>
      Effect.sync(() => {
        const item = invoke({ id, input: { body: input } }, 36)
        if (!("text" in item)) return assert.fail(item.refused)
        // JSON has no -0.
        const body: unknown = JSON.parse(JSON.stringify(input))
        assert.deepStrictEqual(JSON.parse(item.text), { recordId: "r0000000010", modelInput: { body } })
        assert.strictEqual(item.bytes, Buffer.byteLength(item.text) + 1)
        assert.strictEqual(item.id, id)
        assert.notInclude(item.text, "\n")
      })
  )

  const refused: ReadonlyArray<readonly [make: typeof converse, input: unknown, message: RegExp]> = [
    [converse, { messages: [message], toolConfig: { tools: [] } }, /toolConfig: batch inference has no tools/],
    [converse, { messages: [message], outputConfig: {} }, /outputConfig: batch inference has no structured output/],
    [converse, { modelId: "amazon.nova-lite-v1:0", messages: [message] }, /modelId: the model is a setting/],
    [
      converse,
      { messages: [{ role: "user", content: [{ txet: "" }] }] },
      /messages\.0\.content\.0\.txet is not a field/
    ],
    [invoke, { tools: [] }, /tools: batch inference has no tools/],
    [invoke, { tool_choice: "any" }, /tool_choice/],
    [invoke, { toolConfig: {} }, /toolConfig/],
    [invoke, { response_format: { type: "json_object" } }, /response_format: .* structured output/],
    [invoke, { output_format: {} }, /output_format/],
    [invoke, { output_config: {} }, /output_config/],
    [invoke, { outputConfig: {} }, /outputConfig/],
    [invoke, "text", /input is no object/],
    [invoke, [], /input is no object/],
    [invoke, null, /input is no object/],
    [invoke, new Date(0), /input is no object/],
    [invoke, { a: [1, NaN] }, /input\.a\[1\] is NaN, which JSON does not have/],
    [invoke, { a: { b: 1n } }, /input\.a\.b is a value of type bigint/],
    [invoke, { a: [undefined] }, /input\.a\[0\] is a value of type undefined/],
    [invoke, { a: () => 1 }, /input\.a is a value of type function/],
    [invoke, { a: new Uint8Array(3) }, /input\.a is no plain object \(bytes are base64/]
  ]

  it.each(refused)("%#: that batch inference can't answer is refused, and why", (make, input, message) => {
    assert.match(refusal(make, input), message)
  })

  it("that holds itself is refused", () => {
    const circle: Record<string, unknown> = {}
    circle["a"] = [circle]
    assert.match(refusal(invoke, circle), /nested deeper than 128/)
  })

  it("is refused where its id is none, or a text", () => {
    assert.match(refusal(invoke, {}, ""), /no id/)
    assert.match(refusal(invoke, {}, 7), /no id/)
    assert.strictEqual(refusal(invoke, {}, "x".repeat(512)), "")
    assert.match(refusal(invoke, {}, "x".repeat(513)), /longer than 512/)
  })

  it("that its caller has refused stays it, whatever it asks", () => {
    assert.deepStrictEqual(converse({ id: "a", input: { messages: [message] }, refused: "it is too late" }, 7), {
      index: 7,
      id: "a",
      refused: "it is too late"
    })
  })

  it("is refused where its line is too long, and not where it just fits", () => {
    const line = invoke(record({ a: "" }), 0)
    const fits = "bytes" in line ? line.bytes : 0
    const make = Validate.make(settled({ invocationType: "InvokeModel" }), limited({ bytesPerFile: fits + 1 }))
    assert.strictEqual(refusal(make, { a: "x" }), "")
    assert.match(
      refusal(make, { a: "é" }),
      new RegExp(`has ${fits + 2} bytes, and by the limits of jobs may have ${fits + 1}`)
    )
  })

  it("passes with members that are undefined, which are not there", () => {
    assert.strictEqual(refusal(converse, { messages: [message], toolConfig: undefined, system: undefined }), "")
    assert.strictEqual(refusal(invoke, { tools: undefined, a: 1 }), "")
  })

  it("of one type may have what the other knows as a feature", () => {
    assert.strictEqual(refusal(invoke, { prompt: { toolConfig: 1 } }), "")
  })
})

describe("a model", () => {
  it("without batch inference is told at once", () => {
    const unsupported = (model: string) => Validate.unsupported(settled({ model }))?.message
    assert.match(
      unsupported("arn:aws:bedrock:us-east-1:111122223333:provisioned-model/abc123def456") ?? "",
      /no provisioned throughput/
    )
    for (
      const model of [
        "amazon.nova-lite-v1:0",
        "us.amazon.nova-lite-v1:0",
        "a-name",
        "arn:aws:bedrock:us-east-1:111122223333:custom-model/x"
      ]
    ) {
      assert.isUndefined(unsupported(model))
    }
  })
})
