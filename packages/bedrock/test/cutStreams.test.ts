// A stream that is cut after its first content says something of its target.
import { BedrockClientTest } from "@caprock/client"
import { Reason } from "@caprock/errors"
import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Effect, Stream } from "effect"
import { ask, failing, file, nova, scripted } from "./routeRig.ts"

const pro = "amazon.nova-pro-v1:0"

describe("a stream that is cut after its first content", () => {
  /** Of two targets, the first cuts every stream so: who was asked. */
  const targetsOf = (reason: Reason.Reason) =>
    Effect.gen(function*() {
      const { bedrock, requests } = yield* scripted({
        converseStream: ({ modelId }) => {
          const events = Stream.fromIterable(BedrockClientTest.events(["Ye", "s."]))
          return modelId === nova ? Stream.concat(Stream.take(events, 3), Stream.fail(failing(reason))) : events
        }
      }, { routes: file({ one: { model: nova }, two: { model: pro } }, { ordered: ["one", "two"] }) })
      for (let i = 0; i < 12; i++) yield* Effect.ignore(Stream.runDrain(bedrock.converseStream(ask("chat"))))
      return Arr.map(yield* requests, ({ input }) => "modelId" in input ? input.modelId : "")
    }).pipe(Effect.scoped)

  it.effect("counts against its target, which gets no more of them at last", () =>
    Effect.gen(function*() {
      const asked = yield* targetsOf(new Reason.TransportError({ kind: "reset", message: "gone" }))
      assert.deepStrictEqual([asked.at(0), asked.at(-1)], [nova, pro])
      assert.isAtLeast(asked.filter((modelId) => modelId === nova).length, 5)
    }))

  it.effect("does not, where a limit cut it", () =>
    Effect.gen(function*() {
      const asked = yield* targetsOf(new Reason.ThrottlingError({ limit: "tokens", message: "full" }))
      assert.deepStrictEqual([...new Set(asked)], [nova])
    }))
})
