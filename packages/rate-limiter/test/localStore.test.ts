// The store of one machine: several connections in this process for what is said, several processes for what dies.
import type { LimiterStore } from "@caprock/rate-limiter"
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Exit, Fiber, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { type ChildProcess, spawn } from "node:child_process"
import * as fs from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { DatabaseSync } from "node:sqlite"
import { fileURLToPath } from "node:url"
import * as LocalStore from "../src/internal/localStore.ts"
import type { SharedQuota } from "../src/internal/sharedQuota.ts"
import { asking, type Asks, limit, stays } from "./localAsks.ts"
import * as LocalRig from "./localRig.ts"
import { suite } from "./store.suite.ts"

const quota = "pool"

/** Whole numbers by chance, the same again with the seed that the run tells. */
const drawn = () => {
  let state = Number(process.env["PROPERTY_SEED"])
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state >>> 8
  }
}
const draw = drawn()

const newPath = Effect.map(LocalRig.folder, (folder) => join(folder, "limiter.db"))

/** What another program sees in the file. */
const within = <A>(path: string, look: (db: DatabaseSync) => A): A => {
  const db = new DatabaseSync(path, { timeout: 2000 })
  try {
    return look(db)
  } finally {
    db.close()
  }
}

const booksIn = (path: string): SharedQuota | undefined =>
  within(path, (db) => {
    const row = db.prepare("select books from quotas where name = ?").get(quota)
    return row === undefined ? undefined : JSON.parse(String(row["books"])) as SharedQuota
  })

/** All that is held, and all that the dead may have been charged. */
const heldIn = ({ members, remains }: SharedQuota): number =>
  Object.values(members).reduce(
    (sum, { given, granted, owed }) =>
      sum + (granted["requests"] ?? 0) - (given["requests"] ?? 0) + (owed["requests"] ?? 0),
    remains.reduce((sum, { amount }) => sum + amount, 0)
  )

const problemOf = <A>(effect: Effect.Effect<A, LimiterStore.LimiterStoreError, Scope.Scope>) =>
  Effect.map(Effect.flip(Effect.scoped(effect)), ({ message }) => message)

/** A member on a connection of its own, and what woke it. */
const memberOn = Effect.fnUntraced(function*(path: string, name: string) {
  const store = yield* LocalStore.make({ path })
  const woken: Array<LimiterStore.Wake> = []
  yield* store.listen(name, (wake) => woken.push(wake))
  let asks: Asks = asking(name)
  return {
    woken,
    store,
    exchange: (waiting: number, changed: Partial<LimiterStore.Message> = {}) =>
      Effect.tap(store.exchange(quota, asks.message(waiting, changed)), (standing) =>
        Effect.sync(() => {
          asks = asks.after(standing)
        }))
  }
})

const granted = ({ granted }: LimiterStore.Standing): number => granted["requests"] ?? 0

/** By then new books are open. */
const open = TestClock.adjust("1500 millis")

// What wakes is looked for in real time; the time that counts is set by the tests.
layer(LocalRig.layer, { excludeTestServices: true })("the store of one machine", suite)

/** By then everybody has looked who does not wait. */
const look = TestClock.adjust("100 millis")

