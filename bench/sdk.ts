/**
 * What the limiter costs in a client of the SDK: the same client with it and without, over stubs where sockets would be.
 *
 *     node bench/sdk.ts [calls]
 */
import { BedrockRuntimeClient, ConverseCommand, ConverseStreamCommand } from "@aws-sdk/client-bedrock-runtime"
import { createLimiter } from "@caprock/bedrock/sdk"
import { NodeHttpHandler } from "@smithy/node-http-handler"
import * as Rounds from "./internal/rounds.ts"
import * as StubbedSockets from "./internal/stubbedSockets.ts"
import { table } from "./internal/table.ts"

const calls = Number(process.argv[2] ?? 1_000)
const rounds = 9
const events = 40
StubbedSockets.install(events)

const input = StubbedSockets.question
const client = (retryMode: string) =>
  new BedrockRuntimeClient({
    ...StubbedSockets.place,
    retryMode,
    requestHandler: new NodeHttpHandler({ httpAgent: { maxSockets: 1_024 } })
  })
const limiter = createLimiter({ quotas: { default: { requestsPerMinute: 1e9, tokensPerMinute: 1e12 } } })
const clients = [
  ["the SDK", client("standard")],
  ["its adaptive mode", client("adaptive")],
  ["with the limiter", limiter.attach(client("standard"))]
] as const

const ways = {
  "converse": (client: BedrockRuntimeClient) => client.send(new ConverseCommand(input)),
  [`converseStream of ${events} texts`]: async (client: BedrockRuntimeClient) => {
    const { stream } = await client.send(new ConverseStreamCommand(input))
    for await (const _ of stream ?? []) { /* only read */ }
  }
}

for (const [title, call] of Object.entries(ways)) {
  const took = clients.map((): Array<number> => [])
  // Two rounds to warm up.
  for (let round = -2; round < rounds; round++) {
    for (const [index, [, client]] of clients.entries()) {
      const from = process.cpuUsage()
      for (let i = 0; i < calls; i++) await call(client)
      const { system, user } = process.cpuUsage(from)
      if (round >= 0) took[index]?.push((system + user) / calls)
    }
  }
  console.log(`\n${title}: CPU µs of a call, medians of ${rounds} rounds of ${calls}\n`)
  console.log(table(
    ["", "CPU µs", "beyond the SDK"],
    // Round by round: what slows the whole machine down falls out.
    clients.map(([name], index) => [
      name,
      Rounds.median(took[index] ?? []).toFixed(0),
      Rounds.median((took[index] ?? []).map((cpu, round) => cpu - (took[0]?.[round] ?? 0))).toFixed(0)
    ])
  ))
}
await limiter.close()
process.exit(0)
