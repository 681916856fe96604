// What happens to a Redis, done to real ones, and what the limiter's store in it says.
import type { LimiterStore } from "@caprock/rate-limiter"
import { NodeRedis } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Fiber, Layer, Queue } from "effect"
import { Redis } from "effect/persistence"
import { TestClock } from "effect/testing"
import { explain } from "../src/internal/redisProblems.ts"
import * as RedisStore from "../src/internal/redisStore.ts"
import * as RedisServers from "./redisServers.ts"
import { line, Process } from "./storeProcess.ts"

/** So long that nobody is taken for dead who only waits for a busy machine. */
const lease = 600_000

const processOf = (name: string) => new Process(name, { requests: { limit: 10, staysMillis: 60_000 } }, lease)

const prefix = "caprock:"
const key = `${prefix}q`

/** A store on a client of its own. */
const storeAt = Effect.fnUntraced(function*(
  url: string,
  options: RedisStore.Options = {},
  client: Parameters<typeof NodeRedis.layer>[0] = {}
) {
  const context = yield* Layer.build(NodeRedis.layer({ ...client, url }))
  const make = RedisStore.make({ timeout: "30 seconds", ...options })
  return {
    store: yield* Effect.provide(make, context),
    redis: yield* Effect.provide(Redis.Redis, context)
  }
})

const talk = (store: LimiterStore.LimiterStore["Service"], process: Process) =>
  Effect.fnUntraced(function*(wish?: Parameters<Process["message"]>[1]) {
    const now = yield* Clock.currentTimeMillis
    const standing = yield* store.exchange("q", process.message(now, wish))
    process.heard(standing, now, now)
    return standing
  })

const problemOf = <A>(effect: Effect.Effect<A, LimiterStore.LimiterStoreError>) =>
  Effect.map(Effect.flip(effect), ({ message }) => message)

