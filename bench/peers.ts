/**
 * What others make of the same burst: side by side in one run, on fresh servers with the same quota and seed.
 *
 *     node bench/peers.ts [--requests 600] [--window 6000] [--excess 5] [--burndown 5] [--limit 120] [--only caprock,sdk]
 *
 * Each may take `--limit` seconds; what is unanswered then is lost. Times compare only where all was answered: the first
 * window's worth of a quota is there at once, so that giving up after it looks quick.
 */
import { BedrockRuntimeClient, type BedrockRuntimeClientConfig, ConverseCommand } from "@aws-sdk/client-bedrock-runtime"
import * as Bedrock from "@caprock/bedrock/Bedrock"
import * as LatencyModel from "@caprock/emulator/LatencyModel"
import * as TokenCounter from "@caprock/emulator/TokenCounter"
import * as Quotas from "@caprock/quota/Quotas"
import Bottleneck from "bottleneck"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as RateLimiter from "effect/persistence/RateLimiter"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { parseArgs } from "node:util"
import pRetry from "p-retry"
import * as Server from "./internal/server.ts"
import { table } from "./internal/table.ts"
import * as Workload from "./internal/workload.ts"

const { values: flags } = parseArgs({
  options: {
    requests: { type: "string", default: "600" },
    window: { type: "string", default: "6000" },
    excess: { type: "string", default: "5" },
    burndown: { type: "string", default: "5" },
    limit: { type: "string", default: "120" },
    only: { type: "string", default: "" }
  }
})

const window = Number(flags.window)
const region = "us-east-1"
const credentials = { accessKeyId: "AKIDBENCH", secretAccessKey: "bench" }
const modelId = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"

interface Given {
  readonly url: string
  readonly quota: Workload.Workload["quota"]
}

type Send = (prompt: Workload.Prompt) => Effect.Effect<unknown, unknown>
type Peer = (given: Given) => Effect.Effect<Send, never, Scope.Scope>

const inputOf = (prompt: Workload.Prompt) => ({
  modelId,
  messages: [{ role: "user" as const, content: [{ text: prompt.text }] }],
  inferenceConfig: { maxTokens: prompt.maxTokens }
})

const sdk = (url: string, config: BedrockRuntimeClientConfig = {}) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => new BedrockRuntimeClient({ region, credentials, endpoint: url, ...config })),
      (client) => Effect.sync(() => client.destroy())
    ),
    (client) => (prompt: Workload.Prompt, abortSignal?: AbortSignal) =>
      client.send(new ConverseCommand(inputOf(prompt)), abortSignal === undefined ? {} : { abortSignal })
  )

const direct = (config?: BedrockRuntimeClientConfig): Peer => ({ url }) =>
  Effect.map(sdk(url, config), (send) => (prompt) => Effect.tryPromise((signal) => send(prompt, signal)))

/** A loop as one writes it, tuned as its README says: up to ten further attempts, doubling, with jitter. */
const retrying = <A>(signal: AbortSignal, attempt: () => Promise<A>): Promise<A> =>
  pRetry(attempt, { retries: 10, minTimeout: 1000, maxTimeout: 20_000, randomize: true, signal })

