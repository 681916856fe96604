/**
 * The fleet: many processes and one quota, three times as much asked for as there is, processes that start, stop and are killed all the time. What is
 * printed is what the emulator saw, which knows nothing of any limiter.
 *
 *     node bench/fleet.ts [--stores redis,file] [--processes 8] [--seconds 300] [--window 6000] [--offered 3] [--rate 60] [--interactive 0.2]
 *                         [--kill 5] [--stop 7] [--lease 2000] [--beat 50] [--guard <window / 240>] [--latency 50,600] [--seed 1]
 *                         [--faults restart,pause,replace] [--losses fail,wait,share] [--trace]
 *
 * `--rate`: answers a second that the quota allows. Every `--kill` seconds a process is killed (SIGKILL), every `--stop` seconds one is asked to
 * end, and another starts in its place within 3 seconds. With `--faults` Redis is started anew and empty (`restart`), stopped for 5 seconds
 * (`pause`), or is gone for two leases and then another one, empty (`replace`), when two fifths of the time are over; once for each of `--losses`.
 */
import * as LatencyModel from "@caprock/emulator/LatencyModel"
import * as TokenCounter from "@caprock/emulator/TokenCounter"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import * as RedisServers from "../packages/rate-limiter/test/redisServers.ts"
import { generator } from "./internal/chance.ts"
import type { Verdict } from "./internal/fleetJudge.ts"
import type { Report, Start } from "./internal/fleetProcess.ts"
import * as FleetReport from "./internal/fleetReport.ts"
import { type Class, draw, now } from "./internal/fleetTraffic.ts"
import { table } from "./internal/table.ts"

const { values: flags } = parseArgs({
  options: {
    stores: { type: "string", default: "redis,file" },
    processes: { type: "string", default: "8" },
    seconds: { type: "string", default: "300" },
    window: { type: "string", default: "6000" },
    offered: { type: "string", default: "3" },
    rate: { type: "string", default: "60" },
    interactive: { type: "string", default: "0.2" },
    kill: { type: "string", default: "5" },
    stop: { type: "string", default: "7" },
    lease: { type: "string", default: "2000" },
    beat: { type: "string", default: "50" },
    guard: { type: "string" },
    latency: { type: "string", default: "50,600" },
    seed: { type: "string", default: "1" },
    faults: { type: "string", default: "" },
    losses: { type: "string", default: "fail,wait,share" },
    trace: { type: "boolean", default: false }
  }
})

const list = (text: string): ReadonlyArray<string> => text.split(",").filter((item) => item !== "")
const [leastLatency = 50, mostLatency = leastLatency] = list(flags.latency).map(Number)
const latency = [leastLatency, mostLatency] as const
const processes = Number(flags.processes)
const millis = Number(flags.seconds) * 1000
const window = Number(flags.window)
const lease = Number(flags.lease)
const rate = Number(flags.rate)
const seed = Number(flags.seed)
const guard = Number(flags.guard ?? window / 240)

/** What a call is charged in the mean. */
const meanTokens = (() => {
  const random = generator(1)
  let sum = 0
  for (let call = 0; call < 5000; call++) {
    const { output, text } = draw(random, 0, "bulk", latency)
    sum += TokenCounter.count(text) + TokenCounter.messageOverhead + output
  }
  return sum / 5000
})()

const quota = {
  // As many as it would take if all were half as large: seldom the nearer limit, and not never.
  requests: Math.ceil(rate * window / 1000 * 2),
  tokens: Math.ceil(rate * window / 1000 * meanTokens)
}

/** To compile all modules takes a process half a second of CPU, and many are started. */
const compiled = fileURLToPath(new URL("../node_modules/.cache/caprock-fleet", import.meta.url))

const moduleOf = (name: string): string => fileURLToPath(new URL(`./internal/${name}`, import.meta.url))

const child = (name: string): Effect.Effect<ChildProcess, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => fork(moduleOf(name), { stdio: "inherit" })),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )

const answer = <A>(child: ChildProcess, question: object): Effect.Effect<A> =>
  Effect.promise(async () => {
    const reply = once(child, "message")
    child.send(question)
    return (await reply)[0] as A
  })

interface Ended {
  readonly at: number
  readonly of: Class
  readonly waited: number
  readonly reason: string
}

interface Shared {
  readonly url: string
  readonly store: Start["store"]
  readonly onLoss: Start["onLoss"]
}

