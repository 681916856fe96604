// What is done with a call before it is sent to one of its route's targets, and after none could take it; and what is wrong with routes.
import { RetryBudget } from "@caprock/backoff"
import { Bedrock, CallAccount, CallEvents, Routes } from "@caprock/bedrock"
import { BedrockClient, BedrockClientTest, type Settings } from "@caprock/client"
import { type BedrockError, Reason } from "@caprock/errors"
import type { Route } from "@caprock/router"
import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, ConfigProvider, Context, Effect, Fiber, Layer, Logger, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as adapting from "../src/internal/adapting.ts"
import * as asking from "../src/internal/asking.ts"
import * as judging from "../src/internal/judging.ts"
import { ask, claude, failing, file, nova, scripted, unavailable } from "./routeRig.ts"

const problemsOf = (layer: Layer.Layer<Bedrock.Bedrock, Settings.OptionsError>) =>
  Effect.map(Effect.flip(Layer.build(layer)), ({ message }) => message).pipe(Effect.orDie, Effect.scoped)

describe("routes that make no sense", () => {
  it.effect("fail the layer, with all that is wrong", () =>
    Effect.gen(function*() {
      const message = yield* problemsOf(Bedrock.layer({
        region: "us-east-1",
        routes: file({ one: { model: "no model at all" }, two: { model: nova } }, { ordered: ["one", "three"] })
      }))
      assert.include(message, "Target \"one\": \"no model at all\" is not a model id")
      assert.include(
        yield* problemsOf(Bedrock.layer({
          region: "us-east-1",
          routes: file({ two: { model: nova } }, { ordered: ["two", "three"] })
        })),
        "three"
      )
    }))

  it.effect("whatever a variable has: it is said where, and what was expected there", () =>
    Effect.gen(function*() {
      const wrong = [
        ["[]", "Expected object"],
        ["{\"routes\":{}}", "targets"],
        ["{\"targets\":{\"a\":5},\"routes\":{}}", "a"],
        ["{\"targets\":{\"a\":{\"model\":7}},\"routes\":{}}", "model"],
        ["{\"targets\":{\"a\":{\"model\":\"amazon.nova-lite-v1:0\",\"residency\":\"eu\"}},\"routes\":{}}", "residency"]
      ] as const
      for (const [CAPROCK_ROUTES, where] of wrong) {
        const variables = ConfigProvider.layer(ConfigProvider.fromEnv({ env: { CAPROCK_ROUTES } }))
        const layer = Layer.provide(Bedrock.layerConfig({ region: "us-east-1" }), variables)
        const message = yield* problemsOf(layer)
        assert.include(message, "routes")
        assert.include(message, where)
      }
    }))

  it.effect("are not those of models that embed, and write nothing", () =>
    Effect.gen(function*() {
      const models = { v4: { model: "us.cohere.embed-v4:0" }, v2: { model: "amazon.titan-embed-text-v2:0" } }
      const { bedrock } = yield* scripted({ invokeModel: () => unavailable }, {
        routes: file(models, { ordered: ["v4", "v2"] }),
        backoff: { base: 0, attempts: 2 }
      })
      const call = bedrock.invokeModel({ modelId: "chat", body: JSON.stringify({ inputText: "a" }) })
      assert.deepStrictEqual((yield* Effect.flip(call)).tried?.map(({ target }) => target), ["v4", "v2"])
    }))

  it.effect("a fence is built on what Bedrock says of an id, whatever the file says", () =>
    Effect.gen(function*() {
      const fence = { fence: ["eu-*"] } as const
      const layerOf = (target: Route.RouteFile["targets"][string]) =>
        Bedrock.layer({ region: "eu-west-1", routes: file({ one: target }, "one", fence) })
      const outside = [
        { model: `global.${claude}`, residency: ["eu-west-1"] },
        { model: claude, region: "us-east-1", residency: ["eu-west-1"] },
        { model: `arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcdefghijkl`, residency: ["eu-west-1"] },
        { model: `eu.${claude}`, residency: ["eu-west-1", "us-east-1"] }
      ] as const
      for (const target of outside) assert.include(yield* problemsOf(layerOf(target)), "outside of its fence eu-*")
      const unknown = yield* problemsOf(layerOf({ model: `eu.${claude}` }))
      assert.include(unknown, "does not say where")
      assert.include(
        unknown,
        `aws bedrock get-inference-profile --inference-profile-identifier eu.${claude} --region eu-west-1`
      )
      const inside = [{ model: claude }, { model: `eu.${claude}`, residency: ["eu-west-1", "eu-north-1"] }] as const
      for (const target of inside) yield* Layer.build(layerOf(target))
    }).pipe(Effect.scoped))

  it.effect("a profile of one's own that stands for a global one may be processed anywhere, whatever the file says", () =>
    Effect.gen(function*() {
      const model = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abcdefghijkl"
      const layerFor = (id: string) =>
        Bedrock.layer({
          region: "eu-west-1",
          resolve: new Map([[model, id]]),
          routes: file({ one: { model, residency: ["eu-west-1"] } }, "one", { fence: ["eu-*"] })
        })
      assert.include(yield* problemsOf(layerFor(`global.${claude}`)), "may process requests at any place")
      yield* Layer.build(layerFor(`eu.${claude}`))
    }).pipe(Effect.scoped))

  it.effect("an ARN is sent to its own Region, and to no other", () =>
    Effect.gen(function*() {
      const model = "arn:aws:bedrock:eu-west-1:123456789012:provisioned-model/abcdefghijkl"
      assert.include(
        yield* problemsOf(Bedrock.layer({ routes: file({ one: { model, region: "us-east-1" } }, "one") })),
        "its ARN is of eu-west-1 and its region is us-east-1"
      )
      yield* Layer.build(Bedrock.layer({ region: "us-east-1", routes: file({ one: { model } }, "one") }))
    }).pipe(Effect.scoped))

  it.effect("on a client of one's own, other Regions need clients of their own", () =>
    Effect.gen(function*() {
      const routes = file({ one: { model: nova, region: "eu-west-1" } }, "one")
      const own = Bedrock.layerNoDeps({ routes }).pipe(
        Layer.provide([BedrockClient.layerTest({}), Bedrock.layerLimiter(), Layer.orDie(RetryBudget.layerTest(0))])
      )
      assert.include(yield* problemsOf(own), "provide Routes.RegionClients")
      const asked: Array<string> = []
      const client = (yield* Layer.build(BedrockClient.layerTest({}))).pipe(Context.get(BedrockClient.BedrockClient))
      yield* Layer.build(Layer.provide(
        own,
        Layer.succeed(Routes.RegionClients, (region) =>
          Effect.sync(() => {
            asked.push(region)
            return client
          }))
      ))
      assert.deepStrictEqual(asked, ["eu-west-1"])
    }).pipe(Effect.scoped))

  it.effect("a last resort is that of a route", () =>
    Effect.gen(function*() {
      const message = yield* problemsOf(Bedrock.layer({
        region: "us-east-1",
        routes: file({ one: { model: nova } }, "one"),
        lastResorts: { caht: ({ error }) => Effect.fail(error) }
      }))
      assert.include(message, "there is no route caht")
    }))

  it.effect("sessions and jobs take none", () =>
    Effect.gen(function*() {
      const { bedrock, requests } = yield* scripted({}, { routes: file({ one: { model: nova } }, "one") })
      const errors = [
        yield* Effect.flip(bedrock.countTokens({ modelId: "chat", input: { converse: {} } })),
        yield* Effect.flip(bedrock.startAsyncInvoke({
          modelId: "chat",
          modelInput: {},
          outputDataConfig: { s3OutputDataConfig: { s3Uri: "s3://a/b" } }
        })),
        yield* Effect.flip(
          Stream.runDrain(bedrock.invokeModelWithBidirectionalStream({ modelId: "chat", body: Stream.empty }))
        )
      ]
      for (const { message } of errors) assert.include(message, "chat is a route")
      assert.deepStrictEqual(yield* requests, [])
    }).pipe(Effect.scoped))
})

