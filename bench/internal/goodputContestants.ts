/**
 * Who competes for goodput. Each is told the same: the quotas, and of each request the tokens of its input and its `maxTokens`. Peers are set
 * up as their documentation advises for a quota by the minute, and what is refused all the same is tried again up to ten times, after
 * 1 to 20 seconds. Nothing but the SDK's own retries is sent through the SDK: they are what is compared, not what it costs to make a request.
 */
import { BedrockRuntimeClient, type BedrockRuntimeClientConfig, ConverseCommand } from "@aws-sdk/client-bedrock-runtime"
import * as RetryBudget from "@caprock/backoff/RetryBudget"
import * as Bedrock from "@caprock/bedrock/Bedrock"
import { CallTurn } from "@caprock/bedrock/CallTurn"
import * as BedrockClient from "@caprock/client/BedrockClient"
import { CallObserver } from "@caprock/client/CallObserver"
import * as Classification from "@caprock/errors/Classification"
import * as OutputPredictor from "@caprock/quota/OutputPredictor"
import * as Quotas from "@caprock/quota/Quotas"
import * as Meter from "@caprock/rate-limiter/Meter"
import * as Priority from "@caprock/rate-limiter/Priority"
import * as Limiter from "@caprock/rate-limiter/RateLimiter"
import Bottleneck from "bottleneck"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as EffectRateLimiter from "effect/persistence/RateLimiter"
import PQueue from "p-queue"
import pRetry from "p-retry"
import { RateLimiterMemory, RateLimiterQueue } from "rate-limiter-flexible"
import type { Books, Limit } from "./bedrockBooks.ts"
import * as Foresight from "./foresight.ts"
import { type Prompt, reserved, settled, type Traffic } from "./traffic.ts"
import type { VirtualTime } from "./virtualTime.ts"

interface Given {
  readonly time: VirtualTime
  readonly traffic: Traffic
  readonly books: Books
  /** Of the foresight's search. */
  readonly trials: number
}

/** One thing that was foretold, and what came. */
export interface Told {
  readonly foretold: number
  readonly real: number
}

/** What was foretold, and what came. */
export interface Foretold {
  /** Milliseconds of wait, and how many answers there had been when it was asked for. */
  readonly waits: Array<Told & { readonly answers: number }>
  /** Tokens of output of a request, when it is sent, and how many answers there had been. */
  readonly outputs: Array<Told & { readonly answers: number }>
  /** The same of all in flight, when one is sent. */
  readonly inFlight: Array<Told>
  /** Tokens that charges grow by, of all in flight, and no more than that at the level that is foreseen. */
  readonly growth: Array<Told>
}

interface Contestant {
  /** Ends with the answer, or fails when it gives up. */
  readonly ask: (prompt: Prompt) => Promise<unknown>
  readonly foretold?: Foretold
  /** When the last answer is there by its plan. */
  readonly planned?: number
}

type Make = (given: Given) => Contestant | Promise<Contestant>

class Throttled extends Error {
  readonly limit: Limit
  constructor(limit: Limit) {
    super(`Too many ${limit}, please wait before trying again.`)
    this.limit = limit
    this.name = "ThrottlingException"
  }
}

const send = async (books: Books, prompt: Prompt): Promise<Prompt> => {
  const refused = await books.send(prompt)
  if (refused !== undefined) throw new Throttled(refused)
  return prompt
}

const retrying = <A>(attempt: () => Promise<A>): Promise<A> =>
  pRetry(attempt, { retries: 10, minTimeout: 1_000, maxTimeout: 20_000, randomize: true })

const inputOf = (prompt: Prompt, modelId: string) => ({
  modelId,
  messages: [{ role: "user" as const, content: [{ text: prompt.text }] }],
  inferenceConfig: { maxTokens: prompt.maxTokens }
})

const answerOf = (prompt: Prompt) => ({
  output: { message: { role: "assistant" as const, content: [{ text: "Yes." }] } },
  stopReason: "end_turn" as const,
  usage: { inputTokens: prompt.input, outputTokens: prompt.output, totalTokens: prompt.input + prompt.output },
  metrics: { latencyMs: prompt.latency }
})

