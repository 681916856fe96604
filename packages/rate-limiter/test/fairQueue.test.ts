import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { FairQueue, type Queued } from "../src/internal/fairQueue.ts"

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

class Waiter implements Queued {
  line: Queued["line"] & undefined
  ahead: this | undefined
  behind: this | undefined
  part = 1
  readonly requests = 2
  readonly tenant: string
  readonly size: number
  readonly tokens: number
  readonly turn: number
  constructor(tenant: string, size: number, turn: number) {
    this.tenant = tenant
    this.size = size
    this.tokens = size
    this.turn = turn
  }
}

const weights: Readonly<Record<string, number>> = { a: 1, b: 2, c: 5 }
const weightOf = (tenant: string): number => weights[tenant] ?? 1

const queueOf = (...waiting: ReadonlyArray<readonly [tenant: string, size: number]>) => {
  const queue = new FairQueue<Waiter>(weightOf)
  let turn = 0
  const add = (tenant: string, size: number): Waiter => {
    const waiter = new Waiter(tenant, size, turn++)
    queue.add(waiter)
    return waiter
  }
  for (const [tenant, size] of waiting) add(tenant, size)
  const serve = (): Waiter | undefined => {
    if (queue.head === undefined) return undefined
    const taken = queue.take(queue.head)
    queue.served(taken)
    return taken.waiter
  }
  return { queue, add, serve }
}

const drain = ({ serve }: ReturnType<typeof queueOf>): string => {
  let order = ""
  for (let waiter = serve(); waiter !== undefined; waiter = serve()) order += waiter.tenant
  return order
}

const Act = Schema.Struct({
  act: Schema.Literals(["serve", "serve", "serve", "add c", "remove c", "put back"]),
  sizes: Schema.Array(between(1, 20)).check(Schema.isBetweenLength(3, 3)),
  /** Of what is served, in percent. */
  refund: between(0, 100)
})

