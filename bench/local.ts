// What processes of one machine could share a quota by: a file, on a disk and in memory, or one process that serves the others over a Unix
// socket. Exchanges with the books each second, as fast as they come and at a pace, what one costs, and how long it holds up everything else.
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import type { By, Took } from "./internal/localProcess.ts"
import { type Process, start } from "./internal/processes.ts"
import { table } from "./internal/table.ts"

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "3" },
    processes: { type: "string", default: "1,2,4,8" },
    disk: { type: "string", default: tmpdir() },
    memory: { type: "string", default: "/dev/shm" }
  }
})
const millis = Number(values.seconds) * 1000

const contestants: ReadonlyArray<readonly [name: string, by: By, folder: string]> = [
  ["alone (not shared)", "alone", values.memory],
  ["file on a disk", "file", values.disk],
  ["file in memory", "file", values.memory],
  ["socket, served", "socket", values.memory]
]

const born = async (): Promise<Process> => {
  const process = start("localProcess.ts")
  await process.hello()
  return process
}

const run = async (by: By, parent: string, count: number, pauseMillis: number): Promise<ReadonlyArray<Took>> => {
  const folder = mkdtempSync(join(parent, "caprock-bench-"))
  const path = join(folder, "quotas")
  const server = by === "socket" ? await born() : undefined
  await server?.ask({ serve: path })
  const processes = await Promise.all(Array.from({ length: count }, born))
  try {
    return await Promise.all(
      processes.map((process, index) => process.ask<Took>({ by, path, name: `m${index}`, millis, pauseMillis }))
    )
  } finally {
    for (const process of [...processes, ...(server === undefined ? [] : [server])]) process.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

for (const pauseMillis of [0, 100]) {
  const rows: Array<ReadonlyArray<string>> = []
  for (const count of values.processes.split(",").map(Number)) {
    for (const [name, by, folder] of contestants) {
      const took = await run(by, folder, count, pauseMillis)
      const sum = (of: (one: Took) => number) => took.reduce((sum, one) => sum + of(one), 0)
      const most = (of: (one: Took) => number) => Math.max(...took.map(of))
      rows.push([
        `${count} × ${name}`,
        (sum(({ exchanges }) => exchanges) * 1000 / millis).toFixed(0),
        (sum(({ cpu, exchanges }) => cpu * exchanges) / sum(({ exchanges }) => exchanges)).toFixed(0),
        most(({ p50 }) => p50).toFixed(2),
        most(({ p99 }) => p99).toFixed(1),
        most(({ block }) => block).toFixed(1),
        sum(({ failures }) => failures).toFixed(0)
      ])
    }
  }
  console.log(pauseMillis === 0 ? "\nas fast as they come" : `\none each ${pauseMillis} ms in each process`)
  console.log(table(["", "a second", "CPU µs", "p50 ms", "p99 ms", "held up ms", "failed"], rows))
}
