/**
 * What it costs to decide where a call goes: CPU of one decision, by policy and by how many targets the route has. Budget: 10 µs at 50 targets.
 *
 *     node bench/router.ts [--targets 3,10,50] [--rounds 11] [--decisions 20000]
 *
 * Each decision is of other numbers than the last: half of the targets make wait, a tenth is sick or comes back, and some are warm, lack something or
 * were tried before. All of `Decision.decide` is measured, with the lists that it returns, from a snapshot in the process's memory.
 */
import { Decision, type Fence, type Route, RouteTable } from "@caprock/router"
import * as Result from "effect/Result"
import { parseArgs } from "node:util"
import { generator } from "./internal/chance.ts"
import * as Rounds from "./internal/rounds.ts"
import { table } from "./internal/table.ts"

const { values: flags } = parseArgs({
  options: {
    targets: { type: "string", default: "3,10,50" },
    rounds: { type: "string", default: "11" },
    decisions: { type: "string", default: "20000" }
  }
})
const sizes = flags.targets.split(",").map(Number)
const decisions = Number(flags.decisions)

/** The policies, over so many targets. */
const policies = (names: ReadonlyArray<string>): Readonly<Record<string, Route.Policy>> => {
  const groups = Array.from({ length: Math.ceil(names.length / 5) }, (_, i) => names.slice(5 * i, 5 * i + 5))
  const weighted = (names: ReadonlyArray<string>) => ({ weighted: names.map((to, i) => ({ to, weight: 1 + i % 3 })) })
  return {
    "ordered": { ordered: names },
    "most headroom": { headroom: names },
    "weighted": weighted(names),
    "cheapest": { cheapest: names },
    "chosen by a function": { choose: names, by: "choose" },
    "nested, ordered, of headroom and weighted by five": {
      ordered: groups.map((group, i) => i % 2 === 0 ? { headroom: group } : weighted(group))
    },
    "nested, cheapest, of ordered, of headroom": {
      cheapest: groups.map((group) => ({ ordered: [{ headroom: group.slice(0, 3) }, ...group.slice(3)] }))
    }
  }
}

const fence: Fence.Fence = ["eu-*", "us-*"]
// Of what the call is a part of: another one, which has to be asked of each target.
const another: Fence.Fence = ["us-east-1", "eu-*"]

const routes = (size: number): RouteTable.RouteTable => {
  const chance = generator(1)
  const names = Array.from({ length: size }, (_, i) => `target-${i}`)
  return Result.getOrThrow(
    RouteTable.make({
      targets: Object.fromEntries(names.map((name, i) => [name, {
        model: "acme.sage-v1:0",
        residency: [i % 2 === 0 ? "eu-west-1" : "us-east-1", "eu-central-1"],
        able: { input: 200_000, tools: i % 10 !== 9 },
        price: { input: chance(), output: 5 * chance() }
      }])),
      routes: Object.fromEntries(Object.entries(policies(names)).map(([name, policy]) => [name, { policy, fence }]))
    }, { choose: { choose: (_, candidates) => candidates.map(({ target }) => target.name) } })
  )
}

/** What is known, in so many states. */
const states = (size: number): ReadonlyArray<ReadonlyArray<Decision.Facts>> => {
  const chance = generator(2)
  return Array.from({ length: 64 }, () =>
    Array.from({ length: size }, (): Decision.Facts => ({
      waitMillis: chance() < 0.5 ? 0 : Math.floor(10_000 * chance()),
      free: chance(),
      standing: chance() < 0.9
        ? { _tag: "Closed", share: 1 }
        : chance() < 0.5
        ? { _tag: "Closed", share: 0.5 }
        : { _tag: "Open", untilMillis: 1_000 },
      latencyMillis: 500 + Math.floor(2_000 * chance()),
      warm: chance() < 0.1 ? 1 : 0
    })))
}

const asks: ReadonlyArray<readonly [name: string, ask: Decision.Ask]> = [
  ["", { input: 1_200, output: 300, needs: [], leftMillis: Infinity }],
  [", all that can be asked", {
    input: 1_200,
    output: 300,
    needs: ["tools", "streaming"],
    leftMillis: 9_000,
    fence: another,
    prefixes: [{ key: "p", millis: 300_000 }]
  }]
]
const trace: Decision.Trace = { notBeforeMillis: 700, sick: true, why: "ServerError" }
const second: Decision.Tried = { at: (index) => index === 0 ? trace : undefined }

const rows: Array<ReadonlyArray<string>> = []
let sum = 0
for (const size of sizes) {
  const known = states(size)
  const { routes: all } = routes(size)
  for (const route of all) {
    for (const [what, ask] of asks) {
      const took: Array<number> = []
      for (let round = -2; round < Number(flags.rounds); round++) {
        const before = process.cpuUsage()
        for (let i = 0; i < decisions; i++) {
          const tried = what === "" ? Decision.untried : second
          sum +=
            Decision.decide(route, ask, known[i % known.length] ?? [], tried, (i % 997) / 997, 500).candidates.length
        }
        const { system, user } = process.cpuUsage(before)
        // The first two rounds warm up.
        if (round >= 0) took.push((user + system) / decisions)
      }
      rows.push([
        `${route.name}${what}`,
        String(size),
        Rounds.median(took).toFixed(2),
        `± ${(100 * Rounds.spread(took)).toFixed(0)} %`
      ])
    }
  }
}
console.log(table(["a decision", "targets", "µs of CPU", ""], rows))
console.log(`(${(sum / rows.length / decisions / (Number(flags.rounds) + 2)).toFixed(1)} candidates each)`)
