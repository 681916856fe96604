import { assert, describe, it } from "@effect/vitest"
import { type Order, type Owner, type Request, type Waiter, WaitingRoom } from "../src/internal/waitingRoom.ts"

const window = 1_000

const plain: Order = {
  ageingMillis: 100,
  weightOf: () => 1,
  guarantees: [],
  mostRequests: Infinity,
  mostTokens: Infinity
}

/** A token is a millisecond of the whole quota. */
const roomOf = (order: Partial<Order> = {}) => {
  const room = new WaitingRoom({ ...plain, ...order }, (requests, tokens) => Math.max(requests, tokens), window, 0)
  const names = new Map<Waiter, string>()
  const shed: Array<string> = []
  const request = (name: string, owner: Partial<Owner>): Request => ({
    priority: 0,
    tenant: "",
    requests: 1,
    tokens: 10,
    ...owner,
    amount: () => ({ tokens: 10, growth: [] }),
    admit: () => {},
    proceed: () => {},
    close: () => {},
    park: () => {},
    lose: () => {},
    shed: () => shed.push(name)
  })
  const add = (name: string, owner: Partial<Owner> = {}, now = 0): Waiter => {
    const waiter = room.add(request(name, owner), now)
    names.set(waiter, name)
    return waiter
  }
  const nameOf = (waiter: Waiter | undefined) => waiter === undefined ? undefined : names.get(waiter)
  const serve = (now = 0): string | undefined => {
    const turn = room.take(now)
    if (turn === undefined) return undefined
    room.served(turn, now)
    return nameOf(turn.waiter)
  }
  const all = (now = 0): ReadonlyArray<string> => {
    const order: Array<string> = []
    for (let name = serve(now); name !== undefined; name = serve(now)) order.push(name)
    return order
  }
  return { room, add, serve, all, nameOf, shed, makeRoom: (owner: Partial<Owner>) => room.makeRoom(request("", owner)) }
}

describe("order", () => {
  it("is by priority, and first come within it", () => {
    const { add, all } = roomOf()
    add("a")
    add("bulk", { priority: -1 })
    add("b")
    add("urgent", { priority: 1 })
    add("first of all", { priority: 7 })
    add("c")
    assert.deepStrictEqual(all(), ["first of all", "urgent", "a", "b", "c", "bulk"])
  })

  it("a class ages from when it was last served, or came to an empty room", () => {
    const { add, serve } = roomOf()
    add("bulk 1", { priority: -1 }, 0)
    add("bulk 2", { priority: -1 }, 0)
    for (let n = 0; n < 4; n++) add(`standard ${n}`, {}, 0)
    assert.strictEqual(serve(99), "standard 0")
    assert.strictEqual(serve(100), "standard 1")
    // The class above was served a hundred later than it came: of two alike the one that came first.
    assert.strictEqual(serve(150), "bulk 1")
    assert.strictEqual(serve(249), "standard 2")
    add("late", { priority: -1 }, 249)
    assert.strictEqual(serve(250), "standard 3")
    assert.strictEqual(serve(298), "bulk 2")
    assert.strictEqual(serve(298), "late")
    assert.isUndefined(serve(298))
    // Nobody waits, so that it begins anew.
    add("new bulk", { priority: -1 }, 1_000)
    add("new standard", {}, 1_099)
    assert.strictEqual(serve(1_099), "new standard")
  })

  it("those who are put back stand where they stood", () => {
    const { add, all, nameOf, room } = roomOf()
    for (const tenant of ["x", "y"]) for (let n = 0; n < 3; n++) add(`${tenant}${n}`, { tenant })
    add("low", { priority: -1 })
    const turns = [room.take(0), room.take(0), room.take(0), room.take(0)]
    assert.deepStrictEqual(turns.map((turn) => nameOf(turn?.waiter)), ["x0", "y0", "x1", "y1"])
    // They are counted until they are served.
    assert.strictEqual(room.size, 7)
    assert.strictEqual(room.tokens, 70)
    for (const turn of turns.toReversed()) if (turn !== undefined) room.putBack(turn)
    assert.deepStrictEqual(all(), ["x0", "y0", "x1", "y1", "x2", "y2", "low"])
    assert.strictEqual(room.size, 0)
  })

  it("one that has left is in no line, wherever it stood", () => {
    const { add, all, room } = roomOf()
    const waiters = ["a", "b", "c", "d"].map((name) => add(name))
    const alone = add("alone", { priority: 3 })
    assert.isTrue(room.remove(waiters[0] as Waiter))
    assert.isTrue(room.remove(waiters[2] as Waiter))
    assert.isFalse(room.remove(waiters[2] as Waiter))
    assert.isTrue(room.remove(alone))
    assert.strictEqual(room.size, 2)
    assert.strictEqual(room.requests, 2)
    assert.strictEqual(room.tokens, 20)
    assert.deepStrictEqual(all(), ["b", "d"])
  })

  it("a tenant that was given back has its next turn sooner, if it waited", () => {
    const order = (queued: boolean) => {
      const { add, all, room, serve } = roomOf()
      for (let n = 0; n < 2; n++) for (const tenant of ["x", "y"]) add(`${tenant}${n}`, { tenant, tokens: 10 + n })
      serve()
      serve()
      room.refund({ priority: 0, tenant: "y", requests: 0, tokens: 5 }, queued)
      add("x2", { tenant: "x", tokens: 1 })
      add("y2", { tenant: "y", tokens: 1 })
      return all()
    }
    assert.deepStrictEqual(order(false), ["x1", "y1", "x2", "y2"])
    assert.deepStrictEqual(order(true), ["x1", "y1", "y2", "x2"])
  })
})

