// From requests to what they cost, and from answers to what the next ones are thought to cost.
import * as Accounting from "@caprock/quota/Accounting"
import type * as Catalogue from "@caprock/quota/Catalogue"
import * as Family from "@caprock/quota/Family"
import * as OutputPredictor from "@caprock/quota/OutputPredictor"
import * as TokenEstimator from "@caprock/quota/TokenEstimator"
import type { Booking, Cost } from "@caprock/rate-limiter/Cost"
import type * as Duration from "effect/Duration"
import type { CallTurn } from "../CallTurn.ts"
import type { Measure } from "./questions.ts"

/** What one request asks of its pool, before anything is known of its answer. */
export interface Request extends Measure {
  readonly pool: string
  readonly entry: Catalogue.Entry
}

/** What a request was charged, and how much of that after its arrival. */
interface Charge {
  readonly tokens: number
  readonly growth: number
}

/** One attempt in the books, from when it asks for admission to its end, which has to be told however it ends. */
export interface Entry {
  readonly cost: Cost
  /** Tokens of its input, by what to book for it now. */
  input(): number
  /** Tokens that the server reserves, as far as is known now. */
  reserved(): number
  /** It was admitted. */
  begin(): void
  /** What it was charged. Learns from it. */
  charged(usage: Accounting.Usage): Charge
  /** The same for what it had been charged by a time when it was not over. */
  atLeast(usage: Accounting.Usage): Charge
  /** What its charge is expected to have grown by where it ends without telling. */
  growth(): number
  /** What it can have grown by at most, as far as is known. */
  mostGrowth(): number
  end(): void
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

/** A request and its one answer. */
class Inference implements Entry {
  readonly cost: Cost
  private readonly experience: Experience
  private readonly base: number
  private readonly burndown: number
  private readonly maxTokens: number
  private readonly flight: OutputPredictor.Flight
  private readonly now: () => number
  private state: "waiting" | "flying" | "over" = "waiting"
  private outputTokens: number | undefined

  constructor(
    experience: Experience,
    request: Request,
    maxWait: Duration.Duration | undefined,
    { priority, tenant }: CallTurn,
    now: () => number
  ) {
    const { base, entry, pool } = request
    this.experience = experience
    this.now = now
    this.base = base
    this.burndown = entry.burndown
    this.maxTokens = request.maxTokens ?? entry.maxOutputTokens
    this.flight = OutputPredictor.begin({ maxTokens: this.maxTokens, burndown: this.burndown })
    // A guessed maximum may book too much, but must not refuse what the server would take.
    const certain = request.maxTokens !== undefined || entry.maxOutputKnown
    const inputTokens = this.likely(request)
    this.cost = {
      pool,
      requests: 1,
      tokens: Accounting.reservation({ inputTokens, maxTokens: certain ? this.maxTokens : 0 }),
      book: () => this.booking(),
      priority,
      tenant,
      maxWait
    }
  }

  private estimate(): TokenEstimator.Estimate {
    const { inFlight, ratios } = this.experience
    return TokenEstimator.estimate(ratios, this.base, { inFlight: inFlight + 1 })
  }

  /** What its input is likely to be, for who refuses what is too large; nothing where that is a guess. */
  private likely({ base, family }: Request): number {
    const { likely, samples } = this.estimate()
    const known = family !== Family.unknown || samples >= TokenEstimator.minimumSamples
    return known ? Math.min(likely, mostTimes * base) : 0
  }

  private booking(): Booking {
    const tokens = Accounting.reservation({ inputTokens: this.input(), maxTokens: this.maxTokens })
    return { tokens, growth: OutputPredictor.growth(this.experience.lengths, this.flight, this.now()) }
  }

  input(): number {
    return this.estimate().upper
  }

  reserved(): number {
    return Accounting.reservation({ inputTokens: this.estimate().likely, maxTokens: this.maxTokens })
  }

  begin(): void {
    this.state = "flying"
    this.experience.inFlight++
  }

  charged(usage: Accounting.Usage): Charge {
    const { base, burndown, experience, maxTokens } = this
    this.outputTokens = usage.outputTokens
    TokenEstimator.observe(experience.ratios, { base, actual: Accounting.promptTokens(usage) })
    const tokens = Accounting.settlement(usage, burndown)
    const { cacheWriteInputTokens: cacheWriteTokens, inputTokens } = usage
    const reserved = Accounting.reservation({ inputTokens, cacheWriteTokens, maxTokens })
    return { tokens, growth: Math.max(0, tokens - reserved) }
  }

  atLeast(usage: Accounting.Usage): Charge {
    return this.charged(usage)
  }

  growth(): number {
    return OutputPredictor.expected(this.flight)
  }

  mostGrowth(): number {
    return OutputPredictor.most(this.experience.lengths, this.flight)
  }

  end(): void {
    const { experience, flight, outputTokens, state } = this
    if (state === "over") return
    if (state === "flying") experience.inFlight--
    this.state = "over"
    OutputPredictor.end(experience.lengths, flight, { outputTokens, now: this.now() })
  }
}

/**
 * A conversation: of the server's reservation nothing is known, so it is booked with what others of its pool have cost, and
 * refused for no number of tokens.
 */
class Conversation implements Entry {
  readonly cost: Cost
  private readonly experience: Experience
  private readonly base: number
  private readonly burndown: number
  private flying = false
  private booked = 0

  constructor(
    experience: Experience,
    { base, entry, pool }: Request,
    maxWait: Duration.Duration | undefined,
    { priority, tenant }: CallTurn
  ) {
    this.experience = experience
    this.base = base
    this.burndown = entry.burndown
    this.cost = { pool, requests: 1, tokens: 0, book: () => this.booking(), priority, tenant, maxWait }
  }

  private booking(): Booking {
    const { inFlight, ratios } = this.experience
    this.booked = TokenEstimator.estimate(ratios, this.base, { inFlight: inFlight + 1 }).upper
    return { tokens: this.booked, growth: [] }
  }

  /** Once it was begun nothing tells its input from the rest. */
  input(): number {
    return this.booked
  }

  reserved(): number {
    return 0
  }

  begin(): void {
    this.flying = true
    this.experience.inFlight++
  }

  charged(usage: Accounting.Usage): Charge {
    const tokens = Accounting.settlement(usage, this.burndown)
    TokenEstimator.observe(this.experience.ratios, { base: this.base, actual: tokens })
    return { tokens, growth: Math.max(0, tokens - this.booked) }
  }

  atLeast(usage: Accounting.Usage): Charge {
    const tokens = Math.max(this.booked, Accounting.settlement(usage, this.burndown))
    return { tokens, growth: tokens - this.booked }
  }

  growth(): number {
    return 0
  }

  mostGrowth(): number {
    return 0
  }

  end(): void {
    if (this.flying) this.experience.inFlight--
    this.flying = false
  }
}

/** Turns requests into costs, and answers into experience. It owns what was learned, by pool. */
export class Accountant {
  private readonly pools = new Map<string, Experience>()
  private readonly now: () => number

  constructor(now: () => number) {
    this.now = now
  }

  open(request: Request, maxWait: Duration.Duration | undefined, turn: CallTurn): Entry {
    return request.session === true
      ? new Conversation(this.experienceOf(`${request.pool} conversations`), request, maxWait, turn)
      : new Inference(this.experienceOf(request.pool), request, maxWait, turn, this.now)
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