describe("what is agreed", () => {
  it.effect("two connections share one quota, on one clock, and no more than it", () =>
    Effect.gen(function*() {
      const path = yield* newPath
      const [a, b] = [yield* memberOn(path, "a"), yield* memberOn(path, "b")]
      yield* a.exchange(0)
      yield* open
      const first = yield* a.exchange(80)
      const second = yield* b.exchange(80)
      assert.isAbove(granted(first), 0)
      assert.strictEqual(second.epoch, first.epoch)
      assert.deepStrictEqual([...second.members].toSorted(), ["a", "b"])
      for (let turn = 0; turn < 10; turn++) {
        yield* TestClock.adjust("100 millis")
        yield* turn % 2 === 0 ? a.exchange(80) : b.exchange(80)
      }
      const books = booksIn(path)
      assert.isDefined(books)
      assert.strictEqual(heldIn(books), limit)
      assert.strictEqual(books.time, 2500)
    }))

  it.effect("a limit without an end is one", () =>
    Effect.gen(function*() {
      const path = yield* newPath
      const [a, b] = [yield* memberOn(path, "a"), yield* memberOn(path, "b")]
      const meters = { requests: { limit: Infinity, staysMillis: stays } }
      yield* a.exchange(0, { meters })
      yield* open
      assert.strictEqual(granted(yield* a.exchange(80, { meters })), 80)
      assert.strictEqual(granted(yield* b.exchange(70, { meters })), 70)
    }))

  it.effect("who waits wakes the others, and they wake who is granted, through the file; who did it is not told", () =>
    Effect.gen(function*() {
      const path = yield* newPath
      const [a, b] = [yield* memberOn(path, "a"), yield* memberOn(path, "b")]
      yield* a.exchange(0)
      yield* open
      yield* a.exchange(limit)
      yield* look
      yield* a.exchange(limit)
      a.woken.length = 0
      b.woken.length = 0
      const { epoch } = yield* b.exchange(1)
      assert.deepStrictEqual(a.woken, [])
      yield* look
      assert.deepStrictEqual(a.woken, [{ _tag: "Wanted", quota, by: "b" }])
      yield* a.exchange(0, { given: { requests: 30 } })
      // Who waits looks more often.
      yield* TestClock.adjust("20 millis")
      assert.deepStrictEqual(b.woken, [{ _tag: "Granted", quota, epoch, granted: { requests: 1 }, listed: 0 }])
      yield* TestClock.adjust("1 second")
      assert.strictEqual(a.woken.length, 1)
    }))

  it.effect("who shares a connection is woken too", () =>
    Effect.gen(function*() {
      const { store, ...a } = yield* memberOn(yield* newPath, "a")
      yield* a.exchange(0)
      const woken: Array<LimiterStore.Wake> = []
      yield* store.listen("b", (wake) => woken.push(wake))
      yield* a.exchange(1)
      assert.deepStrictEqual(woken, [{ _tag: "Wanted", quota, by: "a" }])
    }))

  it.effect("whoever leaves frees its share at once, and its wakes are forgotten", () =>
    Effect.gen(function*() {
      const path = yield* newPath
      const [a, b] = [yield* memberOn(path, "a"), yield* memberOn(path, "b")]
      yield* a.exchange(0)
      yield* open
      const standing = yield* a.exchange(limit)
      yield* b.exchange(5)
      yield* a.store.leave(quota, asking("a", standing, { count: 99 }).message(0))
      assert.deepStrictEqual(Object.keys(booksIn(path)?.members ?? {}), ["b"])
      yield* TestClock.adjust(stays)
      yield* b.exchange(5)
      yield* b.exchange(0)
      yield* b.exchange(5)
      const whom = within(path, (db) => db.prepare("select member from wakes").all().map((row) => row["member"]))
      assert.notInclude(whom, "a")
    }))
})

