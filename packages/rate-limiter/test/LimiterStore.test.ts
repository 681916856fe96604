import { describe, layer } from "@effect/vitest"
import { Layer } from "effect"
import * as RedisServers from "./redisServers.ts"
import { suite } from "./store.suite.ts"
import * as StoreRig from "./storeRig.ts"

layer(StoreRig.layerMemory)("the store in memory", suite)

for (const kind of ["redis", "valkey"] as const) {
  describe.runIf(RedisServers.installed(kind))("a server", () => {
    // Its answers come when they come; the time that counts is set by the tests.
    layer(StoreRig.layerRedis.pipe(Layer.provide(RedisServers.layer(kind))), { excludeTestServices: true })(
      `the store in ${kind}`,
      suite
    )
  })
}
