// Shared quotas in Redis: what goes there and comes back, and what is to be done when it does not.
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redis from "effect/persistence/Redis"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { type LimiterStore, LimiterStoreError, type Message, type Wake } from "../LimiterStore.ts"
import { explain } from "./redisProblems.ts"
import * as Script from "./redisScript.ts"

/** How a store in Redis is made. */
export interface Options {
  /** What the names of all keys and channels begin with. */
  readonly prefix?: string | undefined
  /** Longest wait for an answer. */
  readonly timeout?: Duration.Input | undefined
}

export const defaults = { prefix: "caprock:", timeout: Duration.seconds(1) } as const

const firstRetryMillis = 100
const longestRetryMillis = 5_000

const Amounts = Schema.Record(Schema.String, Schema.Finite)

const Standing = Schema.Struct({
  epoch: Schema.String,
  version: Schema.Finite,
  granted: Amounts,
  given: Amounts,
  joined: Schema.Boolean,
  members: Schema.Array(Schema.String),
  wanted: Schema.Boolean,
  listed: Schema.Finite,
  free: Amounts,
  limits: Amounts,
  waiting: Schema.Array(Schema.Struct({ priority: Schema.Finite, all: Amounts })),
  remains: Schema.Record(Schema.String, Schema.Struct({ amount: Schema.Finite, inMillis: Schema.Finite })),
  opensInMillis: Schema.Finite,
  parkedMillis: Schema.Finite,
  againMillis: Schema.NullOr(Schema.Finite)
})

const Woken = Schema.Union([
  Schema.Struct({
    _tag: Schema.tag("Granted"),
    quota: Schema.String,
    epoch: Schema.String,
    granted: Amounts,
    listed: Schema.Finite
  }),
  Schema.Struct({ _tag: Schema.tag("Wanted"), quota: Schema.String, by: Schema.String })
])

const decodeStanding = Schema.decodeUnknownEffect(Schema.fromJsonString(Standing))
const decodeWoken = Schema.decodeUnknownEffect(Schema.fromJsonString(Woken))

/** JSON knows no infinite number. */
const json = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) => inner === Infinity ? Number.MAX_VALUE : inner)

/** What the script takes after the key. What few steps need goes apart, and is read by those. */
const wire = (quota: string, message: Message, channel: string): ReadonlyArray<string> => {
  const { ageingMillis, epoch, foreign, knows, leaving, lines, member, meters, ...rest } = message
  return [
    member,
    json({
      ...rest,
      // For Lua, what is null is something.
      ageingMillis: ageingMillis ?? undefined,
      epoch: epoch ?? undefined,
      foreign: foreign ?? undefined,
      // Redis' JSON refuses half of a character.
      lines: lines.map((line) => ({ ...line, tenant: line.tenant.toWellFormed() }))
    }),
    // Members with the same meters say so with the same text.
    json(Object.fromEntries(Object.entries(meters).toSorted(([a], [b]) => a < b ? -1 : 1))),
    json(leaving),
    json(knows),
    channel,
    quota
  ]
}

const scripts = (surroundings: Script.Surroundings) => {
  const script = (step: "exchange" | "leave") =>
    Redis.script((...args: ReadonlyArray<string>) => args, { lua: Script.lua(step, surroundings), numberOfKeys: 1 })
      .withReturnType<unknown>()
  return { exchange: script("exchange"), leave: script("leave") }
}

/**
 * A store in Redis. Fails with `LimiterStoreError` when an answer takes longer than `timeout`, and asks nothing else for the same member until the
 * last question is answered or given up by the client: questions that pile up would all be done, and for nothing, when Redis is back.
 */