const region = "us-east-1"
/** Models with the burndown of the traffic. */
const modelOf = ({ burndown }: Traffic): string =>
  burndown === 1 ? "us.amazon.nova-lite-v1:0" : "us.anthropic.claude-sonnet-4-5-20250929-v1:0"

const sdk = (config: BedrockRuntimeClientConfig): Make => async ({ books, traffic }) => {
  const modelId = modelOf(traffic)
  const never = new AbortController().signal
  let warm = false
  const respond = (statusCode: number, type: string | undefined, body: object) => ({
    response: {
      statusCode,
      headers: { "content-type": "application/json", ...type === undefined ? {} : { "x-amzn-errortype": type } },
      body: new TextEncoder().encode(JSON.stringify(body))
    }
  })
  const client = new BedrockRuntimeClient({
    region,
    credentials: { accessKeyId: "bench", secretAccessKey: "bench" },
    ...config,
    requestHandler: {
      handle: async (_request: unknown, options: { readonly prompt: Prompt }) => {
        if (!warm) return respond(200, undefined, answerOf(options.prompt))
        const limit = await books.send(options.prompt)
        return limit === undefined
          ? respond(200, undefined, answerOf(options.prompt))
          : respond(429, "ThrottlingException", { message: new Throttled(limit).message })
      }
    }
  })
  const ask = (prompt: Prompt) => {
    // The handler is given these as they are.
    const options = { prompt, abortSignal: never }
    return client.send(new ConverseCommand(inputOf(prompt, modelId)), options)
  }
  // It looks for configuration in files first, and these take real time.
  await ask(traffic.prompts[0] as Prompt)
  warm = true
  return { ask }
}

const retryMillis = 100

const foresight = (kind: "in order" | "unrestricted"): Make => ({ books, time, traffic, trials }) => {
  const plan = Foresight.plan(traffic, kind, trials)
  const places = new Map(traffic.prompts.map((prompt, place) => [prompt, place]))
  return {
    planned: traffic.prompts.reduce(
      (last, { latency, way }, place) => Math.max(last, (plan[place] ?? 0) + latency + 2 * way),
      0
    ),
    ask: async (prompt) => {
      const wait = (plan[places.get(prompt) ?? 0] ?? 0) - time.now()
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait))
      // Growth that is charged bit by bit is neither early nor late, and may be in the way of one in some hundreds.
      while (await books.send(prompt) !== undefined) await new Promise((resolve) => setTimeout(resolve, retryMillis))
    }
  }
}

/** So many times is an output token of this charged: next to it what is reserved is nothing, and growth is output. */
const outputAlone = 1e6

/** What it foresees of outputs, and of what charges grow by, when each is sent, beside what comes. */
const lengthsForetold = (burndown: number, time: VirtualTime, told: Foretold) => {
  const lengths = OutputPredictor.empty()
  const outputs = OutputPredictor.empty()
  let real = 0
  let output = 0
  let answers = 0
  return (prompt: Prompt) => {
    const { maxTokens } = prompt
    const flight = OutputPredictor.begin({ maxTokens, burndown })
    const own = Math.max(0, settled(prompt, burndown) - reserved(prompt))
    real += own
    const growth = OutputPredictor.growth(lengths, flight, time.now()).at(-1)?.tokens
    if (growth !== undefined) told.growth.push({ foretold: growth, real })
    const outputFlight = OutputPredictor.begin({ maxTokens, burndown: outputAlone })
    OutputPredictor.growth(outputs, outputFlight, time.now())
    output += prompt.output
    const expected = OutputPredictor.expected(outputFlight) / outputAlone
    told.outputs.push({ foretold: expected, real: prompt.output, answers })
    if (answers >= OutputPredictor.minimumSamples) {
      told.inFlight.push({ foretold: OutputPredictor.snapshot(outputs).expected / outputAlone, real: output })
    }
    return () => {
      real -= own
      output -= prompt.output
      answers++
      const end = { outputTokens: prompt.output, now: time.now() }
      OutputPredictor.end(lengths, flight, end)
      OutputPredictor.end(outputs, outputFlight, end)
    }
  }
}