describe("a request is adapted to its target", () => {
  it.effect("loudly: in the account, as an event, and once as a warning", () =>
    Effect.gen(function*() {
      const warnings: Array<unknown> = []
      const logger = Logger.make(({ message }) => warnings.push(message))
      const events: Array<CallEvents.CallEvent> = []
      const { bedrock, requests } = yield* scripted({ converse: () => BedrockClientTest.answer("Yes.") }, {
        routes: file({
          small: {
            model: nova,
            able: { output: 50, caching: false },
            drop: ["performanceConfig", "inferenceConfig.topP"]
          }
        }, "small")
      })
      const input = {
        ...ask("chat", 80),
        inferenceConfig: { maxTokens: 80, topP: 0.5, temperature: 0.2 },
        performanceConfig: { latency: "optimized" as const },
        system: [{ text: "Be brief." }, { cachePoint: { type: "default" as const } }]
      }
      const call = Effect.provideService(bedrock.converse(input), CallEvents.CallEvents, (event) => {
        events.push(event)
      }).pipe(Effect.provide(Logger.layer([logger])))
      const answer = yield* call
      yield* call
      const [request] = yield* requests
      assert.deepInclude(request?.input, {
        modelId: nova,
        inferenceConfig: { maxTokens: 50, topP: undefined, temperature: 0.2 },
        performanceConfig: undefined,
        system: [{ text: "Be brief." }]
      })
      // The caller's own is as it was.
      assert.strictEqual(input.inferenceConfig.maxTokens, 80)
      const fields = ["performanceConfig", "inferenceConfig.topP", "inferenceConfig.maxTokens", "cachePoint"]
      assert.deepStrictEqual(CallAccount.of(answer)?.adapted.map(({ field }) => field), fields)
      assert.strictEqual(events.filter(({ _tag }) => _tag === "Adapted").length, 2)
      assert.strictEqual(warnings.length, fields.length)
    }).pipe(Effect.scoped))

  it("and only where data says so", () => {
    const input = { ...ask("chat", 80), toolConfig: { tools: [{ cachePoint: { type: "default" as const } }] } }
    assert.deepStrictEqual(adapting.converse(input, { name: "any" }), { input, adapted: [] })
    assert.strictEqual(adapting.converse(input, { name: "any", able: { output: 80 }, drop: ["system"] }).input, input)
    const { adapted, input: left } = adapting.converse({
      ...input,
      messages: [{ role: "user", content: [{ text: "a" }, { cachePoint: { type: "default" } }] }]
    }, { name: "any", able: { caching: false } })
    assert.deepStrictEqual(left.messages, [{ role: "user", content: [{ text: "a" }] }])
    assert.deepStrictEqual(left.toolConfig, { tools: [] })
    assert.strictEqual(adapted.length, 1)
  })

  it("has no reasoning that another model signed, and Anthropic's have all of it", () => {
    const signed = { reasoningContent: { reasoningText: { text: "so", signature: "sig" } } }
    const redacted = { reasoningContent: { redactedContent: Uint8Array.of(1) } }
    const own = { reasoningContent: { reasoningText: { text: "its own, which nobody signed" } } }
    const text = (text: string) => ({ text })
    const input = {
      ...ask("chat"),
      messages: [
        { role: "user" as const, content: [text("a")] },
        { role: "assistant" as const, content: [signed] },
        { role: "user" as const, content: [text("b")] },
        { role: "assistant" as const, content: [redacted, own, text("c")] },
        { role: "user" as const, content: [text("d")] }
      ]
    }
    for (
      const model of [claude, `eu.${claude}`, "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a"]
    ) {
      assert.deepStrictEqual(adapting.converse(input, { name: "any", model }), { input, adapted: [] })
    }
    const { adapted, input: left } = adapting.converse(input, { name: "nova", model: `us.${nova}` })
    assert.deepStrictEqual(left.messages, [
      { role: "user", content: [text("a"), text("b")] },
      { role: "assistant", content: [own, text("c")] },
      { role: "user", content: [text("d")] }
    ])
    assert.deepStrictEqual(adapted.map(({ field }) => field), ["reasoningContent"])
    const marked = {
      ...input,
      messages: input.messages.map((message, at) =>
        at === 1 ? { ...message, content: [signed, { cachePoint: { type: "default" as const } }] } : message
      )
    }
    const unmarked = adapting.converse(marked, { name: "nova", model: nova }).input.messages
    assert.deepStrictEqual(unmarked, left.messages, "a cache point of nothing goes with it")
    const plain = { ...input, messages: [input.messages[0]].flatMap((message) => message ?? []) }
    assert.strictEqual(adapting.converse(plain, { name: "nova", model: nova }).input, plain)
  })

  it.effect("the catalogue tells how much a model writes at most", () =>
    Effect.gen(function*() {
      const { bedrock, requests } = yield* scripted({ converse: () => BedrockClientTest.answer("Yes.") }, {
        routes: file({ one: { model: nova } }, "one")
      })
      yield* bedrock.converse(ask("chat", 900_000))
      const [request] = yield* requests
      assert.isBelow(request?.operation === "Converse" ? request.input.inferenceConfig?.maxTokens ?? 0 : 0, 900_000)
    }).pipe(Effect.scoped))

  it.effect("what it can't do is no matter of adapting: it is not asked", () =>
    Effect.gen(function*() {
      const { bedrock, requests } = yield* scripted({ converse: () => BedrockClientTest.answer("Yes.") }, {
        routes: file({
          mute: { model: nova, able: { tools: false } },
          handy: { model: "amazon.nova-pro-v1:0" }
        }, { ordered: ["mute", "handy"] })
      })
      const tool = { toolSpec: { name: "look", inputSchema: { json: {} } } }
      const answer = yield* bedrock.converse({ ...ask("chat"), toolConfig: { tools: [tool] } })
      assert.strictEqual(CallAccount.of(answer)?.target, "handy")
      assert.strictEqual((yield* requests).length, 1)
      const { candidates, excluded } = yield* bedrock.describe({ ...ask("chat"), toolConfig: { tools: [tool] } })
      assert.deepStrictEqual(candidates.map(({ target }) => target.name), ["handy"])
      assert.deepStrictEqual(excluded.map(({ why }) => why), [{ _tag: "Lacks", needs: ["tools"] }])
      const unknown = yield* Effect.flip(bedrock.describe(ask("nowhere")))
      assert.include(unknown.message, "There is no route nowhere")
    }).pipe(Effect.scoped))

  it("needs are what is in the request; what stands before each mark is a prefix", () => {
    const image = { image: { format: "png" as const, source: { bytes: new Uint8Array(3) } } }
    const document = { document: { name: "d", format: "txt" as const, source: { bytes: new Uint8Array(3) } } }
    const marked = (text: string, after: string) => ({
      modelId: "chat",
      system: [{ text }, { cachePoint: { type: "default" as const } }],
      messages: [{ role: "user" as const, content: [{ text: after }] }]
    })
    assert.deepStrictEqual(asking.converse({ ...ask("chat") }, false), { needs: [] })
    assert.deepStrictEqual(
      asking.converse({ modelId: "chat", messages: [{ role: "user", content: [image, document] }] }, true).needs,
      ["images", "documents", "streaming"]
    )
    const [prefix] = asking.converse(marked("a", "b"), false).prefixes ?? []
    assert(prefix !== undefined)
    assert.strictEqual(prefix.millis, 300_000)
    const hour = {
      ...marked("a", "b"),
      system: [{ text: "a" }, { cachePoint: { type: "default" as const, ttl: "1h" as const } }]
    }
    assert.deepStrictEqual(asking.converse(hour, false).prefixes, [{ key: prefix.key, millis: 3_600_000 }])
    assert.deepStrictEqual(asking.converse({ modelId: "chat", system: [{ cachePoint: { type: "default" } }] }, false), {
      needs: []
    })
    assert.deepStrictEqual(asking.converse(marked("a", "c"), false).prefixes, [prefix])
    assert.notDeepEqual(asking.converse(marked("b", "b"), false).prefixes, [prefix])
    const moving = (...texts: ReadonlyArray<string>) => {
      const content = texts.flatMap((text) => [{ text }, { cachePoint: { type: "default" as const } }])
      return asking.converse({ ...marked("a", "b"), messages: [{ role: "user", content }] }, false).prefixes ?? []
    }
    assert.deepStrictEqual(moving("b", "c").slice(0, 2), moving("b"))
    assert.strictEqual(new Set(moving("b", "c").map(({ key }) => key)).size, 3)
    // A mark that is left out later, since there may be few of them, changes nothing of what follows, and is looked for where it was.
    const [, second, last] = moving("b", "c")
    assert(second !== undefined && last !== undefined)
    const content = [{ text: "b" }, { text: "c" }, { cachePoint: { type: "default" as const } }]
    const moved = asking.converse({ ...marked("a", "b"), messages: [{ role: "user", content }] }, false).prefixes
    assert.deepStrictEqual(moved, [prefix, { ...second, millis: 0 }, last])
    // But not further back than Bedrock does.
    const far = Array.from({ length: 22 }, (_, index) => ({ text: `${index}` }))
    const long = { modelId: "chat", messages: [{ role: "user" as const, content: [...far, ...content.slice(2)] }] }
    const found = asking.converse(long, false).prefixes ?? []
    assert.deepStrictEqual(found.map(({ millis }) => millis), [...Array.from({ length: 20 }, () => 0), 300_000])
    // Bytes are bytes, whatever class they are of.
    const pictured = (bytes: Uint8Array) => {
      const image = { image: { format: "png" as const, source: { bytes } } }
      const content = [image, { cachePoint: { type: "default" as const } }]
      return asking.converse({ modelId: "chat", messages: [{ role: "user", content }] }, false).prefixes
    }
    assert.deepStrictEqual(pictured(Buffer.alloc(1_000, 7)), pictured(new Uint8Array(1_000).fill(7)))
    const { system } = marked("a", "b")
    assert.deepStrictEqual(
      asking.converse({ modelId: "chat", system: [...system.slice(1), ...system] }, false).prefixes,
      [
        prefix
      ]
    )
  })
})

