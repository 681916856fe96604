/**
 * A store of shared quotas to which everything happens that happens to stores.
 */
import { LimiterStore } from "@caprock/rate-limiter"
import { Clock, Effect } from "effect"
import * as SharedQuota from "../src/internal/sharedQuota.ts"

interface Faults {
  /** It does not answer those any more. */
  readonly cut: Set<number>
  /** It does what it is told, and the answers of so many are lost. */
  readonly deaf: Set<number>
  /** It refuses everybody. */
  down: boolean
  /** It hears nobody, and nobody is told. */
  hung: boolean
}

const lost = Effect.fail(new LimiterStore.LimiterStoreError({ problem: "is away" }))

/** The links of so many processes to one store, and what can happen to it. */
export const make = (processes: number) =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const faults: Faults = { cut: new Set(), deaf: new Set(), down: false, hung: false }
    const quotas = new Map<string, string>()
    const listeners = new Map<string, { readonly process: number; readonly wake: (wake: LimiterStore.Wake) => void }>()
    let exchanges = 0
    const known = (name: string): SharedQuota.SharedQuota | undefined => {
      const quota = quotas.get(name)
      return quota === undefined ? undefined : JSON.parse(quota)
    }
    const done = (name: string, by: string, { granted, quota, wanted }: SharedQuota.Outcome): void => {
      quotas.set(name, JSON.stringify(quota))
      const hear = (member: string, wake: LimiterStore.Wake) => {
        const listener = listeners.get(member)
        if (listener !== undefined && !faults.cut.has(listener.process)) listener.wake(wake)
      }
      for (const { member, ...told } of granted) {
        hear(member, { _tag: "Granted", quota: name, epoch: quota.epoch, ...told })
      }
      if (wanted) { for (const member of listeners.keys()) hear(member, { _tag: "Wanted", quota: name, by }) }
    }
    const links = Array.from({ length: processes }, (_, process): LimiterStore.LimiterStore["Service"] => ({
      exchange: (name, message) =>
        Effect.suspend(() => {
          if (faults.hung) return Effect.never
          if (faults.down || faults.cut.has(process)) return lost
          exchanges++
          const told = JSON.parse(JSON.stringify(message))
          const step = SharedQuota.exchange(known(name), told, clock.currentTimeMillisUnsafe())
          done(name, message.member, step)
          return faults.deaf.has(process) ? lost : Effect.succeed(JSON.parse(JSON.stringify(step.standing)))
        }),
      leave: (name, message) =>
        Effect.suspend(() => {
          if (faults.down || faults.cut.has(process)) return lost
          const step = SharedQuota.leave(known(name), message, clock.currentTimeMillisUnsafe())
          if (step !== undefined) done(name, message.member, step)
          return Effect.void
        }),
      listen: (member, wake) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            listeners.set(member, { process, wake })
          }),
          () => Effect.sync(() => listeners.delete(member))
        )
    }))
    return {
      links,
      faults,
      exchanges: () => exchanges,
      books: () => new Map(quotas),
      /** It starts again with these books: none, or older ones. */
      restore: (books: ReadonlyMap<string, string>) => {
        quotas.clear()
        for (const [name, quota] of books) quotas.set(name, quota)
      }
    }
  })

/** A limiter, or whatever needs the store, with one link to it. */
export const provide = <A, R>(
  effect: Effect.Effect<A, never, LimiterStore.LimiterStore | R>,
  link: LimiterStore.LimiterStore["Service"]
) => Effect.provideService(effect, LimiterStore.LimiterStore, link)
