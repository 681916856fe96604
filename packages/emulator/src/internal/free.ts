/** Answers that are free of charge: given at once and in one piece. What befalls other answers can befall them too. */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fault from "../Fault.ts"
import type * as Answer from "./answer.ts"
import * as Generation from "./generation.ts"
import type * as Recorder from "./recorder.ts"
import type { Exchange } from "./server.ts"
import type * as WireError from "./wireError.ts"

export interface Job {
  readonly exchange: Exchange
  readonly requestId: string
  readonly arrivedAt: number
  readonly body: () => string
  readonly fault: Fault.Fault | undefined
  readonly now: () => number
  readonly clock: Clock.Clock
  readonly recorder: Recorder.Recorder
  readonly released: Effect.Effect<void>
  readonly respondError: (error: WireError.WireError) => void
  /** Called once, last. */
  readonly ended: (outcome: string) => void
}

const nobodys = ""

/** Answers, and counts it. Its tokens are nobody's. */
export const answer = (job: Job): Effect.Effect<void> =>
  Effect.suspend(() => {
    const { recorder } = job
    recorder.started()
    return Generation.run({
      exchange: job.exchange,
      requestId: job.requestId,
      arrivedAt: job.arrivedAt,
      reservation: { tokens: undefined, days: [], reserved: 0, charged: 0 },
      answer: nothingSaid,
      shape: {
        stream: false,
        whole: () => ({ headers: [], body: job.body() }),
        headers: [],
        head: () => [],
        piece: () => [],
        tail: () => []
      },
      timing: { first: 0, total: 0 },
      fault: job.fault,
      inputCost: 0,
      burndown: 0,
      books: {
        now: job.now,
        clock: job.clock,
        during: false,
        raise: () => {},
        settle: () => {},
        released: job.released,
        respondError: job.respondError,
        ended: (outcome) => {
          recorder.ended()
          if (outcome === "Answered") recorder.answered(nobodys)
          else recorder.failed(nobodys, outcome)
          job.ended(outcome)
        }
      }
    })
  })

const nothingSaid: Answer.Answer = {
  id: "",
  modelId: "",
  text: "",
  toolUse: undefined,
  toolUseId: "",
  stopReason: "end_turn",
  usage: { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0, caching: false },
  serviceTier: undefined
}