describe("guarantees", () => {
  it("whoever lacks the largest part of its share goes first, before all priorities", () => {
    const { add, serve } = roomOf({
      guarantees: [{ tenant: "a", share: 0.2 }, { priority: -1, share: 0.1 }, { tenant: "c", priority: -2, share: 0.1 }]
    })
    add("urgent", { priority: 5 })
    for (let n = 0; n < 4; n++) add(`a${n}`, { tenant: "a", tokens: 50 })
    for (let n = 0; n < 3; n++) add(`bulk${n}`, { priority: -1, tokens: 40 })
    for (let n = 0; n < 3; n++) add(`c${n}`, { priority: -2, tenant: "c", tokens: 40 })
    // Of these nothing is kept: another tenant, or another class.
    add("not c", { priority: -2, tenant: "d" })
    add("c elsewhere", { priority: -3, tenant: "c" })
    // All have saved up theirs, 200, 100 and 100: of equals the first that was told.
    assert.strictEqual(serve(), "a0") // 0.75 of its share is left
    assert.strictEqual(serve(), "bulk0") // 0.6
    assert.strictEqual(serve(), "c0") // 0.6
    assert.strictEqual(serve(), "a1") // 0.5
    assert.strictEqual(serve(), "bulk1") // 0.2
    assert.strictEqual(serve(), "c1") // 0.2
    assert.strictEqual(serve(), "a2") // 0.25
    assert.strictEqual(serve(), "a3") // 0
    assert.strictEqual(serve(), "bulk2") // -0.2
    assert.strictEqual(serve(), "c2") // -0.2
    assert.strictEqual(serve(), "urgent")
    assert.strictEqual(serve(), "not c")
    assert.strictEqual(serve(), "c elsewhere")
  })

  it("a share comes by the time, up to that of a window", () => {
    const { add, serve } = roomOf({ guarantees: [{ tenant: "a", share: 0.1 }] })
    const wait = (count: number, now: number) => {
      for (let n = 0; n < count; n++) add(`a${n}`, { tenant: "a", tokens: 50 }, now)
    }
    add("urgent 1", { priority: 1 })
    wait(3, 0)
    assert.deepStrictEqual([serve(), serve(), serve()], ["a0", "a1", "urgent 1"])
    add("urgent 2", { priority: 1 })
    // A tenth of 10.
    assert.strictEqual(serve(10), "a2")
    add("urgent 3", { priority: 1 }, 10)
    wait(4, 10)
    // It has had 49 too many.
    assert.strictEqual(serve(499), "urgent 2")
    assert.strictEqual(serve(501), "a0")
    // No more than 100 is saved up, in whatever time.
    assert.deepStrictEqual([serve(9_000), serve(9_000), serve(9_000)], ["a1", "a2", "urgent 3"])
  })

  it("what was had without waiting counts, and what was given back does not", () => {
    const { add, room, serve } = roomOf({ guarantees: [{ tenant: "a", share: 0.1 }] })
    const a: Owner = { priority: 0, tenant: "a", requests: 1, tokens: 100 }
    const other: Owner = { priority: 0, tenant: "other", requests: 1, tokens: 500 }
    room.had(a)
    room.had(other)
    add("a", { tenant: "a" })
    add("urgent", { priority: 1 })
    assert.strictEqual(serve(), "urgent")
    add("urgent", { priority: 1 })
    room.refund({ ...other, requests: 0 }, false)
    assert.strictEqual(serve(), "urgent")
    room.refund({ ...a, requests: 0, tokens: 5 }, false)
    add("urgent", { priority: 1 })
    assert.strictEqual(serve(), "a")
  })

  it("what was borrowed is made good within a window", () => {
    const { add, room, serve } = roomOf({ guarantees: [{ tenant: "a", share: 0.1 }] })
    room.had({ priority: 0, tenant: "a", requests: 1, tokens: 100_000 })
    add("a", { tenant: "a" })
    add("urgent 1", { priority: 1 })
    add("urgent 2", { priority: 1 })
    assert.strictEqual(serve(1_000), "urgent 1")
    assert.strictEqual(serve(1_001), "a")
  })

  it("of a share of all the next goes, as by priority", () => {
    const { add, all } = roomOf({ guarantees: [{ share: 1 }, { tenant: "x", share: 0 }] })
    add("low", { priority: -1 })
    add("high", { priority: 1 })
    assert.deepStrictEqual(all(), ["high", "low"])
  })

  it("a tenant's share goes to its most urgent", () => {
    const { add, all } = roomOf({ guarantees: [{ tenant: "x", share: 1 }] })
    add("other", { priority: 3 })
    add("low", { priority: -1, tenant: "x" })
    add("high", { priority: 1, tenant: "x" })
    add("middle", { tenant: "x" })
    assert.deepStrictEqual(all(), ["high", "middle", "low", "other"])
  })
})

