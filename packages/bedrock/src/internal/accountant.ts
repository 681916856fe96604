// From requests to what they cost, and from answers to what the next ones are thought to cost.
import * as Accounting from "@caprock/quota/Accounting"
import type * as Catalogue from "@caprock/quota/Catalogue"
import * as Family from "@caprock/quota/Family"
import * as OutputPredictor from "@caprock/quota/OutputPredictor"
import * as TokenEstimator from "@caprock/quota/TokenEstimator"
import type { Cost } from "@caprock/rate-limiter/Cost"
import type * as Duration from "effect/Duration"
import type { CallTurn } from "../CallTurn.ts"
import type { Measure } from "./questions.ts"

/** What one request asks of its pool, before anything is known of its answer. */
export interface Request extends Measure {
  readonly pool: string
  readonly entry: Catalogue.Entry
}

/** One attempt in the books, from when it asks for admission to its end, which has to be told however it ends. */
export interface Entry {
  readonly cost: Cost
  /** Tokens of its input, by what to book for it now. */
  readonly input: () => number
  /** Tokens that the server reserves, as far as is known now. */
  readonly reserved: () => number
  /** It was admitted. */
  readonly begin: () => void
  /** What it was charged, and how much of that after its arrival. Learns from it. */
  readonly charged: (usage: Accounting.Usage) => { readonly tokens: number; readonly growth: number }
  /** The same for what it had been charged by a time when it was not over. */
  readonly atLeast?: Entry["charged"]
  /** What its charge is expected to have grown by where it ends without telling. */
  readonly growth: () => number
  /** What it can have grown by at most, as far as is known. */
  readonly mostGrowth: () => number
  readonly end: () => void
}

/** What is known of one pool's answers, and what is in flight. */
interface Experience {
  readonly ratios: TokenEstimator.Ratios
  readonly lengths: OutputPredictor.Lengths
  inFlight: number
}

/** More pools than a program sends to. The oldest is forgotten first: it is learned anew from a few answers. */
const maximumPools = 256

/**
 * So many times its base estimate an input may be thought to be when a request is refused for its size. Tokenizers differ from the base
 * by a factor of two or so: what makes it more is an answer that told of tokens which nobody had sent, and it must not make
 * every later request too large.
 */
const mostTimes = 20

/** Turns requests into costs, and answers into experience. It owns what was learned, by pool. */
export class Accountant {
  private readonly pools = new Map<string, Experience>()
  private readonly now: () => number

  constructor(now: () => number) {
    this.now = now
  }

  open(request: Request, maxWait: Duration.Duration | undefined, turn: CallTurn): Entry {
    if (request.session === true) return this.openSession(request, maxWait, turn)
    const { priority, tenant } = turn
    const { base, entry, pool } = request
    const { burndown } = entry
    const experience = this.experienceOf(pool)
    const maxTokens = request.maxTokens ?? entry.maxOutputTokens
    // A guessed maximum may book too much, but must not refuse what the server would take.
    const certain = request.maxTokens !== undefined || entry.maxOutputKnown
    const flight = OutputPredictor.begin({ maxTokens, burndown })
    const estimate = () => TokenEstimator.estimate(experience.ratios, base, { inFlight: experience.inFlight + 1 })
    // Nor must an input of which nothing is known.
    const likely = () => {
      const { likely, samples } = estimate()
      const known = request.family !== Family.unknown || samples >= TokenEstimator.minimumSamples
      return known ? Math.min(likely, mostTimes * base) : 0
    }
    let state: "waiting" | "flying" | "over" = "waiting"
    let outputTokens: number | undefined
    return {
      cost: {
        pool,
        requests: 1,
        tokens: Accounting.reservation({ inputTokens: likely(), maxTokens: certain ? maxTokens : 0 }),
        book: () => {
          const inputTokens = estimate().upper
          const tokens = Accounting.reservation({ inputTokens, maxTokens })
          return { tokens, growth: OutputPredictor.growth(experience.lengths, flight, this.now()) }
        },
        priority,
        tenant,
        maxWait
      },
      input: () => estimate().upper,
      reserved: () => Accounting.reservation({ inputTokens: estimate().likely, maxTokens }),
      begin: () => {
        state = "flying"
        experience.inFlight++
      },
      charged: (usage) => {
        outputTokens = usage.outputTokens
        TokenEstimator.observe(experience.ratios, { base, actual: Accounting.promptTokens(usage) })
        const tokens = Accounting.settlement(usage, burndown)
        const { cacheWriteInputTokens: cacheWriteTokens, inputTokens } = usage
        const reserved = Accounting.reservation({ inputTokens, cacheWriteTokens, maxTokens })
        return { tokens, growth: Math.max(0, tokens - reserved) }
      },
      growth: () => OutputPredictor.expected(flight),
      mostGrowth: () => OutputPredictor.most(experience.lengths, flight),
      end: () => {
        if (state === "over") return
        if (state === "flying") experience.inFlight--
        state = "over"
        OutputPredictor.end(experience.lengths, flight, { outputTokens, now: this.now() })
      }
    }
  }

  /**
   * A conversation: of the server's reservation nothing is known, so it is booked with what others of its pool have cost, and
   * refused for no number of tokens.
   */
  private openSession(request: Request, maxWait: Duration.Duration | undefined, { priority, tenant }: CallTurn): Entry {
    const { base, entry, pool } = request
    const experience = this.experienceOf(`${pool} conversations`)
    const estimate = () => TokenEstimator.estimate(experience.ratios, base, { inFlight: experience.inFlight + 1 })
    let state: "waiting" | "flying" | "over" = "waiting"
    let booked = 0
    return {
      cost: {
        pool,
        requests: 1,
        tokens: 0,
        book: () => {
          booked = estimate().upper
          return { tokens: booked, growth: [] }
        },
        priority,
        tenant,
        maxWait
      },
      // Once it was begun nothing tells its input from the rest.
      input: () => booked,
      reserved: () => 0,
      begin: () => {
        state = "flying"
        experience.inFlight++
      },
      charged: (usage) => {
        const tokens = Accounting.settlement(usage, entry.burndown)
        TokenEstimator.observe(experience.ratios, { base, actual: tokens })
        return { tokens, growth: Math.max(0, tokens - booked) }
      },
      atLeast: (usage) => {
        const tokens = Math.max(booked, Accounting.settlement(usage, entry.burndown))
        return { tokens, growth: tokens - booked }
      },
      growth: () => 0,
      mostGrowth: () => 0,
      end: () => {
        if (state === "flying") experience.inFlight--
        state = "over"
      }
    }
  }

  /** What the answers of a pool advise for `maxTokens`; `undefined` before there are enough. */
  advice(pool: string): OutputPredictor.Advice | undefined {
    const experience = this.pools.get(pool)
    return experience === undefined ? undefined : OutputPredictor.advice(experience.lengths)
  }

  private experienceOf(pool: string): Experience {
    const known = this.pools.get(pool)
    if (known !== undefined) return known
    for (const oldest of this.pools.keys()) {
      if (this.pools.size < maximumPools) break
      this.pools.delete(oldest)
    }
    const experience: Experience = {
      ratios: TokenEstimator.empty(),
      lengths: OutputPredictor.empty(),
      inFlight: 0
    }
    this.pools.set(pool, experience)
    return experience
  }
}
