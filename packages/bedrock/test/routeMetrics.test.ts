// What becomes of calls by routes, as whoever exports metrics sees it, and as it is told.
import { CallAccount, CallEvents, RouteMetrics } from "@caprock/bedrock"
import { BedrockClientTest } from "@caprock/client"
import { Reason } from "@caprock/errors"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Metric, Stream } from "effect"
import { TestClock } from "effect/testing"
import { RouteCounters } from "../src/internal/counting.ts"
import { ask, failing, file, nova, scripted, unavailable } from "./routeRig.ts"

const pro = "amazon.nova-pro-v1:0"
const yes = BedrockClientTest.answer("Yes.")
const routes = file({ one: { model: nova }, two: { model: pro } }, { ordered: ["one", "two"] })

/** Each series of a metric: its attributes in their order, and its number. */
const series = (id: string) =>
  Effect.map(
    Metric.snapshot,
    (all) =>
      new Map(
        all.filter((metric) => metric.id === id).map(({ attributes, state }): [string, unknown] => [
          Object.values(attributes ?? {}).join(" "),
          "sum" in state ? [state.count, state.sum] : "count" in state ? state.count : undefined
        ])
      )
  )

/** Counts into a registry of its own. */
const counted = <A, E, R>(test: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => Effect.provideService(test, Metric.MetricRegistry, new Map()))

describe("caprock.route", () => {
  it.effect("counts each call once, by who answered and how it ended; and those that another one answered", () =>
    Effect.gen(function*() {
      const wrong = failing(new Reason.ValidationError({ kind: "malformed", message: "No." }))
      const script = [yes, unavailable, yes, wrong, unavailable, unavailable]
      const { bedrock } = yield* scripted({
        converse: (_: unknown, index: number) => script[index] ?? Effect.never,
        converseStream: () => BedrockClientTest.events(["Yes."])
      }, { backoff: { attempts: 2, base: 0 }, routes, lastResorts: { chat: () => Effect.succeed(yes) } })
      yield* bedrock.converse(ask("chat"))
      yield* bedrock.converse(ask("chat"))
      yield* Effect.flip(bedrock.converse(ask("chat")))
      yield* bedrock.converse(ask("chat"))
      yield* Stream.runDrain(bedrock.converseStream(ask("chat")))
      yield* Effect.flip(Stream.runForEach(bedrock.converseStream(ask("chat")), () => Effect.fail("no disk")))
      const fiber = yield* Effect.forkChild(bedrock.converse(ask("chat")), { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      // What is no route's is none of these.
      yield* Stream.runDrain(bedrock.converseStream(ask(nova)))
      assert.deepStrictEqual(
        yield* series("caprock.route.calls"),
        new Map([
          ["chat one answered", 2],
          ["chat two answered", 1],
          ["chat failed ValidationError", 1],
          ["chat last-resort", 1],
          ["chat one failed _OTHER", 1],
          ["chat failed interrupted", 1]
        ])
      )
      assert.deepStrictEqual(yield* series("caprock.route.fallbacks"), new Map([["chat two", 1]]))
      assert.deepStrictEqual(yield* series("caprock.route.hedges"), new Map())
    }).pipe(Effect.scoped, counted))

  it.effect("tells what was waited, and where a request goes, and why", () =>
    Effect.gen(function*() {
      const events: Array<CallEvents.CallEvent> = []
      const { bedrock } = yield* scripted({ converse: () => yes }, {
        routes: file({ one: { model: nova } }, "one"),
        quotas: { default: { requestsPerMinute: 1 } },
        meters: { window: "1 second" }
      })
      yield* bedrock.converse(ask("chat"))
      const fiber = yield* Effect.forkChild(
        Effect.provideService(bedrock.converse(ask("chat")), CallEvents.CallEvents, (event) => void events.push(event))
      )
      yield* TestClock.adjust("1250 millis")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* series("caprock.route.waited"), new Map([["milliseconds chat", [2, 1_250]]]))
      const { buckets } = yield* Metric.value(
        Metric.withAttributes(RouteMetrics.waited, { "caprock.route": "chat" })
      )
      assert.deepStrictEqual(buckets.slice(0, 4), [[0, 1], [100, 1], [1_000, 1], [3_000, 2]])
      assert.deepStrictEqual(events.map(({ _tag }) => _tag), ["Waiting", "Admitted", "Routed", "Settled", "CallEnded"])
      const [, , routed] = events
      assert(routed?._tag === "Routed")
      assert.deepStrictEqual([routed.route, routed.target, routed.attempt], ["chat", "one", 1])
      assert.strictEqual(routed.why._tag, "Preferred")
    }).pipe(Effect.scoped, counted))

  it.effect("counts and tells the second request of a call whose first took long", () =>
    Effect.gen(function*() {
      const events: Array<CallEvents.CallEvent> = []
      let slow = false
      const { bedrock } = yield* scripted({
        converse: ({ modelId }) => slow && modelId === nova ? Effect.never : Effect.delay(Effect.succeed(yes), 10)
      }, {
        routes: file({ one: { model: nova }, two: { model: pro } }, { ordered: ["one", "two"] }, {
          hedge: { share: 0.05 }
        })
      })
      const many = yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: 120 }), () => bedrock.converse(ask("chat")), { discard: true })
      )
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(many)
      slow = true
      const fiber = yield* Effect.forkChild(
        Effect.provideService(bedrock.converse(ask("chat")), CallEvents.CallEvents, (event) => void events.push(event))
      )
      yield* TestClock.adjust("1 second")
      assert.isTrue(CallAccount.of(yield* Fiber.join(fiber))?.hedged)
      assert.deepStrictEqual(
        events.flatMap((event) => "why" in event ? [`${event._tag} ${event.target} ${event.attempt}`] : []),
        ["Routed one 1", "Hedged two 2"]
      )
      assert.deepStrictEqual(yield* series("caprock.route.hedges"), new Map([["chat", 1]]))
    }).pipe(Effect.scoped, counted))

  it.effect("keeps a thousand series, and counts what is beyond in one", () =>
    Effect.gen(function*() {
      const counters = new RouteCounters()
      const context = yield* Effect.context<never>()
      for (let route = 0; route < 1_200; route++) counters.count(`${route}`, undefined, 0, Exit.void, context)
      const found = yield* series("caprock.route.calls")
      assert.deepStrictEqual([found.size, found.get("true")], [1_001, 200])
    }).pipe(counted))
})

