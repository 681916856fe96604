// Two targets that answer, fail and refuse by a script, and what is counted of the requests that they get.

export type Scenario = "outage" | "full" | "caller" | "cut"

/** How a request failed, as an HTTP API says it. */
export interface Failure {
  readonly status: 400 | 429 | 503
  readonly message: string
}

/** What a request comes to: words, and a failure before or after them. */
export interface Reply {
  readonly words: ReadonlyArray<string>
  readonly failure: Failure | undefined
}

/** Seconds. The first target is away between these two. */
export const outage = { from: 30, to: 60 }

/** Requests in any minute that each takes where they can be full. */
export const limit = 300

const text = "one two three four five six seven eight nine ten".split(" ")

const busy: Failure = { status: 503, message: "Service unavailable" }
const refused: Failure = { status: 429, message: "Too many requests, please wait before trying again." }
const invalid: Failure = { status: 400, message: "The conversation must begin with a message of the user" }

export class World {
  /** When each request arrived, by target, in milliseconds. */
  readonly sent: { readonly a: Array<number>; readonly b: Array<number> } = { a: [], b: [] }
  refused = 0
  private readonly scenario: Scenario
  private readonly now: () => number
  private readonly taken: { readonly a: Array<number>; readonly b: Array<number> } = { a: [], b: [] }

  constructor(scenario: Scenario, now: () => number) {
    this.scenario = scenario
    this.now = now
  }

  /** A request to a target: how long it takes, and what it comes to. */
  request(target: "a" | "b"): { readonly millis: number; readonly reply: Reply } {
    const now = this.now()
    this.sent[target].push(now)
    const answer = { millis: 300 + Math.floor(200 * Math.random()), reply: { words: text, failure: undefined } }
    const fails = (failure: Failure, millis: number, words: ReadonlyArray<string> = []) => ({
      millis,
      reply: { words, failure }
    })
    switch (this.scenario) {
      case "outage":
        return target === "a" && now >= 1000 * outage.from && now < 1000 * outage.to ? fails(busy, 1_000) : answer
      case "full": {
        const taken = this.taken[target]
        while ((taken[0] ?? Infinity) <= now - 60_000) taken.shift()
        if (taken.length >= limit) {
          this.refused++
          return fails(refused, 50)
        }
        taken.push(now)
        return answer
      }
      case "caller":
        return fails(invalid, 50)
      case "cut":
        return target === "a" ? fails(busy, 300, text.slice(0, 6)) : answer
    }
  }
}
