// Who competes in falling over from one target to another, each as its documentation sets it up and otherwise as it comes.
import * as RetryBudget from "@caprock/backoff/RetryBudget"
import * as Meter from "@caprock/rate-limiter/Meter"
import * as RateLimiter from "@caprock/rate-limiter/RateLimiter"
import * as Health from "@caprock/router/Health"
import * as ModelRouter from "@caprock/router/ModelRouter"
import * as RouteTable from "@caprock/router/RouteTable"
import { RunnableLambda } from "@langchain/core/runnables"
import { APICallError, generateText, streamText } from "ai"
import { createFallback } from "ai-fallback"
import { MockLanguageModelV4 } from "ai/test"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as ExecutionPlan from "effect/ExecutionPlan"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { type Failure, limit, type Reply, type Scenario, type World } from "./fallbackWorld.ts"

export interface Contestant {
  readonly ask: () => Promise<unknown>
  /** Tells each word as it comes. */
  readonly stream: (tell: (word: string) => void) => Promise<unknown>
}

class ApiError extends Data.TaggedError("ApiError")<Failure> {
  get retryable(): boolean {
    return this.status !== 400
  }
  get retryableElsewhere(): boolean {
    return this.status !== 400
  }
}

const names = ["a", "b"] as const

const later = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis))

/** The same for all who know promises: an error before the first word is the request's. */
const open = async (world: World, target: "a" | "b", _question?: string): Promise<Reply> => {
  const { millis, reply } = world.request(target)
  await later(millis)
  if (reply.failure !== undefined && reply.words.length === 0) throw errorOf(reply.failure)
  return reply
}

const errorOf = ({ message, status }: Failure): Error =>
  new APICallError({ message, statusCode: status, url: "", requestBodyValues: {}, isRetryable: status !== 400 })

// -----------------------------------------------------------------------------
// Effect
// -----------------------------------------------------------------------------

/** The words of an answer, from the first on. */
const opened = (world: World, target: "a" | "b"): Effect.Effect<Stream.Stream<string, ApiError>, ApiError> =>
  Effect.suspend(() => {
    const { millis, reply: { failure, words } } = world.request(target)
    const end = failure === undefined ? Stream.empty : Stream.fail(new ApiError(failure))
    return Effect.delay(
      failure !== undefined && words.length === 0
        ? Effect.fail(new ApiError(failure))
        : Effect.succeed(Stream.concat(Stream.fromIterable(words), end)),
      millis
    )
  })

const caprock = (world: World, scenario: Scenario): Contestant => {
  const table = Result.getOrThrow(RouteTable.make({
    targets: { a: { model: "a" }, b: { model: "b" } },
    routes: { chat: { policy: { ordered: ["a", "b"] } } }
  }))
  const runtime = ManagedRuntime.make(
    ModelRouter.layer({ table }).pipe(
      Layer.provide([
        RateLimiter.layer({ meters: () => scenario === "full" ? [Meter.requests(limit)] : [] }),
        Health.layer(),
        RetryBudget.layer()
      ])
    )
  )
  const call = ModelRouter.ModelRouter.use((router) =>
    router.run("chat", {
      ask: { input: 100, output: 100, needs: [], leftMillis: Infinity },
      refused: (_, error) => new ApiError({ status: 429, message: error.message }),
      offer: ({ name }) => ({
        cost: { pool: name, requests: 1, tokens: 200 },
        send: ({ reservation }) =>
          Effect.suspend(() => {
            reservation.sentUnsafe()
            return opened(world, name === "a" ? "a" : "b")
          })
      })
    })
  )
  return {
    ask: () => runtime.runPromise(Effect.scoped(call)),
    stream: (tell) =>
      runtime.runPromise(
        Effect.scoped(
          Effect.flatMap(call, ({ value }) => Stream.runForEach(value, (word) => Effect.sync(() => tell(word))))
        )
      )
  }
}

