/**
 * Limiters that do the same work: requests and tokens by the minute, waiting until both are there, and giving back what was not used where
 * they can. A caller asks, goes on when it may, tells what it was charged, and asks again if it is wanted.
 */
import * as Ledger from "@caprock/rate-limiter/Ledger"
import * as Meter from "@caprock/rate-limiter/Meter"
import * as Limiter from "@caprock/rate-limiter/RateLimiter"
import Bottleneck from "bottleneck"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as EffectRateLimiter from "effect/persistence/RateLimiter"
import PQueue from "p-queue"
import { RateLimiterMemory, RateLimiterQueue } from "rate-limiter-flexible"

export interface Work {
  readonly quota: { readonly requests: number; readonly tokens: number }
  readonly window: number
  /** Tokens that the next call reserves. A part of them is charged. */
  readonly reserves: () => number
  /** It was admitted: whether its caller asks again. */
  readonly admitted: () => boolean
}

/** What is charged of what was reserved. */
const chargedPart = 0.4

export interface Callers {
  /** So many more callers begin to ask. Ends when all of them have stopped. */
  readonly start: (count: number) => Promise<unknown>
}

type Make = (work: Work) => Callers | Promise<Callers>

const promises = (call: () => Promise<unknown>, { admitted }: Work): Callers => {
  const caller = async (): Promise<void> => {
    do await call()
    while (admitted())
  }
  return {
    start: (count) => {
      const all: Array<Promise<void>> = []
      for (let n = 0; n < count; n++) all.push(caller())
      return Promise.all(all)
    }
  }
}

const fibers = async <R, E>(
  layer: Layer.Layer<R>,
  call: (services: Work) => Effect.Effect<unknown, E, R>,
  work: Work
): Promise<Callers> => {
  const services = await ManagedRuntime.make(layer).context()
  const run = Effect.runForkWith(services)
  const one = call(work)
  const caller: Effect.Effect<void, E, R> = Effect.gen(function*() {
    do yield* one
    while (work.admitted())
  })
  return {
    start: (count) => {
      let left = count
      return new Promise<void>((resolve) => {
        for (let n = 0; n < count; n++) {
          run(caller).addObserver(() => {
            if (--left === 0) resolve()
          })
        }
      })
    }
  }
}

/** As many as are let go in a window without a limiter's help: what a caller costs that only waits. */
const gate = ({ quota, window }: Work) => {
  let waiting: Array<() => void> = []
  let open = quota.requests
  setInterval(() => {
    open = quota.requests
    const go = waiting.slice(0, open)
    waiting = waiting.slice(open)
    open -= go.length
    for (const one of go) one()
  }, window)
  return (go: () => void): boolean => {
    if (open > 0) {
      open--
      return true
    }
    waiting.push(go)
    return false
  }
}

export const contestants = {
  "a fiber that only waits": (work) => {
    const enter = gate(work)
    return fibers(
      Layer.empty,
      () =>
        Effect.scoped(Effect.callback<void>((resume) => {
          if (enter(() => resume(Effect.void))) resume(Effect.void)
        })),
      work
    )
  },
  "a promise that only waits": (work) => {
    const enter = gate(work)
    return promises(() => new Promise<void>((resolve) => enter(resolve) && resolve()), work)
  },
  /** The books alone: nobody waits, and no Effect is run. A call each six milliseconds, so ten thousand are in the window. */
  "Caprock's Ledger": ({ admitted, quota, reserves, window }) => {
    const ledger = new Ledger.Ledger([Meter.requests(quota.requests, window), Meter.tokens(quota.tokens, window)], 250)
    let now = 0
    return {
      start: async () => {
        do {
          now += 6
          const reserved = reserves()
          if (!ledger.fits(1, reserved, now)) throw new Error("There is room for all.")
          const charge = ledger.book(1, reserved)
          ledger.send(charge, now)
          ledger.arrive(charge, now + 1)
          ledger.shrink(charge, 1, Math.ceil(reserved * chargedPart))
        } while (admitted())
      }
    }
  },
  "Caprock's RateLimiter": (work) =>
    fibers(
      Limiter.layer({
        meters: () => [Meter.requests(work.quota.requests, work.window), Meter.tokens(work.quota.tokens, work.window)]
      }),
      ({ reserves }) =>
        Limiter.RateLimiter.use((limiter) =>
          Effect.scoped(Effect.flatMap(
            Effect.suspend(() => limiter.reserve({ pool: "pool", requests: 1, tokens: reserves() })),
            (reservation) => {
              reservation.sentUnsafe()
              return reservation.settle({ tokens: Math.ceil(reservation.booked * chargedPart) })
            }
          ))
        ),
      work
    ),
  /** Nothing can be given back. */
  "Effect's RateLimiter": (work) =>
    fibers(
      EffectRateLimiter.layer.pipe(Layer.provide(EffectRateLimiter.layerStoreMemory)),
      ({ quota, reserves, window }) =>
        EffectRateLimiter.RateLimiter.use((limiter) => {
          const sleep = EffectRateLimiter.sleep(limiter)
          const options = { window, algorithm: "token-bucket" } as const
          return Effect.andThen(
            sleep({ ...options, key: "requests", limit: quota.requests }),
            Effect.suspend(() => sleep({ ...options, key: "tokens", limit: quota.tokens, tokens: reserves() }))
          )
        }),
      work
    ),
  "Bottleneck": (work) => {
    const limiterOf = (amount: number) =>
      new Bottleneck({ reservoir: amount, reservoirRefreshAmount: amount, reservoirRefreshInterval: work.window })
    const requests = limiterOf(work.quota.requests)
    const tokens = limiterOf(work.quota.tokens)
    let job = 0
    return promises(async () => {
      const weight = work.reserves()
      // Its own are drawn, and seeded chance has fewer digits.
      const id = String(job++)
      await requests.schedule({ id }, () => tokens.schedule({ id, weight }, () => Promise.resolve()))
      await tokens.incrementReservoir(weight - Math.ceil(weight * chargedPart))
    }, work)
  },
  "rate-limiter-flexible": (work) => {
    const duration = work.window / 1000
    const points = new RateLimiterMemory({ points: work.quota.tokens, duration, keyPrefix: "t" })
    const requests = new RateLimiterQueue(
      new RateLimiterMemory({ points: work.quota.requests, duration, keyPrefix: "r" })
    )
    const tokens = new RateLimiterQueue(points)
    return promises(async () => {
      const reserved = work.reserves()
      await requests.removeTokens(1)
      await tokens.removeTokens(reserved)
      await points.reward("limiter", reserved - Math.ceil(reserved * chargedPart))
    }, work)
  },
  /** Requests alone: it counts nothing else. */
  "p-queue": (work) => {
    const queue = new PQueue({ interval: work.window, intervalCap: work.quota.requests, strict: true })
    return promises(() => queue.add(() => Promise.resolve()), work)
  }
} satisfies Record<string, Make>

export type Name = keyof typeof contestants
