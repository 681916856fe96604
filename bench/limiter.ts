/**
 * What a limiter costs: CPU of a call that is admitted at once, and of one behind others that wait; memory of one who waits; CPU until all who
 * wait have gone. Caprock and its peers, each in a process of its own, in rounds that take turns. A minute of waiting is virtual.
 *
 *     node bench/limiter.ts [--waiting 0,1000,100000,1000000] [--sizes alike,mixed] [--rounds 5] [--turns 100000] [--budget 60]
 *                           [--limit 120] [--only "Caprock,Effect"]
 *
 * A call reserves one request and 1,000 tokens, or 20 to 20,000 where sizes are mixed, and gives back six tenths where it can. 10,000 of the
 * first kind, and a tenth of the second, fill a window. Behind others: each who is admitted comes back and waits again, so as many wait all the
 * time, and a round has so many turns that the collector comes by several times. "own" is what the caller itself takes, a fiber or a promise that only waits, and not counted in "net". Who would need more than
 * `--budget` seconds until all wait is left out, and whoever is slow has shorter rounds. Who has not answered one question after `--limit` seconds is
 * ended.
 */
import { parseArgs } from "node:util"
import type { Name } from "./internal/limiterContestants.ts"
import type { Question, Took } from "./internal/limiterProcess.ts"
import { type Process, start } from "./internal/processes.ts"
import * as Rounds from "./internal/rounds.ts"
import { table } from "./internal/table.ts"

const { values: flags } = parseArgs({
  options: {
    waiting: { type: "string", default: "0,1000,100000,1000000" },
    sizes: { type: "string", default: "alike,mixed" },
    rounds: { type: "string", default: "5" },
    turns: { type: "string", default: "100000" },
    budget: { type: "string", default: "60" },
    limit: { type: "string", default: "120" },
    only: { type: "string", default: "" }
  }
})

const fiber = "a fiber that only waits" satisfies Name
const promise = "a promise that only waits" satisfies Name
const ours = "Caprock's RateLimiter" satisfies Name
const baselines: Readonly<Partial<Record<Name, Name>>> = {
  [ours]: fiber,
  "Effect's RateLimiter": fiber,
  "Bottleneck": promise,
  "rate-limiter-flexible": promise,
  "p-queue": promise
}
const wanted = flags.only.split(",").filter((name) => name !== "")
const competitors: ReadonlyArray<Name> = [
  ours,
  "Effect's RateLimiter",
  "rate-limiter-flexible",
  "p-queue",
  "Bottleneck"
]
const chosen: ReadonlyArray<Name> = [
  fiber,
  promise,
  "Caprock's Ledger",
  ...competitors.filter((name) => wanted.length === 0 || wanted.some((part) => name.includes(part)))
]
const budgetMillis = Number(flags.budget) * 1000
const limitMillis = Number(flags.limit) * 1000
const rounds = Math.min(31, Number(flags.rounds))

/** Milliseconds of CPU that a turn took at last. */
const pace = new Map<Name, number>()

interface Arm {
  readonly name: Name
  readonly process: Process
  readonly turns: Array<Took>
  filled: Took | undefined
  drained: Took | undefined
}

/** `undefined` when it takes too long: then it is ended. */
const ask = async ({ process }: Arm, question: Question): Promise<Took | undefined> => {
  const timer = setTimeout(process.kill, limitMillis)
  try {
    return await process.ask<Took>(question)
  } catch {
    return undefined
  } finally {
    clearTimeout(timer)
  }
}

const measure = async (waiting: number, sizes: "alike" | "mixed"): Promise<void> => {
  const turns = Number(flags.turns)
  const started: Array<Arm> = []
  const left: Array<Name> = []
  for (const name of chosen) {
    if (name === "Caprock's Ledger" && waiting > 0) continue
    // To fill its window and the room takes about a turn each.
    if ((pace.get(name) ?? 0) * (waiting + 10_000) > budgetMillis) {
      left.push(name)
      continue
    }
    const process = start("./limiterProcess.ts", ["--max-old-space-size=12000"])
    const arm: Arm = { name, process, turns: [], filled: undefined, drained: undefined }
    arm.filled = await ask(arm, { be: name, waiting, sizes })
    // The first round warms up, and shows who is slow.
    const warm = arm.filled && await ask(arm, { turns: 1_000 })
    if (warm !== undefined) pace.set(name, warm.cpu / 1_000)
    if (warm === undefined) left.push(name)
    else started.push(arm)
  }
  const turnsOf = (name: Name): number =>
    Math.max(100, Math.min(turns, Math.floor(budgetMillis / 20 / (pace.get(name) ?? 1))))
  const gone = new Set<Arm>()
  for (let round = 0; round < rounds; round++) {
    for (let place = 0; place < started.length; place++) {
      // Nobody always comes after the same one.
      const arm = started[(place + round) % started.length]
      if (arm === undefined || gone.has(arm)) continue
      const took = await ask(arm, { turns: turnsOf(arm.name) })
      if (took === undefined) gone.add(arm)
      else arm.turns.push(took)
    }
  }
  const arms = started.filter((arm) => !gone.has(arm))
  for (const { name } of gone) left.push(name)
  for (const arm of arms) {
    if (waiting > 0) arm.drained = await ask(arm, { drain: true })
    if (waiting === 0 || arm.drained !== undefined) arm.process.stop()
  }
  const cpuOf = (name: Name | undefined): number =>
    Rounds.median((arms.find((arm) => arm.name === name)?.turns ?? []).map(({ cpu }) => cpu))
  const bytesOf = (name: Name | undefined): number => arms.find((arm) => arm.name === name)?.filled?.bytes ?? 0
  const drainOf = (name: Name | undefined): number =>
    name === undefined ? 0 : arms.find((arm) => arm.name === name)?.drained?.cpu ?? Number.NaN
  const netOf = (name: Name): number => cpuOf(name) - (name in baselines ? cpuOf(baselines[name]) : 0)
  const some = waiting > 0
  console.log(`\n## ${waiting === 0 ? "Nobody waits" : `${waiting} wait`}, sizes ${sizes}\n`)
  console.log(table(
    [
      "",
      "CPU µs/call",
      "±",
      "own",
      "net",
      "× Caprock",
      ...some ? ["bytes/waiter, net", "× Caprock", "drain µs, net"] : []
    ],
    arms.map(({ name, turns }) => {
      const own = baselines[name]
      const cpu = turns.map(({ cpu }) => cpu)
      const bytes = bytesOf(name) - bytesOf(own)
      return [
        name,
        Rounds.median(cpu).toFixed(2),
        `${(Rounds.spread(cpu) * 100).toFixed(0)} %`,
        own === undefined ? "" : cpuOf(own).toFixed(2),
        netOf(name).toFixed(2),
        own === undefined ? "" : (netOf(name) / netOf(ours)).toFixed(2),
        ...some
          ? [
            bytes.toFixed(0),
            own === undefined ? "" : (bytes / (bytesOf(ours) - bytesOf(fiber))).toFixed(2),
            Number.isNaN(drainOf(name)) ? `over ${flags.limit} s` : (drainOf(name) - drainOf(own)).toFixed(2)
          ]
          : []
      ]
    })
  ))
  if (left.length > 0) {
    console.log(`\nMore than ${flags.budget} s until all wait, or ${flags.limit} s for a question: ${left.join(", ")}`)
  }
}

for (const waiting of flags.waiting.split(",").map(Number)) {
  for (const sizes of flags.sizes.split(",")) {
    if (waiting > 0 || sizes === "alike") await measure(waiting, sizes === "mixed" ? "mixed" : "alike")
  }
}
