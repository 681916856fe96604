import * as IdTable from "@caprock/cli/run/IdTable"
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"

const Step = Schema.Struct({
  id: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 9 })),
  act: Schema.Literals(["seen", "answer", "get"]),
  line: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 4_000_000_000 }))
})

describe("IdTable", () => {
  it.prop("knows what a map would know", [Schema.Array(Step)], ([steps]) => {
    const table = IdTable.make()
    const model = new Map<string, { line: number; answered: string | undefined }>()
    for (const { act, id: n, line } of steps) {
      const id = `id-${n}`
      const digest = IdTable.digestOf(String(line))
      const before = model.get(id)
      if (act === "get") {
        assert.deepEqual(table.get(id), before)
      } else if (act === "seen") {
        assert.deepEqual(table.seen(id, line), before)
        if (before === undefined) model.set(id, { line, answered: undefined })
        else if (before.line === 0) model.set(id, { ...before, line })
      } else {
        assert.strictEqual(table.answer(id, digest), before?.answered === undefined)
        if (before?.answered === undefined) model.set(id, { line: before?.line ?? 0, answered: digest })
      }
    }
    assert.strictEqual(table.size(), model.size)
    assert.strictEqual(table.answered(), [...model.values()].filter(({ answered }) => answered !== undefined).length)
  })

  it("holds each of 20,000 ids through its growth", () => {
    const table = IdTable.make()
    for (let i = 0; i < 20_000; i++) {
      assert.isUndefined(table.seen(`id ${i}`, i + 1))
      if (i % 2 === 0) table.answer(`id ${i}`, "00000000000000ff")
    }
    for (let i = 0; i < 20_000; i++) {
      assert.deepEqual(table.get(`id ${i}`), { line: i + 1, answered: i % 2 === 0 ? "00000000000000ff" : undefined })
    }
    assert.isUndefined(table.get("id 20000"))
    assert.strictEqual(table.size(), 20_000)
  })
})
