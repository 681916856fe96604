/** The asynchronous invocations that are remembered, in the order in which they were submitted. */

export interface Job {
  readonly arn: string
  /** Its place among all jobs, from 0. */
  readonly sequence: number
  /** Its account and Region. */
  readonly owner: string
  readonly modelArn: string
  readonly token: string | undefined
  /** What it was asked to do, without its token. */
  readonly asked: string
  readonly outputDataConfig: unknown
  /** Milliseconds since the epoch. */
  readonly submittedAt: number
  readonly endsAt: number
  /** Why it will have failed; `undefined` where it will not. */
  readonly failure: string | undefined
}

export interface Jobs {
  readonly add: (job: Job) => void
  readonly find: (owner: string, arn: string) => Job | undefined
  readonly withToken: (owner: string, token: string) => Job | undefined
  /** Oldest first. */
  readonly of: (owner: string) => Array<Job>
}

/** Of more than `capacity` the oldest is forgotten, and its token with it. */
export const make = (capacity: number): Jobs => {
  const jobs = new Map<string, Job>()
  const byToken = new Map<string, Job>()
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
    of: (owner) => [...jobs.values()].filter((job) => job.owner === owner)
  }
}
