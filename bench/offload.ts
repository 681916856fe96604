/**
 * What a batch does to live traffic, and what becomes of its records. S3, the emulator, the batch and the live traffic are processes of their own.
 *
 *     node bench/offload.ts [--only nightly,whole] [--documents 200000] [--records 100000] [--rate 40] [--seconds 30] [--working 45]
 *
 * - `nightly`: documents are embedded anew by batch jobs of `--working` seconds, beside live calls of `Bedrock` for the same model, of which `--rate` come each
 *   second, through a quota that leaves a third. First the calls alone, for `--seconds`, then beside the batch, then alone again.
 * - `whole`: records by three jobs, one of which expires, and one record in a hundred fails.
 *
 * It prints; it judges nothing. The emulator answers records and calls on one processor, which Bedrock does not: a call's time beside the batch has that in it.
 */
import type { BatchSettings } from "@caprock/batch/BatchSettings"
import * as Bedrock from "@caprock/bedrock/Bedrock"
import * as Fault from "@caprock/emulator/Fault"
import * as LatencyModel from "@caprock/emulator/LatencyModel"
import type * as EmulatorOptions from "@caprock/emulator/Options"
import * as Quotas from "@caprock/quota/Quotas"
import * as Effect from "effect/Effect"
import { parseArgs } from "node:util"
import type { Batch, Emulated, S3, Seen, Took, Where } from "./internal/offloadProcess.ts"
import { type Process, start } from "./internal/processes.ts"
import { table } from "./internal/table.ts"

const { values: flags } = parseArgs({
  options: {
    only: { type: "string", default: "nightly,whole" },
    documents: { type: "string", default: "200000" },
    records: { type: "string", default: "100000" },
    rate: { type: "string", default: "40" },
    seconds: { type: "string", default: "30" },
    working: { type: "string", default: "45" }
  }
})

const rate = Number(flags.rate)
const credentials = { accessKeyId: "AKIDBENCH", secretAccessKey: "bench" }
const roleArn = "arn:aws:iam::111122223333:role/batch"

interface Servers {
  readonly url: string
  readonly stats: () => Promise<Seen>
  readonly run: (
    settings: BatchSettings,
    size: { readonly records: number; readonly recordsPerJob: number }
  ) => Promise<Took>
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
    const s3 = await begun().ask<Where>({ role: "s3" } satisfies S3)
    const emulator = begun()
    const { url } = await emulator.ask<{ readonly url: string }>(
      {
        role: "emulator",
        options: { ...options, batch: { ...batch, s3: { endpoint: s3.careless } } },
        inject
      } satisfies Emulated
    )
    await use({
      url,
      stats: () => emulator.ask<Seen>({}),
      run: (settings, size) =>
        begun().ask<Took>({ role: "batch", s3, emulator: url, settings, ...size } satisfies Batch)
    })
  } finally {
    for (const one of processes) one.kill()
  }
}

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
      ["CPU of the batch's process, s", took.cpu.toFixed(1)],
      ["its peak, MB", took.peak.toFixed(0)]
    ])
  )
}

const nightly = async (): Promise<void> => {
  const model = "amazon.titan-embed-text-v2:0"
  const documents = Number(flags.documents)
  const quota = { requests: rate * 60 * 1.5, tokens: rate * 60 * 60 }
  const working = Number(flags.working) * 1000
  const short = LatencyModel.fixed(200)
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
    async ({ run, stats, url }) => {
      const live = Bedrock.layer({
        region: "us-east-1",
        endpoint: url,
        credentials,
        quotas: Quotas.uniform({ requestsPerMinute: quota.requests, tokensPerMinute: quota.tokens })
      })
      let into: Array<number> = []
      let failed = 0
      const traffic = { isOver: false }
      const call = (due: number) =>
        Bedrock.Bedrock.use((bedrock) =>
          bedrock.invokeModel({
            modelId: model,
            contentType: "application/json",
            body: JSON.stringify({ inputText: "where is what I wrote on that day?", dimensions: 256 })
          })
        ).pipe(Effect.match({
          onFailure: () => void failed++,
          onSuccess: () => void into.push(performance.now() - due)
        }))
      // Whether or not those before have their answers, and from when they are due.
      const calls = Effect.gen(function*() {
        const began = performance.now()
        for (let n = 0; !traffic.isOver; n++) {
          const due = began + n * 1000 / rate
          yield* Effect.sleep(Math.max(0, due - performance.now()))
          yield* Effect.forkChild(call(due))
        }
        yield* Effect.sleep("2 seconds")
      })
      const alone = () => new Promise((resolve) => setTimeout(resolve, Number(flags.seconds) * 1000))
      const calling = Effect.runPromise(Effect.provide(calls, live))
      await alone()
      const before = into.slice(rate * 2)
      into = []
      const took = await run({ model, invocationType: "InvokeModel", roleArn }, {
        records: documents,
        recordsPerJob: 100_000
      })
      const beside = into
      into = []
      await alone()
      traffic.isOver = true
      await calling
      const seen = await stats()
      told(seen, took, documents)
      const without = [...before, ...into].toSorted((a, b) => a - b)
      const within = beside.toSorted((a, b) => a - b)
      const row = (name: string, some: ReadonlyArray<number>) => [
        name,
        String(some.length),
        ...[0.5, 0.9, 0.99].map((q) => quantile(some, q).toFixed(0))
      ]
      const ratio = [0.5, 0.9, 0.99].map((q) => (quantile(within, q) / quantile(without, q)).toFixed(3))
      console.log(`\n${
        table(["live calls", "", "p50 ms", "p90 ms", "p99 ms"], [
          row("alone", without),
          row("beside the batch", within),
          ["ratio", "", ...ratio]
        ])
      }`)
      console.log(`\nthrottles: ${seen.throttled.total}, calls that failed: ${failed}\n`)
    }
  )
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
    async ({ run, stats }) => {
      const took = await run(
        { model: "amazon.nova-lite-v1:0", invocationType: "Converse", roleArn, timeoutHours: 24 },
        {
          records,
          recordsPerJob: Math.ceil(records * 0.4)
        }
      )
      told(await stats(), took, records)
    }
  )
}

const parts: Readonly<Record<string, () => Promise<void>>> = { nightly, whole }
for (const name of flags.only.split(",")) {
  console.log(`\n${name}\n`)
  await parts[name]?.()
}