const caprock = (options: Bedrock.QuotaOptions = {}): Make => async ({ books, time, traffic }) => {
  const modelId = modelOf(traffic)
  const { burndown, quota } = traffic
  const prompts = new WeakMap<object, Prompt>()
  const sentAt = new Map<Prompt, number>()
  const foretold: Foretold = { waits: [], outputs: [], inFlight: [], growth: [] }
  const watch = lengthsForetold(burndown, time, foretold)
  let answers = 0
  const client = BedrockClient.layerTest({
    region,
    converse: (input) =>
      Effect.withFiber((fiber) => {
        const prompt = prompts.get(input) as Prompt
        // As the transport tells it: a script would not before the answer.
        fiber.getRef(CallObserver).onFlushed?.()
        if (!sentAt.has(prompt)) sentAt.set(prompt, time.now())
        const over = watch(prompt)
        return Effect.flatMap(Effect.promise(() => books.send(prompt)), (limit) => {
          over()
          return limit === undefined
            ? Effect.succeed({ ...answerOf(prompt), $metadata: {} })
            : Effect.fail(
              Classification.fromUnknown(
                Object.assign(new Throttled(limit), { $metadata: { httpStatusCode: 429 } }),
                { operation: "Converse", region, modelId }
              )
            )
        })
      })
  })
  const quotas = Quotas.uniform({ requestsPerMinute: quota.requests, tokensPerMinute: quota.tokens })
  const runtime = ManagedRuntime.make(Layer.orDie(
    Bedrock.layerNoDeps().pipe(
      Layer.provideMerge([Bedrock.layerLimiter({ ...options, quotas }), RetryBudget.layer(), client])
    )
  ))
  const services = await runtime.context()
  const { pool } = await runtime.runPromise(Bedrock.Bedrock.use((bedrock) => bedrock.snapshot(modelId)))
  const run = Effect.runPromiseWith(services)
  return {
    foretold,
    ask: async (prompt) => {
      const { priority } = prompt
      const asked = time.now()
      const cost = { pool, requests: 1, tokens: reserved(prompt), priority }
      const input = inputOf(prompt, modelId)
      prompts.set(input, prompt)
      const before = answers
      const call = Effect.tap(
        Limiter.RateLimiter.use((limiter) => limiter.estimate(cost)),
        () => Bedrock.Bedrock.use((bedrock) => bedrock.converse(input))
      )
      const wait = await run(Effect.provideService(call, CallTurn, { priority }))
      answers++
      const real = (sentAt.get(prompt) ?? asked) - asked
      foretold.waits.push({ foretold: Duration.toMillis(wait), real, answers: before })
    }
  }
}

/** The limiter alone: it is told what is reserved and what was charged, and foresees no growth. */
const caprockLimiter: Make = async ({ books, traffic }) => {
  const { burndown, quota } = traffic
  const runtime = ManagedRuntime.make(
    Limiter.layer({ meters: () => [Meter.requests(quota.requests), Meter.tokens(quota.tokens)] })
  )
  const services = await runtime.context()
  const run = Effect.runPromiseWith(services)
  const pool = "pool"
  const attempt = (prompt: Prompt) =>
    Limiter.RateLimiter.use((limiter) =>
      Effect.scoped(Effect.gen(function*() {
        const { priority } = prompt
        const reservation = yield* limiter.reserve({ pool, requests: 1, tokens: reserved(prompt), priority })
        reservation.sentUnsafe()
        const refused = yield* Effect.promise(() => books.send(prompt))
        const charged = settled(prompt, burndown)
        if (refused === undefined) {
          yield* reservation.settle({
            tokens: charged,
            growth: Math.max(0, charged - reserved(prompt)),
            servedFor: Duration.millis(prompt.latency)
          })
        } else {
          yield* limiter.throttled(pool, refused)
          yield* reservation.settle({ tokens: 0, refused: true })
          return yield* Effect.fail(new Throttled(refused))
        }
      }))
    )
  return { ask: (prompt) => retrying(() => run(attempt(prompt))) }
}