// Left out, and loudly, only where no server is to be had; with CI set that is a failure.
describe.runIf(RedisServers.installed("redis"))("a Redis", () => {
  // Live: real servers, which answer when they answer. Nothing here depends on how long that takes.
  it.live("has a clock of its own, and forgets what nobody asks for in a day and longer than any charge stays", () =>
    Effect.gen(function*() {
      const { url } = yield* RedisServers.start("redis")
      const { redis, store } = yield* storeAt(url)
      const exchange = talk(store, processOf("a"))
      const first = yield* exchange()
      const second = yield* exchange()
      assert.isAbove(first.opensInMillis, 0)
      assert.isAtMost(second.opensInMillis, first.opensInMillis)
      assert.strictEqual(second.version, 2)
      assert.strictEqual(second.epoch, first.epoch)
      const ttl = yield* redis.send<number>("PTTL", key)
      assert.isAbove(ttl, 86_400_000)
    }))

  it.live("hangs: it is told of in time, and what was asked meanwhile does not pile up", () =>
    Effect.gen(function*() {
      const server = yield* RedisServers.start("redis")
      const patient = yield* storeAt(server.url)
      const { store } = yield* storeAt(server.url, { timeout: "50 millis" })
      const process = processOf("a")
      yield* talk(patient.store, process)()
      const steps = Effect.map(
        patient.redis.send<string>("INFO", "commandstats"),
        (text) => Number(/cmdstat_evalsha:calls=(\d+)/.exec(text)?.[1])
      )
      const before = yield* steps
      yield* server.signal("SIGSTOP")
      for (let times = 0; times < 10; times++) {
        assert.match(yield* problemOf(talk(store, process)()), /did not answer within 50ms/)
      }
      yield* server.signal("SIGCONT")
      const standing = yield* talk(patient.store, process)()
      assert.strictEqual(standing.members.length, 1)
      // The one that was on its way, and the one that was answered; and its script may have had to be loaded.
      assert.isAtMost((yield* steps) - before, 3)
    }))

  it.live("is full: it says so before it writes anything", () =>
    Effect.gen(function*() {
      const { url } = yield* RedisServers.start("redis")
      const { redis, store } = yield* storeAt(url)
      const a = talk(store, processOf("a"))
      yield* a({ lines: [line(3, { requests: 1 })] })
      const books = yield* redis.send("HGETALL", key)
      yield* redis.send("CONFIG", "SET", "maxmemory", "1")
      assert.match(yield* problemOf(a()), /is out of memory: raise maxmemory/)
      assert.match(yield* problemOf(talk(store, processOf("b"))()), /is out of memory/)
      assert.deepStrictEqual(yield* redis.send("HGETALL", key), books)
      yield* redis.send("CONFIG", "SET", "maxmemory", "0")
      assert.strictEqual((yield* a()).version, 2)
    }))

  it.live("lets its user do what is needed, and nothing else is needed", () =>
    Effect.gen(function*() {
      const { url } = yield* RedisServers.start("redis")
      const { redis } = yield* storeAt(url)
      // These are of the client.
      const connects = ["+hello", "+ping", "+client"]
      const needs = [
        "evalsha",
        "script|load",
        "time",
        "hmget",
        "hget",
        "hset",
        "hdel",
        "pexpire",
        "publish",
        "subscribe",
        "info"
      ]
      const grantUser = (commands: ReadonlyArray<string>) =>
        redis.send(
          "ACL",
          "SETUSER",
          "limiter",
          "reset",
          "on",
          ">secret",
          `~${prefix}*`,
          `&${prefix}*`,
          ...connects,
          ...commands
        )
      yield* grantUser(needs.map((name) => `+${name}`))
      const { store } = yield* storeAt(url, {}, { username: "limiter", password: "secret" })
      const woken = yield* Deferred.make<LimiterStore.Wake>()
      yield* store.listen("a", (wake) => Deferred.doneUnsafe(woken, Effect.succeed(wake)))
      const [one, two] = [processOf("a"), processOf("b")]
      const [a, b] = [talk(store, one), talk(store, two)]
      yield* a()
      yield* b({ lines: [line(3, { requests: 1 })] })
      assert.deepStrictEqual(yield* Deferred.await(woken), { _tag: "Wanted", quota: "q", by: "b" })
      for (const without of ["publish", "hset", "hmget", "time"]) {
        const books = yield* redis.send("HGETALL", key)
        yield* grantUser(needs.filter((name) => name !== without).map((name) => `+${name}`))
        const problem = yield* problemOf(
          talk(store, processOf(`without ${without}`))({ lines: [line(3, { requests: 1 })] })
        )
        assert.match(
          problem,
          /may not do what it needs: give its user the commands EVALSHA, .* the keys ~caprock:\* and the channels &caprock:\*/
        )
        assert.deepStrictEqual(yield* redis.send("HGETALL", key), books)
      }
      // Without the name of its history it goes on, and is not noticed to be another.
      yield* grantUser(needs.filter((name) => name !== "info").map((name) => `+${name}`))
      assert.strictEqual((yield* b()).members.length, 2)
      // What it takes from members that leave.
      yield* grantUser(needs.filter((name) => name !== "hdel").map((name) => `+${name}`))
      const books = yield* redis.send("HGETALL", key)
      assert.match(
        yield* problemOf(store.leave("q", two.message(yield* Clock.currentTimeMillis))),
        /may not do what it needs/
      )
      assert.deepStrictEqual(yield* redis.send("HGETALL", key), books)
    }))

  it.live("is a replica, and then takes over: what it has may be old, so all say what they hold", () =>
    Effect.gen(function*() {
      const primary = yield* RedisServers.start("redis", ["--repl-diskless-sync-delay", "0"])
      const replica = yield* RedisServers.start("redis")
      const at = { primary: yield* storeAt(primary.url), replica: yield* storeAt(replica.url) }
      const [one, two] = [processOf("a"), processOf("b")]
      yield* talk(at.primary.store, one)()
      const { epoch } = yield* talk(at.primary.store, two)()
      yield* at.replica.redis.send("REPLICAOF", "127.0.0.1", String(primary.port))
      yield* at.replica.redis.send<number>("HLEN", key).pipe(
        Effect.filterOrFail((fields) => fields === 3),
        Effect.eventually
      )
      assert.match(
        yield* problemOf(talk(at.replica.store, one)()),
        /is a replica, which takes no writes: connect to the primary/
      )
      yield* primary.kill
      yield* at.replica.redis.send("REPLICAOF", "NO", "ONE")
      const first = yield* talk(at.replica.store, one)({ lines: [line(1, { requests: 1 })] })
      assert.notStrictEqual(first.epoch, epoch)
      assert.strictEqual(first.version, 1)
      assert.strictEqual(first.opensInMillis, lease + 60_000)
      const second = yield* talk(at.replica.store, two)()
      assert.strictEqual(second.epoch, first.epoch)
      assert.isAtMost(second.opensInMillis, lease * 0.375)
      // It is the same one from here on.
      assert.strictEqual((yield* talk(at.replica.store, one)()).epoch, first.epoch)
    }))

  it.live("is killed, and starts with nothing", () =>
    Effect.gen(function*() {
      const server = yield* RedisServers.start("redis")
      const { store } = yield* storeAt(server.url, {}, { disableOfflineQueue: true })
      const exchange = talk(store, processOf("a"))
      const { epoch } = yield* exchange()
      yield* server.kill
      assert.match(yield* problemOf(exchange()), /cannot be reached: is Redis running/)
      yield* server.restart
      const standing = yield* Effect.eventually(exchange())
      assert.notStrictEqual(standing.epoch, epoch)
      assert.strictEqual(standing.version, 1)
    }))

  it.live("loses those who listen, and they come back", () =>
    Effect.gen(function*() {
      const server = yield* RedisServers.start("redis")
      const { redis, store } = yield* storeAt(server.url)
      const wakes = yield* Queue.unbounded<LimiterStore.Wake>()
      yield* store.listen("a", (wake) => Queue.offerUnsafe(wakes, wake))
      const heard = (by: string) =>
        redis.send<number>("PUBLISH", `${prefix}wake:a`, JSON.stringify({ _tag: "Wanted", quota: "q", by })).pipe(
          Effect.filterOrFail((listeners) => listeners === 1),
          Effect.eventually,
          Effect.andThen(Queue.take(wakes))
        )
      assert.deepStrictEqual(yield* heard("one"), { _tag: "Wanted", quota: "q", by: "one" })
      yield* redis.send("CLIENT", "KILL", "TYPE", "pubsub")
      assert.deepStrictEqual(yield* heard("two"), { _tag: "Wanted", quota: "q", by: "two" })
      // What another version says, nobody minds.
      yield* redis.send("PUBLISH", `${prefix}wake:a`, "{\"_tag\":\"Unheard of\"}")
      assert.deepStrictEqual(yield* heard("three"), { _tag: "Wanted", quota: "q", by: "three" })
    }))

  it.live("has books that another version began", () =>
    Effect.gen(function*() {
      const { url } = yield* RedisServers.start("redis")
      const { redis, store } = yield* storeAt(url)
      yield* redis.send("EVAL", "redis.call('HSET', KEYS[1], 'head', cmsgpack.pack({ format = 2 }))", "1", key)
      assert.match(
        yield* problemOf(talk(store, processOf("a"))()),
        /has books that another version of Caprock began/
      )
    }))
})