export const make = Effect.fnUntraced(function*(
  { prefix = defaults.prefix, timeout = defaults.timeout }: Options,
  surroundings: Script.Surroundings = Script.server
): Effect.fn.Return<LimiterStore["Service"], never, Redis.Redis | Scope.Scope> {
  const redis = yield* Redis.Redis
  const scope = yield* Effect.scope
  const { exchange, leave } = scripts(surroundings)
  const channel = `${prefix}wake:`
  const unanswered = new Map<string, Fiber.Fiber<unknown, Redis.RedisError>>()
  const inTime = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E | LimiterStoreError> =>
    Effect.timeoutOrElse(effect, {
      duration: timeout,
      orElse: () =>
        Effect.fail(
          new LimiterStoreError({
            problem: `did not answer within ${
              Duration.format(Duration.fromInputUnsafe(timeout))
            }: Redis is busy, hangs or cannot be reached`
          })
        )
    })
  const failed = (cause: unknown) => new LimiterStoreError({ problem: explain(cause, prefix), cause })

  const ask = Effect.fnUntraced(function*(script: typeof exchange, quota: string, message: Message) {
    const id = JSON.stringify([quota, message.member])
    const before = unanswered.get(id)
    if (before !== undefined) yield* Fiber.await(before)
    const args = [`${prefix}${quota}`, ...wire(quota, message, channel)]
    // It goes on when nobody waits for it any more, and whether it is over can be seen.
    const fiber = yield* Effect.forkIn(redis.eval(script)(...args), scope)
    unanswered.set(id, fiber)
    fiber.addObserver(() => {
      if (unanswered.get(id) === fiber) unanswered.delete(id)
    })
    return yield* Fiber.join(fiber)
  })

  /** Whatever comes on a channel, until it is lost. */
  const receive = (name: string, onText: (text: string) => Effect.Effect<void>, subscribed: Effect.Effect<void>) =>
    Effect.gen(function*() {
      const messages = yield* redis.subscribe(name)
      // Where it could not be subscribed, there is nothing to take but the reason.
      const first = Queue.takeUnsafe(messages)
      if (first !== undefined) yield* onText((yield* first).message)
      yield* subscribed
      return yield* Effect.forever(Effect.flatMap(Queue.take(messages), ({ message }) => onText(message)))
    }).pipe(Effect.scoped)

  const listen = Effect.fnUntraced(function*(member: string, wake: (wake: Wake) => void) {
    const first = yield* Deferred.make<void, Redis.RedisError>()
    let failures = 0
    const subscribed = Effect.suspend(() => {
      failures = 0
      return Deferred.succeed(first, undefined)
    })
    const onText = (text: string) =>
      decodeWoken(text).pipe(
        Effect.map(wake),
        // Another version of this, which says what this one does not know.
        Effect.catch(() => Effect.logDebug("A wake of the limiter's store was not understood", text))
      )
    const again = receive(`${channel}${member}`, onText, Effect.asVoid(subscribed)).pipe(
      Effect.catch((error) =>
        Effect.gen(function*() {
          if (yield* Deferred.fail(first, error)) return yield* error
          failures++
          yield* Effect.logDebug("The limiter's subscription in Redis was lost", error)
          return yield* Effect.sleep(Math.min(longestRetryMillis, firstRetryMillis * 2 ** failures))
        })
      ),
      Effect.forever
    )
    const fiber = yield* Effect.forkScoped(again)
    yield* inTime(Effect.mapError(Deferred.await(first), failed)).pipe(
      // A connection that is being opened is not given up before it is open.
      Effect.tapError(() => Effect.forkDetach(Fiber.interrupt(fiber)))
    )
  })

  return {
    exchange: (quota, message) =>
      inTime(Effect.mapError(ask(exchange, quota, message), failed)).pipe(
        Effect.flatMap((answer) =>
          Effect.mapError(decodeStanding(answer), (cause) =>
            new LimiterStoreError({ problem: "gave an answer that is no standing of a quota", cause }))
        )
      ),
    leave: (quota, message) => Effect.asVoid(inTime(Effect.mapError(ask(leave, quota, message), failed))),
    listen
  }
})