describe("the clock", () => {
  const up = <A, E, R>(millis: number, effect: Effect.Effect<A, E, R>) => LocalRig.uptime(() => millis)(effect)
  const day = 86_400_000

  it.effect("after the machine was started anew, the dead hold nothing, what they may have been charged counts, and a window is waited for", () =>
    Effect.gen(function*() {
      const path = yield* newPath
      const before = Effect.scoped(Effect.gen(function*() {
        const a = yield* memberOn(path, "a")
        return yield* a.exchange(0)
      }))
      yield* up(day, before)
      yield* up(
        day + 2000,
        Effect.scoped(Effect.gen(function*() {
          const a = yield* memberOn(path, "b")
          assert.isAbove(granted(yield* a.exchange(60)), 0)
        }))
      )
      const held = heldIn(booksIn(path) as SharedQuota)
      within(path, (db) => db.exec("update quotas set clock = 'of the last start'"))
      const after = (millis: number) =>
        up(millis, Effect.scoped(Effect.flatMap(memberOn(path, "c"), (c) => c.exchange(limit))))
      const first = yield* after(20_000)
      assert.deepStrictEqual([...first.members], ["c"])
      assert.strictEqual(first.opensInMillis, stays - 20_000)
      assert.strictEqual(granted(first), 0)
      assert.strictEqual(first.remains["requests"]?.amount, held)
      assert.strictEqual(first.remains["requests"]?.inMillis, stays - 20_000)
      const books = booksIn(path)
      assert.strictEqual(books?.time, day + 2000 + 20_000)
      // By now it is all over.
      yield* after(stays)
      assert.isAbove(granted(yield* after(stays + 1500)), 0)
    }))

  it.effect("a day's meter does not keep it closed for a day", () =>
    Effect.gen(function*() {
      const path = yield* newPath
      const meters = { requests: { limit, staysMillis: stays }, day: { limit, staysMillis: day } }
      const exchange = Effect.scoped(Effect.flatMap(memberOn(path, "a"), (a) => a.exchange(1, { meters })))
      yield* up(day, exchange)
      // Where nobody tells that it was started, it is seen by the clock, which is behind.
      for (const clock of ["of the last start", ""]) {
        within(path, (db) => db.prepare("update quotas set clock = ?").run(clock))
        assert.strictEqual((yield* up(5000, exchange)).opensInMillis, stays - 5000)
      }
    }))

  it.effect("who finds that others write with another clock does not go on", () =>
    Effect.gen(function*() {
      const path = yield* newPath
      const mine = yield* memberOn(path, "a")
      yield* mine.exchange(0)
      within(path, (db) => db.exec("update quotas set clock = 'of another machine'"))
      assert.include(yield* problemOf(mine.exchange(0)), "another machine, or a container with a clock of its own")
    }))
})

