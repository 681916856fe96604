/**
 * The burst: thousands of requests at once against quotas that they exceed tenfold, through `Bedrock` at its defaults,
 * under each shape of the quota's window. Counts throttles on the server and compares the time with the least that any
 * client needs. It prints; it judges nothing.
 *
 *     node bench/burst.ts [--requests 2000] [--window 6000] [--shapes rolling,fixed,bucket] [--burndowns 1,5]
 *                         [--adjusts end,during] [--excess 10] [--multiple 2,8] [--latency 0.01,0.6] [--seed 1] [--faults]
 *
 * `--faults` streams the answers and injects 2 % 500, 2 % 503, 1 % resets and 1 % streams cut.
 */
import * as Bedrock from "@caprock/bedrock/Bedrock"
import * as CallEvents from "@caprock/bedrock/CallEvents"
import * as Fault from "@caprock/emulator/Fault"
import * as LatencyModel from "@caprock/emulator/LatencyModel"
import * as LowerBound from "@caprock/emulator/LowerBound"
import type { Shape } from "@caprock/emulator/Meter"
import type { BedrockError } from "@caprock/errors/BedrockError"
import * as Quotas from "@caprock/quota/Quotas"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { writeFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { byDebt } from "./internal/debt.ts"
import * as Server from "./internal/server.ts"
import { table } from "./internal/table.ts"
import * as Workload from "./internal/workload.ts"

const { values: flags } = parseArgs({
  options: {
    requests: { type: "string", default: "2000" },
    window: { type: "string", default: "6000" },
    shapes: { type: "string", default: "rolling,fixed,bucket" },
    burndowns: { type: "string", default: "1,5" },
    adjusts: { type: "string", default: "end,during" },
    excess: { type: "string", default: "10" },
    multiple: { type: "string", default: "2,8" },
    latency: { type: "string", default: "0.01,0.6" },
    seed: { type: "string", default: "1" },
    faults: { type: "boolean", default: false },
    dump: { type: "string" }
  }
})

const pair = (text: string): readonly [number, number] => {
  const [min = 0, max = min] = text.split(",").map(Number)
  return [min, max]
}
const list = (text: string): ReadonlyArray<string> => text.split(",").filter((item) => item !== "")

const window = Number(flags.window)

/** Models of the catalogue that have the burndown. */
const models: Readonly<Record<number, string>> = {
  1: "us.amazon.nova-lite-v1:0",
  5: "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
}

interface Scenario {
  readonly shape: Shape
  readonly burndown: number
  readonly adjust: "end" | "during"
}

const faults: ReadonlyArray<Fault.FaultRate> = [
  { rate: 0.02, fault: Fault.error("InternalServerException") },
  { rate: 0.02, fault: Fault.error("ServiceUnavailableException") },
  { rate: 0.01, fault: Fault.reset },
  { rate: 0.01, fault: Fault.cut(0.5) }
]

interface Outcome {
  readonly attempts: number
  readonly result: Result.Result<unknown, BedrockError>
}

const ask = (
  modelId: string,
  prompt: Workload.Prompt,
  streamed: boolean
): Effect.Effect<Outcome, never, Bedrock.Bedrock> =>
  Bedrock.Bedrock.use((bedrock) => {
    const input = {
      modelId,
      messages: [{ role: "user" as const, content: [{ text: prompt.text }] }],
      inferenceConfig: { maxTokens: prompt.maxTokens }
    }
    let attempts = 0
    return (streamed ? Stream.runDrain(bedrock.converseStream(input)) : Effect.asVoid(bedrock.converse(input))).pipe(
      Effect.result,
      Effect.map((result) => ({ attempts, result })),
      Effect.provideService(CallEvents.CallEvents, (event) => {
        if (event._tag === "CallEnded") attempts += event.attempts
      })
    )
  })

const isCutAfterContent = ({ result }: Outcome): boolean =>
  Result.isFailure(result) && result.failure.reason._tag === "InterruptedStreamError" && result.failure.reason.content

const run = ({ adjust, burndown, shape }: Scenario) =>
  Effect.scoped(Effect.gen(function*() {
    const spec: Workload.Spec = {
      requests: Number(flags.requests),
      seed: Number(flags.seed),
      burndown,
      excess: Number(flags.excess),
      multiple: pair(flags.multiple)
    }
    const { prompts, quota, reserved, settled } = Workload.make(spec)
    const [minLatency, maxLatency] = pair(flags.latency)
    const server = yield* Server.start({
      spec,
      options: {
        seed: spec.seed,
        window,
        shape,
        adjust,
        quota,
        burndown,
        latency: LatencyModel.uniform(window * minLatency, window * maxLatency),
        faults: flags.faults ? faults : []
      }
    })
    const modelId = models[burndown] ?? models[1] ?? ""
    const layer = Bedrock.layer({
      region: "us-east-1",
      endpoint: server.url,
      credentials: { accessKeyId: "AKIDBENCH", secretAccessKey: "bench" },
      quotas: Quotas.uniform({ requestsPerMinute: quota.requests, tokensPerMinute: quota.tokens }),
      meters: { window }
    })
    const cpu = process.cpuUsage()
    const [time, outcomes] = yield* Effect.gen(function*() {
      const started = yield* Clock.currentTimeMillis
      const outcomes = yield* Effect.forEach(prompts, (prompt) => ask(modelId, prompt, flags.faults), {
        concurrency: "unbounded"
      })
      return [(yield* Clock.currentTimeMillis) - started, outcomes] as const
    }).pipe(Effect.provide(layer))
    const { system, user } = process.cpuUsage(cpu)
    const { log, stats } = yield* server.seen
    if (flags.dump !== undefined) writeFileSync(flags.dump, JSON.stringify({ log, quota, window }))
    const answers = LowerBound.answeredIn(log, { adjust })
    const known = { ...quota, windowMillis: window }
    const bound = LowerBound.make(answers, known)
    const told = LowerBound.make(answers, { ...known, shape })
    const answered = outcomes.filter(({ result }) => Result.isSuccess(result)).length
    const cut = outcomes.filter(isCutAfterContent).length
    const attempts = outcomes.map((outcome) => outcome.attempts)
    const lost = outcomes.filter((outcome) => Result.isFailure(outcome.result) && !isCutAfterContent(outcome))
    for (const { result } of lost.slice(0, 3)) if (Result.isFailure(result)) console.error(result.failure.message)
    return {
      cells: [
        `${shape} ×${burndown} ${adjust}`,
        String(answered),
        String(cut),
        String(lost.length),
        String(stats.throttled.total),
        String(byDebt(log, quota.tokens, window)),
        `${(100 * stats.throttled.total / Math.max(stats.requests, 1)).toFixed(2)} %`,
        (attempts.reduce((sum, n) => sum + n, 0) / attempts.length).toFixed(3),
        String(Math.max(...attempts)),
        (time / 1000).toFixed(1),
        `${(bound.millis / 1000).toFixed(1)} ${bound.binding}`,
        (time / bound.millis).toFixed(3),
        `${(told.millis / 1000).toFixed(1)} ${told.binding}`,
        (time / told.millis).toFixed(3),
        `${(stats.peak.tokens * 100).toFixed(0)} %`,
        ((system + user) / 1000 / spec.requests).toFixed(2)
      ],
      reserved,
      settled,
      quota
    }
  }))

const head = [
  "server",
  "answered",
  "cut",
  "lost",
  "throttles",
  "by debt",
  "rate",
  "sent/call",
  "most",
  "time s",
  "bound s",
  "ratio",
  "told shape s",
  "ratio",
  "peak",
  "CPU ms"
]

const scenarios = list(flags.burndowns).flatMap((burndown) =>
  list(flags.shapes).flatMap((shape) =>
    list(flags.adjusts).map((adjust) => ({ shape, adjust, burndown: Number(burndown) }) as Scenario)
  )
)

const main = Effect.gen(function*() {
  console.log(
    `${flags.requests} requests at once, ${flags.excess} times the quota of a ${window / 1000} s window, maxTokens ` +
      `${flags.multiple} × the output, latency ${flags.latency} × the window${
        flags.faults ? ", streams with faults" : ""
      }`
  )
  const rows: Array<ReadonlyArray<string>> = []
  for (const scenario of scenarios) {
    const { cells, quota, reserved, settled } = yield* run(scenario)
    rows.push(cells)
    console.error(
      `${cells.join(" | ")}   (reserves ${(reserved / settled).toFixed(2)} × what it settles; quota ${
        JSON.stringify(quota)
      })`
    )
  }
  console.log(`\n${table(head, rows)}`)
})

Effect.runPromise(main).then(() => process.exit(0))
