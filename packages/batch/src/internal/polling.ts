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

/**
 * All jobs, again and again: at once, then after each wait, or as soon as `wake` says that there may be news. What it says is not looked at: an event may be
 * late, lost, or somebody else's.
 *
 * A listing that failed, and that is worth another try, is left out: the jobs don't mind, and the next comes later.
 */
export const beats = (
  list: Effect.Effect<ReadonlyArray<Job>, BedrockError>,
  pace: Pace,
  wake: Stream.Stream<unknown>
): Stream.Stream<ReadonlyArray<Job>, BedrockError> =>
  Stream.unwrap(Effect.gen(function*() {
    const swarm = Math.min(swarmMillis, pace.min)
    const woken = yield* Queue.sliding<void>(1)
    yield* Effect.forkScoped(Stream.runForEach(wake, () => Queue.offer(woken, undefined)))

    const rest = ({ least, wait }: Known) =>
      Effect.gen(function*() {
        yield* Effect.sleep(Math.min(wait, least))
        if (wait > least) yield* Effect.raceFirst(Effect.sleep(wait - least), Queue.take(woken))
      })

    const listed = (known: Known, random: number) =>
      Effect.map(list, (jobs): readonly [ReadonlyArray<Job> | undefined, Known] => {
        const quiet = isNews(known.statuses, jobs) ? 0 : known.quiet + 1
        const statuses = new Map(jobs.map(({ arn, status }) => [arn, status]))
        return [jobs, { statuses, quiet, wait: waitOf(pace, quiet, random), least: swarm }]
      })

    const failed = (known: Known, random: number, error: BedrockError) => {
      if (!error.retryable) return Effect.fail(error)
      const quiet = known.quiet + 1
      const least = error.retryAfter === undefined ? swarm : Duration.toMillis(error.retryAfter)
      const wait = Math.max(least, waitOf(pace, quiet, random))
      return Effect.as(
        Effect.logWarning("The batch's jobs could not be listed, and will be later").pipe(
          Effect.annotateLogs({ error: error.message, seconds: Math.round(wait / 1000) })
        ),
        [undefined, { ...known, quiet, wait, least }] as const
      )
    }

    const beat = (known: Known) =>
      Effect.gen(function*() {
        yield* rest(known)
        const random = yield* Random.next
        return yield* Effect.catch(listed(known, random), (error) => failed(known, random, error))
      })

    return Stream.unfold<Known, ReadonlyArray<Job> | undefined, BedrockError, never>(
      { statuses: new Map(), quiet: 0, wait: 0, least: 0 },
      beat
    ).pipe(Stream.filter((jobs) => jobs !== undefined))
  }))