describe("FairQueue", () => {
  it.effect.prop(
    "between two tenants who both wait, what they had differs by at most one request of each, by weight",
    [Schema.Array(Act).check(Schema.isMaxLength(120)), Schema.Boolean],
    ([acts, givesBack]) =>
      Effect.sync(() => {
        const { add, queue, serve } = queueOf()
        const had: Record<string, number> = { a: 0, b: 0 }
        let ofC: Waiter | undefined
        // Two of each wait all the time.
        for (const tenant of ["a", "a", "b", "b"]) add(tenant, 7)
        for (const { act, refund, sizes: [first = 1, second = 1, third = 1] } of acts) {
          if (act === "add c") ofC ??= add("c", third)
          else if (act === "remove c" && ofC !== undefined) {
            queue.remove(ofC)
            ofC = undefined
          } else if (act === "put back" && queue.head !== undefined) {
            const one = queue.take(queue.head)
            const other = queue.head === undefined ? undefined : queue.take(queue.head)
            if (other !== undefined) queue.putBack(other)
            queue.putBack(one)
            assert.strictEqual(queue.head, one.waiter)
          } else if (act === "serve") {
            const waiter = serve()
            if (waiter === undefined) continue
            const { size, tenant } = waiter
            if (tenant === "c") ofC = undefined
            else {
              const back = givesBack ? Math.floor(size * refund / 100) : 0
              had[tenant] = (had[tenant] ?? 0) + (size - back) / weightOf(tenant)
              queue.refund(tenant, back)
              add(tenant, tenant === "a" ? first : second)
            }
          }
          // What is given back counts at the next turn: one more of each may be on its way.
          const most = (20 + 20 / 2) * (givesBack ? 2 : 1)
          assert.isAtMost(Math.abs((had["a"] ?? 0) - (had["b"] ?? 0)), most)
        }
      }),
    { arbitrary: { runs: 300 } }
  )

  it("tenants take turns by their weight", () => {
    const waiting = ["a", "b"].flatMap((tenant) => Array.from({ length: 6 }, () => [tenant, 10] as const))
    assert.strictEqual(drain(queueOf(...waiting)), "abbabbabbaaa")
  })

  it("who comes later has no claim on what others had before", () => {
    const line = queueOf(["a", 10], ["a", 10], ["a", 10], ["a", 10])
    line.serve()
    line.serve()
    line.add("d", 10)
    line.add("d", 10)
    // As far as the last who was served, and no further.
    assert.strictEqual(drain(line), "dada")
  })

  it("what is given back is taken off the next turn", () => {
    const line = queueOf(["a", 10], ["a", 10], ["a", 10], ["d", 10], ["d", 10])
    line.serve()
    // Nobody knows of the one, and the other has had nothing.
    line.queue.refund("nobody", 10)
    line.queue.refund("a", 10)
    assert.strictEqual(drain(line), "daad")
    const plain = queueOf(["a", 10], ["a", 10], ["a", 10], ["d", 10], ["d", 10])
    plain.serve()
    assert.strictEqual(drain(plain), "dada")
  })

  it("what is given back counts by weight, and once, though its turn was put back", () => {
    const line = queueOf(["b", 20], ["b", 20], ["b", 20], ["d", 8], ["d", 8], ["d", 6], ["d", 6])
    assert.strictEqual(line.serve()?.tenant, "b")
    // "b" has had 10 by its weight, and 3 less.
    line.queue.refund("b", 6)
    assert.strictEqual(line.serve()?.tenant, "d")
    assert.strictEqual(line.serve()?.tenant, "d")
    const { head } = line.queue
    assert.strictEqual(head?.tenant, "b")
    if (head !== undefined) line.queue.putBack(line.queue.take(head))
    assert.strictEqual(line.serve()?.tenant, "b")
    // 10 and 10 less 3: before it one of 16, and not one of 22.
    assert.strictEqual(line.serve()?.tenant, "d")
    assert.strictEqual(line.serve()?.tenant, "b")
  })

  it("one in the middle of a line leaves, and the others stay in order", () => {
    const { add, queue, serve } = queueOf()
    const all = [1, 2, 3, 4].map(() => add("a", 1))
    queue.remove(all[1] as Waiter)
    queue.remove(all[3] as Waiter)
    assert.strictEqual(queue.lineOf("a")?.count, 2)
    assert.strictEqual(queue.lineOf("a")?.size, 2)
    assert.strictEqual(queue.lineOf("a")?.requests, 4)
    add("a", 5)
    assert.deepStrictEqual([serve(), serve()], [all[0], all[2]])
    assert.strictEqual(serve()?.size, 5)
    assert.isUndefined(serve())
  })

  it("only those who wait are told of", () => {
    const { queue, serve } = queueOf(["a", 1], ["b", 1])
    serve()
    assert.deepStrictEqual([...queue.waiting()].map(({ tenant }) => tenant), ["b"])
    assert.isUndefined(queue.headOf("a"))
    assert.strictEqual(queue.headOf("b")?.tenant, "b")
  })

  it("forgets tenants who have had no more than others, once there are many", () => {
    const { add, queue, serve } = queueOf(["large", 1_000], ["stays", 1_000])
    serve()
    serve()
    add("stays", 1)
    for (let n = 0; n < 29; n++) {
      add(`small ${n}`, 1)
      serve()
    }
    for (let n = 0; n < 3; n++) {
      add("busy", 1)
      serve()
    }
    // 32 are known. Two have had more than others, and one of them waits.
    for (let n = 0; n < 29; n++) assert.isDefined(queue.lineOf(`small ${n}`))
    add("new", 1)
    for (let n = 0; n < 29; n++) assert.isUndefined(queue.lineOf(`small ${n}`))
    for (const tenant of ["large", "stays", "busy", "new"]) assert.isDefined(queue.lineOf(tenant), tenant)
    assert.strictEqual(serve()?.tenant, "new")
    assert.strictEqual(serve()?.tenant, "stays")
  })

  it("looks for tenants to forget only when twice as many are known as were left", () => {
    const { add, queue, serve } = queueOf()
    // All of them wait.
    for (let n = 0; n < 40; n++) add(`tenant ${n}`, 1)
    // 32 were known when it looked: it looks again at 64.
    for (let n = 0; n < 40; n++) serve()
    for (let n = 0; n < 3; n++) {
      add("busy", 1)
      serve()
    }
    for (let n = 41; n < 64; n++) add(`tenant ${n}`, 1)
    assert.isDefined(queue.lineOf("tenant 0"))
    add("tenant 64", 1)
    assert.isUndefined(queue.lineOf("tenant 0"))
    assert.isDefined(queue.lineOf("tenant 41"))
  })
})