describe("a room with bounds", () => {
  it("sheds the newest of the lowest classes, as many as it takes, and nobody when that does not do", () => {
    const { add, makeRoom, room, shed } = roomOf({ mostRequests: 6, mostTokens: 65 })
    const first = add("bulk 1", { priority: -1 })
    for (const name of ["bulk 2", "bulk 3"]) add(name, { priority: -1 })
    for (const name of ["low 1", "low 2"]) add(name, { priority: -2 })
    assert.isTrue(makeRoom({ tokens: 15 }))
    assert.isFalse(makeRoom({ priority: -2, tokens: 16 }))
    assert.deepStrictEqual(shed, [])
    // By count: six wait.
    add("standard", { tokens: 5 })
    assert.isFalse(makeRoom({ priority: -2, tokens: 0 }))
    assert.isTrue(makeRoom({ priority: -1, tokens: 0 }))
    assert.deepStrictEqual(shed.splice(0), ["low 2"])
    // By tokens: 45 are waited for.
    assert.isTrue(makeRoom({ tokens: 40 }))
    assert.deepStrictEqual(shed.splice(0), ["low 1", "bulk 3"])
    // More than all who are lower leave: they stay.
    assert.isFalse(makeRoom({ tokens: 61 }))
    assert.deepStrictEqual(shed, [])
    room.remove(first)
    assert.isTrue(makeRoom({ tokens: 60 }))
    assert.deepStrictEqual(shed, ["bulk 2"])
    assert.strictEqual(room.size, 1)
  })

  it("one in the middle of its class is not shed after it left", () => {
    const { add, makeRoom, room, shed } = roomOf({ mostRequests: 3 })
    const waiters = ["a", "b", "c"].map((name) => add(name, { priority: -1 }))
    room.remove(waiters[1] as Waiter)
    add("d", { priority: -1 })
    room.remove(waiters[2] as Waiter)
    add("e", { priority: -1 })
    for (let n = 0; n < 3; n++) {
      assert.isTrue(makeRoom({}))
      add("urgent", { priority: 1 })
    }
    assert.deepStrictEqual(shed, ["e", "d", "a"])
    assert.isFalse(makeRoom({}))
  })

  it("knows whether somebody may be small enough", () => {
    const { add, room } = roomOf()
    assert.isFalse(room.mayHold(Infinity, Infinity))
    const waiter = add("a", { requests: 2, tokens: 300 })
    assert.isTrue(room.mayHold(2, 300))
    assert.isFalse(room.mayHold(1, 300))
    assert.isFalse(room.mayHold(2, 200))
    const small = add("b", { requests: 0, tokens: 0 })
    assert.isTrue(room.mayHold(0, 0))
    room.remove(small)
    assert.isFalse(room.mayHold(1, 200))
    room.remove(waiter)
    assert.isFalse(room.mayHold(Infinity, Infinity))
  })
})

