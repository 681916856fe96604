/**
 * A burst in virtual time: more requests at once than their quota takes in a window, through the accountant and the limiter as the attempts of
 * a call use them, against the emulator's meters. No sockets and no client: the books alone are on trial.
 */
import { LowerBound, Meter as ServerMeter } from "@caprock/emulator"
import { Catalogue } from "@caprock/quota"
import { Meter, RateLimiter } from "@caprock/rate-limiter"
import { Clock, Duration, Effect, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { Accountant } from "../src/internal/accountant.ts"

export interface Prompt {
  readonly input: number
  readonly output: number
  readonly maxTokens: number
  /** From arrival to the end of the answer, in milliseconds. */
  readonly latency: number
}

export interface Setup {
  readonly prompts: ReadonlyArray<Prompt>
  readonly burndown: number
  readonly shape: ServerMeter.Shape
  /** When growth is charged: while the output is generated, or in the end. */
  readonly adjust: "during" | "end"
  /** In milliseconds. */
  readonly window: number
  readonly quota: { readonly requests: number; readonly tokens: number }
}

export interface Outcome {
  readonly throttled: number
  readonly millis: number
  /** Time over the least that any client needs. */
  readonly ratio: number
}

/** From the client to the server, and back. */
const way = 2
/** In so many steps is growth charged. */
const steps = 20

export const run = Effect.fnUntraced(function*(setup: Setup): Effect.fn.Return<Outcome, never, Scope.Scope> {
  const { adjust, burndown, prompts, quota, shape, window } = setup
  const limiter = yield* RateLimiter.make({
    meters: () => [Meter.requests(quota.requests, window), Meter.tokens(quota.tokens, window)]
  })
  const clock = yield* Clock.Clock
  const now = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
  const accountant = new Accountant(now)
  const entry = { ...Catalogue.lookup(Catalogue.builtIn, "anthropic.claude-sonnet-4-5-20250929-v1:0"), burndown }
  const meter = (limit: number) => ServerMeter.make({ shape, limit, window, phase: window / 3 })
  const requests = meter(quota.requests)
  const tokens = meter(quota.tokens)

  const serve = Effect.fnUntraced(function*({ input, latency, maxTokens, output }: Prompt) {
    let charged = input + maxTokens
    if (!requests.fits(now(), 1)) return "requests"
    if (!tokens.fits(now(), charged)) return "tokens"
    requests.charge(now(), 1)
    const reserved = tokens.charge(now(), charged)
    const raise = (target: number) => {
      if (target <= charged) return
      tokens.charge(now(), target - charged)
      charged = target
    }
    for (let step = 1; step <= steps; step++) {
      yield* Effect.sleep(Duration.millis(latency / steps))
      if (adjust === "during" || step === steps) raise(input + burndown * Math.floor(output * step / steps))
    }
    tokens.refund(now(), reserved, Math.max(0, charged - input - burndown * output))
    return undefined
  })

  const attempt = Effect.fnUntraced(function*(prompt: Prompt) {
    const entered = accountant.open(
      { pool: "pool", entry, base: prompt.input, maxTokens: prompt.maxTokens },
      undefined,
      {}
    )
    const reservation = yield* limiter.reserve(entered.cost)
    entered.begin()
    reservation.sentUnsafe()
    yield* Effect.sleep(way)
    const refused = yield* serve(prompt)
    yield* Effect.sleep(way)
    if (refused !== undefined) yield* limiter.throttled("pool", refused)
    const settlement = refused === undefined
      ? {
        ...entered.charged({ inputTokens: prompt.input, outputTokens: prompt.output }),
        servedFor: Duration.millis(prompt.latency)
      }
      : { tokens: 0 }
    entered.end()
    yield* reservation.settle(settlement)
    return refused === undefined
  }, Effect.scoped)

  let throttled = 0
  let answered = 0
  let last = 0
  const ask = Effect.fnUntraced(function*(prompt: Prompt) {
    while (!(yield* attempt(prompt))) {
      throttled++
      yield* Effect.sleep("1 second")
    }
    answered++
    last = now()
  })
  const started = now()
  for (const prompt of prompts) yield* Effect.forkChild(Effect.orDie(ask(prompt)))
  while (answered < prompts.length) yield* TestClock.adjust(window)
  const bound = LowerBound.make(
    prompts.map((prompt) => ({ ...prompt, burndown, latencyMillis: prompt.latency })),
    { ...quota, windowMillis: window }
  )
  return { throttled, millis: last - started, ratio: (last - started) / bound.millis }
}, Effect.scoped)