/** The processes, and what they say. */
class Fleet {
  readonly lives: Array<
    FleetReport.Life & { readonly samples: Array<readonly [number, Report["waiting"]]>; endedAt: number }
  > = []
  readonly ended: Array<Ended> = []
  readonly shares: Array<readonly [at: number, slot: number, share: number, used: number, members: number]> = []
  readonly happened: Array<readonly [at: number, what: string]> = []
  readonly counts = { started: 0, killed: 0, stopped: 0, failed: 0, cpu: 0, startCpu: 0 }
  private readonly running = new Map<
    number,
    { readonly child: ChildProcess; readonly slot: number; leaving: boolean }
  >()
  private readonly shared: Shared
  private readonly random: () => number
  private readonly timers = new Set<NodeJS.Timeout>()
  private over = false

  constructor(shared: Shared, random: () => number) {
    this.shared = shared
    this.random = random
    for (let slot = 0; slot < processes; slot++) this.start(slot)
  }

  /** From now on they come and go. */
  churn(): void {
    this.every(Number(flags.kill), (one) => {
      this.counts.killed++
      this.happened.push([now(), `killed ${one.slot}`])
      one.child.kill("SIGKILL")
    })
    this.every(Number(flags.stop), (one) => {
      this.counts.stopped++
      this.happened.push([now(), `asked ${one.slot} to end`])
      one.child.send({})
    })
  }

  private later(millis: number, work: () => void): void {
    const timer = setTimeout(() => {
      this.timers.delete(timer)
      work()
    }, millis)
    this.timers.add(timer)
  }

  private every(seconds: number, work: (one: { readonly child: ChildProcess; readonly slot: number }) => void): void {
    if (seconds === 0) return
    this.later(seconds * 1000 * (0.5 + this.random()), () => {
      const alive = [...this.running.values()].filter(({ leaving }) => !leaving)
      const one = alive[Math.floor(this.random() * alive.length)]
      if (one !== undefined) {
        one.leaving = true
        work(one)
      }
      this.every(seconds, work)
    })
  }

  private start(slot: number): void {
    if (this.over) return
    const child = fork(moduleOf("fleetProcess.ts"), {
      stdio: "inherit",
      env: { ...process.env, NODE_COMPILE_CACHE: compiled }
    })
    const one = { child, slot, leaving: false }
    this.running.set(slot, one)
    const life = { slot, samples: new Array<readonly [number, Report["waiting"]]>(), endedAt: 0, cpu: 0 }
    this.counts.started++
    child.on("message", ({ at, cpu, ended, members, share, used, waiting }: Report) => {
      if (life.samples.length === 0) {
        this.lives.push(life)
        this.happened.push([at, `${slot} is there`])
      }
      this.shares.push([at, slot, share, used, members])
      life.samples.push([at, waiting])
      this.counts.cpu += cpu - life.cpu
      if (life.cpu === 0) this.counts.startCpu += cpu
      life.cpu = cpu
      life.endedAt = at
      // Whoever is asked to end has no answer for those who wait.
      for (const [of, waited, reason] of ended) if (!one.leaving) this.ended.push({ at, of, waited, reason })
    })
    child.once("exit", () => {
      if (!one.leaving && !this.over) this.counts.failed++
      this.running.delete(slot)
      this.later(this.random() * 3000, () => this.start(slot))
    })
    child.send(
      {
        slot,
        seed: seed * 1000 + this.counts.started,
        ...this.shared,
        quota,
        window,
        guard,
        lease,
        beat: Number(flags.beat),
        perSecond: rate * Number(flags.offered) / processes,
        interactive: Number(flags.interactive),
        latency
      } satisfies Start
    )
  }