class Model extends Context.Service<Model, {
  readonly open: Effect.Effect<Stream.Stream<string, ApiError>, ApiError>
}>()("Model") {}

const executionPlan = (world: World): Contestant => {
  const [a, b] = names.map((name) => ({ provide: Context.make(Model, { open: opened(world, name) }) }))
  if (a === undefined || b === undefined) throw new Error("there are two")
  const plan = ExecutionPlan.make(a, b)
  const words = Stream.unwrap(Model.use(({ open }) => open))
  return {
    ask: () => Effect.runPromise(Effect.withExecutionPlan(Model.use(({ open }) => open), plan)),
    stream: (tell) =>
      Effect.runPromise(
        Stream.runForEach(Stream.withExecutionPlan(words, plan), (word) => Effect.sync(() => tell(word)))
      )
  }
}

// -----------------------------------------------------------------------------
// Promises
// -----------------------------------------------------------------------------

const langChain = (world: World): Contestant => {
  const [a, b] = names.map((name) => RunnableLambda.from<string, Reply>(() => open(world, name)))
  const [streamA, streamB] = names.map((name) =>
    RunnableLambda.from(async function*(question: string) {
      const { failure, words } = await open(world, name, question)
      yield* words
      if (failure !== undefined) throw errorOf(failure)
    })
  )
  if (a === undefined || b === undefined || streamA === undefined || streamB === undefined) {
    throw new Error("there are two")
  }
  const ask = a.withFallbacks([b])
  const stream = streamA.withFallbacks([streamB])
  return {
    ask: () => ask.invoke("Hello?"),
    stream: async (tell) => {
      for await (const word of await stream.stream("Hello?")) tell(String(word))
    }
  }
}

const usage = {
  inputTokens: { total: 100, noCache: 100, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 10, text: 10, reasoning: 0 }
}
const finishReason = { unified: "stop", raw: "stop" } as const

type Part = Awaited<ReturnType<MockLanguageModelV4["doStream"]>>["stream"] extends ReadableStream<infer P> ? P : never

const vercel = (world: World): Contestant => {
  const model = createFallback({
    models: names.map((name) =>
      new MockLanguageModelV4({
        doGenerate: async () => {
          const { words } = await open(world, name)
          return { content: [{ type: "text", text: words.join(" ") }], finishReason, usage, warnings: [] }
        },
        doStream: async () => {
          const { failure, words } = await open(world, name)
          const parts: ReadonlyArray<Part> = [
            { type: "stream-start", warnings: [] },
            { type: "text-start", id: "0" },
            ...words.map((word): Part => ({ type: "text-delta", id: "0", delta: word })),
            { type: "text-end", id: "0" },
            { type: "finish", finishReason, usage }
          ]
          // A connection that is lost, and not an event that says so: neither of its last two parts comes.
          const chunks = parts.slice(0, failure === undefined ? undefined : -2).values()
          return {
            stream: new ReadableStream({
              pull: (controller) => {
                const { done, value } = chunks.next()
                if (!done) controller.enqueue(value)
                else if (failure === undefined) controller.close()
                else controller.error(errorOf(failure))
              }
            }, { highWaterMark: 0 })
          }
        }
      })
    )
  })
  return {
    ask: () => generateText({ model, prompt: "Hello?" }),
    stream: async (tell) => {
      for await (const part of streamText({ model, prompt: "Hello?", onError: () => {} }).fullStream) {
        if (part.type === "text-delta") tell(part.text)
        if (part.type === "error") throw part.error
      }
    }
  }
}

export const contestants = {
  "Caprock's ModelRouter": caprock,
  "Effect's ExecutionPlan": executionPlan,
  "Vercel AI SDK, ai-fallback": vercel,
  "LangChain, withFallbacks": langChain
} satisfies Readonly<Record<string, (world: World, scenario: Scenario) => Contestant>>

export type Name = keyof typeof contestants
