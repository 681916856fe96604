// Whatever becomes of calls through a client of the SDK, and of those who made them: nothing of them is left, and the books never say less
// than the server has charged.
import {
  ConverseCommand,
  ConverseStreamCommand,
  InvokeModelCommand,
  InvokeModelWithResponseStreamCommand
} from "@aws-sdk/client-bedrock-runtime"
import { Fault, LatencyModel } from "@caprock/emulator"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { bodyOf, handlers, limited } from "./sdkLab.ts"
import { eventually, modelId, question, served } from "./served.ts"

const quota = { requestsPerMinute: 1_000, tokensPerMinute: 1_000_000 }
const claude = "anthropic.claude-sonnet-4-5-20250929-v1:0"

const stream = async (answer: Promise<object>, member: "body" | "stream") =>
  Reflect.get(await answer, member) as AsyncIterable<unknown>

/** Each operation, of a model whose output costs five times what it reserves, and of one where it does not. */
const asks = {
  Converse: (client, says, model, signal) =>
    client.send(new ConverseCommand({ ...question(says), modelId: model }), signal),
  InvokeModel: (client, says, model, signal) =>
    client.send(new InvokeModelCommand({ modelId: model, body: bodyOf(says) }), signal),
  ConverseStream: (client, says, model, signal) =>
    stream(client.send(new ConverseStreamCommand({ ...question(says), modelId: model }), signal), "stream"),
  InvokeModelWithResponseStream: (client, says, model, signal) =>
    stream(
      client.send(new InvokeModelWithResponseStreamCommand({ modelId: model, body: bodyOf(says) }), signal),
      "body"
    )
} satisfies Readonly<
  Record<
    string,
    (
      client: ReturnType<typeof limited>["client"],
      says: string,
      model: string,
      options: { readonly abortSignal: AbortSignal }
    ) => Promise<unknown>
  >
>

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const Call = Schema.Struct({
  operation: Schema.Literals(["Converse", "InvokeModel", "ConverseStream", "InvokeModelWithResponseStream"]),
  grows: Schema.Boolean,
  error: Schema.Literals([
    "",
    "",
    "",
    "error=ThrottlingException",
    "error=ServiceUnavailableException",
    "error=ValidationException"
  ]),
  output: between(1, 200),
  latency: between(0, 20),
  /** Turns of the event loop until its caller gives it up; none where it is 0. */
  abortsAfter: Schema.Union([Schema.Literal(0), between(1, 300)]),
  /** Events until its reader leaves; none where it is 0. */
  leavesAt: Schema.Union([Schema.Literal(0), between(1, 20)])
})

const turns = async (count: number) => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}

const isStream = (answer: unknown): answer is AsyncIterable<unknown> =>
  typeof answer === "object" && answer !== null && Symbol.asyncIterator in answer

describe.each(Object.entries(handlers))("over %s", (_, config) => {
  it.effect.prop(
    "nothing is left of calls that end in any way",
    [Schema.Array(Call).check(Schema.isMinLength(1), Schema.isMaxLength(12)), between(0, 1_000_000)],
    ([calls, seed]) =>
      Effect.promise(async () => {
        await using emulator = await served({
          seed,
          window: "10 hours",
          latency: LatencyModel.fixed(0),
          burndown: { [claude]: 5 },
          faults: [
            { fault: Fault.reset, rate: 0.08 },
            { fault: Fault.cut(0.5), rate: 0.08 },
            { fault: Fault.truncate(0.5), rate: 0.08 },
            { fault: Fault.streamError("throttlingException", { at: 0.5 }), rate: 0.08 },
            { fault: Fault.streamError("modelStreamErrorException", { at: 0 }), rate: 0.08 },
            { fault: Fault.corrupt("message-checksum", 0.5), rate: 0.08 }
          ]
        })
        await using house = limited(emulator, {
          // Four at once: the others wait.
          quotas: { default: { ...quota, concurrentRequests: 4 } },
          meters: { window: "10 hours" },
          backoff: { attempts: 2, base: 1 },
          retryBudget: { capacity: 1_000 }
        }, config())
        const run = async ({ abortsAfter, error, grows, latency, leavesAt, operation, output }: typeof Call.Type) => {
          const controller = new AbortController()
          const ask = asks[operation]
          const answering = ask(
            house.client,
            `Why? [[emulate output=${output} latency=${latency} ${error}]]`,
            grows ? claude : modelId,
            { abortSignal: controller.signal }
          ).then(async (answer) => {
            if (!isStream(answer)) return
            let seen = 0
            for await (const _ of answer) if (++seen === leavesAt) break
          }).catch(() => {})
          if (abortsAfter > 0) {
            await turns(abortsAfter)
            controller.abort()
          }
          await answering
        }
        await Promise.all(calls.map(run))
        await eventually(async () => (await emulator.stats()).inFlight === 0)
        let requests = 0
        let tokens = 0
        for (const model of [modelId, claude]) {
          const { meters, waiting } = await house.limiter.snapshot(house.client, model)
          const [ofRequests, ofTokens, inFlight] = meters
          assert.deepStrictEqual([waiting, inFlight?.used], [0, 0], "who waits, and what is in flight")
          requests += ofRequests?.used ?? 0
          tokens += ofTokens?.used ?? 0
        }
        const stats = await emulator.stats()
        assert.isAtLeast(requests, stats.requests, "requests in the books")
        assert.isAtLeast(tokens, stats.tokens.settled, "tokens in the books")
      }),
    { arbitrary: { runs: 15 } }
  )
})

it("a stream that nobody reads is ended when nobody holds it any more", async () => {
  await using emulator = await served()
  await using house = limited(emulator, { quotas: { default: { ...quota, concurrentRequests: 1 } } })
  await emulator.inject(Fault.silence({ at: { frame: 4 } }))
  await house.client.send(new ConverseStreamCommand(question("Why? [[emulate output=50]]")))
  assert.strictEqual((await house.books()).inFlight, 1)
  setFlagsFromString("--expose-gc")
  const collect: () => void = runInNewContext("gc")
  await eventually(async () => {
    collect()
    return (await house.books()).inFlight === 0 && (await emulator.stats()).open === 0
  })
})