  /** All of them have said something. */
  async ready(): Promise<void> {
    const latest = now() + 60_000
    while (this.lives.length < processes) {
      if (now() > latest) {
        throw new Error(`of ${processes} processes, ${this.lives.length} said something within a minute`)
      }
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  async end(): Promise<void> {
    this.over = true
    for (const timer of this.timers) clearTimeout(timer)
    await Promise.all([...this.running.values()].map(async ({ child }) => {
      const exit = once(child, "exit")
      child.kill("SIGKILL")
      await exit
    }))
  }
}

type Fault = "none" | "restart" | "pause" | "replace"

type Server = Effect.Success<ReturnType<typeof RedisServers.start>>

const befall = (server: Server, fault: Fault): Effect.Effect<void, Effect.Error<Server["restart"]>> => {
  switch (fault) {
    case "none":
      return Effect.void
    case "restart":
      return server.restart
    case "pause":
      return Effect.andThen(server.signal("SIGSTOP"), Effect.delay(server.signal("SIGCONT"), 5_000))
    case "replace":
      return Effect.andThen(server.kill, Effect.delay(server.restart, 2 * lease))
  }
}

interface Commands {
  readonly all: number
  readonly scripts: number
}

/** What clients sent is what there was, less what scripts did inside. */
const commandsOf = (info: string): Commands => {
  const calls = new Map(
    Array.from(info.matchAll(/cmdstat_([^:]+):calls=(\d+)/g), ([, name = "", calls]) => [name, Number(calls)] as const)
  )
  const scripts = (calls.get("evalsha") ?? 0) + (calls.get("eval") ?? 0)
  return { all: [...calls.values()].reduce((sum, calls) => sum + calls, 0), scripts }
}

const percent = (part: number): string => `${(part * 100).toFixed(1)} %`
const seconds = (millis: number): string => (millis / 1000).toFixed(2)

const run = (by: string, onLoss: Start["onLoss"], fault: Fault) =>
  Effect.scoped(Effect.gen(function*() {
    const judge = yield* child("fleetJudge.ts")
    const { url } = yield* answer<{ readonly url: string }>(judge, {
      seed,
      window,
      quota,
      latency: LatencyModel.fixed(latency[1]),
      log: Math.ceil(rate * millis / 1000 * 20)
    })
    const server = by === "redis" ? yield* RedisServers.start("redis") : undefined
    const folder = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "caprock-fleet-"))),
      (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
    )
    const store = server === undefined ? { path: join(folder, "quotas") } : { redis: server.url }
    const fleet = new Fleet({ url, store, onLoss }, generator(seed))
    yield* Effect.promise(() => fleet.ready())
    fleet.churn()
    const begun = now()
    let faultAt = Infinity
    let healedAt = Infinity
    if (fault === "none" || server === undefined) yield* Effect.sleep(millis)
    else {
      yield* Effect.sleep(millis * 0.4)
      faultAt = now()
      yield* befall(server, fault)
      healedAt = now()
      yield* Effect.sleep(Math.max(0, begun + millis - healedAt))
    }
    const overAt = now()
    const info = server === undefined ? "" : yield* RedisServers.ask(server.port, "INFO commandstats")
    yield* Effect.promise(() => fleet.end())
    const verdict = yield* answer<Verdict>(judge, {})
    return { fleet, verdict, begun, overAt, faultAt, healedAt, commands: commandsOf(info) }
  }))

type Outcome = Effect.Success<ReturnType<typeof run>>

/** From when on a whole window is nine tenths as full as it was before. */
const recovered = (levels: ReadonlyArray<FleetReport.Occupied>, before: number, from: number, to: number): number => {
  for (let at = from; at + window <= to; at += 250) {
    if (FleetReport.meanOf(levels, at, at + window) >= before * 0.9) return at
  }
  return Infinity
}

