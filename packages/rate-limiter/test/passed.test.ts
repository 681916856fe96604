import { Meter } from "@caprock/rate-limiter"
import { assert, describe, it } from "@effect/vitest"
import { Books } from "../src/internal/books.ts"
import { mostOf, Passed } from "../src/internal/passed.ts"
import type { Owner } from "../src/internal/waitingRoom.ts"

const owner = (tokens: number, requests = 1): Owner => ({ priority: 0, tenant: "", requests, tokens })
const booking = (tokens: number) => ({ tokens, growth: [] })

/** Of 100 tokens 20 leave at 1000, 50 at 1100 and 30 at 1200; of 10 requests one each time. */
const full = () => {
  const books = new Books([Meter.tokens(100, "1 second"), Meter.requests(10, "1 second")], [], 0, false)
  for (const [at, tokens] of [[0, 20], [100, 50], [200, 30]] as const) {
    books.sent(books.book(owner(tokens), booking(tokens), false, at), at)
  }
  const passed = new Passed(books)
  const add = (tokens: number, now = 300) => passed.add(owner(tokens), booking(tokens), now)
  return { books, passed, add }
}

describe("Passed", () => {
  it("whoever likes may go before nobody", () => {
    const { passed } = full()
    assert.deepStrictEqual(passed.spare(300), { requests: Infinity, tokens: Infinity })
    assert.strictEqual(passed.at, Infinity)
  })

  it("before one who waits goes what it leaves, when it starts and now", () => {
    const { add, passed } = full()
    add(60)
    assert.strictEqual(passed.count, 1)
    assert.strictEqual(passed.at, 1_100)
    assert.deepStrictEqual(passed.later, { requests: 8, tokens: 10 })
    assert.deepStrictEqual(passed.spare(300), { requests: 7, tokens: 0 })
  })

  it("of several, what all of them leave: each after those before it", () => {
    const { add, passed } = full()
    add(60)
    add(36)
    assert.strictEqual(passed.count, 2)
    assert.strictEqual(passed.at, 1_100)
    assert.deepStrictEqual(passed.later, { requests: 8, tokens: 4 })
    add(2)
    // It takes no more than they leave, and starts before them.
    assert.strictEqual(passed.at, 1_000)
    assert.deepStrictEqual(passed.later, { requests: 7, tokens: 2 })
    add(3)
    // Behind 98 there is no room for it before the first of them leaves again, which nobody sees from here.
    assert.strictEqual(passed.at, 1_000)
    assert.deepStrictEqual(passed.later, { requests: -1, tokens: -1 })
    assert.deepStrictEqual(passed.spare(300), { requests: -1, tokens: -1 })
  })

  it("or beside them, and by so much they leave less", () => {
    const { add, passed } = full()
    add(60)
    add(8)
    assert.strictEqual(passed.at, 1_000)
    assert.deepStrictEqual(passed.later, { requests: 7, tokens: 2 })
  })

  it("who passes leaves less to the next", () => {
    const { add, books, passed } = full()
    add(60, 1_000)
    assert.deepStrictEqual(passed.spare(1_000), { requests: 8, tokens: 10 })
    books.book(owner(8), booking(8), true, 1_000)
    passed.pass(owner(8), 8)
    assert.deepStrictEqual(passed.spare(1_000), { requests: 7, tokens: 2 })
    assert.deepStrictEqual(passed.later, { requests: 7, tokens: 2 })
  })

  it("nobody passes whose start nobody knows", () => {
    const { add, books, passed } = full()
    // It was not sent, and leaves nobody knows when.
    books.book(owner(0, 10), booking(0), false, 300)
    add(60)
    assert.strictEqual(passed.at, Infinity)
    assert.deepStrictEqual(passed.spare(300), { requests: -1, tokens: -1 })
    const blocked = full().passed
    blocked.addBlocked()
    assert.strictEqual(blocked.count, 1)
    assert.deepStrictEqual(blocked.spare(300), { requests: -1, tokens: -1 })
    assert.deepStrictEqual(blocked.later, { requests: -1, tokens: -1 })
  })

  it("once the start of one is not known, that of the next does not help", () => {
    const { add, passed } = full()
    add(60)
    add(60)
    assert.deepStrictEqual(passed.later, { requests: -1, tokens: -1 })
    add(1)
    assert.deepStrictEqual(passed.later, { requests: -1, tokens: -1 })
    assert.strictEqual(passed.at, 1_100)
  })

  it("all that may grow counts", () => {
    assert.strictEqual(mostOf(booking(5)), 5)
    const growth = [3, 9, 4].map((tokens) => ({ withinMillis: 0, tokens }))
    assert.strictEqual(mostOf({ tokens: 5, growth }), 14)
  })
})