describe("the file", () => {
  it.effect("is nobody else's to read", () =>
    Effect.gen(function*() {
      const path = yield* newPath
      yield* (yield* memberOn(path, "a")).exchange(0)
      for (const companion of ["", "-wal", "-shm"]) {
        assert.strictEqual((fs.statSync(`${path}${companion}`).mode & 0o777).toString(8), "600")
      }
      assert.strictEqual(fs.readdirSync(join(path, "..")).length, 3)
    }))

  it.effect("is made anew when somebody removes it: whoever held a share is woken, and says so", () =>
    Effect.gen(function*() {
      const path = yield* newPath
      const [a, b] = [yield* memberOn(path, "a"), yield* memberOn(path, "b")]
      yield* a.exchange(0)
      yield* open
      const before = yield* a.exchange(60)
      for (let turn = 0; turn < 5; turn++) {
        yield* b.exchange(limit)
        yield* b.exchange(0)
      }
      const held = granted(yield* b.exchange(0))
      yield* look
      for (const companion of ["", "-wal", "-shm"]) fs.rmSync(`${path}${companion}`)
      a.woken.length = 0
      const new_ = yield* b.exchange(80)
      assert.notStrictEqual(new_.epoch, before.epoch)
      assert.strictEqual(granted(new_), held)
      yield* look
      assert.deepStrictEqual(a.woken, [{ _tag: "Wanted", quota, by: "" }])
      const after = yield* a.exchange(0)
      assert.strictEqual(after.epoch, new_.epoch)
      assert.strictEqual(granted(after), granted(before))
      assert.isAtMost(heldIn(booksIn(path) as SharedQuota), limit)
      // And hears as before.
      a.woken.length = 0
      yield* b.exchange(0)
      yield* b.exchange(1)
      yield* look
      assert.deepInclude(a.woken, { _tag: "Wanted", quota, by: "b" })
    }))

  for (const companion of ["", "-wal", "-shm"]) {
    it.effect(`is seen to be gone when only ${companion === "" ? "itself" : companion} is`, () =>
      Effect.gen(function*() {
        const path = yield* newPath
        const a = yield* memberOn(path, "a")
        yield* a.exchange(0)
        fs.rmSync(`${path}${companion}`)
        yield* look
        assert.deepStrictEqual(a.woken, [{ _tag: "Wanted", quota, by: "" }])
        yield* a.exchange(0)
        assert.deepStrictEqual(Object.keys(booksIn(path)?.members ?? {}), ["a"])
      }))
  }

  const refused = (title: string, write: (path: string) => void, says: string) =>
    it.effect(title, () =>
      Effect.gen(function*() {
        const path = yield* newPath
        write(path)
        const before = fs.statSync(path, { throwIfNoEntry: false })?.isFile() === true
          ? fs.readFileSync(path)
          : undefined
        const problem = yield* problemOf(LocalStore.make({ path }))
        assert.include(problem, path)
        assert.include(problem, says)
        if (before !== undefined) assert.isTrue(before.equals(fs.readFileSync(path)))
      }))
  refused("that is no database is left alone", (path) => fs.writeFileSync(path, "my notes\n".repeat(200)), "remove it")
  refused(
    "of somebody else is left alone",
    (path) => within(path, (db) => db.exec("create table notes (text); insert into notes values ('mine')")),
    "somebody else's database"
  )
  refused(
    "has to have a folder",
    (path) => fs.rmSync(join(path, ".."), { recursive: true }),
    "its folder has to be there"
  )
  refused("is no folder", (path) => fs.mkdirSync(path), "this user has to be let write")

  it.effect("of a newer version is left alone", () =>
    Effect.gen(function*() {
      const path = yield* newPath
      yield* Effect.scoped(LocalStore.make({ path }))
      within(path, (db) => db.exec("pragma user_version = 2"))
      assert.include(yield* problemOf(LocalStore.make({ path })), "another version of it (2, this is 1)")
    }))

  /** Damages every page but the first. */
  const damage = (path: string) => {
    const pages = fs.readFileSync(path)
    fs.writeFileSync(path, pages.fill(0xa5, 4096))
  }

  it.effect("that is damaged is told of", () =>
    Effect.gen(function*() {
      const path = yield* newPath
      yield* Effect.scoped(Effect.flatMap(memberOn(path, "a"), (a) => a.exchange(0)))
      damage(path)
      const exchange = Effect.flatMap(memberOn(path, "a"), (a) => a.exchange(0))
      assert.include(yield* problemOf(exchange), `${path} damaged`)
    }))

  it.effect("of which the books are none is told of", () =>
    Effect.gen(function*() {
      const path = yield* newPath
      const a = yield* memberOn(path, "a")
      yield* a.exchange(0)
      for (const books of ["{}", "[1", "null"]) {
        within(path, (db) => db.prepare("update quotas set books = ?").run(books))
        assert.include(yield* problemOf(a.exchange(0)), "finds no books in")
      }
      within(path, (db) => db.exec("delete from quotas"))
      yield* a.exchange(0)
    }))

  it.live("that a power cut damaged is made anew: nobody has written to it since the machine was started", () =>
    Effect.gen(function*() {
      for (const harm of [damage, (path: string) => within(path, (db) => db.exec("update quotas set books = '{'"))]) {
        const path = yield* newPath
        const once = Effect.scoped(Effect.flatMap(memberOn(path, "a"), (a) => a.exchange(0)))
        const { epoch } = yield* once
        fs.utimesSync(path, 0, 0)
        assert.strictEqual((yield* once).epoch, epoch)
        harm(path)
        fs.utimesSync(path, 0, 0)
        assert.strictEqual((yield* once).version, 1)
      }
    }))

  it.effect("that another holds is waited for, without holding up anything else", () =>
    Effect.gen(function*() {
      const path = yield* newPath
      const a = yield* memberOn(path, "a")
      yield* a.exchange(0)
      const other = new DatabaseSync(path)
      other.exec("begin immediate")
      const waiting = yield* Effect.forkChild(a.exchange(0))
      yield* TestClock.adjust("1 second")
      assert.isUndefined(waiting.pollUnsafe())
      other.exec("rollback")
      yield* TestClock.adjust("50 millis")
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(waiting)))
      other.exec("begin immediate")
      const never = yield* Effect.forkChild(Effect.flip(a.exchange(0)))
      yield* TestClock.adjust("3 seconds")
      assert.include((yield* Fiber.join(never)).message, `waited 2 seconds for ${path}`)
      other.close()
      yield* a.exchange(0)
    }))
})

