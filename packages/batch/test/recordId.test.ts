import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as RecordId from "../src/internal/recordId.ts"

const Index = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 36 ** 10 - 1 }))

const lineOf = (id: string) => Buffer.from(`{"recordId":"${id}","modelInput":{}}`)

describe("ids on the wire", () => {
  it.effect.prop("tell the place, and are in its order", [Index, Index], ([one, other]) =>
    Effect.sync(() => {
      const id = RecordId.of(one)
      assert.match(id, /^[a-z0-9]{11}$/)
      assert.strictEqual(RecordId.indexOf(id), one)
      assert.strictEqual(RecordId.indexOfLine(lineOf(id)), one)
      assert.strictEqual(id < RecordId.of(other), one < other)
    }))

  it("are nobody else's", () => {
    for (const id of ["r000000000", "r00000000000", "s0000000000", "r00000000A0", "CALL0000001", "r000000000-", ""]) {
      assert.isUndefined(RecordId.indexOf(id), id)
      assert.isUndefined(RecordId.indexOfLine(lineOf(id)), id)
    }
    assert.isUndefined(RecordId.indexOf(1))
    // A member of that name that is not the line's own.
    assert.isUndefined(RecordId.indexOfLine(Buffer.from("{\"modelInput\":{\"recordId\":\"r0000000001\"}}")))
    assert.isUndefined(RecordId.indexOfLine(Buffer.from("{\"recordId\":\"r0000")))
  })
})
