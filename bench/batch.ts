/**
 * How fast a batch's data moves, and in how much memory: the input written in parts, and the outputs read as results, beside a plain copy of the same bytes and
 * beside handling whole files in memory. Each row is a process of its own.
 *
 *     node bench/batch.ts [records = 1000000] [bytes of a prompt = 600] [--over folder,sockets]
 *
 * - `folder`: a folder in place of a bucket; the copy is one of `fs`.
 * - `sockets`: an S3 server in a process of its own, on the same machine; the copy is by the SDK's `Upload` and `GetObject`, from and to files.
 *
 * Whole files: all lines in an array, joined and written; all files read, split, parsed and put into a map. It is the least that scripts and gateways do which handle
 * files so. LiteLLM's file transformation is one (Python; remade here, and only that much of it), and the JSON Lines loader of LangChain another, which is here itself.
 */
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import type { Measured, Step, Told } from "./internal/batchProcess.ts"
import type { S3, Where } from "./internal/offloadProcess.ts"
import { start } from "./internal/processes.ts"
import { table } from "./internal/table.ts"

const { positionals: [records = "1000000", promptBytes = "600"], values: { over } } = parseArgs({
  allowPositionals: true,
  options: { over: { type: "string", default: "folder,sockets" } }
})

const megabytes = (bytes: number) => Math.round(bytes / 1e6).toLocaleString("en")

const compare = (s3: Where | undefined): void => {
  const folder = mkdtempSync(join(process.env["BENCH_FOLDER"] ?? tmpdir(), "caprock-batch-"))
  const measure = (step: Step): Measured | undefined => {
    const told: Told = {
      step,
      folder,
      records: Number(records),
      promptBytes: Number(promptBytes),
      ...(s3 === undefined ? {} : { s3 })
    }
    const { status, stdout } = spawnSync(
      process.execPath,
      [...process.execArgv, join(import.meta.dirname, "internal", "batchProcess.ts"), JSON.stringify(told)],
      { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] }
    )
    return status === 0 ? JSON.parse(stdout.trim().split("\n").at(-1) ?? "") : undefined
  }
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
    measure("write")
    measure("fetch-input")
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
      ["whole files: all lines, joined by id", "read-whole"],
      ["LangChain's loader: all lines", "read-langchain"]
    ])
    console.log(table(head, read))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

console.log(`${Number(records).toLocaleString("en")} records, prompts of ${promptBytes} bytes`)
for (const kind of over.split(",")) {
  console.log(`\n${kind}\n`)
  if (kind === "folder") compare(undefined)
  if (kind === "sockets") {
    const server = start("offloadProcess.ts")
    compare(await server.ask<Where>({ role: "s3" } satisfies S3))
    server.stop()
  }
}
