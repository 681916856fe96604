// Shared quotas in the memory of one process.
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { LimiterStore, Wake } from "../LimiterStore.ts"
import * as SharedQuota from "./sharedQuota.ts"

/** A store that keeps its books here. */
export const makeIn = Effect.fnUntraced(function*(
  quotas: Map<string, SharedQuota.SharedQuota>
): Effect.fn.Return<LimiterStore["Service"]> {
  const clock = yield* Clock.Clock
  const now = () => Math.floor(Number(clock.monotonicTimeNanosUnsafe()) / 1e6)
  const listeners = new Map<string, (wake: Wake) => void>()
  const done = (name: string, by: string, { granted, quota, wanted }: SharedQuota.Outcome): void => {
    quotas.set(name, quota)
    for (const { member, ...told } of granted) {
      listeners.get(member)?.({ _tag: "Granted", quota: name, epoch: quota.epoch, ...told })
    }
    if (wanted) { for (const wake of listeners.values()) wake({ _tag: "Wanted", quota: name, by }) }
  }
  return {
    exchange: (name, message) =>
      Effect.sync(() => {
        const step = SharedQuota.exchange(quotas.get(name), message, now())
        done(name, message.member, step)
        return step.standing
      }),
    leave: (name, message) =>
      Effect.sync(() => {
        const step = SharedQuota.leave(quotas.get(name), message, now())
        if (step !== undefined) done(name, message.member, step)
      }),
    listen: (member, wake) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          listeners.set(member, wake)
        }),
        () => Effect.sync(() => listeners.delete(member))
      )
  }
})

/** @internal */
export const make: Effect.Effect<LimiterStore["Service"]> = Effect.suspend(() => makeIn(new Map()))
