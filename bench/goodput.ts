/**
 * Goodput: traffic of several shapes that exceeds its quotas, before Bedrock's rules as the emulator keeps them, in virtual time. Caprock,
 * its peers, the SDK's own retries, and two schedulers that know everything beforehand; each in a process of its own, on the same requests.
 *
 *     node bench/goodput.ts [--shapes burst,spikes,documents,chat,mixed,cold] [--burndowns 1,5] [--only "Caprock,SDK"] [--seed 1]
 *                           [--server rolling|fixed|bucket] [--adjust during|end] [--trials 30] [--anchors 40]
 *
 * It prints; it judges nothing. The numbers are the same on each run with the same seed, but for CPU.
 *
 * - "× bound": time to the last answer over `LowerBound`, which holds for any client that was not told the shape of the window.
 * - "× order", "× any": over the plan of the foresight that keeps the order, and over that of the one that does not. Growth that is charged bit by
 *   bit may be in the way of a few that were planned; whoever is refused then tries again, and moves others.
 * - "occupied": what was reserved and charged of the scarcer quota, over the time in which anybody waited.
 * - "answers/min", "of quota": answers, and what they were charged as a part of the quota of tokens, over the time to the last of them.
 */
import * as LowerBound from "@caprock/emulator/LowerBound"
import type * as Meter from "@caprock/emulator/Meter"
import { parseArgs } from "node:util"
import * as BruteForce from "./internal/bruteForce.ts"
import { generator } from "./internal/chance.ts"
import * as Foresight from "./internal/foresight.ts"
import type { Foretold, Name } from "./internal/goodputContestants.ts"
import type { Order, Outcome } from "./internal/goodputProcess.ts"
import { start } from "./internal/processes.ts"
import { table } from "./internal/table.ts"
import * as Traffic from "./internal/traffic.ts"

const { values: flags } = parseArgs({
  options: {
    shapes: { type: "string", default: "burst,spikes,documents,chat,mixed,cold" },
    burndowns: { type: "string", default: "1,5" },
    only: { type: "string", default: "" },
    seed: { type: "string", default: "1" },
    server: { type: "string", default: "rolling" },
    adjust: { type: "string", default: "during" },
    trials: { type: "string", default: "30" },
    anchors: { type: "string", default: "40" }
  }
})

const names: ReadonlyArray<Name> = [
  "foresight, unrestricted",
  "foresight, in order",
  "Caprock's Bedrock",
  "Caprock's RateLimiter",
  "Effect's RateLimiter",
  "Bottleneck",
  "Bottleneck, refunds",
  "rate-limiter-flexible",
  "p-queue",
  "SDK, 3 attempts",
  "SDK, 10 attempts",
  "SDK, adaptive, 10"
]
const wanted = flags.only.split(",").filter((name) => name !== "")
const chosen = names.filter((name) =>
  wanted.length === 0 || name.startsWith("foresight") || wanted.some((part) => name.includes(part))
)

const isOneOf = <A extends string>(all: ReadonlyArray<A>) => (name: string): name is A =>
  all.some((known) => known === name)
const shapes = flags.shapes.split(",").filter(isOneOf(Traffic.names))
const server = [flags.server].find(isOneOf<Meter.Shape>(["rolling", "fixed", "bucket"])) ?? "rolling"
const adjust = flags.adjust === "end" ? "end" : "during"

const quantile = (values: ReadonlyArray<number>, part: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * part))] ?? Number.NaN

const seconds = (millis: number): string => (millis / 1000).toFixed(1)
const percent = (part: number): string => `${(part * 100).toFixed(1)} %`

/** The largest bound of the requests from some time on, for as many times. */
const boundOf = ({ burndown, prompts, quota, window }: Traffic.Traffic): number => {
  const from = (first: number): number =>
    (prompts[first]?.at ?? 0) + LowerBound.make(
      prompts.slice(first).map((prompt) => ({
        input: prompt.input,
        maxTokens: prompt.maxTokens,
        output: prompt.output,
        burndown,
        latencyMillis: prompt.latency
      })),
      { ...quota, windowMillis: window }
    ).millis
  return Array.from({ length: 20 }, (_, n) => from(Math.floor(prompts.length * n / 20)))
    .reduce((most, bound) => Math.max(most, bound), 0)
}

const compete = async (order: Order): Promise<Outcome> => {
  const process = start("./goodputProcess.ts")
  try {
    return await process.ask<Outcome>(order)
  } finally {
    process.stop()
  }
}

/** How far the anchors are from the best schedule that there is, where all can be tried. */
const judgeAnchors = (count: number): void => {
  const random = generator(7)
  const between = (least: number, most: number): number => least + Math.floor(random() * (most - least + 1))
  const rows = [[false, 6], [false, 8], [true, 5], [true, 6]] as const
  console.log(`The anchors against every schedule there is, ${count} sets of requests each: time over the shortest\n`)
  console.log(table(
    ["requests", "charges grow", "in order: mean", "most", "unrestricted: mean", "most", "later than first come"],
    rows.map(([grows, size]) => {
      const ordered: Array<number> = []
      const free: Array<number> = []
      let later = 0
      for (let n = 0; n < count; n++) {
        const limits = { requests: between(2, 4), tokens: 10, window: 4 }
        const jobs = Array.from({ length: size }, (): Foresight.Job => {
          const first = between(1, 8)
          return {
            from: 0,
            latency: between(1, 3),
            first,
            then: grows ? first : between(1, first),
            growth: grows ? between(0, 10 - first) : 0
          }
        })
        const order = jobs.map((_, place) => place)
        const starts = Foresight.inOrder(jobs, order, limits)
        const inOrder = Foresight.endOf(jobs, starts)
        const unrestricted = Foresight.endOf(jobs, Foresight.unrestricted(jobs, order, limits, 100))
        const latest = BruteForce.firstCome(jobs, limits)
        if (starts.some((start, place) => start > (latest[place] ?? 0))) later++
        const shortestInOrder = BruteForce.shortest(
          jobs,
          limits,
          Math.min(inOrder, Foresight.endOf(jobs, latest)),
          (place) => latest[place] ?? 0
        )
        ordered.push(inOrder / shortestInOrder)
        free.push(unrestricted / BruteForce.shortest(jobs, limits, unrestricted))
      }
      const mean = (values: ReadonlyArray<number>): string =>
        (values.reduce((sum, value) => sum + value, 0) / values.length).toFixed(3)
      const most = (values: ReadonlyArray<number>): string => Math.max(...values).toFixed(2)
      return [String(size), grows ? "yes" : "no", mean(ordered), most(ordered), mean(free), most(free), String(later)]
    })
  ))
}