describe("what an error says of a target", () => {
  const cases: ReadonlyArray<
    readonly [Reason.Reason, ReturnType<typeof judging.judge>, elsewhere: boolean, sameRegion: boolean]
  > = [
    [new Reason.ThrottlingError({ limit: "tokens", message: "" }), "limited", true, true],
    [new Reason.ThrottlingError({ limit: "tokens-per-day", message: "" }), "limited", true, false],
    [new Reason.ServerError({ kind: "overloaded", message: "" }), "sick", true, true],
    [new Reason.TimeoutError({ kind: "first-token", message: "" }), "sick", true, true],
    [new Reason.TimeoutError({ kind: "deadline", message: "" }), "caller", false, false],
    [new Reason.AccessError({ kind: "denied", message: "" }), "sick", true, true],
    [new Reason.AccessError({ kind: "provider-unavailable", message: "" }), "limited", false, false],
    [new Reason.AccessError({ kind: "no-credentials", message: "" }), "caller", false, false],
    [new Reason.ValidationError({ kind: "malformed", message: "" }), "caller", false, false],
    [new Reason.ValidationError({ kind: "context-overflow", message: "" }), "caller", false, false],
    [new Reason.ValidationError({ kind: "unknown-model", message: "" }), "sick", true, true],
    [new Reason.ValidationError({ kind: "on-demand-unsupported", message: "" }), "sick", true, true],
    [new Reason.ResourceQuotaError({ message: "" }), "limited", true, true]
  ]
  for (const [reason, judgement, elsewhere, sameRegion] of cases) {
    it(`${reason._tag}${"kind" in reason ? ` ${reason.kind}` : ""}: ${judgement}`, () => {
      const error = failing(reason)
      assert.strictEqual(judging.judge(error), judgement)
      assert.strictEqual(judging.goes(error, "us-east-1", "eu-west-1"), elsewhere)
      assert.strictEqual(judging.goes(error, "us-east-1", "us-east-1"), sameRegion)
    })
  }

  it.effect("a model that is not offered here is asked for elsewhere, and not here again", () =>
    Effect.gen(function*() {
      const unknown = failing(new Reason.ValidationError({ kind: "unknown-model", message: "No such model." }))
      const { bedrock, requests } = yield* scripted({
        converse: (input: { readonly modelId?: string | undefined }) =>
          input.modelId === nova ? unknown : BedrockClientTest.answer("Yes.")
      }, {
        routes: file({ one: { model: nova }, two: { model: "amazon.nova-pro-v1:0" } }, { ordered: ["one", "two"] })
      })
      assert.strictEqual(CallAccount.of(yield* bedrock.converse(ask("chat")))?.target, "two")
      assert.strictEqual((yield* requests).length, 2)
    }).pipe(Effect.scoped))
})

