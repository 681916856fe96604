/**
 * What a route adds to a call, and what it costs to wait by one: CPU in process, over a scripted client. Budget of all layers: 60 µs a call.
 *
 *     node bench/routed.ts [--calls 2000] [--rounds 9] [--waiting 10000]
 */
import type { ConverseCommandOutput } from "@aws-sdk/client-bedrock-runtime"
import { RetryBudget } from "@caprock/backoff"
import * as Bedrock from "@caprock/bedrock/Bedrock"
import * as BedrockClient from "@caprock/client/BedrockClient"
import * as Quotas from "@caprock/quota/Quotas"
import { Meter, RateLimiter } from "@caprock/rate-limiter"
import { Health, ModelRouter, type Route, RouteTable, type Sending, type Target } from "@caprock/router"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Result from "effect/Result"
import { parseArgs } from "node:util"
import * as Canned from "./internal/canned.ts"
import * as Rounds from "./internal/rounds.ts"
import { table } from "./internal/table.ts"

const { values: flags } = parseArgs({
  options: {
    calls: { type: "string", default: "2000" },
    rounds: { type: "string", default: "9" },
    waiting: { type: "string", default: "10000" },
    /** A part of the name of a way to call. */
    only: { type: "string", default: "" }
  }
})
const calls = Number(flags.calls)
const rounds = Number(flags.rounds)
const waiting = Number(flags.waiting)

const micros = (value: number): string => value.toFixed(1)

const cpuOf = (from: NodeJS.CpuUsage): number => {
  const { system, user } = process.cpuUsage(from)
  return system + user
}

// -----------------------------------------------------------------------------
// A call
// -----------------------------------------------------------------------------

const model = "anthropic.claude-3-5-sonnet-20241022-v2:0"
const region = "us-east-1"
const names = (size: number): ReadonlyArray<string> => Array.from({ length: size }, (_, i) => `target-${i}`)
// Targets of one Region and model: it is the router that is measured, and not so many clients.
const targets = Object.fromEntries(names(50).map((name) => [name, { model, region }]))
const routes: Route.RouteFile = {
  targets,
  routes: {
    "one": { policy: "target-0" },
    "three": { policy: { ordered: names(3) } },
    "fifty": { policy: { ordered: names(50) } }
  }
}

const output: ConverseCommandOutput = { ...JSON.parse(Canned.answer(40).toString()), $metadata: {} }
const script = { converse: () => Effect.succeed(output) }
const quotas = Quotas.uniform({ requestsPerMinute: 1e9, tokensPerMinute: 1e12 })
const runtime = ManagedRuntime.make(
  Layer.orDie(Layer.mergeAll(BedrockClient.layerTest(script), Bedrock.layerTest(script, { quotas, routes })))
)
const input = (modelId: string) => ({
  modelId,
  messages: [{ role: "user" as const, content: [{ text: "Which way is north?" }] }],
  inferenceConfig: { maxTokens: 200 }
})

const byBedrock = (modelId: string) => Bedrock.Bedrock.use((bedrock) => bedrock.converse(input(modelId)))
const ways: ReadonlyArray<
  readonly [
    name: string,
    call: Effect.Effect<unknown, unknown, Bedrock.Bedrock | BedrockClient.BedrockClient>
  ]
> = ([
  ["the script", BedrockClient.BedrockClient.use((client) => client.converse(input(model)))],
  ["Bedrock, a model", byBedrock(model)],
  ["Bedrock, a route of one target", byBedrock("one")],
  ["Bedrock, a route of 3", byBedrock("three")],
  ["Bedrock, a route of 50", byBedrock("fifty")]
] as const).filter(([name]) => name.includes(flags.only))

const took = ways.map((): Array<number> => [])
// Two rounds to warm up.
for (let round = -2; round < rounds; round++) {
  for (const [index, [, call]] of ways.entries()) {
    const from = process.cpuUsage()
    await runtime.runPromise(Effect.gen(function*() {
      for (let i = 0; i < calls; i++) yield* call
    }))
    if (round >= 0) took[index]?.push(cpuOf(from) / calls)
  }
}
// Round by round: what slows the whole machine down falls out.
const beyond = (index: number): ReadonlyArray<number> =>
  (took[index] ?? []).map((cpu, round) => cpu - (took[0]?.[round] ?? 0))
