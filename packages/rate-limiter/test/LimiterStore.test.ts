import { describe, layer } from "@effect/vitest"
import { Layer } from "effect"
import * as RedisCluster from "./redisCluster.ts"
import * as RedisServers from "./redisServers.ts"
import { suite } from "./store.suite.ts"
import * as StoreRig from "./storeRig.ts"

layer(StoreRig.layerMemory)("the store in memory", suite)

// Answers come when they come; the time that counts is set by the tests.
const live = { excludeTestServices: true }

for (const kind of ["redis", "valkey"] as const) {
  // Left out, and loudly, only where no server is to be had; with CI set that is a failure.
  describe.runIf(RedisServers.installed(kind))(kind, () => {
    layer(Layer.provide(StoreRig.layerRedis, RedisServers.layer(kind)), live)("the store in one server", suite)
    layer(Layer.provide(StoreRig.layerRedis, RedisCluster.layer(kind)), live)("the store in a cluster", suite)
  })
}