describe("a last resort", () => {
  const routes = file({ one: { model: nova, region: "us-east-1" } }, "one", { fence: ["us-*"] })
  const down = { backoff: { attempts: 1 } }

  it.effect("answers, with the reason, where no target does; its stream is one", () =>
    Effect.gen(function*() {
      const reasons: Array<string> = []
      const { bedrock } = yield* scripted({
        converse: () => unavailable,
        converseStream: () => Stream.fail(unavailable)
      }, {
        ...down,
        routes,
        lastResorts: {
          chat: (reason, input) => {
            reasons.push(`${reason.error.message.slice(0, 8)} ${input.modelId}`)
            return Effect.succeed(BedrockClientTest.answer("Please come later."))
          }
        }
      })
      const answer = yield* bedrock.converse(ask("chat"))
      assert.strictEqual(answer.output?.message?.content?.[0]?.text, "Please come later.")
      const account = CallAccount.of(answer)
      assert.deepStrictEqual([account?.lastResort, account?.target], [true, undefined])
      const events = Arr.fromIterable(yield* Stream.runCollect(bedrock.converseStream(ask("chat"))))
      assert.deepStrictEqual(events.flatMap(Object.keys), [
        "messageStart",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata"
      ])
      assert.deepStrictEqual(reasons, ["Converse chat", "Converse chat"])
    }).pipe(Effect.scoped))

  it.effect("stays inside the fence of its route with every operation that names a model", () =>
    Effect.gen(function*() {
      const modelId = `global.${claude}`
      const tried: Array<string> = []
      const { bedrock, requests } = yield* scripted({ converse: () => unavailable }, {
        ...down,
        routes,
        lastResorts: {
          chat: (reason, input, bedrock) =>
            Effect.gen(function*() {
              const calls: ReadonlyArray<Effect.Effect<unknown, BedrockError.BedrockError>> = [
                bedrock.countTokens({ modelId, input: { converse: { messages: input.messages } } }),
                bedrock.startAsyncInvoke({ modelId, modelInput: {}, outputDataConfig: undefined }),
                Stream.runDrain(bedrock.invokeModelWithBidirectionalStream({ modelId, body: Stream.empty }))
              ]
              for (const call of calls) {
                const result = yield* Effect.result(call)
                tried.push(result._tag === "Failure" ? result.failure.message : "sent")
              }
              return yield* Effect.fail(reason.error)
            })
        }
      })
      yield* Effect.flip(bedrock.converse(ask("chat")))
      assert.strictEqual(tried.length, 3)
      for (const message of tried) assert.include(message, "outside of the fence us-*")
      assert.strictEqual((yield* requests).length, 1)
    }).pipe(Effect.scoped))

  it.effect("stays inside the fence of its route, whatever it asks for", () =>
    Effect.gen(function*() {
      const asked: Array<string> = []
      const tried: Array<string> = []
      const { bedrock } = yield* scripted({
        converse: (input: { readonly modelId?: string | undefined }) => {
          asked.push(input.modelId ?? "")
          return asked.length === 1 ? unavailable : BedrockClientTest.answer("Yes.")
        }
      }, {
        ...down,
        routes,
        lastResorts: {
          chat: (reason, input, bedrock) =>
            Effect.gen(function*() {
              for (const modelId of [`global.${claude}`, `eu.${claude}`, "amazon.nova-pro-v1:0"]) {
                const answer = yield* Effect.result(bedrock.converse({ ...input, modelId }))
                if (answer._tag === "Success") return answer.success
                tried.push(answer.failure.message)
              }
              return yield* Effect.fail(reason.error)
            })
        }
      })
      yield* bedrock.converse(ask("chat"))
      assert.deepStrictEqual(asked, [nova, "amazon.nova-pro-v1:0"])
      assert.include(tried[0], "outside of the fence us-*")
      assert.include(tried[1], "outside of the fence us-*")
      // Outside of a last resort there is none.
      yield* bedrock.converse(ask(`global.${claude}`))
    }).pipe(Effect.scoped))
})