console.log(`\nconverse, over a script: CPU µs of a call, medians of ${rounds} rounds of ${calls}\n`)
console.log(table(
  ["", "CPU µs", "", "beyond the script", "of a model's"],
  ways.map(([name], index) => [
    name,
    micros(Rounds.median(took[index] ?? [])),
    `± ${(100 * Rounds.spread(took[index] ?? [])).toFixed(0)} %`,
    micros(Rounds.median(beyond(index))),
    index < 2 ? "" : (Rounds.median(beyond(index)) / Rounds.median(beyond(1))).toFixed(1)
  ])
))

// -----------------------------------------------------------------------------
// Waiting
// -----------------------------------------------------------------------------

const rooms = ["a", "b", "c"]

const sendingOf = (): Sending.Sending<string, never, never> => ({
  ask: { input: 50, output: 50, needs: [], leftMillis: Infinity },
  refused: (_, error) => {
    throw error
  },
  offer: ({ name }: Target.BuiltTarget) => ({
    cost: { pool: name, requests: 1, tokens: 100 },
    send: ({ reservation }) => {
      reservation.sentUnsafe()
      // As an answer does that comes from elsewhere, it comes later.
      return Effect.yieldNow.pipe(Effect.andThen(reservation.settle({ tokens: 0, requests: 0 })), Effect.as(name))
    }
  })
})

const routed = ModelRouter.layer({
  table: Result.getOrThrow(RouteTable.make({
    targets: Object.fromEntries(rooms.map((name) => [name, { model: "sage" }])),
    routes: { even: { policy: { headroom: rooms } } }
  }))
}).pipe(Layer.provideMerge(Layer.mergeAll(
  RateLimiter.layer({ meters: () => [Meter.tokens(100, "10 minutes")] }),
  Health.layer(),
  Layer.orDie(RetryBudget.layer())
)))

const waits = Effect.gen(function*() {
  const limiter = yield* RateLimiter.RateLimiter
  const router = yield* ModelRouter.ModelRouter
  const health = yield* Health.Health
  const held = yield* Effect.forEach(rooms, (pool) => limiter.reserve({ pool, requests: 1, tokens: 100 }))
  globalThis.gc?.()
  const before = process.memoryUsage().heapUsed
  let from = process.cpuUsage()
  const fibers = yield* Effect.forEach(
    Array.from({ length: waiting }),
    () => Effect.forkChild(Effect.scoped(router.run("even", sendingOf())), { startImmediately: true })
  )
  const begun = cpuOf(from) / waiting
  globalThis.gc?.()
  const bytes = (process.memoryUsage().heapUsed - before) / waiting
  // A target that nobody asks, falls sick: it concerns none of those who wait.
  const fails = (target: string) => Effect.ignore(health.watch(target, () => "sick")(Effect.fail("no")))
  yield* Effect.repeat(fails("d"), { times: 4 })
  from = process.cpuUsage()
  yield* Effect.sleep(5)
  const other = cpuOf(from)
  // Then one of those in whose lines they stand: all of them leave it.
  yield* Effect.repeat(fails("a"), { times: 4 })
  from = process.cpuUsage()
  yield* Effect.sleep(5)
  const own = cpuOf(from)
  from = process.cpuUsage()
  yield* Effect.forEach(held, (reservation) => reservation.release)
  yield* Effect.forEach(fibers, Fiber.join, { discard: true })
  const ended = cpuOf(from) / waiting
  return { begun, bytes, other, own, ended }
}).pipe(Effect.scoped, Effect.provide(routed))

if (waiting > 0) {
  const { begun, bytes, ended, other, own } = await Effect.runPromise(waits)
  console.log(`\n${waiting} calls that wait in ${rooms.length} rooms\n`)
  console.log(table(["", "µs of CPU"], [
    ["to begin to wait, each", micros(begun)],
    ["to be admitted and to end, each", micros(ended)],
    ["all of them, when a target falls sick that they do not wait for", micros(other)],
    ["all of them, when one does that they wait for", micros(own)]
  ]))
  if (globalThis.gc !== undefined) console.log(`(${(bytes / 1_000).toFixed(1)} KB each)`)
}
process.exit(0)
