// Many streams at once, each of which has had its first words and waits for the next: what each weighs in memory, and the descriptors
// that they take. The client and the server, each in a process of its own, need one for each stream.
//
//   node bench/streams.ts [--streams 10000] [--contestants "Caprock's Bedrock,SDK (defaults)"]
import { setTimeout } from "node:timers/promises"
import { parseArgs } from "node:util"
import type { Weight } from "./internal/contestantProcess.ts"
import { contestants, type Name } from "./internal/contestants.ts"
import { start } from "./internal/processes.ts"
import { table } from "./internal/table.ts"

const { values: flags } = parseArgs({
  options: { streams: { type: "string", default: "10000" }, contestants: { type: "string" } }
})
const streams = Number(flags.streams)
const known = Object.keys(contestants) as ReadonlyArray<Name>
const chosen = flags.contestants === undefined
  ? known
  : known.filter((name) => flags.contestants?.split(",").includes(name) === true)

// Long enough that the last has begun before the first ends.
const manner = { gapMillis: 6_000, events: 12 }

const kilobytes = (bytes: number): string => (bytes / 1_000 / streams).toFixed(1)
const rows: Array<ReadonlyArray<string>> = []
for (const name of chosen) {
  const server = start("./fixedServer.ts")
  const contestant = start("./contestantProcess.ts")
  try {
    const endpoint = await server.hello<string>()
    await contestant.ask({ be: name, endpoint })
    await server.ask({ ...manner, gapMillis: 0 })
    // What is loaded and compiled with the first calls is not the streams'.
    await contestant.ask({ operation: "converseStream", calls: 500, concurrency: 20 })
    const before = await contestant.ask<Weight>({ weigh: true })
    await server.ask(manner)
    const from = performance.now()
    await contestant.ask({ begin: streams })
    let open = 0
    while (open < streams && performance.now() - from < 60_000) {
      await setTimeout(250)
      open = await server.ask<number>({ open: true })
    }
    const seconds = ((performance.now() - from) / 1_000).toFixed(0)
    const during = await contestant.ask<Weight>({ weigh: true })
    if (open < streams) console.log(`${name}: no more than ${open} were open at once.`)
    const after = await contestant.ask<Weight>({ finish: true })
    rows.push([
      name,
      kilobytes(during.rss - before.rss),
      kilobytes(during.heap - before.heap),
      kilobytes(during.external - before.external),
      String(during.descriptors - before.descriptors),
      seconds,
      ((after.heap - before.heap) / 1_000_000).toFixed(1)
    ])
  } finally {
    contestant.stop()
    server.stop()
  }
}
console.log(`\n${streams} streams at once, for each of them\n`)
console.log(table(["", "RSS kB", "heap kB", "external kB", "descriptors", "open after s", "heap left MB"], rows))
