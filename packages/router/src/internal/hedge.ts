// Two requests for one call: the second begins when the first takes long, and the first answer ends the other.
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { Restore } from "../Sending.ts"

/** How a request ended. */
export interface End<L, A, E> {
  readonly leg: L
  readonly exit: Exit.Exit<A, E>
}

interface Run<L, A, E> {
  readonly leg: L
  readonly fiber: Fiber.Fiber<A, E>
}

/** What calls have paid in for second requests: each of them a share of one. */
export class Purse {
  private readonly share: number
  private readonly most: number
  private paid: number

  /** It begins full, and never has more. */
  constructor(share: number, most: number) {
    this.share = share
    this.most = most
    this.paid = most
  }

  deposit(): void {
    this.paid = Math.min(this.most, this.paid + this.share)
  }

  get hasOne(): boolean {
    return this.paid >= 1
  }

  /** Pays for one, if there is enough. */
  take(): boolean {
    if (!this.hasOne) return false
    this.paid--
    return true
  }

  /** What was paid for was not sent. */
  giveBack(): void {
    this.paid++
  }
}

/**
 * Sends the first, and when it has taken `afterMillis` the second, if there is any then. Gives the ends in their order: the last of them is an
 * answer, or final, unless both failed. `giveUp` is told of who is given up before it is. To be run where nothing interrupts it: it waits
 * with `restore`, and sends where nothing interrupts that either.
 *
 * @internal
 */
export const race = <L, A, E, R, R2>(
  restore: Restore,
  first: L,
  send: (leg: L) => Effect.Effect<A, E, R>,
  afterMillis: number,
  second: Effect.Effect<L | undefined, never, R2>,
  isFinal: (leg: L, exit: Exit.Exit<A, E>) => boolean,
  giveUp: (leg: L) => void
): Effect.Effect<ReadonlyArray<End<L, A, E>>, never, R | R2> =>
  Effect.suspend(() => {
    const runs: Array<Run<L, A, E>> = []
    const begin = (leg: L) =>
      Effect.map(Effect.forkChild(send(leg), { startImmediately: true, uninterruptible: true }), (fiber) => {
        const run = { leg, fiber }
        runs.push(run)
        return run
      })
    const end = ({ fiber, leg }: Run<L, A, E>) =>
      Effect.map(Fiber.await(fiber), (exit): End<L, A, E> => ({ leg, exit }))

    return Effect.gen(function*() {
      const one = yield* begin(first)
      const early = yield* restore(Effect.timeoutOption(end(one), afterMillis))
      if (Option.isSome(early)) return [early.value]
      const leg = yield* second
      if (leg === undefined) return [yield* restore(end(one))]
      const two = yield* begin(leg)
      const sooner = yield* restore(Effect.raceFirst(end(one), end(two)))
      const later = sooner.leg === first ? two : one
      if (Exit.isSuccess(sooner.exit) || isFinal(sooner.leg, sooner.exit)) {
        giveUp(later.leg)
        return [sooner]
      }
      return [sooner, yield* restore(end(later))]
    }).pipe(
      // Who has ended already is not interrupted any more.
      Effect.ensuring(Effect.suspend(() => Fiber.interruptAll(runs.map(({ fiber }) => fiber))))
    )
  })
