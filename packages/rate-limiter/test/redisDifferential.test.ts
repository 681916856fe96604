// The script in Redis and the step in TypeScript do the same.
import type { LimiterStore } from "@caprock/rate-limiter"
import { assert, describe, layer } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Redis } from "effect/persistence"
import * as RedisServers from "./redisServers.ts"
import { lease, line, type Meters, Process } from "./storeProcess.ts"
import * as StoreRig from "./storeRig.ts"

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const Line = Schema.Struct({
  priority: between(-1, 1),
  tenant: Schema.Literals(["", "a", "b", "__proto__", "ä/\"\\"]),
  weight: between(1, 3),
  since: between(0, 5000),
  count: between(1, 40),
  requests: between(0, 2),
  tokens: between(0, 60),
  calls: between(0, 1),
  mean: between(1, 50)
})

const Step = Schema.Struct({
  process: between(0, 3),
  after: between(0, 400),
  /** Most often it is what happens all the time. */
  what: between(0, 49),
  gives: between(0, 100),
  yields: between(0, 2),
  charges: Schema.Struct({ requests: between(0, 3), tokens: between(0, 80) }),
  lines: Schema.Array(Line).check(Schema.isMaxLength(4)),
  ahead: between(0, 60),
  owed: between(-50, 5),
  foreign: between(0, 60),
  park: between(-3000, 100),
  ageing: Schema.NullOr(between(50, 500)),
  limit: between(0, 8)
})

const whats = [
  "wipe",
  "restore",
  "save",
  "anew",
  "clock",
  "stranger",
  "pause",
  "die",
  "leave",
  "leave",
  "late",
  "late",
  "repeat",
  "repeat"
] as const

const meters = (limit: number): Meters => ({
  requests: { limit: 20, staysMillis: 1000 },
  tokens: { limit: limit === 0 ? 700 : 1000, staysMillis: 1501 },
  calls: { limit: 5, staysMillis: 0 },
  // Longer than any books keep a quota closed for.
  ...(limit < 6 ? { day: { limit: 9000, staysMillis: 700_000 } } : {})
})

const sums = (amounts: LimiterStore.Amounts) =>
  Object.fromEntries(Object.entries(amounts).filter(([, amount]) => amount !== 0).toSorted())

/** Without what is said in any order, or not at all where it is nothing. */
const plain = (standing: LimiterStore.Standing) => ({
  ...standing,
  granted: sums(standing.granted),
  given: sums(standing.given),
  members: standing.members.toSorted(),
  free: sums(standing.free),
  limits: sums(standing.limits),
  waiting: standing.waiting.map(({ all, priority }) => ({ priority, all: sums(all) })),
  remains: Object.fromEntries(Object.entries(standing.remains).toSorted())
})

type Told = ReadonlyArray<readonly [member: string, wake: LimiterStore.Wake]>

const names = ["p0", "p1", "p2", "p3"]

