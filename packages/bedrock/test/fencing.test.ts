// The fence around a route holds for whatever is sent on behalf of its calls.
import { Bedrock, Routes } from "@caprock/bedrock"
import { BedrockClientTest } from "@caprock/client"
import type { BedrockError } from "@caprock/errors"
import { Fence, type Target } from "@caprock/router"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Result, Stream } from "effect"
import { ask, claude, file, nova, scripted, unavailable } from "./routeRig.ts"

const operations = (bedrock: Bedrock.Service, modelId: string) => {
  const { messages } = ask("any")
  const calls: Record<
    Exclude<keyof Bedrock.Service, "snapshot" | "describe">,
    Effect.Effect<unknown, BedrockError.BedrockError>
  > = {
    converse: bedrock.converse(ask(modelId)),
    converseStream: Stream.runDrain(bedrock.converseStream(ask(modelId))),
    invokeModel: bedrock.invokeModel({ modelId, body: "{}" }),
    invokeModelWithResponseStream: Stream.runDrain(bedrock.invokeModelWithResponseStream({ modelId, body: "{}" })),
    invokeModelWithBidirectionalStream: Stream.runDrain(
      bedrock.invokeModelWithBidirectionalStream({ modelId, body: Stream.empty })
    ),
    countTokens: bedrock.countTokens({ modelId, input: { converse: { messages } } }),
    applyGuardrail: bedrock.applyGuardrail({
      guardrailIdentifier: "g",
      guardrailVersion: "1",
      source: "INPUT",
      content: [{ text: { text: "Hello" } }]
    }),
    invokeGuardrailChecks: bedrock.invokeGuardrailChecks({ messages, checks: undefined }),
    startAsyncInvoke: bedrock.startAsyncInvoke({ modelId, modelInput: {}, outputDataConfig: undefined }),
    getAsyncInvoke: bedrock.getAsyncInvoke({ invocationArn: "arn" }),
    listAsyncInvokes: bedrock.listAsyncInvokes({}),
    listAsyncInvokesAll: Stream.runDrain(bedrock.listAsyncInvokesAll({}))
  }
  return calls
}

/** Each of them, and whether it was kept from being sent. */
const outside = (bedrock: Bedrock.Service, modelId: string) =>
  Effect.forEach(Object.entries(operations(bedrock, modelId)), ([name, call]) =>
    call.pipe(
      Effect.as("answered"),
      // What has no script was sent.
      Effect.catchDefect(() => Effect.succeed("sent")),
      Effect.catch(({ message }) => Effect.succeed(message)),
      Effect.map((end) => [name, end.includes("outside of the fence")] as const)
    ))

describe("a fence", () => {
  const routes = file({ one: { model: nova, region: "us-west-2" } }, "one", { fence: ["us-west-*"] })

  it.effect("holds for every operation of a last resort, in the Region that it is sent to", () =>
    Effect.gen(function*() {
      const seen: Array<ReadonlyArray<readonly [string, boolean]>> = []
      // Its own Region is us-east-1.
      const { bedrock, requests } = yield* scripted({ converse: () => unavailable }, {
        backoff: { attempts: 1 },
        routes,
        lastResorts: {
          chat: (reason, _, bedrock) =>
            Effect.gen(function*() {
              seen.push(yield* outside(bedrock, nova))
              return yield* Effect.fail(reason.error)
            })
        }
      })
      yield* Effect.flip(bedrock.converse(ask("chat")))
      assert.deepStrictEqual(seen[0]?.filter(([, refused]) => !refused), [])
      assert.strictEqual((yield* requests).length, 1)
    }).pipe(Effect.scoped))

  it.effect("holds for what a last resort's stream comes to after its beginning", () =>
    Effect.gen(function*() {
      const { bedrock, requests } = yield* scripted({ invokeModelWithResponseStream: () => unavailable }, {
        backoff: { attempts: 1 },
        routes,
        lastResorts: {
          chat: {
            invokeModelWithResponseStream: (_, __, bedrock) =>
              Stream.concat(
                Stream.make({ chunk: { bytes: new Uint8Array(1) } }),
                Stream.suspend(() => bedrock.invokeModelWithResponseStream({ modelId: nova, body: "{}" }))
              )
          }
        }
      })
      const answer = bedrock.invokeModelWithResponseStream({ modelId: "chat", body: "{}" })
      const { message } = yield* Effect.flip(Stream.runDrain(answer))
      assert.include(message, "outside of the fence us-west-*")
      assert.strictEqual((yield* requests).length, 1)
    }).pipe(Effect.scoped))

  it.effect("lets a last resort have a profile whose places a target tells", () =>
    Effect.gen(function*() {
      const profile = `us.${claude}`
      const { bedrock } = yield* scripted({
        converse: ({ modelId }) => modelId === profile ? BedrockClientTest.answer("Yes.") : unavailable
      }, {
        backoff: { attempts: 1 },
        routes: {
          targets: { one: { model: nova }, two: { model: profile, residency: ["us-east-1", "us-west-2"] } },
          routes: { chat: { policy: "one", fence: ["us-*"] } }
        },
        lastResorts: { chat: (_, input, bedrock) => bedrock.converse({ ...input, modelId: profile }) }
      })
      assert.strictEqual((yield* bedrock.converse(ask("chat"))).output?.message?.content?.[0]?.text, "Yes.")
    }).pipe(Effect.scoped))

  it.effect("holds for a service without routes, and keeps nobody inside from anything", () =>
    Effect.gen(function*() {
      const { bedrock, requests } = yield* scripted({}, { backoff: { attempts: 1 } })
      const within = (fence: Fence.Fence, modelId: string) =>
        Effect.provideService(outside(bedrock, modelId), Fence.CurrentFence, fence)
      assert.deepStrictEqual((yield* within(["eu-*"], nova)).filter(([, refused]) => !refused), [])
      assert.deepStrictEqual(yield* requests, [])
      assert.deepStrictEqual((yield* within(["us-*"], nova)).filter(([, refused]) => refused), [])
      assert.deepStrictEqual((yield* outside(bedrock, `global.${claude}`)).filter(([, refused]) => refused), [])
      // Where a profile may go on to, nobody has said here.
      const [[, converse] = []] = yield* within(["us-*"], `us.${claude}`)
      assert.isTrue(converse)
    }).pipe(Effect.scoped))
})