describe("whatever client it is", () => {
  /** A client that does what a test lets it do. */
  const clientOf = (parts: Partial<Parameters<typeof Redis.make>[0]>) =>
    Redis.make({
      send: () => Effect.never,
      subscribe: () => Effect.never,
      connect: Effect.never,
      ...parts
    })

  const storeOn = (parts: Partial<Parameters<typeof Redis.make>[0]>) =>
    Effect.flatMap(clientOf(parts), (redis) => RedisStore.make({}).pipe(Effect.provideService(Redis.Redis, redis)))

  it.effect("an answer that is no standing is an error, and so is none within a second", () =>
    Effect.gen(function*() {
      const store = yield* storeOn({ send: <A>() => Effect.succeed("nonsense" as A) })
      const process = processOf("a")
      assert.match(yield* problemOf(talk(store, process)()), /gave an answer that is no standing of a quota/)
      const silent = yield* storeOn({})
      const waiting = yield* Effect.forkChild(problemOf(talk(silent, process)()))
      yield* TestClock.adjust(999)
      assert.isUndefined(waiting.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.match(yield* Fiber.join(waiting), /did not answer within 1s/)
    }))

  it.effect("one question of a process at a time, and of another at any time", () =>
    Effect.gen(function*() {
      const asked: Array<string> = []
      const store = yield* storeOn({
        send: <A>(command: string, ...args: ReadonlyArray<string>) =>
          Effect.suspend(() => {
            if (command === "SCRIPT") return Effect.succeed("sha" as A)
            asked.push(String(args[3]))
            return Effect.never
          })
      })
      const ask = (name: string) => Effect.forkChild(Effect.flip(talk(store, processOf(name))()))
      const first = yield* ask("a")
      yield* TestClock.adjust(500)
      const second = yield* ask("a")
      const third = yield* ask("b")
      yield* TestClock.adjust(1_000)
      yield* Fiber.awaitAll([first, second, third])
      assert.deepStrictEqual(asked, ["a", "b"])
    }))

  it.effect("who cannot listen is told, in time, and can try again", () =>
    Effect.gen(function*() {
      const cause = new Error("NOPERM no permissions to access one of the channels")
      const refused = yield* storeOn({ subscribe: () => Effect.fail(new Redis.RedisError({ cause })) })
      assert.match(yield* problemOf(Effect.scoped(refused.listen("a", () => {}))), /may not do what it needs/)
      const silent = yield* storeOn({})
      const waiting = yield* Effect.forkChild(problemOf(Effect.scoped(silent.listen("a", () => {}))))
      yield* TestClock.adjust(1_000)
      assert.match(yield* Fiber.join(waiting), /did not answer within 1s/)
    }))

  it.effect("a subscription that was lost is made again, after a while that grows", () =>
    Effect.gen(function*() {
      const times: Array<number> = []
      let works = true
      const lost = yield* Queue.unbounded<void>()
      const store = yield* storeOn({
        subscribe: (channel, onMessage) =>
          Effect.gen(function*() {
            times.push(yield* Clock.currentTimeMillis)
            assert.strictEqual(channel, `${prefix}wake:a`)
            const failure = new Redis.RedisError({ cause: new Error("Socket closed unexpectedly") })
            if (!works) return yield* failure
            onMessage({ channel, message: JSON.stringify({ _tag: "Wanted", quota: "q", by: "b" }) })
            return Effect.andThen(Queue.take(lost), Effect.fail(failure))
          })
      })
      let woken = 0
      yield* store.listen("a", () => woken++)
      works = false
      yield* Queue.offer(lost, undefined)
      yield* TestClock.adjust(3_000)
      works = true
      yield* TestClock.adjust(10_000)
      assert.deepStrictEqual(times, [0, 200, 600, 1_400, 3_000, 6_200])
      assert.strictEqual(woken, 2)
      yield* Queue.offer(lost, undefined)
      yield* TestClock.adjust(200)
      assert.strictEqual(woken, 3)
    }))

  const said: ReadonlyArray<readonly [error: unknown, problem: RegExp]> = [
    ["NOPERM this user has no permissions to run the 'evalsha' command", /may not do what it needs/],
    ["ERR The user executing the script can't run this command or subcommand script: 1f", /may not do what it needs/],
    ["NOAUTH Authentication required.", /no password, or a wrong one/],
    ["WRONGPASS invalid username-password pair or user is disabled.", /no password, or a wrong one/],
    ["OOM command not allowed when used memory > 'maxmemory'. script: 1f, on @user_script:1.", /out of memory/],
    [
      "ERR Error running script (call to f_1): @user_script:1: @user_script: 1: -OOM command not allowed",
      /out of memory/
    ],
    ["READONLY You can't write against a read only replica.", /is a replica/],
    [
      "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
      /could not save to its disk/
    ],
    ["NOREPLICAS Not enough good replicas to write.", /too few replicas/],
    ["CROSSSLOT Keys in request don't hash to the same slot", /two slots/],
    ["MOVED 3999 127.0.0.1:6381", /use a client for clusters/],
    ["CLUSTERDOWN The cluster is down", /part is down/],
    ["LOADING Redis is loading the dataset in memory", /is starting/],
    ["BUSY Redis is busy running a script.", /busy with a script/],
    ["ERR unknown command 'EVALSHA', with args beginning with:", /does not know a command/],
    [Object.assign(new Error(""), { code: "ECONNREFUSED" }), /cannot be reached/],
    [new Error("outer", { cause: new Error("getaddrinfo ENOTFOUND redis.example") }), /cannot be reached/],
    [new Error("something else"), /^failed: something else$/],
    ["", /^failed: /]
  ]

  for (const [error, problem] of said) {
    it(`says what to do about ${String(error) || "nothing"}`, () => {
      const cause = typeof error === "string" ? new Error(error) : error
      assert.match(explain(new Redis.RedisError({ cause }), prefix), problem)
    })
  }
})
