/**
 * What a batch does to live traffic, and what becomes of its records.
 *
 *     node bench/offload.ts [--only nightly,together,whole] [--documents 200000] [--records 100000] [--rate 60] [--seconds 55] [--working 45]
 *
 * - `nightly`: documents are embedded anew by batch jobs of `--working` seconds, beside live calls of `Bedrock` for the same model, of which `--rate` come each
 *   second, through a quota that leaves a third. First the calls alone, for `--seconds`, then beside the batch, then alone again. S3, the emulator, the live calls
 *   and the batch are processes of their own, and S3 and the batch let the others go first (`nice`): in the world all four are different machines.
 * - `together`: the same, where the live calls and the batch are in one process, which has one event loop.
 * - `whole`: records by three jobs, one of which expires, and one record in a hundred fails.
 *
 * It prints; it judges nothing. The emulator answers records and calls on one processor, which Bedrock does not: a call's time beside the batch has that in it,
 * and what each process was late tells where it comes from.
 */
import type { BatchSettings } from "@caprock/batch/BatchSettings"
import * as Fault from "@caprock/emulator/Fault"
import * as LatencyModel from "@caprock/emulator/LatencyModel"
import type * as EmulatorOptions from "@caprock/emulator/Options"
import { cpus } from "node:os"
import { parseArgs } from "node:util"
import type { App, Calls, Emulated, Load, Question, S3, Seen, Took, Where } from "./internal/offloadProcess.ts"
import { type Process, start } from "./internal/processes.ts"
import { table } from "./internal/table.ts"

const { values: flags } = parseArgs({
  options: {
    only: { type: "string", default: "nightly,together,whole" },
    documents: { type: "string", default: "200000" },
    records: { type: "string", default: "100000" },
    rate: { type: "string", default: "60" },
    seconds: { type: "string", default: "55" },
    working: { type: "string", default: "45" }
  }
})

const rate = Number(flags.rate)
const roleArn = "arn:aws:iam::111122223333:role/batch"

interface Servers {
  readonly s3: Process
  readonly emulator: Process
  readonly app: (options: Omit<App, "role" | "s3" | "emulator">) => Promise<Process>
}

type Jobs = Omit<NonNullable<EmulatorOptions.Options["batch"]>, "s3">

/** All that a batch needs, for as long as it is used. */
const withServers = async (
  { batch, ...options }: Omit<EmulatorOptions.Options, "batch"> & { readonly batch: Jobs },
  inject: Emulated["inject"],
  use: (servers: Servers) => Promise<void>
) => {
  const processes: Array<Process> = []
  const begun = () => {
    const one = start("offloadProcess.ts")
    processes.push(one)
    return one
  }
  try {
    const s3 = begun()
    const where = await s3.ask<Where>({ role: "s3" } satisfies S3)
    const emulator = begun()
    const { url } = await emulator.ask<{ readonly url: string }>(
      {
        role: "emulator",
        options: { ...options, batch: { ...batch, s3: { endpoint: where.careless } } },
        inject
      } satisfies Emulated
    )
    await use({
      s3,
      emulator,
      app: async (options) => {
        const one = begun()
        await one.ask({ role: "app", s3: where, emulator: url, ...options } satisfies App)
        return one
      }
    })
  } finally {
    for (const one of processes) one.stop()
  }
}

const asked = <A>(process: Process, question: Question): Promise<A> => process.ask<A>(question)
const ran = (process: Process, settings: BatchSettings, records: number, recordsPerJob: number): Promise<Took> =>
  asked<Took>(process, { ask: "run", settings, records, recordsPerJob })

const quantile = (sorted: ReadonlyArray<number>, q: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? NaN

const listed = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts).map(([what, count]) => `${count} ${what}`).join(", ")

const told = ({ jobs }: Seen, took: Took, count: number): void => {
  console.log(
    table(["", ""], [
      ["records", String(count)],
      ["with exactly one result", String(took.records - took.repeated)],
      ["results", listed(took.byKind)],
      ["asked at most", `${took.attempts} times`],
      ["jobs", `${jobs.accepted}: ${listed(jobs.statuses)}`],
      ["records answered by jobs, and failed there", `${jobs.records.processed}, ${jobs.records.failed}`],
      ["jobs that asked for one input, at most", String(jobs.perInput.max)],
      ["seconds, and until all was submitted", `${took.seconds.toFixed(1)}, ${took.submitted.toFixed(1)}`],
      ["peak of the process with the batch, MB", took.peak.toFixed(0)]
    ])
  )
}

/** What the live calls were like, and what each process took of the machine. */
interface Window {
  readonly name: string
  readonly calls: Calls
  readonly loads: ReadonlyArray<readonly [process: string, load: Load]>
}

