/** Jobs that are remembered, in the order in which they were submitted. */
import * as Random from "./random.ts"

/** What all kinds of jobs have. */
export interface Job {
  readonly arn: string
  /** Its place among all jobs, from 0. */
  readonly sequence: number
  /** Its account and Region. */
  readonly owner: string
  readonly token: string | undefined
  /** What it was asked to do, without its token. */
  readonly asked: string
  /** Milliseconds since the epoch. */
  readonly submittedAt: number
}

export interface Jobs<A extends Job> {
  readonly add: (job: A) => void
  readonly find: (owner: string, arn: string) => A | undefined
  readonly withToken: (owner: string, token: string) => A | undefined
  /** Oldest first. */
  readonly of: (owner: string) => Array<A>
  readonly all: () => Iterable<A>
}

/** As many are remembered by default. */
export const remembered = 100_000

/** Of more than `capacity` the oldest is forgotten, and its token with it. */
export const make = <A extends Job>(capacity: number): Jobs<A> => {
  const jobs = new Map<string, A>()
  const byToken = new Map<string, A>()
  const keyOf = (owner: string, token: string): string => `${owner} ${token}`
  return {
    add: (job) => {
      jobs.set(job.arn, job)
      if (job.token !== undefined) byToken.set(keyOf(job.owner, job.token), job)
      if (jobs.size <= capacity) return
      for (const { arn, owner, token } of jobs.values()) {
        jobs.delete(arn)
        if (token !== undefined) byToken.delete(keyOf(owner, token))
        break
      }
    },
    find: (owner, arn) => {
      const job = jobs.get(arn)
      return job?.owner === owner ? job : undefined
    },
    withToken: (owner, token) => byToken.get(keyOf(owner, token)),
    of: (owner) => [...jobs.values()].filter((job) => job.owner === owner),
    all: () => jobs.values()
  }
}

/** Twelve letters and digits, as the ARNs of jobs end in, one after the other. */
export const ids = (seed: Random.Seed, kind: string): () => string => {
  const random = Random.fromSeed(Random.seedOf(`${seed.join()} ${kind}`))
  return () => Array.from({ length: 12 }, () => Math.floor(random() * 36).toString(36)).join("")
}
