// How fast a batch's data moves, and in how much memory: the input written in parts, and the outputs read as results, on a folder in place of
// a bucket, beside a plain copy of the same bytes and beside handling whole files in memory. Each is a process of its own.
// Usage: node bench/batch.ts [records = 1000000] [bytes of a prompt = 600]
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Measured, Step } from "./internal/batchProcess.ts"
import { table } from "./internal/table.ts"

const records = Number(process.argv[2] ?? 1_000_000)
const promptBytes = Number(process.argv[3] ?? 600)
const folder = mkdtempSync(join(process.env["BENCH_FOLDER"] ?? tmpdir(), "caprock-batch-"))

const measure = (step: Step): Measured | undefined => {
  const { status, stdout } = spawnSync(
    process.execPath,
    [join(import.meta.dirname, "internal", "batchProcess.ts"), step, folder, String(records), String(promptBytes)],
    { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] }
  )
  return status === 0 ? JSON.parse(stdout.trim().split("\n").at(-1) ?? "") : undefined
}

const megabytes = (bytes: number) => Math.round(bytes / 1e6).toLocaleString("en")

const rows = (names: ReadonlyArray<readonly [name: string, step: Step]>): ReadonlyArray<ReadonlyArray<string>> => {
  const all = names.map(([name, step]) => ({ name, step, measured: measure(step) }))
  const rateOf = ({ bytes, seconds }: Measured) => bytes / seconds
  const copied = all.find(({ step }) => step.startsWith("copy"))?.measured
  return all.map(({ measured, name }) =>
    measured === undefined ? [name, "fails"] : [
      name,
      megabytes(measured.bytes),
      megabytes(rateOf(measured)),
      megabytes(measured.bytes / measured.cpu),
      copied === undefined ? "" : (rateOf(measured) / rateOf(copied)).toFixed(2),
      megabytes(measured.peak)
    ]
  )
}

try {
  const head = ["", "MB", "MB/s", "MB/s of CPU", "to a copy", "peak MB"]
  console.log(`${records.toLocaleString("en")} records, prompts of ${promptBytes} bytes\n`)
  const written = rows([
    ["write in parts", "write"],
    ["copy of the input", "copy-input"],
    ["whole file: all lines, then written", "write-whole"]
  ])
  console.log(`${table(head, written)}\n`)
  measure("answer")
  const read = rows([
    ["copy of the outputs", "copy-outputs"],
    ["count what came back", "collect"],
    ["results as they come", "read-any"],
    ["results in the input's order", "read-input"],
    ["whole files: all lines, joined by id", "read-whole"]
  ])
  console.log(table(head, read))
} finally {
  rmSync(folder, { recursive: true, force: true })
}
