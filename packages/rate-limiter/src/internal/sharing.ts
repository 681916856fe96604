// The shares of one process: their one store, their one name there, and what wakes them.
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { type LimiterStore, LimiterStoreError } from "../LimiterStore.ts"
import { Share, type SharedMeter, type World } from "./share.ts"

/** The shares of one process, of all quotas. */
export interface Sharing {
  readonly shareOf: (quota: string, meters: ReadonlyArray<SharedMeter>) => Share
  readonly leave: Effect.Effect<void>
}

/** @internal */
export const make = Effect.fnUntraced(function*(
  store: LimiterStore["Service"],
  world: Omit<World, "member" | "ask">
): Effect.fn.Return<Sharing, never, Scope.Scope> {
  const runFork = Effect.runForkWith(yield* Effect.context())
  const shares = new Map<string, Share>()
  const member = crypto.randomUUID().replaceAll("-", "").slice(0, 16)
  const longest = world.leaseMillis / 2
  const unexpected = (cause: Cause.Cause<LimiterStoreError>) =>
    Effect.succeed(new LimiterStoreError({ problem: "could not be asked", cause: Cause.squash(cause) }))
  const own: World = {
    ...world,
    member,
    ask: (quota, message, answer) => {
      const asked = store.exchange(quota, message).pipe(
        Effect.timeoutOrElse({
          duration: longest,
          orElse: () => Effect.fail(new LimiterStoreError({ problem: `did not answer within ${longest} ms` }))
        }),
        Effect.catch(Effect.succeed),
        Effect.catchCause(unexpected)
      )
      runFork(Effect.map(asked, answer))
    }
  }
  // What wakes it is not needed to be right, only to be quick: it is looked for again for as long as it takes.
  yield* store.listen(member, (wake) => shares.get(wake.quota)?.woken(wake)).pipe(
    Effect.andThen(Effect.never),
    Effect.scoped,
    Effect.retry(Schedule.spaced("1 second")),
    Effect.forkScoped
  )
  return {
    shareOf: (quota, meters) => {
      const known = shares.get(quota)
      if (known !== undefined) return known
      const share = new Share(quota, meters, own)
      shares.set(quota, share)
      return share
    },
    leave: Effect.suspend(() =>
      Effect.forEach(shares, ([quota, share]) => {
        const last = share.close()
        return last === undefined ? Effect.void : store.leave(quota, last)
      }, { concurrency: "unbounded", discard: true })
    ).pipe(Effect.timeoutOption("1 second"), Effect.ignoreCause)
  }
})