/** Does something right before the so-manieth thing that is done with a file by SQLite, and says how many there were. */
const meddling = <A, E, R>(before: number, meddle: () => void, effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const real = { exec: DatabaseSync.prototype.exec, prepare: DatabaseSync.prototype.prepare }
    let operations = 0
    const count = () => {
      if (operations++ === before) meddle()
    }
    DatabaseSync.prototype.exec = function(sql) {
      count()
      return real.exec.call(this, sql)
    }
    DatabaseSync.prototype.prepare = function(sql) {
      count()
      return real.prepare.call(this, sql)
    }
    return Effect.exit(effect).pipe(
      Effect.map((exit) => ({ exit, operations })),
      Effect.ensuring(Effect.sync(() => Object.assign(DatabaseSync.prototype, real)))
    )
  })

describe("in the middle of opening it", () => {
  const once = (path: string) => Effect.scoped(Effect.flatMap(memberOn(path, "a"), (a) => a.exchange(0)))

  it.live("another opens the same new file", () =>
    Effect.gen(function*() {
      const { operations } = yield* meddling(-1, () => {}, once(yield* newPath))
      assert.isAbove(operations, 15)
      for (let before = 0; before < operations; before++) {
        const path = yield* newPath
        const others: Array<Fiber.Fiber<unknown, LimiterStore.LimiterStoreError>> = []
        const open = () => others.push(Effect.runFork(Effect.scoped(LocalStore.make({ path }))))
        const { exit } = yield* meddling(before, open, once(path))
        assert.isTrue(Exit.isSuccess(exit))
        for (const other of others) yield* Fiber.join(other)
      }
    }))

  it.live("somebody removes it: it is told, or made anew, and the next finds it well", () =>
    Effect.gen(function*() {
      const { operations } = yield* meddling(-1, () => {}, once(yield* newPath))
      for (let before = 0; before < operations; before++) {
        const path = yield* newPath
        yield* once(path)
        const remove = () => {
          for (const companion of ["", "-wal", "-shm"]) fs.rmSync(`${path}${companion}`, { force: true })
        }
        const { exit } = yield* meddling(before, remove, once(path))
        assert.isFalse(Exit.hasDies(exit))
        assert.isAbove((yield* once(path)).version, 0)
      }
    }))
})

interface Told {
  readonly standings: ReadonlyArray<LimiterStore.Standing>
  readonly end: unknown
}

const program = fileURLToPath(new URL("localMember.ts", import.meta.url))

/** A process of its own, and each of its lines as it comes. */
const processOn = (
  path: string,
  name: string,
  options: ReadonlyArray<string>,
  heard: (count: number, child: ChildProcess) => void = () => {},
  shell?: string
) =>
  Effect.callback<Told>((resume) => {
    const command = [process.execPath, program, path, name, ...options]
    const child = shell === undefined
      ? spawn(process.execPath, command.slice(1), { stdio: ["ignore", "pipe", "inherit"] })
      : spawn("sh", ["-c", `${shell}; exec "$@"`, "sh", ...command], { stdio: ["ignore", "pipe", "inherit"] })
    const lines: Array<unknown> = []
    const reader = createInterface({ input: child.stdout })
    reader.on("line", (line) => {
      lines.push(JSON.parse(line))
      heard(lines.length, child)
    })
    let left = 2
    const ended = () => {
      left--
      if (left > 0) return
      const standings = lines.filter((line): line is LimiterStore.Standing =>
        typeof line === "object" && line !== null && "epoch" in line
      )
      resume(Effect.succeed({ standings, end: lines.length > standings.length ? lines.at(-1) : undefined }))
    }
    child.on("close", ended)
    reader.on("close", ended)
    return Effect.sync(() => child.kill("SIGKILL"))
  })

const inTwos = { concurrency: 2 }

