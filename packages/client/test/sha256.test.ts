import { BedrockRuntimeClient } from "@aws-sdk/client-bedrock-runtime"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { createHash, createHmac } from "node:crypto"
import { Sha256 } from "../src/internal/sha256.ts"

const digestOf = (data: ReadonlyArray<string>, secret?: ConstructorParameters<typeof Sha256>[0]) =>
  Effect.promise(() => {
    const hash = new Sha256(secret)
    for (const part of data) hash.update(Buffer.from(part))
    return hash.digest()
  }).pipe(Effect.map((bytes) => Buffer.from(bytes).toString("hex")))

describe("Sha256", () => {
  it.effect("is the HMAC of RFC 4231, test case 2, whatever form the key has", () =>
    Effect.gen(function*() {
      const key = new TextEncoder().encode("Jefe")
      const within = new Uint8Array([1, 2, ...key, 3]).subarray(2, 6)
      for (const secret of ["Jefe", key, key.buffer, within]) {
        assert.strictEqual(
          yield* digestOf(["what do ya want ", "for nothing?"], secret),
          "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        )
      }
    }))

  it.effect.prop(
    "is what Node computes, with a key and without, and again after a reset",
    { data: Schema.Array(Schema.String), key: Schema.Uint8Array },
    ({ data, key }) =>
      Effect.gen(function*() {
        // Of bytes: halves of a surrogate pair are one character together, and two that are none apart.
        const whole = Buffer.concat(data.map((part) => Buffer.from(part)))
        assert.strictEqual(yield* digestOf(data), createHash("sha256").update(whole).digest("hex"))
        assert.strictEqual(yield* digestOf(data, key), createHmac("sha256", key).update(whole).digest("hex"))
        const hash = new Sha256(key)
        hash.update(Buffer.from("something else"))
        hash.reset()
        hash.update(whole)
        const again = yield* Effect.promise(() => hash.digest())
        assert.strictEqual(Buffer.from(again).toString("hex"), yield* digestOf(data, key))
      })
  )
})

describe("the SDK", () => {
  it("has what is taken out of it, so that an update that renames it is noticed", () => {
    const { config, middlewareStack } = new BedrockRuntimeClient({ region: "us-east-1", sha256: Sha256 })
    assert.isTrue(middlewareStack.remove("loggerMiddleware"))
    assert.strictEqual(config.sha256, Sha256)
  })
})
