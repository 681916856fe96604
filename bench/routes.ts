/**
 * What a route makes of several targets, over sockets: `Bedrock` at its defaults, with the unmodified SDK, on an emulator in a process of its own that counts
 * every Region by itself. It prints; it judges nothing.
 *
 *     node bench/routes.ts [--part outage,hang,sum,bought,hedge] [--rate 40] [--window 10000] [--windows 6] [--burndowns 1,5] [--offered 1.3]
 *                          [--calls 2000] [--seed 1]
 *
 * - `outage`: `rate` calls a second to an ordered route of two Regions, of which the first is away from the 15th second to the 25th. For 65 seconds.
 * - `hang`: the same, where it takes requests and answers nothing, or cuts their sockets; calls have a deadline of 10 seconds. With streams: their heads
 *   come and nothing behind them.
 * - `sum`: `offered` times what three Regions have in `windows` windows, by chance over that time, to a route by headroom.
 * - `bought`: provisioned throughput before a Region, `patience` 0: three windows of half of what was bought, three of twice as much, and three of half again.
 * - `hedge`: `calls` at `rate` a second over two Regions whose answers have a heavy tail, without second requests and with them, for two tails.
 */
import * as Bedrock from "@caprock/bedrock/Bedrock"
import * as CallAccount from "@caprock/bedrock/CallAccount"
import * as Fault from "@caprock/emulator/Fault"
import * as LatencyModel from "@caprock/emulator/LatencyModel"
import type * as Options from "@caprock/emulator/Options"
import type * as Stats from "@caprock/emulator/Stats"
import type * as Route from "@caprock/router/Route"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { parseArgs } from "node:util"
import { generator } from "./internal/chance.ts"
import { byDebt } from "./internal/debt.ts"
import * as Server from "./internal/server.ts"
import { table } from "./internal/table.ts"
import * as Workload from "./internal/workload.ts"

const { values: flags } = parseArgs({
  options: {
    part: { type: "string", default: "outage,hang,sum,bought,hedge" },
    rate: { type: "string", default: "40" },
    window: { type: "string", default: "10000" },
    windows: { type: "string", default: "6" },
    burndowns: { type: "string", default: "1,5" },
    offered: { type: "string", default: "1.3" },
    calls: { type: "string", default: "2000" },
    seed: { type: "string", default: "1" },
    help: { type: "boolean", default: false }
  }
})

const usage = `node bench/routes.ts [flags]: calls by routes, over sockets, on an emulator that counts every Region

  --part outage,hang,sum,bought,hedge   which of them
  --rate 40                             calls a second (outage, hang, hedge)
  --window 10000                        the period of the quotas, in milliseconds (sum, bought)
  --windows 6                           how many of them (sum)
  --burndowns 1,5                       by what output tokens are charged (sum)
  --offered 1.3                         times the sum of the quotas (sum)
  --calls 2000                          calls (hedge)
  --seed 1`

if (flags.help) {
  console.log(usage)
  process.exit(0)
}

const seed = Number(flags.seed)
const rate = Number(flags.rate)
const window = Number(flags.window)

/** Models of the catalogue that have the burndown. */
const models: Readonly<Record<string, string>> = {
  1: "amazon.nova-lite-v1:0",
  5: "anthropic.claude-3-7-sonnet-20250219-v1:0"
}

const regions = ["us-east-1", "us-west-2", "eu-west-1"] as const

/** A call: when it begins, and what came of it. */
interface Call {
  readonly at: number
  readonly took: number
  readonly target: string | undefined
  readonly hedged: boolean
}

interface House {
  readonly spec: Workload.Spec
  readonly emulator: Omit<Options.Options, "output">
  readonly bedrock: Pick<Bedrock.Options, "quotas" | "withoutQuota" | "meters" | "deadline">
  readonly routes: Route.RouteFile
  /** Answers are streams. */
  readonly streams?: boolean
}

