/** A request's way in: a number, a route, and the desk that is there for it. */
import type * as Clock from "effect/Clock"
import type * as Effect from "effect/Effect"
import type * as Fault from "../Fault.ts"
import type * as Stats from "../Stats.ts"
import * as AsyncInvokes from "./asyncInvokes.ts"
import * as BatchJobs from "./batchJobs.ts"
import * as Bodies from "./bodies.ts"
import type { Config } from "./config.ts"
import type * as FaultControl from "./faultControl.ts"
import * as Guardrails from "./guardrails.ts"
import * as Inference from "./inference.ts"
import * as Models from "./models.ts"
import type * as Pool from "./pool.ts"
import * as Random from "./random.ts"
import type * as Recorder from "./recorder.ts"
import * as Routes from "./routes.ts"
import type { Exchange } from "./server.ts"
import * as Sessions from "./sessions.ts"
import type * as Store from "./store.ts"
import { type Gone, type House, idle, respondError, Visit } from "./visit.ts"

export interface Runtime {
  readonly onExchange: (exchange: Exchange) => Gone
  readonly pools: ReadonlyMap<string, Pool.Pool>
  readonly bodies: Bodies.Bodies
  readonly jobs: () => Stats.JobStats
  readonly now: () => number
  /** Multiplies the quotas of the pools of a model (or all) by `factor`, until the result is called. */
  readonly dip: Inference.Inference["dip"]
}

/** The service's own limit on a body: 25 MB. */
export const maxBody = 25 * 1024 * 1024

export const make = (options: {
  readonly config: Config
  readonly clock: Clock.Clock
  readonly recorder: Recorder.Recorder
  readonly faults: FaultControl.FaultControl
  /** Starts a request's fiber; the result interrupts it. */
  readonly run: (effect: Effect.Effect<void>) => () => void
  /** What batch jobs read and write; `undefined` where there is none. */
  readonly store: Store.Store | undefined
}): Runtime => {
  const { clock, config, recorder } = options
  const bodies = Bodies.make()
  const origin = clock.monotonicTimeNanosUnsafe()
  const now = (): number => Number(clock.monotonicTimeNanosUnsafe() - origin) / 1e6
  const house: House = { ...options, bodies, polls: Bodies.make(), now }
  const ids = Random.fromSeed(Random.seedOf(`${config.seed.join()} request ids`))
  let sequence = 0

  const hex = (digits: number): string => Math.floor(ids() * 16 ** digits).toString(16).padStart(digits, "0")
  const nextId = (): string => {
    sequence++
    return `${hex(8)}-${hex(4)}-4${hex(3)}-a${hex(3)}-${sequence.toString(16).padStart(12, "0")}`
  }

  const models = Models.make(config)
  const inference = Inference.make(house, models)
  const guardrails = Guardrails.make(house)
  const asyncInvokes = AsyncInvokes.make(house, inference.modelOf)
  const batchJobs = BatchJobs.make(house, models, inference.modelOf, options.store)
  const desks: Readonly<Record<Fault.Operation, (visit: Visit) => Gone>> = {
    Converse: inference.answer,
    ConverseStream: inference.answer,
    InvokeModel: inference.answer,
    InvokeModelWithResponseStream: inference.answer,
    InvokeModelWithBidirectionalStream: Sessions.make(house, inference),
    CountTokens: inference.countTokens,
    ApplyGuardrail: guardrails.apply,
    InvokeGuardrailChecks: guardrails.check,
    StartAsyncInvoke: asyncInvokes.start,
    GetAsyncInvoke: asyncInvokes.get,
    ListAsyncInvokes: asyncInvokes.list,
    CreateModelInvocationJob: batchJobs.create,
    GetModelInvocationJob: batchJobs.get,
    ListModelInvocationJobs: batchJobs.list,
    StopModelInvocationJob: batchJobs.stop
  }

  const onExchange = (exchange: Exchange): Gone => {
    const arrivedAt = now()
    const requestId = nextId()
    const route = Routes.of(exchange.method, exchange.path)
    if (route === undefined) {
      respondError(exchange, requestId, { name: "UnknownOperationException" })
      return idle
    }
    const visit = new Visit(house, exchange, route, requestId, arrivedAt)
    recorder.request(visit.invocationId)
    return visit.turnedAway() ?? desks[route.operation](visit)
  }

  return { onExchange, pools: inference.pools, bodies, jobs: batchJobs.stats, now, dip: inference.dip }
}
