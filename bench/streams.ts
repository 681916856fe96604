// Many streams at once, each of which has had its first words and waits for the next: what each weighs in memory, and the descriptors
// that they take. The client and the server, each in a process of its own, need one for each stream.
//
//   node bench/streams.ts [--streams 10000] [--contestants "Caprock's Bedrock,SDK (defaults)"]
import { setTimeout } from "node:timers/promises"
import { parseArgs } from "node:util"
import type { Weight } from "./internal/contestantProcess.ts"
import { contestants, type Name } from "./internal/contestants.ts"
import type { Manner, Order } from "./internal/fixedServer.ts"
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

/** Of the server: text events of a stream. Only the first is sent before all streams are open. */
const manner = (gapMillis: Manner["gapMillis"]): object => ({ manner: { gapMillis, events: 12 } satisfies Manner })
const ask = (order: Order): object => ({ order })
// Who opens no more streams than these for so long will not open them.
const patienceMillis = 20_000

const kilobytes = (bytes: number, open: number): string => (bytes / 1_000 / open).toFixed(1)
const rows: Array<ReadonlyArray<string>> = []
for (const name of chosen) {
  const server = start("./fixedServer.ts")
  const contestant = start("./contestantProcess.ts")
  try {
    const endpoint = await server.hello<string>()
    await contestant.ask({ be: name, at: { endpoint, connections: streams } })
    await server.ask(manner(0))
    // What is loaded and compiled with the first calls is not the streams'.
    await contestant.ask({ operation: "converseStream", calls: 500, concurrency: 20 })
    const before = await contestant.ask<Weight>({ weigh: true })
    await server.ask(manner("held"))
    const from = performance.now()
    await contestant.ask({ begin: streams })
    let open = 0
    let changed = from
    while (open < streams && performance.now() - changed < patienceMillis) {
      await setTimeout(100)
      const now = await server.ask<number>(ask("how many are held?"))
      if (now !== open) changed = performance.now()
      open = now
    }
    const seconds = ((changed - from) / 1_000).toFixed(1)
    // For the last ones to arrive.
    await setTimeout(500)
    const during = await contestant.ask<Weight>({ weigh: true })
    if (open < streams) console.log(`${name}: no more than ${open} were open at once.`)
    const finished = contestant.ask<Weight>({ finish: true })
    let after: Weight | undefined
    // Those that had to wait for another are held after it.
    do {
      await server.ask(ask("finish them"))
      after = await Promise.race([finished, setTimeout(250, undefined)])
    } while (after === undefined)
    rows.push([
      name,
      String(open),
      kilobytes(during.rss - before.rss, open),
      kilobytes(during.heap - before.heap, open),
      kilobytes(during.external - before.external, open),
      String(during.descriptors - before.descriptors),
      seconds,
      ((after.heap - before.heap) / 1_000_000).toFixed(1)
    ])
  } finally {
    contestant.stop()
    server.stop()
  }
}
console.log(`\n${streams} streams at once, and what each of them takes in the client's process\n`)
console.log(
  table(["", "open", "RSS kB", "heap kB", "external kB", "descriptors", "open after s", "heap left MB"], rows)
)