const parts = [0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99]

/** How wrong what was foretold was. */
const tellForetold = ({ growth, waits }: Foretold, limit: number): void => {
  const rows: Array<ReadonlyArray<string>> = []
  const row = (name: string, errors: ReadonlyArray<number>, format: (value: number) => string): void => {
    if (errors.length > 0) rows.push([name, ...parts.map((part) => format(quantile(errors, part)))])
  }
  row("wait, real less foretold, s", waits.map(({ foretold, real }) => real - foretold), seconds)
  row(
    "the same, as a part of the longer",
    waits.filter(({ foretold, real }) => Math.max(foretold, real) > 1_000)
      .map(({ foretold, real }) => (real - foretold) / Math.max(foretold, real)),
    percent
  )
  row(
    "growth, real less foreseen, of the quota",
    growth.map(({ foretold, real }) => (real - foretold) / limit),
    percent
  )
  console.log(`\nWhat Caprock foretold, by quantile of the error\n`)
  console.log(table(["", ...parts.map((part) => `p${part * 100}`)], rows))
  if (growth.length === 0) return
  const within = growth.filter(({ foretold, real }) => real <= foretold).length / growth.length
  console.log(`\nGrowth was within what was foreseen ${percent(within)} of the time.`)
}

const measure = async (shape: Traffic.Name, burndown: number): Promise<void> => {
  const seed = Number(flags.seed)
  const traffic = Traffic.make(shape, { seed, burndown })
  const bound = boundOf(traffic)
  const order = (contestant: Name): Order => ({
    contestant,
    shape,
    seed,
    burndown,
    rules: { shape: server, adjust },
    limitMillis: bound * 4,
    trials: Number(flags.trials)
  })
  const outcomes: Array<readonly [Name, Outcome]> = []
  for (const name of chosen) outcomes.push([name, await compete(order(name))])
  const of = (name: Name) => outcomes.find(([known]) => known === name)?.[1]
  const ratio = (millis: number, of: number | undefined): string => of === undefined ? "" : (millis / of).toFixed(3)
  const count = traffic.prompts.length
  const classes = [...new Set(traffic.prompts.map(({ priority }) => String(priority)))].sort()
  const { quota, window } = traffic
  console.log(`\n## ${shape}, burndown ${burndown}: ${Traffic.shapes[shape].about}`)
  console.log(
    `\n${count} requests; ${quota.requests} requests and ${quota.tokens} tokens a minute; the bound is ${
      seconds(bound)
    } s\n`
  )
  console.log(table(
    [
      "",
      "answered",
      "refused",
      "sent/call",
      "time s",
      "× bound",
      "× order",
      "× any",
      "occupied",
      "answers/min",
      "of quota",
      ...classes.flatMap((name) => [`${name} p50 s`, "p99 s"]),
      "CPU µs/call"
    ],
    outcomes.map(([name, { cpu, failed, millis, seen, took, unanswered }]) => {
      const whole = failed + unanswered === 0
      const { samples, requests, tokens } = seen.waited
      return [
        name,
        whole ? "all" : percent(1 - (failed + unanswered) / count),
        String(seen.throttled),
        (seen.requests / count).toFixed(2),
        seconds(millis),
        ...whole
          ? [
            ratio(millis, bound),
            ratio(millis, of("foresight, in order")?.planned),
            ratio(millis, of("foresight, unrestricted")?.planned)
          ]
          : ["", "", ""],
        percent(Math.max(requests, tokens) / samples),
        ...whole
          ? [
            (seen.answered / millis * window).toFixed(1),
            percent(seen.answeredTokens / quota.tokens / (millis / window))
          ]
          : ["", ""],
        ...classes.flatMap((name) => [quantile(took[name] ?? [], 0.5), quantile(took[name] ?? [], 0.99)]).map(seconds),
        cpu.toFixed(0)
      ]
    })
  ))
  const ours = of("Caprock's Bedrock")
  if (ours?.foretold !== undefined) tellForetold(ours.foretold, quota.tokens)
  if (ours !== undefined && classes.includes("interactive")) {
    const alone = await compete({ ...order("Caprock's Bedrock"), priority: "interactive" })
    const p99 = (outcome: Outcome) => quantile(outcome.took.interactive ?? [], 0.99)
    console.log(
      `\nInteractive p99 with the bulk job over without: ${seconds(p99(ours))} s / ${seconds(p99(alone))} s = ${
        (p99(ours) / p99(alone)).toFixed(2)
      }`
    )
  }
}

if (Number(flags.anchors) > 0) judgeAnchors(Number(flags.anchors))
for (const shape of shapes) {
  for (const burndown of flags.burndowns.split(",").map(Number)) await measure(shape, burndown)
}
