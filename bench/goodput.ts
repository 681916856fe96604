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
import type { Foretold, Name, Told } from "./internal/goodputContestants.ts"
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

const ours: Name = "Caprock's Bedrock"
const ordered: Name = "foresight, in order"
const unrestricted: Name = "foresight, unrestricted"
/** Ways to set it up for interactive calls beside a bulk job. */
const setUp: ReadonlyArray<Name> = ["Caprock's, a share for interactive", "Caprock's, 0.3 of the minute in 10 s"]
const names: ReadonlyArray<Name> = [
  unrestricted,
  ordered,
  ours,
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
const chosen: ReadonlyArray<Name> = names.filter((name) =>
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

/** Of so many answers it has learned what the next are like. */
const learnedAfter = 30

const sumOf = <A>(values: ReadonlyArray<A>, of: (value: A) => number): number =>
  values.reduce((sum, value) => sum + of(value), 0)

const errorsOf = (told: ReadonlyArray<Told>): ReadonlyArray<number> =>
  told.map(({ foretold, real }) => Math.abs(foretold - real))

/** Errors as a part of the longer of the two, where that is worth a word. */
const partsOf = (told: ReadonlyArray<Told>, least: number): ReadonlyArray<number> =>
  told.filter(({ foretold, real }) => Math.max(foretold, real) >= least)
    .map(({ foretold, real }) => Math.abs(foretold - real) / Math.max(foretold, real))

const biasOf = (told: ReadonlyArray<Told>): string =>
  sumOf(told, ({ real }) => real) === 0
    ? ""
    : (sumOf(told, ({ foretold }) => foretold) / sumOf(told, ({ real }) => real)).toFixed(2)

/** How wrong the wait was that was foretold when each was asked for. */
const waitRow = (name: string, { waits }: Foretold): ReadonlyArray<string> => {
  const blind = waits.filter(({ answers }) => answers < learnedAfter)
  const told = waits.filter(({ answers }) => answers >= learnedAfter)
  const errors = errorsOf(told)
  const parts = partsOf(told, 5_000)
  return [
    name,
    String(told.length),
    ...told.length === 0 ? ["", "", "", "", ""] : [
      seconds(quantile(told.map(({ real }) => real), 0.5)),
      seconds(quantile(errors, 0.5)),
      seconds(quantile(errors, 0.9)),
      percent(quantile(parts, 0.5)),
      percent(quantile(parts, 0.9))
    ],
    biasOf(told),
    String(blind.length),
    biasOf(blind)
  ]
}

/** How wrong the lengths were that were foretold when each was sent. */
const lengthRow = (name: string, { growth, inFlight, outputs }: Foretold): ReadonlyArray<string> => {
  const told = outputs.filter(({ answers }) => answers >= learnedAfter)
  const flights = partsOf(inFlight, 1)
  return [
    name,
    String(told.length),
    (sumOf(told, ({ real }) => real) / told.length).toFixed(0),
    biasOf(told),
    percent(quantile(partsOf(told, 1), 0.5)),
    percent(quantile(flights, 0.5)),
    percent(quantile(flights, 0.9)),
    growth.length === 0
      ? ""
      : percent(growth.filter(({ foretold, real }) => real <= foretold).length / growth.length)
  ]
}

const foretold: Array<readonly [name: string, foretold: Foretold]> = []

const tellForetold = (): void => {
  console.log(`\n## What Caprock foretold\n`)
  console.log(`The wait, by \`estimate\` when each was asked for, after ${learnedAfter} answers, and before:\n`)
  console.log(table(
    ["", "asked", "wait s", "off by s", "p90", "off by", "p90", "foretold / had", "asked before", "foretold / had"],
    foretold.map(([name, told]) => waitRow(name, told))
  ))
  console.log(`\nTokens of output, when each was sent, after ${learnedAfter} answers; of all in flight; and growth:\n`)
  console.log(table(
    ["", "sent", "mean", "foretold / had", "one is off by", "all in flight are", "p90", "growth within"],
    foretold.map(([name, told]) => lengthRow(name, told))
  ))
}

/** What was reserved and charged of the scarcer quota, over the time in which anybody waited. */
const occupied = (seen: Outcome["seen"] | undefined): string =>
  seen === undefined ? "" : percent(Math.max(seen.waited.requests, seen.waited.tokens) / seen.waited.samples)

const goals: Array<ReadonlyArray<string>> = []
const urgent: Array<ReadonlyArray<string>> = []

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
  const hasClasses = traffic.prompts.some(({ priority }) => priority === "interactive")
  for (const name of chosen) {
    outcomes.push([name, await compete(order(name))])
    if (name !== ours || !hasClasses) continue
    for (const name of setUp) outcomes.push([name, await compete(order(name))])
  }
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
      return [
        name,
        whole ? "all" : percent(1 - (failed + unanswered) / count),
        String(seen.throttled),
        (seen.requests / count).toFixed(2),
        seconds(millis),
        ...whole
          ? [
            ratio(millis, bound),
            ratio(millis, of(ordered)?.planned),
            ratio(millis, of(unrestricted)?.planned)
          ]
          : ["", "", ""],
        occupied(seen),
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
  const own = of(ours)
  if (own === undefined) return
  if (own.foretold !== undefined) foretold.push([`${shape}, ${burndown}`, own.foretold])
  const peers = outcomes.filter(([name, { failed, unanswered }]) =>
    !name.startsWith("foresight") && !name.startsWith("Caprock") && failed + unanswered === 0
  )
  goals.push([
    `${shape}, ${burndown}`,
    String(own.seen.throttled),
    ratio(own.millis, of(ordered)?.planned),
    ratio(own.millis, of(unrestricted)?.planned),
    peers.length === 0 ? "" : (Math.min(...peers.map(([, { millis }]) => millis)) / own.millis).toFixed(3),
    ...[ours, ordered, unrestricted].map((name) => occupied(of(name)?.seen))
  ])
  if (!hasClasses) return
  const p99 = (outcome: Outcome): number => quantile(outcome.took["interactive"] ?? [], 0.99)
  for (const name of [ordered, ours, ...setUp]) {
    const outcome = of(name)
    if (outcome === undefined) continue
    const alone = await compete({ ...order(name), priority: "interactive" })
    urgent.push([
      `${shape}, ${burndown}`,
      name,
      seconds(p99(outcome)),
      seconds(p99(alone)),
      (p99(outcome) / p99(alone)).toFixed(2),
      ratio(outcome.millis, own.millis),
      occupied(outcome.seen)
    ])
  }
}

const tellGoals = (): void => {
  console.log(`\n## Against the goals\n`)
  console.log(table(
    [ours, "refused", "× order", "× any", "next peer, ×", "occupied", "in order", "unrestricted"],
    goals
  ))
  if (urgent.length === 0) return
  console.log(`\nInteractive calls with the bulk job, and without it:\n`)
  console.log(table(["", "", "p99 s", "without", "×", "time, × ours", "occupied"], urgent))
}

if (Number(flags.anchors) > 0) judgeAnchors(Number(flags.anchors))
for (const shape of shapes) {
  for (const burndown of flags.burndowns.split(",").map(Number)) await measure(shape, burndown)
}
if (goals.length > 0) tellGoals()
if (foretold.length > 0) tellForetold()