/** Sends the prompts at their times, and gives what the clients and what the emulator have seen. */
const run = (house: House, prompts: ReadonlyArray<Workload.Prompt>, at: (index: number) => number) =>
  Effect.scoped(Effect.gen(function*() {
    const server = yield* Server.start({ spec: house.spec, options: { seed, account: "1", ...house.emulator } })
    const layer = Bedrock.layer({
      region: "us-east-1",
      endpoint: server.url,
      credentials: { accessKeyId: "AKIDBENCH", secretAccessKey: "bench" },
      ...house.bedrock,
      routes: house.routes
    })
    const calls = yield* Effect.gen(function*() {
      const bedrock = yield* Bedrock.Bedrock
      const began = yield* Clock.currentTimeMillis
      const now = Effect.map(Clock.currentTimeMillis, (now) => now - began)
      return yield* Effect.forEach(prompts, (prompt, index) =>
        Effect.gen(function*() {
          yield* Effect.sleep(at(index))
          const from = yield* now
          const input = {
            modelId: "chat",
            messages: [{ role: "user" as const, content: [{ text: prompt.text }] }],
            inferenceConfig: { maxTokens: prompt.maxTokens }
          }
          // The last event of a stream has the account.
          const sent: Effect.Effect<object, unknown> = house.streams === true
            ? Effect.flatMap(Stream.runLast(bedrock.converseStream(input)), Effect.fromOption)
            : bedrock.converse(input)
          const answer = yield* Effect.result(sent)
          const account = Result.isSuccess(answer) ? CallAccount.of(answer.success) : undefined
          const call: Call = {
            at: from,
            took: (yield* now) - from,
            target: account?.target,
            hedged: account?.hedged ?? false
          }
          return call
        }), { concurrency: "unbounded" })
    }).pipe(Effect.provide(layer))
    const { log, stats } = yield* server.seen
    return { calls, log: log.toSorted((a, b) => a.arrivedAt - b.arrivedAt), stats }
  }))

const percentile = (values: ReadonlyArray<number>, part: number): number =>
  values.toSorted((a, b) => a - b)[Math.ceil(part * values.length) - 1] ?? Number.NaN

const seconds = (millis: number): string => (millis / 1_000).toFixed(1)

const regionOf = ({ pool }: Stats.RequestRecord): string => pool.split("/")[1] ?? ""

const small = (requests: number): Workload.Spec => ({ requests, seed, burndown: 1, excess: 1, multiple: [1, 1] })

const free = { withoutQuota: "unlimited" } as const

// -----------------------------------------------------------------------------
// An outage
// -----------------------------------------------------------------------------

/** How it is away. */
interface Away {
  readonly name: string
  readonly fault?: Fault.Fault
  readonly streams?: boolean
}

const refuses: ReadonlyArray<Away> = [{ name: "says so (503)" }]

const hangs: ReadonlyArray<Away> = [
  { name: "answers nothing", fault: Fault.silence() },
  { name: "a stream's head, then nothing", fault: Fault.silence({ at: { frame: 0 } }), streams: true },
  { name: "cuts sockets", fault: Fault.cut(0) }
]

const [from, to, end] = [15_000, 25_000, 65_000]