describe("an answer that is not good enough", () => {
  const levels = file({ small: { model: nova }, large: { model: pro } }, {
    difficulty: [{ level: "easy", to: "small" }, { level: "hard", to: "large" }],
    by: "judge"
  })
  const good = BedrockClientTest.answer("It scatters.")
  const poor = BedrockClientTest.answer("Hm.")

  for (const [large, rejected] of [[good, false], [poor, true]] as const) {
    it.effect(`goes on to the next level, and ${rejected ? "comes back where none is left" : "is not seen"}`, () =>
      Effect.gen(function*() {
        const { bedrock, requests } = yield* scripted({
          converse: ({ modelId }: { readonly modelId?: string | undefined }) => modelId === nova ? poor : large
        }, {
          routes: levels,
          functions: { classify: { judge: () => "easy" } },
          checks: {
            chat: (answer, input) => {
              assert.strictEqual(input.modelId, "chat")
              return Effect.succeed(answer.output?.message?.content?.[0]?.text !== "Hm.")
            }
          }
        })
        const answer = yield* bedrock.converse(ask("chat"))
        const account = CallAccount.of(answer)
        assert.deepStrictEqual([account?.target, account?.rejected], ["large", rejected])
        assert.strictEqual(account?.trials[0]?.outcome, "rejected")
        assert.strictEqual((yield* requests).length, 2)
        assert.deepStrictEqual(
          yield* series("caprock.route.calls"),
          new Map([[`chat large ${rejected ? "rejected" : "answered"}`, 1]])
        )
      }).pipe(Effect.scoped, counted))
  }
})
