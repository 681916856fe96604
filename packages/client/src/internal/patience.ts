// The time limits of one call, which run only while the server is waited for, and its deadline, which runs always.
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { CallDeadline } from "../CallDeadline.ts"
import type * as Timeouts from "../Timeouts.ts"

/**
 * Milliseconds; `Infinity` for none.
 *
 * @internal
 */
export interface Limits {
  readonly credentials: number
  readonly connect: number
  readonly firstToken: number
  readonly betweenTokens: number
  readonly call: number
}

/** @internal */
export const limitsOf = (timeouts: Timeouts.Timeouts | undefined, defaults: Required<Timeouts.Timeouts>): Limits => {
  const millis = (key: keyof Timeouts.Timeouts): number =>
    Duration.toMillis(Duration.fromInputUnsafe(timeouts?.[key] ?? defaults[key] ?? Duration.infinity))
  return {
    credentials: millis("credentials"),
    connect: millis("connect"),
    firstToken: millis("firstToken"),
    betweenTokens: millis("betweenTokens"),
    call: millis("call")
  }
}

/** @internal */
export const unlimited: Limits = {
  credentials: Infinity,
  connect: Infinity,
  firstToken: Infinity,
  betweenTokens: Infinity,
  call: Infinity
}

/** @internal */
export interface Expired {
  readonly kind: Timeouts.Kind
  /** The limit as it was set, in milliseconds; of a deadline, what it had left for this call. */
  readonly millis: number
}

/**
 * One wait for a promise, and what follows from each of its ends.
 *
 * @internal
 */
export interface Wait<P, A, E> {
  readonly promise: () => Promise<P>
  /** Whether any content of the answer was seen before. */
  readonly content: boolean
  readonly onValue: (value: P) => Effect.Effect<A, E>
  readonly onError: (cause: unknown) => Effect.Effect<A, E>
  readonly onExpired: (expired: Expired) => Effect.Effect<A, E>
}

interface Current {
  readonly started: number
  readonly content: boolean
  readonly until: number
  readonly onExpired: (expired: Expired) => void
  readonly expire: () => void
}

/**
 * The patience of one call: only waiting uses it up. Its deadline is a moment, and comes while nobody waits as well.
 *
 * A stream waits hundreds of times, so there is not a timer for each wait but one watchman for all: a fiber that sleeps
 * until the wait that called it is over, and on waking looks for the end of the wait that there is then.
 * (`Effect.timeout` for each event costs as much as half of what the SDK takes to decode it.)
 *
 * @internal
 */
export class Patience {
  #limits: Limits
  readonly #context: Context.Context<never>
  readonly #clock: Clock.Clock
  readonly #deadline: number
  readonly #onDeadline: () => void
  readonly #isPrepared: () => boolean
  readonly #begun: number
  #waited = 0
  /** When the limits became what they are, and what had been waited by then. */
  #relimited = { at: -Infinity, waited: 0 }
  #current: Current | undefined
  #watchman: Fiber.Fiber<void> | undefined
  #wakesAt = Infinity

  /**
   * `onDeadline` is called when the deadline passes before the call is over, whether or not it waits then. `isPrepared` says whether
   * the request has its credentials.
   */
  constructor(
    limits: Limits,
    context: Context.Context<never>,
    onDeadline: () => void,
    isPrepared: () => boolean = () => true
  ) {
    this.#limits = limits
    this.#context = context
    this.#clock = Context.get(context, Clock.Clock)
    this.#deadline = Context.get(context, CallDeadline)
    this.#onDeadline = onDeadline
    this.#isPrepared = isPrepared
    this.#begun = this.#now()
  }

  /** Milliseconds to the deadline, never less than 0. */
  get left(): number {
    return Math.max(0, this.#deadline - this.#now())
  }

  /** What to say once the deadline has passed. */
  get late(): Expired {
    return { kind: "deadline", millis: Math.max(0, Math.round(this.#deadline - this.#begun)) }
  }

  wait<P, A, E>(wait: Wait<P, A, E>): Effect.Effect<A, E> {
    return Effect.callback<A, E>((resume) => {
      const started = this.#now()
      if (started >= this.#deadline) return resume(Effect.suspend(() => wait.onExpired(this.late)))
      let ended = false
      const end = (next: () => Effect.Effect<A, E>) => {
        if (ended) return
        ended = true
        this.#waited += this.#now() - started
        this.#current = undefined
        resume(Effect.suspend(next))
      }
      this.#await(wait.content, started, (expired) => end(() => wait.onExpired(expired)))
      try {
        wait.promise().then(
          (value) => end(() => wait.onValue(value)),
          (cause: unknown) => end(() => wait.onError(cause))
        )
      } catch (cause) {
        end(() => wait.onError(cause))
      }
      return Effect.sync(() => {
        ended = true
        this.end()
      })
    })
  }

  /** From now on these limits hold, for the wait that there is as well. What was waited before counts for `call` alone. */
  relimit(limits: Limits): void {
    const current = this.#current
    const now = this.#now()
    this.#limits = limits
    this.#relimited = { at: now, waited: this.#waited + (current === undefined ? 0 : now - current.started) }
    if (current !== undefined) this.#await(current.content, current.started, current.onExpired)
  }

  /** The call is over. */
  end(): void {
    this.#current = undefined
    this.#dismiss()
  }

  #await(content: boolean, started: number, onExpired: (expired: Expired) => void): void {
    const { betweenTokens, call, credentials, firstToken } = this.#limits
    const { at, waited } = this.#relimited
    const near = Math.max(started, at) + (content ? betweenTokens : firstToken - Math.max(0, this.#waited - waited))
    const far = started + call - this.#waited
    const first = this.#isPrepared() ? Infinity : started + credentials
    const until = Math.max(started, Math.min(first, near, far))
    this.#current = {
      started,
      content,
      until,
      onExpired,
      expire: () =>
        this.#deadline > until && first === until && this.#isPrepared()
          // It has them by now, and is on its way.
          ? this.#await(content, started, onExpired)
          : onExpired(
            this.#deadline <= until
              ? this.late
              : first === until
              ? { kind: "credentials", millis: credentials }
              : far < near
              ? { kind: "call", millis: call }
              : content
              ? { kind: "between-tokens", millis: betweenTokens }
              : { kind: "first-token", millis: firstToken }
          )
    }
    const wakesAt = Math.min(until, this.#deadline)
    if (wakesAt < this.#wakesAt) {
      this.#dismiss()
      this.#wakesAt = wakesAt
      this.#watchman = Effect.runForkWith(this.#context)(this.#watch(wakesAt - this.#now()))
    }
  }

  #watch(millis: number): Effect.Effect<void> {
    return Effect.flatMap(Effect.sleep(millis), () => {
      const current = this.#current
      const now = this.#now()
      // Without a deadline nothing is to be watched while nobody waits.
      const until = Math.min(current?.until ?? Infinity, this.#deadline)
      if (until > now && until !== Infinity) {
        this.#wakesAt = until
        return this.#watch(until - now)
      }
      this.#watchman = undefined
      this.#wakesAt = Infinity
      if (until <= now) current?.expire()
      if (this.#deadline <= now) this.#onDeadline()
      return Effect.void
    })
  }

  #dismiss(): void {
    this.#watchman?.interruptUnsafe()
    this.#watchman = undefined
    this.#wakesAt = Infinity
  }

  #now(): number {
    return Number(this.#clock.monotonicTimeNanosUnsafe()) / 1e6
  }
}