const away = Effect.fnUntraced(function*({ fault, name, streams = false }: Away) {
  const spec = small(Math.floor(rate * end / 1_000))
  const [first, second] = regions
  const { calls, log } = yield* run(
    {
      spec,
      streams,
      emulator: {
        latency: LatencyModel.uniform(100, 300),
        outages: [{
          afterMillis: from,
          durationMillis: to - from,
          region: first,
          ...(fault === undefined ? {} : { fault })
        }]
      },
      bedrock: { ...free, deadline: "10 seconds" },
      routes: {
        targets: {
          [first]: { model: models[1] ?? "", region: first },
          [second]: { model: models[1] ?? "", region: second }
        },
        routes: { chat: { policy: { ordered: [first, second] } } }
      }
    },
    Workload.make(spec).prompts,
    (index) => 1_000 * index / rate
  )
  // The emulator's clock began with it, the clients' with the load.
  const offset = (log[0]?.arrivedAt ?? 0) - (calls[0]?.at ?? 0)
  const between = (from: number, to: number) => calls.filter(({ at }) => at + offset >= from && at + offset < to)
  const p99 = (of: ReadonlyArray<Call>) => percentile(of.map(({ took }) => took), 0.99)
  const toFirst = log.filter((record) => regionOf(record) === first)
  const into = toFirst.filter(({ arrivedAt }) => arrivedAt >= from && arrivedAt < to)
  // Then nothing goes there for a second, but for a probe now and then.
  const around = into.find(({ arrivedAt }, index) => (into[index + 1]?.arrivedAt ?? Infinity) - arrivedAt > 1_000)
  const answer = toFirst.find(({ arrivedAt, outcome }) => arrivedAt >= to && outcome === "Answered")
  const back = answer?.endedAt ?? Number.NaN
  const share = (second: number): number => {
    const all = between(to + 1_000 * second, to + 1_000 * (second + 1))
    return all.filter(({ target }) => target === first).length / all.length
  }
  const shares = Array.from({ length: Math.floor((end - to) / 1_000) - 1 }, (_, second) => share(second))
  const whole = shares.findLastIndex((share) => share < 0.99) + 1
  const row = [
    name,
    String(calls.length),
    String(calls.filter(({ target }) => target === undefined).length),
    (log.length / calls.length).toFixed(3),
    String(into.length),
    seconds((around?.arrivedAt ?? Number.NaN) - from),
    p99(between(2_000, from - 500)).toFixed(0),
    p99(between(from, to)).toFixed(0),
    Math.max(...between(from, to).map(({ took }) => took)).toFixed(0),
    seconds(back - to),
    String(toFirst.filter(({ arrivedAt }) => arrivedAt > back && arrivedAt <= back + 1_000).length),
    String(whole)
  ]
  return { name, row, shares: shares.slice(0, 30).map((share) => share.toFixed(2)).join(" ") }
})

const awayIn = (kinds: ReadonlyArray<Away>) =>
  Effect.gen(function*() {
    const measured = yield* Effect.forEach(kinds, away)
    console.log(`\nThe first of two Regions is away for 10 s, ${rate} calls a second, each with 10 s to its deadline\n`)
    console.log(table(
      [
        "",
        "calls",
        "lost",
        "sent per call",
        "sent into it",
        "routed around after s",
        "p99 before",
        "p99 in it",
        "at most",
        "first answer after s",
        "sent in the next second",
        "all back after s"
      ],
      measured.map(({ row }) => row)
    ))
    for (const { name, shares } of measured) {
      console.log(`\nIts share of calls, second by second after it (${name}): ${shares}`)
    }
  })

const outage = awayIn(refuses)

const hang = awayIn(hangs)

// -----------------------------------------------------------------------------
// Three quotas
// -----------------------------------------------------------------------------

/**
 * The part of a quota that is used: the mean of what counts in the rolling window, from one window after the first request until the last one, of which
 * nothing is reserved any more but charged as it was in the end.
 */
const occupancy = (log: ReadonlyArray<Stats.RequestRecord>, quota: number, from: number, to: number): number =>
  log.reduce(
    (sum, { arrivedAt, settled }) =>
      sum + settled * Math.max(0, Math.min(arrivedAt + window, to) - Math.max(arrivedAt, from)),
    0
  ) / (quota * (to - from))

/** The guard that the limiter adds to the window, since it can't know when a request was counted. */
const guardMillis = 250

/**
 * What can be used by who can't know an answer beforehand: of the quota's time a request takes what it is charged for the window and the guard, and what was
 * reserved beyond that for as long as its answer takes.
 */
const most = (log: ReadonlyArray<Stats.RequestRecord>): number => {
  const sum = (value: (record: Stats.RequestRecord) => number) => log.reduce((sum, record) => sum + value(record), 0)
  return sum(({ settled }) => settled * window) /
    sum(({ latencyMillis, reserved, settled }) =>
      settled * (window + guardMillis) + Math.max(0, reserved - settled) * latencyMillis
    )
}