describe("a call by a route that is interrupted", () => {
  const pro = "amazon.nova-pro-v1:0"
  const routes = file({ one: { model: nova }, two: { model: pro } }, { ordered: ["one", "two"], patience: 0 })

  const leaves = (
    name: string,
    call: (bedrock: Bedrock.Service) => Effect.Effect<unknown, BedrockError.BedrockError>,
    script: BedrockClientTest.Script
  ) =>
    it.effect(`leaves nothing behind, wherever that is: ${name}`, () =>
      Effect.gen(function*() {
        for (let steps = 0; steps < 120; steps += 3) {
          yield* Effect.gen(function*() {
            const { bedrock } = yield* scripted(script, {
              routes,
              withoutQuota: "probe",
              quotas: { default: { requestsPerMinute: 1 } },
              meters: { window: "1 second" }
            })
            const before = yield* Effect.forkChild(call(bedrock))
            const fibers = [before, yield* Effect.forkChild(call(bedrock)), yield* Effect.forkChild(call(bedrock))]
            for (let step = 0; step < steps; step++) {
              if (step % 10 === 9) yield* TestClock.adjust(100)
              else yield* Effect.yieldNow
            }
            for (const fiber of fibers) yield* Fiber.interrupt(fiber)
            // An open reservation would stay: it leaves its window only when it was sent.
            yield* TestClock.adjust("10 seconds")
            for (const model of [nova, pro]) {
              const { meters, waiting } = yield* bedrock.snapshot(model)
              assert.deepStrictEqual([waiting, ...meters.map(({ used }) => used)], [0, 0], `after ${steps} steps`)
            }
          }).pipe(Effect.scoped)
        }
      }))

  it.effect("is not foreseen to grow in the pools that did not admit it", () =>
    Effect.gen(function*() {
      const models = [`us.${claude}`, `global.${claude}`] as const
      const { bedrock } = yield* scripted({
        converse: () => Effect.delay(Effect.succeed(BedrockClientTest.answer("Yes.")), 350)
      }, {
        routes: file({ one: { model: models[0] }, two: { model: models[1] } }, {
          ordered: ["one", "two"],
          patience: 0
        }),
        quotas: { default: { tokensPerMinute: 3_000 } },
        meters: { window: "1 second" }
      })
      for (const model of models) yield* Effect.forkChild(bedrock.converse(ask(model, 2_000)))
      yield* TestClock.adjust(10)
      const waits = yield* Effect.forkChild(bedrock.converse(ask("chat", 2_000)))
      yield* TestClock.adjust(10)
      for (const model of models) assert.strictEqual((yield* bedrock.snapshot(model)).waiting, 1)
      yield* Fiber.interrupt(waits)
      yield* TestClock.adjust("10 seconds")
      for (const model of models) {
        yield* Effect.forkChild(bedrock.converse(ask(model, 2_000)))
        yield* TestClock.adjust(400)
        // Beside one that never ends it would be foreseen to fill the whole quota, and wait for an empty window.
        yield* Effect.forkChild(bedrock.converse(ask(model, 2_000)))
        yield* TestClock.adjust(10)
        assert.strictEqual((yield* bedrock.snapshot(model)).waiting, 0)
      }
    }).pipe(Effect.scoped))

  leaves("a conversation", (bedrock) => bedrock.converse(ask("chat")), {
    converse: () => Effect.delay(Effect.succeed(BedrockClientTest.answer("Yes.")), 350)
  })
  leaves("one that fails at first", (bedrock) => bedrock.converse(ask("chat")), {
    converse: ({ modelId }) =>
      Effect.delay(modelId === nova ? Effect.fail(unavailable) : Effect.succeed(BedrockClientTest.answer("Yes.")), 250)
  })
  leaves("a stream", (bedrock) => Stream.runDrain(bedrock.converseStream(ask("chat"))), {
    converseStream: () =>
      Stream.fromIterable(BedrockClientTest.events(["Yes", ", it", " is."])).pipe(Stream.tap(() => Effect.sleep(100)))
  })
})
