/** Bedrock's rules by the emulator's meters, without its sockets: what a server counts, refuses and answers. */
import * as Meter from "@caprock/emulator/Meter"
import { type Prompt, reserved, settled, type Traffic } from "./traffic.ts"
import type { VirtualTime } from "./virtualTime.ts"

export interface Rules {
  readonly shape: Meter.Shape
  /** When what is charged beyond the reservation is counted: while the answer is generated, or at its end. */
  readonly adjust: "during" | "end"
}

export type Limit = "requests" | "tokens"

export interface Seen {
  requests: number
  answered: number
  answeredTokens: number
  throttled: number
  /** Sums over the time in which somebody waits: the time, and what was used of each quota, as a part of it. */
  readonly waited: { samples: number; requests: number; tokens: number }
}

/** In so many steps is growth charged during an answer. */
const steps = 20
const sampleMillis = 100

const sleep = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis))

export class Books {
  readonly seen: Seen = {
    requests: 0,
    answered: 0,
    answeredTokens: 0,
    throttled: 0,
    waited: { samples: 0, requests: 0, tokens: 0 }
  }
  /** Who has asked and is neither on the way nor answered. */
  waiting = 0
  readonly #requests: Meter.Meter
  readonly #tokens: Meter.Meter
  readonly #traffic: Traffic
  readonly #rules: Rules
  readonly #time: VirtualTime

  constructor(time: VirtualTime, traffic: Traffic, rules: Rules) {
    const meter = (limit: number) =>
      Meter.make({ shape: rules.shape, limit, window: traffic.window, phase: traffic.window / 3 })
    this.#requests = meter(traffic.quota.requests)
    this.#tokens = meter(traffic.quota.tokens)
    this.#time = time
    this.#traffic = traffic
    this.#rules = rules
  }

  /** Looks at how full the meters are, from now on. */
  watch(): () => void {
    const { quota } = this.#traffic
    const { waited } = this.seen
    const timer = setInterval(() => {
      if (this.waiting === 0) return
      const now = this.#time.now()
      waited.samples++
      waited.requests += this.#requests.used(now) / quota.requests
      waited.tokens += this.#tokens.used(now) / quota.tokens
    }, sampleMillis)
    return () => clearInterval(timer)
  }

  /** One request over the network. Gives the limit that it was refused for, if it was. */
  async send(prompt: Prompt): Promise<Limit | undefined> {
    this.waiting--
    await sleep(prompt.way)
    const refused = await this.#serve(prompt)
    await sleep(prompt.way)
    if (refused !== undefined) this.waiting++
    return refused
  }

  async #serve(prompt: Prompt): Promise<Limit | undefined> {
    const { now } = this.#time
    const { burndown } = this.#traffic
    const final = settled(prompt, burndown)
    let charged = reserved(prompt)
    this.seen.requests++
    const refused = !this.#requests.fits(now(), 1)
      ? "requests"
      : !this.#tokens.fits(now(), charged)
      ? "tokens"
      : undefined
    if (refused !== undefined) {
      this.seen.throttled++
      return refused
    }
    this.#requests.charge(now(), 1)
    const charge = this.#tokens.charge(now(), charged)
    const raise = (target: number): void => {
      if (target <= charged) return
      this.#tokens.charge(now(), target - charged)
      charged = target
    }
    if (final > charged && this.#rules.adjust === "during") {
      const from = now()
      for (let step = 1; step <= steps; step++) {
        await sleep(from + Math.round(prompt.latency * step / steps) - now())
        raise(prompt.input + burndown * Math.floor(prompt.output * step / steps))
      }
    } else await sleep(prompt.latency)
    raise(final)
    this.#tokens.refund(now(), charge, Math.max(0, charged - final))
    this.seen.answered++
    this.seen.answeredTokens += final
    return undefined
  }
}