const sum = Effect.gen(function*() {
  const rows: Array<ReadonlyArray<string>> = []
  for (const burndown of flags.burndowns.split(",").map(Number)) {
    const windows = Number(flags.windows)
    const offered = Number(flags.offered)
    const spec: Workload.Spec = {
      requests: 1_000 * windows,
      seed,
      burndown,
      excess: windows * regions.length * offered,
      multiple: [2, 4]
    }
    const { prompts, quota } = Workload.make(spec)
    const random = generator(seed)
    const times = prompts.map(() => random() * windows * window).toSorted((a, b) => a - b)
    const model = models[burndown] ?? ""
    const { calls, log, stats } = yield* run(
      {
        spec,
        emulator: { window, burndown, quota: { tokens: quota.tokens }, latency: LatencyModel.logNormal(300, 0.6) },
        bedrock: { quotas: { default: { tokensPerMinute: quota.tokens } }, meters: { window } },
        routes: {
          targets: Object.fromEntries(regions.map((region) => [region, { model, region }])),
          routes: { chat: { policy: { headroom: [...regions] } } }
        }
      },
      prompts,
      (index) => times[index] ?? 0
    )
    const began = log[0]?.arrivedAt ?? 0
    const of = (region: string) => log.filter((record) => regionOf(record) === region)
    // While calls wait everywhere: from when the first windows are full until no more come.
    const parts = regions.map((region) => occupancy(of(region), quota.tokens, began + window, began + windows * window))
    rows.push([
      `× ${burndown}`,
      String(calls.length),
      String(calls.filter(({ target }) => target === undefined).length),
      String(stats.throttled.total),
      String(regions.reduce((sum, region) => sum + byDebt(of(region), quota.tokens, window), 0)),
      (log.length / calls.length).toFixed(3),
      ...parts.map((part) => `${(100 * part).toFixed(1)} %`),
      `${(100 * parts.reduce((sum, part) => sum + part, 0) / parts.length).toFixed(1)} %`,
      `${(100 * most(log)).toFixed(1)} %`
    ])
  }
  console.log(`\n${flags.offered} times the quotas of three Regions, ${flags.windows} windows of ${window / 1_000} s\n`)
  console.log(
    table([
      "burndown",
      "calls",
      "lost",
      "throttles",
      "by debt",
      "sent per call",
      ...regions,
      "of the sum",
      "at most"
    ], rows)
  )
})

// -----------------------------------------------------------------------------
// What was bought
// -----------------------------------------------------------------------------

const bought = Effect.gen(function*() {
  const arn = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcdefghijkl"
  // Of the calls of a window, of which half fit.
  const each = 100
  const loads = [0.5, 0.5, 0.5, 2, 2, 2, 0.5, 0.5, 0.5]
  const times = loads.flatMap((load, index) =>
    Array.from({ length: each * load }, (_, call) => window * (index + call / (each * load)))
  )
  const spec: Workload.Spec = {
    requests: times.length,
    seed,
    burndown: 1,
    excess: times.length / each,
    multiple: [2, 4]
  }
  const { prompts, quota } = Workload.make(spec)
  const longest = 300
  const { calls, log, stats } = yield* run(
    {
      spec,
      emulator: { window, quotas: { [arn]: { tokens: quota.tokens } }, latency: LatencyModel.uniform(100, longest) },
      bedrock: {
        quotas: { default: { tokensPerMinute: 100 * quota.tokens }, [arn]: { tokensPerMinute: quota.tokens } },
        meters: { window }
      },
      routes: {
        targets: {
          bought: { model: arn, region: "us-east-1" },
          spare: { model: models[1] ?? "", region: "us-east-1" }
        },
        routes: { chat: { policy: { ordered: ["bought", "spare"], patience: 0 } } }
      }
    },
    prompts,
    (index) => times[index] ?? 0
  )
  const isBought = ({ pool }: Stats.RequestRecord) => pool.includes("provisioned")
  const own = log.filter(isBought)
  const over = log.filter((record) => !isBought(record))
  // What was counted when it came, with what it would have taken, for as long as the limiter has to hold it: until the window and the guard are over since
  // the request may have come at the latest, which was when its answer did.
  const full = over.filter(({ arrivedAt, inputTokens, maxTokens }) => {
    const counted = own.filter((record) =>
      record.arrivedAt > arrivedAt - window - guardMillis - longest && record.arrivedAt <= arrivedAt
    )
      .reduce((sum, record) => sum + (record.endedAt <= arrivedAt ? record.settled : record.reserved), 0)
    return counted + inputTokens + maxTokens > quota.tokens
  })
  const spareIn = (from: number, to: number) =>
    calls.filter(({ at, target }) => target === "spare" && at >= from * window && at < to * window).length
  const began = log[0]?.arrivedAt ?? 0
  console.log(
    `\nProvisioned throughput before a Region: half of it asked for, twice as much, and half, for three windows of ${
      window / 1_000
    } s each\n`
  )
  console.log(table(
    [
      "calls",
      "lost",
      "throttles",
      "overflow in the first half load",
      "in the double load",
      "in the second half load",
      "while it was full",
      "occupancy of it in the double load"
    ],
    [[
      String(calls.length),
      String(calls.filter(({ target }) => target === undefined).length),
      String(stats.throttled.total),
      String(spareIn(0, 3)),
      String(spareIn(3, 6)),
      // Its first window has the load before in it.
      String(spareIn(7, 9)),
      `${full.length} of ${over.length}`,
      `${(100 * occupancy(own, quota.tokens, began + 4 * window, began + 6 * window)).toFixed(1)} %`
    ]]
  ))
})