/** Requests, then tokens as Bedrock reserves them, each in a bucket of its own that delays. */
const effect: Make = async ({ books, traffic }) => {
  const { quota, window } = traffic
  const runtime = ManagedRuntime.make(
    EffectRateLimiter.layer.pipe(Layer.provide(EffectRateLimiter.layerStoreMemory))
  )
  const run = Effect.runPromiseWith(await runtime.context())
  const options = { window, algorithm: "token-bucket" } as const
  const admitted = (prompt: Prompt) =>
    EffectRateLimiter.RateLimiter.use((limiter) =>
      Effect.andThen(
        EffectRateLimiter.sleep(limiter, { ...options, key: "requests", limit: quota.requests }),
        EffectRateLimiter.sleep(limiter, { ...options, key: "tokens", limit: quota.tokens, tokens: reserved(prompt) })
      )
    )
  return {
    ask: (prompt) => retrying(() => run(admitted(prompt)).then(() => send(books, prompt)))
  }
}

const bottleneck = (refunds: boolean): Make => ({ books, traffic }) => {
  const { burndown, quota, window } = traffic
  const limiterOf = (amount: number) =>
    new Bottleneck({ reservoir: amount, reservoirRefreshAmount: amount, reservoirRefreshInterval: window })
  const requests = limiterOf(quota.requests)
  const tokens = limiterOf(quota.tokens)
  // 0 is the most urgent of its ten, and 5 is usual.
  const priorityOf = ({ priority }: Prompt) => Math.max(0, Math.min(9, 5 - 4 * Priority.toNumber(priority)))
  return {
    ask: (prompt) => {
      const priority = priorityOf(prompt)
      return retrying(async () => {
        await requests.schedule(
          { priority },
          () => tokens.schedule({ priority, weight: reserved(prompt) }, () => send(books, prompt))
        )
        const unused = reserved(prompt) - settled(prompt, burndown)
        if (refunds && unused > 0) await tokens.incrementReservoir(unused)
      })
    }
  }
}

/** A refund does not help who waits: its queue asks again when the window ends, and not before. */
const flexible: Make = ({ books, traffic }) => {
  const { quota, window } = traffic
  const duration = window / 1000
  const requests = new RateLimiterQueue(new RateLimiterMemory({ points: quota.requests, duration, keyPrefix: "r" }))
  const tokens = new RateLimiterQueue(new RateLimiterMemory({ points: quota.tokens, duration, keyPrefix: "t" }))
  return {
    ask: (prompt) =>
      retrying(async () => {
        await requests.removeTokens(1)
        await tokens.removeTokens(reserved(prompt))
        await send(books, prompt)
      })
  }
}

/** It counts requests alone. Strict: in any minute, not from one minute to the next. */
const pQueue: Make = ({ books, traffic }) => {
  const queue = new PQueue({ interval: traffic.window, intervalCap: traffic.quota.requests, strict: true })
  return {
    ask: (prompt) =>
      retrying(() => queue.add(() => send(books, prompt), { priority: Priority.toNumber(prompt.priority) }))
  }
}

/** By name. */
export const contestants = {
  "foresight, unrestricted": foresight("unrestricted"),
  "foresight, in order": foresight("in order"),
  "Caprock's Bedrock": caprock(),
  "Caprock's, a share for interactive": caprock({
    order: { guarantees: [{ priority: "interactive", share: 0.3 }] }
  }),
  "Caprock's, 0.3 of the minute in 10 s": caprock({ meters: { burst: { share: 0.3, window: "10 seconds" } } }),
  "Caprock's RateLimiter": caprockLimiter,
  "Effect's RateLimiter": effect,
  "Bottleneck": bottleneck(false),
  "Bottleneck, refunds": bottleneck(true),
  "rate-limiter-flexible": flexible,
  "p-queue": pQueue,
  "SDK, 3 attempts": sdk({ maxAttempts: 3 }),
  "SDK, 10 attempts": sdk({ maxAttempts: 10 }),
  "SDK, adaptive, 10": sdk({ maxAttempts: 10, retryMode: "adaptive" })
} satisfies Record<string, Make>

export type Name = keyof typeof contestants