describe("the residency of a target", () => {
  const eu = `eu.${claude}`

  it("has the Region that its requests are sent to", () => {
    const tableOf = (region: string | undefined, residency: readonly [string, ...Array<string>]) =>
      Routes.table(file({ one: { model: eu, residency } }, "one"), { region })
    const wrong = tableOf("eu-west-3", ["eu-west-1", "eu-north-1"])
    assert.include(
      Result.isFailure(wrong) ? wrong.failure.message : "",
      "its requests are sent to eu-west-3, which is not among its residency (eu-west-1, eu-north-1): add eu-west-3"
    )
    for (const residency of [["eu-west-3", "eu-north-1"], ["*"]] as const) {
      assert.isTrue(Result.isSuccess(tableOf("eu-west-3", residency)))
    }
    // It is not known before there is a client.
    assert.isTrue(Result.isSuccess(tableOf(undefined, ["eu-west-1"])))
  })

  it("is that of its model in its Region: two targets of one can't tell different ones", () => {
    const tableOf = (one: Target.Target, two: Target.Target) => {
      const table = Routes.table(file({ one, two }, "one", { fence: ["eu-*"] }), { region: "eu-west-1" })
      return Result.isFailure(table) ? table.failure.message : ""
    }
    const told: Target.Target = { model: eu, residency: ["eu-west-1", "eu-north-1"] }
    for (const region of [undefined, "eu-west-1"]) {
      const message = tableOf(told, {
        model: eu,
        ...(region === undefined ? {} : { region }),
        residency: ["eu-west-1", "us-east-1"]
      })
      assert.include(message, "Target \"two\": its residency (eu-west-1, us-east-1) is not that of target \"one\"")
      assert.include(message, "(eu-west-1, eu-north-1), which is the same model in the same Region")
    }
    const subset = tableOf(told, { model: eu, residency: ["eu-west-1"] })
    assert.include(subset, "Target \"two\": its residency (eu-west-1) is not that of")
    for (
      const other of [
        { model: eu, residency: ["eu-north-1", "eu-west-1"] },
        { model: eu },
        { model: eu, region: "eu-west-3", residency: ["eu-west-3"] },
        { model: `eu.${nova}`, residency: ["eu-west-1"] }
      ] satisfies ReadonlyArray<Target.Target>
    ) assert.strictEqual(tableOf(told, other), "")
  })

  it.effect("is known where one of two targets of a model in a Region tells it", () =>
    Effect.gen(function*() {
      const profile = `us.${claude}`
      const { bedrock } = yield* scripted({
        converse: ({ modelId }) => modelId === profile ? BedrockClientTest.answer("Yes.") : unavailable
      }, {
        backoff: { attempts: 1 },
        routes: {
          targets: {
            one: { model: nova },
            two: { model: profile },
            three: { model: profile, residency: ["us-east-1"] }
          },
          routes: { chat: { policy: "one", fence: ["us-*"] } }
        },
        lastResorts: { chat: (_, input, bedrock) => bedrock.converse({ ...input, modelId: profile }) }
      })
      assert.strictEqual((yield* bedrock.converse(ask("chat"))).output?.message?.content?.[0]?.text, "Yes.")
    }).pipe(Effect.scoped))

  it.effect("and a layer whose client has another Region than the file had in mind fails", () =>
    Effect.gen(function*() {
      const layer = Bedrock.layerTest({ converse: () => BedrockClientTest.answer("Yes.") }, {
        routes: file({ one: { model: eu, residency: ["eu-west-1"] } }, "one", { fence: ["eu-*"] })
      })
      const { message } = yield* Effect.flip(Layer.build(layer))
      assert.include(message, "its requests are sent to us-east-1")
    }).pipe(Effect.scoped))
})
