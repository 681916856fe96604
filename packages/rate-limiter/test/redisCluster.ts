/**
 * A cluster of three servers on loopback, and Effect's `Redis` on node-redis' client for clusters, which Effect has none for.
 */
import { Effect, Layer, Schedule } from "effect"
import { Redis } from "effect/persistence"
import { createCluster } from "redis"
import * as RedisServers from "./redisServers.ts"

const fail = (cause: unknown) => new Redis.RedisError({ cause })

/** Where a command goes: scripts tell how many keys they have before the first of them. */
const keyOf = (command: string, args: ReadonlyArray<string>): string | undefined =>
  command.startsWith("EVAL") ? args[1] === "0" ? undefined : args[2] : args[0]

const client = Effect.fnUntraced(function*(urls: ReadonlyArray<string>) {
  const cluster = createCluster({ rootNodes: urls.map((url) => ({ url })) })
  cluster.on("error", () => {})
  yield* Effect.acquireRelease(
    Effect.tryPromise({ try: () => cluster.connect(), catch: fail }),
    () => Effect.promise(() => cluster.close())
  )
  return yield* Redis.make({
    send: <A>(command: string, ...args: ReadonlyArray<string>) =>
      Effect.tryPromise({
        try: async () => {
          if (command !== "SCRIPT") return await cluster.sendCommand<A>(keyOf(command, args), false, [command, ...args])
          // A script is to be known wherever a key of it may be.
          const [answer] = await Promise.all(
            cluster.masters.map(async (node) => (await cluster.nodeClient(node)).sendCommand<A>([command, ...args]))
          )
          return answer as A
        },
        catch: fail
      }),
    subscribe: (channel, onMessage) =>
      Effect.acquireRelease(
        Effect.tryPromise({
          try: () => {
            const listener = (message: unknown, channel: unknown) =>
              onMessage({ channel: String(channel), message: String(message) })
            return cluster.subscribe(channel, listener).then(() => listener)
          },
          catch: fail
        }),
        (listener) => Effect.promise(() => cluster.unsubscribe(channel, listener))
      ).pipe(Effect.as(Effect.never)),
    connect: Effect.fail(fail("a cluster has no connection of its own"))
  })
})

// On a busy machine a node that is not heard of for half of its timeout gets another link, and what was published on the way is lost.
const servers = Effect.fnUntraced(function*(kind: RedisServers.Kind) {
  const nodes = yield* Effect.all(
    [0, 1, 2].map(() => RedisServers.start(kind, ["--cluster-enabled", "yes", "--cluster-node-timeout", "60000"])),
    { concurrency: "unbounded" }
  )
  const [first] = nodes
  for (const [index, { port }] of nodes.entries()) {
    const from = Math.floor(16_384 * index / 3)
    const to = Math.floor(16_384 * (index + 1) / 3) - 1
    yield* RedisServers.ask(port, `CLUSTER ADDSLOTSRANGE ${from} ${to}`)
    yield* RedisServers.ask(port, `CLUSTER SET-CONFIG-EPOCH ${index + 1}`)
  }
  // A handshake may be lost.
  const meet = Effect.forEach(
    nodes,
    ({ port }) => first === undefined ? Effect.void : RedisServers.ask(first.port, `CLUSTER MEET 127.0.0.1 ${port}`),
    { discard: true }
  )
  for (const { port } of nodes) {
    const isReady = RedisServers.ask(port, "CLUSTER INFO").pipe(
      Effect.filterOrFail((info) => /cluster_state:ok/.test(info) && /cluster_known_nodes:3/.test(info)),
      // What is published at one node gets to those who listen at others over links of their own, which come later than the state.
      Effect.andThen(RedisServers.ask(port, "CLUSTER NODES")),
      Effect.filterOrFail((nodes) => !/handshake/.test(nodes) && nodes.split(" connected").length === 4),
      Effect.retry({ schedule: Schedule.spaced("50 millis"), times: 40 })
    )
    yield* Effect.retry(Effect.andThen(meet, isReady), { times: 30 })
  }
  return nodes.map(({ url }) => url)
})

export const layer = (kind: RedisServers.Kind) => Layer.effect(Redis.Redis, Effect.flatMap(servers(kind), client))
