// How a batch learns what became of its jobs: one listing of all of them, now and then.
import type { BedrockError } from "@caprock/errors/BedrockError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import type { Job } from "../JobControl.ts"

/** All in milliseconds. */
export interface Pace {
  readonly min: number
  readonly max: number
}

const growth = 1.5

/** Events come in swarms, one for each job and state: they are good for one listing a second. */
const swarmMillis = 1_000

/**
 * The wait after a listing, the last `quiet` of which had no news: drawn from all that lies between the least and a bound that grows. Many batches that were
 * started at one time so end up asking at different ones.
 */
const waitOf = ({ max, min }: Pace, quiet: number, random: number): number => {
  const bound = Math.min(max, min * growth ** (quiet + 1))
  return min + (Math.max(min, bound) - min) * random
}

/** Whether any job is new, gone, or in another state. */
const isNews = (before: ReadonlyMap<string, string>, jobs: ReadonlyArray<Job>): boolean =>
  jobs.length !== before.size || jobs.some(({ arn, status }) => before.get(arn) !== status)

/** What is known after a listing: the state of each job, how many listings had no news, and how long to wait for the next. */
interface Known {
  readonly statuses: ReadonlyMap<string, string>
  readonly quiet: number
  readonly wait: number
  /** What of the wait nothing shortens. */
  readonly least: number
}

/** Whoever waits is woken by it, once for all that came meanwhile. */
export const alarm = Effect.fnUntraced(function*(events: Stream.Stream<unknown>) {
  const woken = yield* Queue.sliding<void>(1)
  yield* Effect.forkScoped(Stream.runForEach(events, () => Queue.offer(woken, undefined)))
  return woken
})

/**
 * The next look at all jobs, as often as it is taken: the first at once, each other after a wait, or as soon as `wake` ends, which says that there may be news.
 * What it says is not looked at: an event may be late, lost, or somebody else's.
 *
 * A listing that failed, and that is worth another try, is left out: the jobs don't mind, and the next comes later.
 */
export const looks = (
  list: Effect.Effect<ReadonlyArray<Job>, BedrockError>,
  pace: Pace,
  wake: Effect.Effect<unknown>
): Effect.Effect<ReadonlyArray<Job>, BedrockError> => {
  const swarm = Math.min(swarmMillis, pace.min)
  let known: Known = { statuses: new Map(), quiet: 0, wait: 0, least: 0 }

  const rest = Effect.suspend(() => {
    const { least, wait } = known
    const quiet = wait > least ? Effect.raceFirst(Effect.sleep(wait - least), wake) : Effect.void
    return Effect.andThen(Effect.sleep(Math.min(wait, least)), quiet)
  })

  const listed = Effect.fnUntraced(function*(random: number) {
    const jobs = yield* list
    const quiet = isNews(known.statuses, jobs) ? 0 : known.quiet + 1
    const statuses = new Map(jobs.map(({ arn, status }) => [arn, status]))
    known = { statuses, quiet, wait: waitOf(pace, quiet, random), least: swarm }
    return jobs
  })

  const failed = (random: number) =>
    Effect.fnUntraced(function*(error: BedrockError) {
      if (!error.retryable) return yield* error
      const quiet = known.quiet + 1
      const least = error.retryAfter === undefined ? swarm : Duration.toMillis(error.retryAfter)
      const wait = Math.max(least, waitOf(pace, quiet, random))
      known = { ...known, quiet, wait, least }
      yield* Effect.logWarning("The batch's jobs could not be listed, and will be later").pipe(
        Effect.annotateLogs({ error: error.message, seconds: Math.round(wait / 1000) })
      )
      return undefined
    })

  return Effect.gen(function*() {
    while (true) {
      yield* rest
      const random = yield* Random.next
      const jobs = yield* Effect.catch(listed(random), failed(random))
      if (jobs !== undefined) return jobs
    }
  })
}

/** The same as a stream. */
export const beats = (
  list: Effect.Effect<ReadonlyArray<Job>, BedrockError>,
  pace: Pace,
  wake: Stream.Stream<unknown>
): Stream.Stream<ReadonlyArray<Job>, BedrockError> =>
  Stream.unwrap(Effect.map(alarm(wake), (woken) => Stream.fromEffectRepeat(looks(list, pace, Queue.take(woken)))))
