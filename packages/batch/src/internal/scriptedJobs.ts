// Jobs in memory, which pass through a script of states as the clock goes.
import { BedrockError } from "@caprock/errors/BedrockError"
import * as Reason from "@caprock/errors/Reason"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Job, JobControl, JobDetail, NewJob } from "../JobControl.ts"
import type { JobControlTest, Operation, Script, Step } from "../JobControlTest.ts"
import { isOver } from "./jobStates.ts"

const names: Readonly<Record<Operation, string>> = {
  create: "CreateModelInvocationJob",
  get: "GetModelInvocationJob",
  list: "ListModelInvocationJobs",
  stop: "StopModelInvocationJob"
}

const usual: ReadonlyArray<Step> = [
  { status: "Submitted", for: "1 minute" },
  { status: "InProgress", for: "1 hour" },
  { status: "Completed" }
]

interface Scripted {
  readonly asked: NewJob
  readonly arn: string
  readonly createdAt: number
  /** What it passes through from `since` on. */
  steps: ReadonlyArray<Step>
  since: number
  counts: JobDetail["counts"]
}

export const make = (
  script: Script
): { readonly control: JobControl["Service"]; readonly test: JobControlTest["Service"] } => {
  const stopping = script.stopping ?? "1 minute"
  const created: Array<NewJob> = []
  const jobs = new Map<string, Scripted>()
  const requests: Record<Operation, number> = { create: 0, get: 0, list: 0, stop: 0 }
  const failures: Record<Operation, Array<{ readonly error: BedrockError; readonly after: boolean }>> = {
    create: [],
    get: [],
    list: [],
    stop: []
  }

  const asked = <A>(
    operation: Operation,
    answer: (now: number) => Effect.Effect<A, BedrockError>
  ): Effect.Effect<A, BedrockError> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      requests[operation]++
      const failure = failures[operation].shift()
      if (failure === undefined) return answer(now)
      const failed = Effect.fail(failure.error)
      return failure.after ? Effect.andThen(answer(now), failed) : failed
    })

  const refuse = (operation: Operation, reason: Reason.Reason) =>
    Effect.fail(new BedrockError({ operation: names[operation], attempts: 1, reason }))

  const found = (operation: Operation, arn: string): Effect.Effect<Scripted, BedrockError> => {
    const job = jobs.get(arn)
    return job === undefined
      ? refuse(operation, new Reason.NotFoundError({ kind: "resource", message: "The requested job is not found." }))
      : Effect.succeed(job)
  }

  const create = (job: NewJob, now: number): Effect.Effect<string, BedrockError> => {
    const index = created.push(job) - 1
    for (const { arn, asked } of jobs.values()) {
      if (asked.token !== job.token) continue
      return JSON.stringify(asked) === JSON.stringify(job)
        ? Effect.succeed(arn)
        : refuse("create", new Reason.ConflictError({ message: "The token was used for another job." }))
    }
    const arn = `arn:aws:bedrock:us-east-1:111122223333:model-invocation-job/${index.toString(36).padStart(12, "0")}`
    jobs.set(arn, {
      asked: job,
      arn,
      createdAt: now,
      steps: script.steps?.(job, index) ?? usual,
      since: now,
      counts: undefined
    })
    return Effect.succeed(arn)
  }

  const stop = (job: Scripted, now: number) =>
    Effect.suspend(() => {
      if (isOver(stepOf(job, now).status)) {
        return refuse("stop", new Reason.ConflictError({ message: "The job is over." }))
      }
      job.steps = [{ status: "Stopping", for: stopping }, { status: "Stopped" }]
      job.since = now
      return Effect.void
    })

  return {
    control: {
      create: (job) => asked("create", (now) => create(job, now)),
      get: (arn) => asked("get", (now) => Effect.map(found("get", arn), (job) => detailOf(job, now))),
      list: (nameContains) =>
        Stream.unwrap(asked("list", (now) =>
          Effect.succeed(Stream.fromIterable(
            [...jobs.values()].toReversed().filter(({ asked }) => asked.name.includes(nameContains))
              .map((job) => jobOf(job, now))
          )))),
      stop: (arn) =>
        asked("stop", (now) => Effect.flatMap(found("stop", arn), (job) => stop(job, now))).pipe(
          Effect.catchIf(({ reason }) => reason._tag === "ConflictError", () => Effect.void)
        )
    },
    test: {
      created: Effect.sync(() => [...created]),
      jobs: Effect.map(Clock.currentTimeMillis, (now) => [...jobs.values()].map((job) => detailOf(job, now))),
      requests: Effect.sync(() => ({ ...requests })),
      become: (arn, status, { counts, message } = {}) =>
        Effect.map(Effect.orDie(found("get", arn)), (job) => {
          job.steps = [{ status, message }]
          job.counts = counts
        }),
      forget: (arn) => Effect.sync(() => void jobs.delete(arn)),
      fail: (operation, errors, { after = false } = {}) =>
        Effect.sync(() => void failures[operation].push(...errors.map((error) => ({ error, after }))))
    }
  }
}

/** The state that it is in: the last one stays. */
const stepOf = ({ since, steps }: Scripted, now: number): Step => {
  let left = now - since
  for (const step of steps.slice(0, -1)) {
    left -= Duration.toMillis(Duration.fromInputUnsafe(step.for ?? 0))
    if (left < 0) return step
  }
  return steps.at(-1) ?? { status: "Submitted" }
}

const jobOf = (job: Scripted, now: number): Job => {
  const { message, status } = stepOf(job, now)
  return {
    arn: job.arn,
    name: job.asked.name,
    status,
    submittedAt: job.createdAt,
    input: job.asked.input,
    output: job.asked.output,
    ...(message === undefined ? {} : { message })
  }
}

const detailOf = (job: Scripted, now: number): JobDetail => ({
  ...jobOf(job, now),
  token: job.asked.token,
  ...(job.counts === undefined ? {} : { counts: job.counts })
})