describe("who goes before one who comes now", () => {
  it("is who is more urgent, who is of its own line, and of others their share meanwhile", () => {
    const { add, room } = roomOf({ weightOf: (tenant) => tenant === "double" ? 2 : 1 })
    const ahead = (owner: Partial<Owner>) =>
      room.ahead({ priority: 0, tenant: "own", requests: 1, tokens: 10, ...owner })
    assert.deepStrictEqual(ahead({}), { requests: 0, tokens: 0 })
    add("urgent", { priority: 1, tokens: 7 })
    add("lower", { priority: -1 })
    add("mine", { tenant: "own", tokens: 30 })
    for (let n = 0; n < 10; n++) add("theirs", { tenant: "other" })
    for (let n = 0; n < 100; n++) add("theirs", { tenant: "double" })
    for (let n = 0; n < 2; n++) add("theirs", { tenant: "little" })
    // It has 40 with its own, in which others have 40, twice that, and all that there is.
    assert.deepStrictEqual(ahead({}), { requests: 1 + 1 + 4 + 8 + 2, tokens: 7 + 30 + 40 + 80 + 20 })
    // With no line of its own, and twice the weight.
    assert.deepStrictEqual(ahead({ priority: 1, tenant: "new" }), { requests: 1, tokens: 7 })
    assert.deepStrictEqual(ahead({ tenant: "new" }), { requests: 1 + 1 / 3 + 1 + 2 + 1, tokens: 7 + 10 + 10 + 20 + 10 })
    assert.deepStrictEqual(ahead({ priority: -1, tenant: "", tokens: 0 }).requests, 115)
  })

  it("those who wait are told of by class and tenant", () => {
    const { add, room } = roomOf()
    add("a", { tenant: "x" })
    add("b", { tenant: "x", tokens: 5 })
    add("c", { tenant: "y", priority: 2 })
    assert.deepStrictEqual(
      Array.from(room.waiting(), ({ line, priority }) => [priority, line.tenant, line.requests, line.tokens]),
      [[0, "x", 2, 15], [2, "y", 1, 10]]
    )
  })
})
