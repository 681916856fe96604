/**
 * What a call costs in process: the SDK, Caprock's client and the whole of Caprock, all three on Node's HTTP client over stubs where
 * sockets would be. And the layers alone, over a scripted client: the least that they take, where nothing else is in the way. And what they
 * take there right after such a call, when no cache of the processor holds them any more, and once more after that.
 *
 *     node bench/layers.ts [--calls 2000] [--rounds 9] [--only script]
 */
import {
  BedrockRuntimeClient,
  ConverseCommand,
  type ConverseCommandOutput,
  ConverseStreamCommand
} from "@aws-sdk/client-bedrock-runtime"
import * as Bedrock from "@caprock/bedrock/Bedrock"
import * as BedrockClient from "@caprock/client/BedrockClient"
import * as Quotas from "@caprock/quota/Quotas"
import { NodeHttpHandler } from "@smithy/node-http-handler"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Stream from "effect/Stream"
import { parseArgs } from "node:util"
import * as Canned from "./internal/canned.ts"
import * as Rounds from "./internal/rounds.ts"
import * as StubbedSockets from "./internal/stubbedSockets.ts"
import { table } from "./internal/table.ts"

const { values: flags } = parseArgs({
  options: {
    calls: { type: "string", default: "2000" },
    rounds: { type: "string", default: "9" },
    /** A part of the title of a table. */
    only: { type: "string", default: "" }
  }
})
const calls = Number(flags.calls)
const rounds = Number(flags.rounds)
const events = 40
StubbedSockets.install(events)

const input = StubbedSockets.question
const options = StubbedSockets.place
const quotas = Quotas.uniform({ requestsPerMinute: 1e9, tokensPerMinute: 1e12 })

const sdk = new BedrockRuntimeClient({
  ...options,
  maxAttempts: 1,
  requestHandler: new NodeHttpHandler({ httpAgent: { maxSockets: 1_024 } })
})
const caprock = ManagedRuntime.make(
  Layer.orDie(Layer.mergeAll(BedrockClient.layer(options), Bedrock.layer({ ...options, quotas })))
)
const output: ConverseCommandOutput = { ...JSON.parse(Canned.answer(events).toString()), $metadata: {} }
const script = {
  converse: () => Effect.succeed(output),
  converseStream: () => [
    { messageStart: { role: "assistant" as const } },
    ...Array.from(
      { length: events },
      () => ({ contentBlockDelta: { contentBlockIndex: 0, delta: { text: " word" } } })
    ),
    { messageStop: { stopReason: "end_turn" as const } },
    { metadata: { usage: Canned.usage, metrics: Canned.metrics } }
  ]
}
const scripted = ManagedRuntime.make(
  Layer.orDie(Layer.mergeAll(BedrockClient.layerTest(script), Bedrock.layerTest(script, { quotas })))
)

const overScript = await scripted.runPromise(Bedrock.Bedrock.useSync((bedrock) => bedrock))

type Way = () => Promise<unknown>
type Services = Bedrock.Bedrock | BedrockClient.BedrockClient

const inTurn = (call: () => Promise<unknown>): Way => async () => {
  for (let i = 0; i < calls; i++) await call()
}
const effects =
  (runtime: ManagedRuntime.ManagedRuntime<Services, never>) =>
  (call: Effect.Effect<unknown, unknown, Services>): Way =>
  () =>
    runtime.runPromise(Effect.gen(function*() {
      for (let i = 0; i < calls; i++) yield* call
    }))

const ofClient = {
  converse: BedrockClient.BedrockClient.use((client) => client.converse(input)),
  stream: BedrockClient.BedrockClient.use((client) => Stream.runDrain(client.converseStream(input)))
}
const ofBedrock = {
  converse: Bedrock.Bedrock.use((bedrock) => bedrock.converse(input)),
  stream: Bedrock.Bedrock.use((bedrock) => Stream.runDrain(bedrock.converseStream(input)))
}
const layers = overScript.converse(input)
const sdkStream = async () => {
  const { stream } = await sdk.send(new ConverseStreamCommand(input))
  for await (const _ of stream ?? []) { /* only read */ }
}
const streamTitle = `converseStream of ${events} texts`

const cases: ReadonlyArray<readonly [title: string, ways: ReadonlyArray<readonly [name: string, run: Way]>]> = [
  ["converse, over stubbed sockets", [
    ["the SDK", inTurn(() => sdk.send(new ConverseCommand(input)))],
    ["Caprock's client", effects(caprock)(ofClient.converse)],
    ["Caprock's Bedrock", effects(caprock)(ofBedrock.converse)]
  ]],
  [`${streamTitle}, over stubbed sockets`, [
    ["the SDK", inTurn(sdkStream)],
    ["Caprock's client", effects(caprock)(ofClient.stream)],
    ["Caprock's Bedrock", effects(caprock)(ofBedrock.stream)]
  ]],
  ["converse, over stubbed sockets, and over a script after it", [
    ["Caprock's client", effects(caprock)(ofClient.converse)],
    ["and the layers, over a script", effects(caprock)(Effect.andThen(ofClient.converse, layers))],
    ["and once more", effects(caprock)(Effect.andThen(ofClient.converse, Effect.andThen(layers, layers)))]
  ]],
  ["converse, over a script", [
    ["the script", effects(scripted)(ofClient.converse)],
    ["Caprock's Bedrock", effects(scripted)(ofBedrock.converse)]
  ]],
  [`${streamTitle}, over a script`, [
    ["the script", effects(scripted)(ofClient.stream)],
    ["Caprock's Bedrock", effects(scripted)(ofBedrock.stream)]
  ]]
]

const micros = (value: number): string => value.toFixed(0)

for (const [title, ways] of cases) {
  if (!title.includes(flags.only)) continue
  const took = ways.map((): Array<number> => [])
  // Two rounds to warm up.
  for (let round = -2; round < rounds; round++) {
    for (const [index, [, run]] of ways.entries()) {
      const from = process.cpuUsage()
      await run()
      const { system, user } = process.cpuUsage(from)
      if (round >= 0) took[index]?.push((system + user) / calls)
    }
  }
  // Round by round: what slows the whole machine down falls out.
  const beyond = (index: number, other: number): string =>
    index === 0 ? "" : micros(Rounds.median(
      (took[index] ?? []).map((cpu, round) => cpu - (took[other]?.[round] ?? 0))
    ))
  console.log(`\n${title}: CPU µs of a call, medians of ${rounds} rounds of ${calls}\n`)
  console.log(table(
    ["", "CPU µs", "beyond the one before", "beyond the first"],
    ways.map(([name], index) => [
      name,
      micros(Rounds.median(took[index] ?? [])),
      beyond(index, index - 1),
      beyond(index, 0)
    ])
  ))
}
process.exit(0)
