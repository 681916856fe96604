// A Region that takes requests and answers nothing, or not the whole of it, over sockets: no call by a route is lost, and the Region is found out.
import { Bedrock, CallAccount, CallLimits } from "@caprock/bedrock"
import { Emulator, Fault, LatencyModel, OutputModel } from "@caprock/emulator"
import { Health } from "@caprock/router"
import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Context, Effect, Layer, Stream } from "effect"

const modelId = "amazon.nova-lite-v1:0"
const [first, second] = ["us-east-1", "us-west-2"] as const

const ask = (text: string) => ({
  modelId: "chat",
  messages: [{ role: "user" as const, content: [{ text }] }],
  inferenceConfig: { maxTokens: 50 }
})

const house = Effect.gen(function*() {
  const emulator = yield* Emulator.make({
    seed: 7,
    latency: LatencyModel.fixed(20),
    output: OutputModel.fixed(20),
    log: 10_000
  })
  const context = yield* Layer.build(Bedrock.layer({
    region: first,
    endpoint: emulator.url,
    credentials: { accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: "secret" },
    withoutQuota: "unlimited",
    routes: {
      targets: { [first]: { model: modelId, region: first }, [second]: { model: modelId, region: second } },
      routes: { chat: { policy: { ordered: [first, second] } } }
    }
  }))
  return { emulator, bedrock: Context.get(context, Bedrock.Bedrock) }
})

type Call = (bedrock: Bedrock.Service, text: string) => Effect.Effect<ReturnType<typeof CallAccount.of>, unknown>

const converse: Call = (bedrock, text) => Effect.map(bedrock.converse(ask(text)), CallAccount.of)

const converseStream: Call = (bedrock, text) =>
  Effect.map(Stream.runCollect(bedrock.converseStream(ask(text))), (events) => {
    const [last] = Arr.fromIterable(events).toReversed()
    return last === undefined ? undefined : CallAccount.of(last)
  })

const ways: ReadonlyArray<readonly [name: string, fault: Fault.Fault, call: Call, isHanging: boolean]> = [
  ["a request is taken, and nothing comes back", Fault.silence(), converse, true],
  ["a stream is asked for, and nothing comes back", Fault.silence(), converseStream, true],
  ["a stream's head comes, and nothing behind it", Fault.silence({ at: { frame: 0 } }), converseStream, true],
  ["a stream's first event comes, and no content", Fault.silence({ at: { frame: 1 } }), converseStream, true],
  ["the socket is cut before an answer", Fault.cut(0), converse, false],
  ["the socket is reset", Fault.reset, converseStream, false],
  ["a stream is cut before its content", Fault.cut({ frame: 1 }), converseStream, false]
]

describe("in an outage of the first Region", () => {
  for (const [name, fault, call, isHanging] of ways) {
    it.live(
      `where ${name}, no call is lost within its deadline, and it gets its calls back`,
      () =>
        Effect.gen(function*() {
          const health = yield* Layer.build(Health.layer({ open: "1 second", comeback: "500 millis" }))
          const { bedrock, emulator } = yield* Effect.provide(house, health)
          const some = (calls: number) =>
            Effect.forEach(Arr.range(1, calls), (index) => call(bedrock, `call ${index}`), { concurrency: 30 })
          assert.isTrue((yield* some(40)).every((account) => account?.target === first))
          const before = (yield* emulator.stats).requests

          yield* emulator.outage({ duration: "1 hour", fault, region: first })
          // A call that its deadline ends fails, and so does the test.
          const during = yield* some(150)
          assert.isTrue(during.every((account) => account?.target === second))
          // Those that were sent while it was not known, and in place of the ten that showed it: then only a probe goes there, now and then.
          const late = during.filter((account) => account?.trials.some(({ outcome }) => outcome === "late"))
          assert.isAtMost(late.length, isHanging ? 30 + 10 + 10 : 0)
          assert.strictEqual(late.length > 0, isHanging)
          const { requests } = yield* emulator.stats
          assert.isAtMost(requests - before - during.length, 30 + 10 + 10)
        }).pipe(Effect.provideService(CallLimits.CallLimits, { deadline: "20 seconds" }), Effect.scoped),
      60_000
    )
  }

  it.live("that ends, it is back: what hung is forgotten", () =>
    Effect.gen(function*() {
      const health = yield* Layer.build(Health.layer({ open: "500 millis", comeback: "500 millis" }))
      const { bedrock, emulator } = yield* Effect.provide(house, health)
      const call = (index: number) => Effect.map(converse(bedrock, `call ${index}`), (account) => account?.target)
      yield* Effect.forEach(Arr.range(1, 20), call)
      yield* emulator.outage({ duration: "2 seconds", fault: Fault.silence(), region: first })
      yield* Effect.forEach(Arr.range(1, 20), call, { concurrency: 20 })
      while ((yield* call(0)) !== first) yield* Effect.sleep(50)
      while (!(yield* Effect.forEach(Arr.range(1, 10), call)).every((target) => target === first)) {
        yield* Effect.sleep(50)
      }
      // What was left is left on the wire too.
      while ((yield* emulator.stats).inFlight > 0) yield* Effect.sleep(10)
    }).pipe(Effect.provideService(CallLimits.CallLimits, { deadline: "20 seconds" }), Effect.scoped), 60_000)
})
