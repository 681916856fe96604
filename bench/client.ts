// CPU and wall time of a call, through Caprock and its peers: every contestant in a process of its own, one server for all,
// in rounds that take turns. Prints medians, the spread, and ratios. Bounded; about ten minutes as it comes, where nothing else runs.
//
//   node bench/client.ts [--rounds 5] [--only converse] [--concurrency 1,64,1000] [--contestants "Caprock's client,LangChain"] [--part 0.1]
import * as BedrockClient from "@caprock/client/BedrockClient"
import * as Os from "node:os"
import { parseArgs } from "node:util"
import type { Took } from "./internal/contestantProcess.ts"
import { contestants, type Name, type Operation } from "./internal/contestants.ts"
import type { Manner } from "./internal/fixedServer.ts"
import { start } from "./internal/processes.ts"
import * as Rounds from "./internal/rounds.ts"
import { table } from "./internal/table.ts"

const { values: flags } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    only: { type: "string" },
    concurrency: { type: "string", default: "1,64,1000" },
    contestants: { type: "string" },
    // Of the calls of each round: for a look whether it runs.
    part: { type: "string", default: "1" }
  }
})

interface Case {
  readonly title: string
  readonly operation: Operation
  readonly concurrency: number
  readonly calls: number
  readonly manner: Manner
}

const events = 40

const casesAt = (concurrency: number): ReadonlyArray<Case> => {
  const many = concurrency === 1 ? "one after the other" : `${concurrency} at once`
  const of = (operation: Operation, calls: number, gapMillis: number, how: string): Case => ({
    title: `${operation}, ${many}${how}`,
    operation,
    concurrency,
    calls: Math.max(Math.ceil(calls * Number(flags.part)), concurrency),
    manner: { gapMillis, events }
  })
  // Events that come one by one: so far apart that the client is not busy, about 20,000 in a second.
  const gap = Math.max(1, Math.round(concurrency / 20))
  return [
    of("converse", concurrency === 1 ? 300 : 640, 0, ""),
    of("converseStream", concurrency === 1 ? 200 : 320, 0, ", events in one piece"),
    of("converseStream", concurrency === 1 ? 20 : 192, gap, `, an event every ${gap} ms`)
  ]
}

const known = Object.keys(contestants) as ReadonlyArray<Name>
const chosen = flags.contestants === undefined
  ? known
  : known.filter((name) => flags.contestants?.split(",").includes(name) === true)
const baseline = "SDK (our options)" satisfies Name

const rounds = Math.min(Number(flags.rounds), 31)
const server = start("./fixedServer.ts")
const endpoint = await server.hello<string>()

interface Arm {
  readonly name: string
  readonly ask: (question: object) => Promise<Took>
  readonly stop: () => void
}
const armOf = async (name: Name, label: string = name): Promise<Arm> => {
  const process = start("./contestantProcess.ts")
  await process.ask({ be: name, at: { endpoint, connections: BedrockClient.defaults.maxConnections } })
  return { name: label, ask: process.ask, stop: process.stop }
}
const warmUp = 1_000 * Number(flags.part)
const arms: Array<Arm> = []
for (const name of chosen) arms.push(await armOf(name))
// The same once more: what differs between the two is noise.
if (chosen.includes(baseline)) arms.push(await armOf(baseline, `${baseline} (again)`))

const measure = async ({ calls, concurrency, manner, operation, title }: Case): Promise<void> => {
  await server.ask({ manner })
  const took = new Map<string, Array<Took>>(arms.map(({ name }) => [name, []]))
  // The first round warms up.
  for (let round = 0; round <= rounds; round++) {
    // Nobody always comes after the same one.
    const order = arms.map((_, index) => arms[(index + round) % arms.length])
    for (const arm of order) {
      if (arm === undefined) continue
      const result = await arm.ask({ operation, calls, concurrency })
      if (result.text.length < events * 6) throw new Error(`${arm.name} gave another answer: ${result.text}`)
      if (round > 0) took.get(arm.name)?.push(result)
    }
  }
  const rows = arms.map(({ name }) => ({
    name,
    cpu: (took.get(name) ?? []).map(({ cpu }) => cpu),
    wall: (took.get(name) ?? []).map(({ wall }) => wall)
  }))
  const base = rows.find(({ name }) => name === baseline) ?? rows[0]
  const ratio = (values: ReadonlyArray<number>, of: ReadonlyArray<number> | undefined): string =>
    (Rounds.median(values) / Rounds.median(of ?? [])).toFixed(2)
  console.log(`\n${title} (${calls} calls a round, ${rounds} rounds)\n`)
  console.log(table(
    ["", "CPU µs", "±", "ratio", "wall µs", "±", "ratio"],
    rows.map(({ cpu, name, wall }) => [
      name,
      Rounds.median(cpu).toFixed(0),
      `${(Rounds.spread(cpu) * 100).toFixed(0)} %`,
      ratio(cpu, base?.cpu),
      Rounds.median(wall).toFixed(0),
      `${(Rounds.spread(wall) * 100).toFixed(0)} %`,
      ratio(wall, base?.wall)
    ])
  ))
}

try {
  const [cpu] = Os.cpus()
  console.log(`${Os.cpus().length} × ${cpu?.model}, Node ${process.version}, ${new Date().toISOString().slice(0, 10)}`)
  await server.ask({ manner: { gapMillis: 0, events } satisfies Manner })
  for (const arm of arms) {
    // Code that is compiled after some hundred calls is compiled before the first round.
    await arm.ask({ operation: "converse", calls: warmUp, concurrency: 20 })
    await arm.ask({ operation: "converseStream", calls: warmUp / 2, concurrency: 20 })
  }
  for (const concurrency of flags.concurrency.split(",").map(Number)) {
    for (const one of casesAt(concurrency)) {
      if (flags.only === undefined || one.operation === flags.only) await measure(one)
    }
  }
} finally {
  for (const arm of arms) arm.stop()
  server.stop()
}