const peers: Readonly<Record<string, Peer>> = {
  "caprock": ({ quota, url }) =>
    Effect.map(
      Layer.build(Layer.orDie(Bedrock.layer({
        region,
        credentials,
        endpoint: url,
        quotas: Quotas.uniform({ requestsPerMinute: quota.requests, tokensPerMinute: quota.tokens }),
        meters: { window }
      }))),
      (context) => (prompt) => Context.get(context, Bedrock.Bedrock).converse(inputOf(prompt))
    ),
  "sdk": direct(),
  "sdk, 32 at a time": (given) =>
    Effect.map(direct()(given), (send) => {
      const turn = Semaphore.makeUnsafe(32)
      return (prompt) => turn.withPermits(1)(send(prompt))
    }),
  "sdk, 10 attempts": direct({ maxAttempts: 10 }),
  "sdk, adaptive, 10": direct({ maxAttempts: 10, retryMode: "adaptive" }),
  "p-retry": ({ url }) =>
    Effect.map(
      sdk(url, { maxAttempts: 1 }),
      (send) => (prompt) => Effect.tryPromise((signal) => retrying(signal, () => send(prompt, signal)))
    ),
  // The usual advice: requests per minute by a limiter, and retries for the rest.
  "bottleneck + p-retry": ({ quota, url }) =>
    Effect.map(sdk(url, { maxAttempts: 1 }), (send) => {
      const limiter = new Bottleneck({
        reservoir: quota.requests,
        reservoirRefreshAmount: quota.requests,
        reservoirRefreshInterval: Math.ceil(window / 250) * 250
      })
      return (prompt) =>
        Effect.tryPromise((signal) => retrying(signal, () => limiter.schedule(() => send(prompt, signal))))
    }),
  // Effect's own, told what Bedrock reserves: requests and tokens, one after the other.
  "effect RateLimiter + sdk": ({ quota, url }) =>
    Effect.gen(function*() {
      const context = yield* Layer.build(RateLimiter.layer.pipe(Layer.provide(RateLimiter.layerStoreMemory)))
      const limiter = Context.get(context, RateLimiter.RateLimiter)
      const send = yield* sdk(url)
      const take = (key: string, limit: number, tokens: number) =>
        limiter.consume({ key, limit, tokens, window, algorithm: "token-bucket", onExceeded: "delay" }).pipe(
          Effect.flatMap(({ delay }) => Effect.sleep(delay))
        )
      return (prompt) =>
        take("requests", quota.requests, 1).pipe(
          Effect.andThen(
            take(
              "tokens",
              quota.tokens,
              TokenCounter.count(prompt.text) + TokenCounter.messageOverhead + prompt.maxTokens
            )
          ),
          Effect.andThen(Effect.tryPromise((signal) => send(prompt, signal)))
        )
    })
}

interface Score {
  readonly name: string
  readonly answered: number
  readonly throttles: number
  readonly perCall: number
  readonly seconds: number
}

const compete = (name: string, peer: Peer): Effect.Effect<Score> =>
  Effect.scoped(Effect.gen(function*() {
    const spec: Workload.Spec = {
      requests: Number(flags.requests),
      seed: 1,
      burndown: Number(flags.burndown),
      excess: Number(flags.excess),
      multiple: [2, 8]
    }
    const { prompts, quota } = Workload.make(spec)
    const server = yield* Server.start({
      spec,
      options: {
        seed: 1,
        window,
        quota,
        burndown: spec.burndown,
        latency: LatencyModel.uniform(window * 0.01, window * 0.2)
      }
    })
    const send = yield* peer({ url: server.url, quota })
    const started = yield* Clock.currentTimeMillis
    yield* Effect.forEach(prompts, (prompt) => Effect.ignore(send(prompt)), { concurrency: "unbounded", discard: true })
      .pipe(Effect.timeoutOption(Duration.seconds(Number(flags.limit))))
    const seconds = ((yield* Clock.currentTimeMillis) - started) / 1000
    const { stats } = yield* server.seen
    return {
      name,
      answered: stats.answered,
      throttles: stats.throttled.total,
      perCall: stats.requests / prompts.length,
      seconds
    }
  }))

const main = Effect.gen(function*() {
  const wanted = flags.only.split(",").filter((name) => name !== "")
  const scores = yield* Effect.forEach(
    Object.entries(peers).filter(([name]) => wanted.length === 0 || name === "caprock" || wanted.includes(name)),
    ([name, peer]) =>
      Effect.tap(compete(name, peer), (score) => Effect.sync(() => console.error(JSON.stringify(score))))
  )
  const ours = scores.find(({ name }) => name === "caprock")
  console.log(table(
    ["", "answered", "throttles", "sent/call", "time s", "× Caprock"],
    scores.map((score) => [
      score.name,
      `${score.answered} of ${flags.requests}`,
      String(score.throttles),
      score.perCall.toFixed(2),
      score.seconds.toFixed(1),
      ours === undefined || score.answered < Number(flags.requests)
        ? "gave up"
        : (score.seconds / ours.seconds).toFixed(2)
    ])
  ))
})

Effect.runPromise(main).then(() => process.exit(0))