// -----------------------------------------------------------------------------
// Second requests
// -----------------------------------------------------------------------------

/** Lognormal, of a median of 100 ms: by their shape, as far above it as that makes the slowest in a hundred. */
const tails = [1.5, 2] as const

const hedge = Effect.gen(function*() {
  const spec = small(Number(flags.calls))
  const { prompts } = Workload.make(spec)
  const [first, second] = regions
  const model = models[1] ?? ""
  const rows: Array<ReadonlyArray<string>> = []
  for (const sigma of tails) {
    let alone = Number.NaN
    for (const hedge of [undefined, {}]) {
      const { calls, log, stats } = yield* run(
        {
          spec,
          emulator: { latency: LatencyModel.logNormal(100, sigma, { maxMillis: 20_000 }) },
          bedrock: free,
          routes: {
            targets: { [first]: { model, region: first }, [second]: { model, region: second } },
            routes: { chat: { policy: { headroom: [first, second] }, ...(hedge === undefined ? {} : { hedge }) } }
          }
        },
        prompts,
        (index) => 1_000 * index / rate
      )
      const took = calls.map(({ took }) => took)
      const p99 = percentile(took, 0.99)
      if (hedge === undefined) alone = p99
      rows.push([
        `sigma ${sigma}, ${hedge === undefined ? "one request" : "with second ones"}`,
        String(calls.length),
        String(calls.filter(({ target }) => target === undefined).length),
        String(log.length),
        `${(100 * (log.length / calls.length - 1)).toFixed(1)} %`,
        String(stats.errors["Disconnected"] ?? 0),
        ...[0.5, 0.95].map((part) => percentile(took, part).toFixed(0)),
        p99.toFixed(0),
        (p99 / alone).toFixed(2),
        percentile(took, 0.999).toFixed(0)
      ])
    }
  }
  console.log(`\nAnswers with a heavy tail (lognormal, median 100 ms), ${rate} calls a second\n`)
  console.log(
    table(["", "calls", "lost", "requests", "more", "left by the client", "p50", "p95", "p99", "ratio", "p99.9"], rows)
  )
})

const parts: Readonly<Record<string, typeof outage>> = { outage, hang, sum, bought, hedge }

const main = Effect.gen(function*() {
  for (const part of flags.part.split(",")) {
    const measured = parts[part]
    if (measured === undefined) return yield* Effect.die(new Error(`There is no part ${part}.\n\n${usage}`))
    yield* measured
  }
})

Effect.runPromise(main).then(() => process.exit(0))