const nightly = async (together: boolean): Promise<void> => {
  const model = "amazon.titan-embed-text-v2:0"
  const documents = Number(flags.documents)
  const quota = { requests: rate * 60 * 1.5, tokens: rate * 60 * 60 }
  const working = Number(flags.working) * 1000
  const short = LatencyModel.fixed(200)
  const settings: BatchSettings = { model, invocationType: "InvokeModel", roleArn }
  await withServers(
    {
      seed: 1,
      quota,
      latency: LatencyModel.uniform(100, 400),
      batch: {
        delays: { submitted: short, validating: short, scheduled: short, inProgress: LatencyModel.fixed(working) },
        hour: "10 seconds"
      }
    },
    [],
    async ({ app, emulator, s3 }) => {
      const live = await app({ quota, live: { model, perSecond: rate } })
      const batch = together ? live : await app({ quota, nice: true })
      const processes = new Map(Object.entries({ live, ...(together ? {} : { batch }), emulator, s3 }))
      const window = async <A>(name: string, during: () => Promise<A>): Promise<readonly [Window, A]> => {
        await asked(live, { ask: "calls" })
        for (const one of processes.values()) await asked(one, { ask: "load" })
        const result = await during()
        const calls = await asked<Calls>(live, { ask: "calls" })
        const loads: Array<readonly [string, Load]> = []
        for (const [name, one] of processes) loads.push([name, await asked<Load>(one, { ask: "load" })])
        return [{ name, calls, loads }, result]
      }
      const pause = (seconds: number) => new Promise((resolve) => setTimeout(resolve, seconds * 1000))
      await pause(5)
      const [before] = await window("alone", () => pause(Number(flags.seconds)))
      const [beside, took] = await window("beside the batch", () => ran(batch, settings, documents, 100_000))
      await pause(1)
      const [after] = await window("alone again", () => pause(Number(flags.seconds)))
      const seen = await asked<Seen>(emulator, { ask: "seen" })
      told(seen, took, documents)
      const quantiles = [0.5, 0.9, 0.99, 0.999]
      const row = (name: string, ...windows: ReadonlyArray<Window>) => {
        const all = windows.flatMap(({ calls }) => calls.took).toSorted((a, b) => a - b)
        return { name, count: all.length, at: quantiles.map((q) => quantile(all, q)) }
      }
      const without = row("alone, both", before, after)
      const within = row(beside.name, beside)
      const rows = [row(before.name, before), within, row(after.name, after), without]
      console.log(`\n${
        table(["live calls", "", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms"], [
          ...rows.map(({ at, count, name }) => [name, String(count), ...at.map((ms) => ms.toFixed(0))]),
          ["beside the batch / alone", "", ...within.at.map((ms, i) => (ms / (without.at[i] ?? NaN)).toFixed(3))]
        ])
      }`)
      const failed = [before, beside, after].reduce((sum, { calls }) => sum + calls.failed, 0)
      console.log(`\nthrottles: ${seen.throttled.total}, calls that failed: ${failed}\n`)
      console.log(table(
        ["", "process", "of a processor", "late, p99 ms", "late, max ms"],
        [before, beside, after].flatMap(({ loads, name }) => [
          ...loads.map(([process, { cpu, late, seconds }], i) => [
            i === 0 ? name : "",
            process,
            `${(100 * cpu / seconds).toFixed(0)} %`,
            late.p99.toFixed(1),
            late.max.toFixed(0)
          ]),
          ["", "everything else", `${(100 * others(loads)).toFixed(0)} %`, "", ""]
        ])
      ))
      const low = together ? "S3 lets" : "S3 and the batch let"
      console.log(`\n${cpus().length} processors; ${low} the others go first (nice 19).`)
    }
  )
}

/** What ran on the machine beside the processes of this benchmark: in processors. */
const others = (loads: Window["loads"]): number => {
  const ours = loads.reduce((sum, [, { cpu }]) => sum + cpu, 0)
  const [, of] = loads[0] ?? []
  return of === undefined ? NaN : (of.machine - ours) / of.seconds
}

const whole = async (): Promise<void> => {
  const records = Number(flags.records)
  const short = LatencyModel.fixed(50)
  await withServers(
    {
      seed: 1,
      latency: LatencyModel.fixed(20),
      faults: [{ fault: Fault.error("InternalServerException"), rate: 0.01, operation: "BatchRecord" }],
      batch: {
        delays: { submitted: short, validating: short, scheduled: short, inProgress: LatencyModel.fixed(2000) },
        hour: "200 millis"
      }
    },
    [Fault.job("Expired")],
    async ({ app, emulator }) => {
      const settings: BatchSettings = {
        model: "amazon.nova-lite-v1:0",
        invocationType: "Converse",
        roleArn,
        timeoutHours: 24
      }
      const took = await ran(await app({}), settings, records, Math.ceil(records * 0.4))
      told(await asked<Seen>(emulator, { ask: "seen" }), took, records)
    }
  )
}

const parts: Readonly<Record<string, () => Promise<void>>> = {
  nightly: () => nightly(false),
  together: () => nightly(true),
  whole
}
for (const name of flags.only.split(",")) {
  console.log(`\n${name}\n`)
  await parts[name]?.()
}
