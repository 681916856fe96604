/** Which fault befalls a request. Scripted ones first, then outages, then rates. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Fault from "../Fault.ts"
import type { ModelRef } from "./modelId.ts"
import type { Random } from "./random.ts"

export interface Script {
  readonly fault: Fault.Fault
  readonly operation: Fault.Target | undefined
  readonly model: string | undefined
  remaining: number
}

interface Outage {
  readonly fault: Fault.Fault
  readonly model: string | undefined
  readonly region: string | undefined
  readonly from: number
  readonly until: number
}

export interface FaultControl {
  readonly script: (script: Script) => () => void
  readonly outage: (outage: Outage) => void
  readonly choose: (
    now: number,
    operation: Fault.Target,
    ref: ModelRef | undefined,
    region: string,
    random: () => Random
  ) => Fault.Fault | undefined
  /** Ends when silences are released. */
  readonly released: Effect.Effect<void>
  readonly release: Effect.Effect<void>
}

const streaming: ReadonlySet<Fault.Target> = new Set(["ConverseStream", "InvokeModelWithResponseStream"])

const inStreams: ReadonlySet<Fault.Fault["_tag"]> = new Set(["Truncate", "StreamError", "Corrupt"])

const notInSessions: ReadonlySet<Fault.Fault["_tag"]> = new Set(["Trickle", "BadHead", "BadBody", "Giant"])

/** Some faults only make sense inside a stream, some not inside one that goes both ways, and some only for a batch job. */
const applies = (fault: Fault.Fault, operation: Fault.Target): boolean => {
  if (fault._tag === "Job") return operation === "CreateModelInvocationJob"
  if (operation === "BatchRecord") return fault._tag === "Error"
  return operation === "InvokeModelWithBidirectionalStream"
    ? !notInSessions.has(fault._tag)
    : streaming.has(operation) || !inStreams.has(fault._tag)
}

/** A record is no request: what is to befall one says so. */
const means = (named: Fault.Target | undefined, operation: Fault.Target): boolean =>
  named === operation || (named === undefined && operation !== "BatchRecord")

export const names = (model: string | undefined, ref: ModelRef | undefined): boolean =>
  model === undefined || (ref !== undefined && (model === ref.id || model === ref.model || model === ref.raw))

export const make = (rates: ReadonlyArray<Fault.FaultRate>): FaultControl => {
  const scripts: Array<Script> = []
  let outages: Array<Outage> = []
  let gate = Deferred.makeUnsafe<void>()
  return {
    script: (script) => {
      if (script.remaining > 0) scripts.push(script)
      return () => {
        const at = scripts.indexOf(script)
        if (at !== -1) scripts.splice(at, 1)
        script.remaining = 0
      }
    },
    outage: (outage) => {
      outages.push(outage)
    },
    choose: (now, operation, ref, region, random) => {
      const matches = (one: { readonly fault: Fault.Fault; readonly model?: string | undefined }): boolean =>
        names(one.model, ref) && applies(one.fault, operation)
      if (scripts.length > 0) {
        const at = scripts.findIndex((script) => matches(script) && means(script.operation, operation))
        const script = scripts[at]
        if (script !== undefined) {
          if (--script.remaining <= 0) scripts.splice(at, 1)
          return script.fault
        }
      }
      if (outages.length > 0 && operation !== "BatchRecord") {
        outages = outages.filter((outage) => outage.until > now)
        const outage = outages.find((outage) =>
          outage.from <= now && (outage.region ?? region) === region && matches(outage)
        )
        if (outage !== undefined) return outage.fault
      }
      if (rates.length > 0) {
        let drawn = random()()
        for (const rate of rates) {
          if (!means(rate.operation, operation) || !matches(rate)) continue
          if (drawn < rate.rate) return rate.fault
          drawn -= rate.rate
        }
      }
      return undefined
    },
    released: Effect.suspend(() => Deferred.await(gate)),
    release: Effect.suspend(() => {
      const open = gate
      gate = Deferred.makeUnsafe<void>()
      return Effect.asVoid(Deferred.succeed(open, undefined))
    })
  }
}
