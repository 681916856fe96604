/** One process of the fleet: asks more than there is, for as long as it lives, and says how it goes. */
import * as Bedrock from "@caprock/bedrock/Bedrock"
import * as CallEvents from "@caprock/bedrock/CallEvents"
import * as CallTurn from "@caprock/bedrock/CallTurn"
import * as Quotas from "@caprock/quota/Quotas"
import * as LimiterStore from "@caprock/rate-limiter/LimiterStore"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { generator } from "./chance.ts"
import { type Class, draw, now } from "./fleetTraffic.ts"

export interface Start {
  readonly slot: number
  readonly seed: number
  readonly url: string
  readonly store: { readonly redis: string } | { readonly path: string }
  readonly quota: { readonly requests: number; readonly tokens: number }
  readonly window: number
  readonly guard: number
  readonly lease: number
  readonly beat: number
  readonly onLoss: "fail" | "wait" | "share"
  /** Calls that come each second, and which part of them is interactive. */
  readonly perSecond: number
  readonly interactive: number
  readonly latency: readonly [least: number, most: number]
}

/** What it says, again and again. */
export interface Report {
  readonly at: number
  readonly waiting: Readonly<Record<Class, number>>
  /** What it may use of the tokens, and what all use of them, as it knows. */
  readonly share: number
  readonly used: number
  readonly members: number
  /** Milliseconds of CPU, so far. */
  readonly cpu: number
  /** Calls that ended since: `""` for an answer, else the reason of the error. */
  readonly ended: ReadonlyArray<readonly [of: Class, waitedMillis: number, reason: string]>
}

const model = "us.amazon.nova-lite-v1:0"
const reportMillis = 100

const fleet = (start: Start) => {
  const random = generator(start.seed)
  const waiting = { interactive: 0, bulk: 0 }
  let ended: Array<Report["ended"][number]> = []

  const ask = (of: Class) =>
    Effect.gen(function*() {
      const bedrock = yield* Bedrock.Bedrock
      const { maxTokens, text } = draw(random, start.slot, of, start.latency)
      let waits = false
      let waited = 0
      const stops = () => {
        if (waits) waiting[of]--
        waits = false
      }
      const result = yield* Effect.result(bedrock.converse({
        modelId: model,
        messages: [{ role: "user", content: [{ text }] }],
        inferenceConfig: { maxTokens }
      })).pipe(
        Effect.provideService(CallTurn.CallTurn, { priority: of }),
        Effect.provideService(CallEvents.CallEvents, (event) => {
          if (event._tag === "Waiting" && !waits) {
            waits = true
            waiting[of]++
          } else if (event._tag === "Admitted") stops()
          else if (event._tag === "CallEnded") {
            stops()
            waited = event.waitedMillis
          }
        })
      )
      const reason = Result.isSuccess(result)
        ? ""
        : "kind" in result.failure.reason
        ? `${result.failure.reason._tag} ${result.failure.reason.kind}`
        : result.failure.reason._tag
      ended.push([of, waited, reason])
    })

  const report = Effect.gen(function*() {
    const { meters, shared } = yield* Bedrock.Bedrock.use((bedrock) => bedrock.snapshot(model))
    const tokens = meters.find(({ unit }) => unit === "tokens")
    process.send?.(
      {
        at: now(),
        waiting: { ...waiting },
        ended,
        share: tokens?.share ?? 0,
        used: tokens?.used ?? 0,
        members: shared?.members ?? 0,
        cpu: process.cpuUsage().user / 1000 + process.cpuUsage().system / 1000
      } satisfies Report
    )
    ended = []
  }).pipe(Effect.orDie)

  const traffic = Effect.gen(function*() {
    yield* Effect.forkChild(Effect.forever(Effect.delay(report, reportMillis)))
    let next = now()
    while (true) {
      next -= Math.log(1 - random()) * 1000 / start.perSecond
      const pause = next - now()
      if (pause > 0) yield* Effect.sleep(pause)
      yield* Effect.forkChild(ask(random() < start.interactive ? "interactive" : "bulk"))
    }
  })

  const store: Layer.Layer<LimiterStore.LimiterStore, unknown> = "redis" in start.store
    ? Layer.provide(LimiterStore.layerRedis(), NodeRedis.layer({ url: start.store.redis }))
    : LimiterStore.layerLocal(start.store)
  const layer = Bedrock.layerShared({
    region: "us-east-1",
    endpoint: start.url,
    credentials: { accessKeyId: "AKIDBENCH", secretAccessKey: "bench" },
    quotas: Quotas.uniform({ requestsPerMinute: start.quota.requests, tokensPerMinute: start.quota.tokens }),
    meters: { window: start.window },
    guard: start.guard,
    lease: start.lease,
    beat: start.beat,
    onLoss: start.onLoss
  })
  return Effect.provide(traffic, Layer.provide(layer, [store]))
}

process.once("message", (start: Start) => {
  const fiber = Effect.runFork(fleet(start))
  fiber.addObserver((exit) => {
    // A server of Redis that is away when it starts: whoever started it does so again.
    if (Exit.isFailure(exit) && !Exit.hasInterrupts(exit)) console.error(String(exit.cause).slice(0, 300))
    process.exit(Exit.isFailure(exit) && Exit.hasInterrupts(exit) ? 0 : 1)
  })
  // Any further message: it is to end in good order.
  process.once("message", () => void Effect.runPromise(Fiber.interrupt(fiber)))
})
process.once("disconnect", () => process.exit(0))