const cells = ({ begun, commands, faultAt, fleet, healedAt, overAt, verdict }: Outcome): ReadonlyArray<string> => {
  const { counts, ended, lives } = fleet
  const levels = FleetReport.occupied(verdict, lives, quota, window)
  const { stats } = verdict
  const fair = FleetReport.fairness(verdict, lives, 20 * meanTokens)
  const quantiles = (of: Class) => {
    const waits = ended.filter((one) => one.of === of && one.reason === "").map(({ waited }) => waited)
    return `${seconds(FleetReport.quantile(waits, 0.5))}, ${seconds(FleetReport.quantile(waits, 0.99))}`
  }
  const reasons = new Map<string, number>()
  for (const { reason } of ended) if (reason !== "") reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
  // Until the first window is full, nobody who waits could be let in sooner.
  const settledAt = begun + window + 2000
  const from = Math.min(settledAt, overAt)
  const sharesAt = (at: number): string => {
    const last = fleet.shares.filter(([then]) => then > at - 300 && then <= at)
    const bySlot = new Map(last.map(([, slot, share, used, members]) => [slot, { share, used, members }]))
    const sum = [...bySlot.values()].reduce((sum, { share }) => sum + share, 0)
    return `${percent(sum / quota.tokens)} of ${
      Array.from(
        bySlot,
        ([slot, { members, share }]) => `${slot}:${(100 * share / quota.tokens).toFixed(0)}/${members}`
      )
        .toSorted().join(" ")
    }; used ${[...bySlot.values()].map(({ used }) => (100 * used / quota.tokens).toFixed(0)).join(" ")}`
  }
  if (flags.trace) {
    for (let at = begun; at < overAt; at += 1000) {
      const { bulk, interactive } = FleetReport.perSecond(verdict, at, at + 1000)
      console.error(
        `${((at - begun) / 1000).toFixed(0).padStart(4)} s  ${
          percent(FleetReport.meanOf(levels, at, at + 1000)).padStart(7)
        }  interactive ${interactive.toFixed(0).padStart(4)}  bulk ${bulk.toFixed(0).padStart(4)}  failed ${
          ended.filter((one) => one.reason !== "" && one.at >= at && one.at < at + 1000).length
        }  shares ${sharesAt(at + 1000)}  ${
          fleet.happened.filter(([then]) => then >= at && then < at + 1000).map(([, what]) => what).join(", ")
        }${faultAt >= at && faultAt < at + 1000 ? "  <- fault" : ""}${
          healedAt >= at && healedAt < at + 1000 ? "  <- healed" : ""
        }`
      )
    }
  }
  const common = [
    String(stats.answered),
    String(stats.throttled.total),
    percent(FleetReport.meanOf(levels, begun, overAt)),
    percent(Math.max(stats.peak.tokens, stats.peak.requests)),
    fair.jain.toFixed(3),
    `${fair.parts.length}: ${Math.min(...fair.parts).toFixed(2)}-${Math.max(...fair.parts).toFixed(2)}`,
    percent(FleetReport.aheadPart(verdict, lives, 200)),
    quantiles("interactive"),
    quantiles("bulk"),
    (commands.all / stats.requests).toFixed(2),
    (commands.scripts / stats.requests).toFixed(2),
    `${counts.started}, ${counts.killed}, ${counts.stopped}, ${counts.failed}`,
    `${(counts.startCpu / lives.length).toFixed(0)}, ${((counts.cpu - counts.startCpu) / stats.requests).toFixed(1)}`,
    [...reasons].map(([reason, count]) => `${count} ${reason}`).join(", ") || "none"
  ]
  if (faultAt === Infinity) return common
  const before = FleetReport.meanOf(levels, from, faultAt)
  const least = levels.reduce((least, { at, part }) => at > faultAt && at < overAt ? Math.min(least, part) : least, 1)
  const back = recovered(levels, before, healedAt, overAt)
  return [...common, percent(before), percent(least), seconds(back - healedAt)]
}

const head = [
  "",
  "answered",
  "throttles",
  "occupied",
  "peak",
  "Jain",
  "of lives, parts",
  "interactive where it waits",
  "interactive p50, p99 s",
  "bulk p50, p99 s",
  "commands",
  "scripts",
  "started, killed, stopped, failed",
  "CPU ms of a start, a call",
  "errors"
]

const main = Effect.gen(function*() {
  console.log(
    `${processes} processes, ${flags.seconds} s, windows of ${
      window / 1000
    } s with ${quota.tokens} tokens and ${quota.requests} requests, ` +
      `${flags.offered} times that asked for, lease ${lease} ms, beat ${flags.beat} ms, guard ${guard} ms`
  )
  const faults = list(flags.faults) as ReadonlyArray<Fault>
  const rows: Array<ReadonlyArray<string>> = []
  const measure = Effect.fnUntraced(function*(name: string, by: string, onLoss: Start["onLoss"], fault: Fault) {
    const row = [name, ...cells(yield* run(by, onLoss, fault))]
    console.error(row.join(" | "))
    rows.push(row)
  })
  if (faults.length === 0) { for (const by of list(flags.stores)) yield* measure(by, by, "share", "none") }
  else {
    for (const fault of faults) {
      for (const onLoss of list(flags.losses) as ReadonlyArray<Start["onLoss"]>) {
        yield* measure(`${fault}, ${onLoss}`, "redis", onLoss, fault)
      }
    }
  }
  console.log(`\n${table(faults.length === 0 ? head : [...head, "before", "lowest", "back after s"], rows)}`)
})

Effect.runPromise(main).then(() => process.exit(0), (cause) => {
  console.error(cause)
  process.exit(1)
})