describe("processes", () => {
  it.live("16 open a file that is not there yet, at once", () =>
    Effect.gen(function*() {
      const path = yield* newPath
      const names = Array.from({ length: 16 }, (_, index) => `m${index}`)
      const told = yield* Effect.forEach(names, (name) => processOn(path, name, ["steps=3"]), { concurrency: 16 })
      assert.deepStrictEqual(told.map(({ end }) => end), names.map(() => "done"))
      // One file and one clock: each step was done once, and in an order.
      const versions = told.flatMap(({ standings }) => standings.map(({ version }) => version))
      assert.strictEqual(new Set(versions).size, 48)
      assert.strictEqual(new Set(told.flatMap(({ standings }) => standings.map(({ epoch }) => epoch))).size, 1)
      assert.deepStrictEqual(fs.readdirSync(join(path, "..")), ["limiter.db"])
    }))

  it.live("one dies right before each of the things that it does with the file, and the next goes on", () =>
    Effect.gen(function*() {
      const died: Array<boolean> = []
      yield* Effect.forEach(
        Array.from({ length: 18 }, (_, index) => index * 3 + draw() % 3),
        Effect.fnUntraced(function*(die) {
          const path = yield* newPath
          const { end, standings } = yield* processOn(path, "dies", [`die=${die}`])
          died.push(end === undefined)
          const next = yield* Effect.scoped(Effect.flatMap(memberOn(path, "next"), (next) => next.exchange(5)))
          // What was answered is in the books, and nothing is there twice.
          assert.isAbove(next.version, standings.at(-1)?.version ?? 0)
          assert.isAtMost(next.version, standings.length + 3)
          const books = booksIn(path)
          assert.isDefined(books)
          assert.isAtMost(heldIn(books), limit)
          assert.strictEqual(
            within(path, (db) => db.prepare("pragma integrity_check").get()?.["integrity_check"]),
            "ok"
          )
        }),
        inTwos
      )
      assert.isAtLeast(died.filter(Boolean).length, 12)
    }))

  it.live("they are killed in the middle of many steps, whenever it happens, and the books know all that was answered", () =>
    Effect.gen(function*() {
      const path = yield* newPath
      const last = new Map<string, LimiterStore.Standing>()
      const generations = 4
      yield* Effect.forEach(["a", "b", "c"], (one) =>
        Effect.gen(function*() {
          for (let generation = 0; generation < generations; generation++) {
            const name = `${one}${generation}`
            const until = 1 + draw() % 300
            const { end, standings } = yield* processOn(path, name, ["steps=1000000"], (count, child) => {
              if (count === until) child.kill("SIGKILL")
            })
            // Nobody was kept from it.
            assert.isUndefined(end)
            const standing = standings.at(-1)
            assert.isDefined(standing)
            for (const [index, { version }] of standings.entries()) {
              assert.isAbove(version, standings[index - 1]?.version ?? 0)
            }
            last.set(name, standing)
          }
        }), { concurrency: 3 })
      const books = booksIn(path)
      assert.isDefined(books)
      assert.isAtMost(heldIn(books), limit)
      assert.strictEqual(last.size, 3 * generations)
      for (const [name, { epoch, granted, version }] of last) {
        assert.strictEqual(epoch, books.epoch)
        assert.isAtMost(version, books.version)
        // It is a member, or what is left of it counts.
        const left = books.remains.reduce((sum, one) => one.member === name ? sum + one.amount : sum, 0)
        assert.isAtLeast(books.members[name]?.granted["requests"] ?? left, granted["requests"] ?? 0)
      }
      const { end } = yield* processOn(path, "next", ["steps=2"])
      assert.strictEqual(end, "done")
    }))

  it.live("a file that can't grow, and a folder that can't be written, are told of, and what was there stays", () =>
    Effect.gen(function*() {
      const path = yield* newPath
      const { end: first } = yield* processOn(path, "first", ["steps=2"])
      assert.strictEqual(first, "done")
      const { version = 0 } = booksIn(path) ?? {}
      const full = yield* processOn(path, "full", ["steps=200"], () => {}, "ulimit -f 64")
      assert.include(JSON.stringify(full.end), `can't write ${path}`)
      assert.isAtLeast(booksIn(path)?.version ?? 0, version + full.standings.length)
      const { end: last } = yield* processOn(path, "last", ["steps=200"])
      assert.strictEqual(last, "done")
      // Root may write anywhere.
      if (process.getuid?.() === 0) {
        const { end } = yield* processOn(path, "nobody", ["euid=65534"])
        assert.include(JSON.stringify(end), "this user has to be let write")
      } else {
        fs.chmodSync(path, 0o400)
        const { end } = yield* processOn(path, "nobody", [])
        assert.include(JSON.stringify(end), "this user has to be let write")
      }
    }))
})