/** Does the steps with a store, and gives what it answered and whom it woke. */
const play = Effect.fnUntraced(function*(
  rig: StoreRig.Service,
  quota: string,
  steps: ReadonlyArray<typeof Step.Type>,
  told: Array<Told[number]>
) {
  const answers: Array<unknown> = []
  const leases = [lease, lease, lease / 2, lease * 3]
  const processes = names.map((name, index) => new Process(name, meters(1), leases[index]))
  const messages: Array<LimiterStore.Message> = []
  const woken = () => {
    for (const [member, wake] of told) processes.find(({ name }) => name === member)?.woken(wake)
  }
  let now = 1_000_000
  let saved = Effect.void
  let strangers = 0
  for (const drawn of steps) {
    const step = { ...drawn, what: whats[49 - drawn.what] ?? "exchange" }
    now += step.what === "pause" ? step.after * 10 : step.what === "clock" ? -step.after * 10 : step.after
    yield* rig.setTime(quota, now)
    if (step.what === "wipe") yield* rig.wipe(quota)
    if (step.what === "save") saved = yield* rig.save(quota)
    if (step.what === "restore") yield* saved
    let process = processes[step.process] as Process
    if (step.what === "die") {
      process = new Process(`${process.name}.${strangers++}`, meters(step.limit), process.leaseMillis)
      processes[step.process] = process
    }
    // What is granted to others is known from their next answer alone: the order of the answers is the same for all stores.
    process.charge(step.charges, now)
    const { ahead, ageing, foreign, gives, lines, owed, park, what, yields } = step
    const message = {
      ...process.message(now, {
        gives,
        yields: yields === 1,
        ageingMillis: ageing,
        lines: lines.map(({ calls, count, mean, priority, requests, since, tenant, tokens, weight }) => ({
          ...line(count, { requests: 1, tokens: mean, calls: 1, ...(step.limit < 6 ? { day: 3 } : {}) }),
          // The mean of what they need need not be whole.
          all: {
            requests: count,
            tokens: mean * count + since % count,
            calls: count,
            ...(step.limit < 6 ? { day: 3 * count } : {})
          },
          head: { requests, tokens, calls },
          priority,
          tenant,
          weight,
          sinceMillis: since
        })),
        ahead: { requests: Math.floor(ahead / 10), tokens: ahead, calls: ahead % 3 },
        foreign: ["requests", "tokens"][60 - foreign] ?? null,
        parkMillis: Math.max(0, park)
      }),
      ...(owed > 0 ? { owed: { tokens: owed } } : {}),
      ...(what === "anew" ? { anew: true } : {}),
      ...(what === "stranger"
        ? { epoch: "older", knows: ["p1", "gone"], remains: { tokens: { amount: 30, inMillis: 700 } } }
        : {}),
      meters: meters(step.limit),
      fresh: `${messages.length % 3}:books ${messages.length}`
    }
    messages.push(message)
    const sent = what === "late" ? messages[Math.floor(step.after / 400 * (messages.length - 1))] ?? message : message
    if (what === "leave") {
      yield* rig.store.leave(quota, sent)
    } else {
      if (what === "repeat") answers.push(plain(yield* rig.store.exchange(quota, sent)))
      const standing = yield* rig.store.exchange(quota, sent)
      answers.push(plain(standing))
      if (what !== "late" && what !== "stranger") process.heard(standing, now, now)
    }
  }
  void woken
  return answers
})

for (const kind of ["redis", "valkey"] as const) {
  // Left out, and loudly, only where no server is to be had; with CI set that is a failure.
  describe.runIf(RedisServers.installed(kind))(`the script in ${kind}`, () => {
    // Live: a server answers when it answers.
    layer(RedisServers.layer(kind), { excludeTestServices: true })((it) => {
      it.effect.prop(
        "does what the step does",
        [Schema.Array(Step).check(Schema.isMinLength(40), Schema.isMaxLength(80))],
        ([steps]) =>
          Effect.gen(function*() {
            const reference = yield* play(yield* StoreRig.memory, "q", steps, [])
            const answers = yield* play(yield* StoreRig.redis(yield* Redis.Redis), "q", steps, [])
            for (const [index, answer] of answers.entries()) {
              assert.deepStrictEqual(
                answer,
                reference[index],
                `the answer ${index}: ${JSON.stringify([answer, reference[index]])}`
              )
            }
            assert.strictEqual(answers.length, reference.length)
          }),
        { arbitrary: { runs: 60 } }
      )

      it.effect("forgets the same of so many tenants that not all can be remembered", () =>
        Effect.gen(function*() {
          const limits = { requests: { limit: 270, staysMillis: 60_000 } }
          const answers = Effect.fnUntraced(function*({ setTime, store }: StoreRig.Service) {
            const processes = [new Process("p", limits), new Process("q", limits)]
            const standings: Array<unknown> = []
            const say = Effect.fnUntraced(function*(process: Process, now: number, parkMillis: number) {
              yield* setTime("q", now)
              // What is granted is given back before the next round, so that others come first in it.
              const standing = yield* store.exchange(
                "q",
                process.message(now, {
                  gives: 100,
                  parkMillis,
                  lines: Array.from(
                    { length: 150 },
                    (_, index) =>
                      line(1, { requests: 1 }, { tenant: `${process.name}${index}`, priority: index < 148 ? 0 : 1 })
                  )
                })
              )
              process.heard(standing, now, now)
              standings.push(plain(standing))
            })
            for (let round = 0; round < 6; round++) {
              for (const process of processes) yield* say(process, round * 301, 300)
              for (const process of processes) yield* say(process, round * 301 + 300, 0)
            }
            return standings
          })
          const reference = yield* answers(yield* StoreRig.memory)
          const script = yield* answers(yield* StoreRig.redis(yield* Redis.Redis))
          assert.deepStrictEqual(script, reference)
        }))
    })
  })
}
