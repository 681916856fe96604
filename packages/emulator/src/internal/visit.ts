/** One request on its way in: who asks for what, how it can be answered, and what is written down of it. */
import type * as Clock from "effect/Clock"
import type * as Effect from "effect/Effect"
import type * as Http from "node:http"
import type * as Fault from "../Fault.ts"
import type * as Stats from "../Stats.ts"
import type * as Bodies from "./bodies.ts"
import type { Config } from "./config.ts"
import * as Draw from "./draw.ts"
import type * as FaultControl from "./faultControl.ts"
import * as Free from "./free.ts"
import type * as ModelId from "./modelId.ts"
import * as Random from "./random.ts"
import type * as Recorder from "./recorder.ts"
import * as Routes from "./routes.ts"
import type { Exchange } from "./server.ts"
import * as WireError from "./wireError.ts"

/** What all requests share. */
export interface House {
  readonly config: Config
  readonly clock: Clock.Clock
  /** Milliseconds since the start. */
  readonly now: () => number
  readonly recorder: Recorder.Recorder
  readonly faults: FaultControl.FaultControl
  readonly bodies: Bodies.Bodies
  /** The same of requests without a body, which are no bodies to be counted as such. */
  readonly polls: Bodies.Bodies
  /** Starts a request's fiber; the result interrupts it. */
  readonly run: (effect: Effect.Effect<void>) => () => void
}

/** Whose credentials a request has. */
export interface Caller {
  readonly account: string
  readonly region: string
}

/** What to do when the client goes. */
export type Gone = () => void

/** Nothing is left to do. */
export const idle: Gone = () => {}

const credentialScope = /Credential=([^/,\s]+)\/[0-9]{8}\/([a-z0-9-]+)\//

export const header = (headers: Http.IncomingHttpHeaders, name: string): string | undefined => {
  const value = headers[name]
  return typeof value === "string" ? value : undefined
}

const callerOf = (config: Config, authorization: string | undefined): Caller | undefined => {
  if (authorization === undefined) return undefined
  if (authorization.startsWith("Bearer ")) {
    const token = Random.seedOf(authorization)[0].toString(16)
    return { account: `bearer-${token}`, region: config.region }
  }
  const scope = credentialScope.exec(authorization)
  return scope === null ? undefined : { account: scope[1] ?? "", region: scope[2] ?? config.region }
}

/** What the log has of a request that took nothing. */
export const nothing = {
  inputTokens: 0,
  cacheReadTokens: 0,
  cacheWriteTokens: 0,
  maxTokens: 0,
  outputTokens: 0,
  latencyMillis: 0,
  reserved: 0,
  settled: 0
}

/** What the log has of the cost of a request. */
export type Details = Readonly<typeof nothing>

export const respondError = (exchange: Exchange, requestId: string, error: WireError.WireError): void => {
  const { body, headers, status } = WireError.encode(error)
  exchange.respond(status, ["x-amzn-requestid", requestId, ...headers], body)
}

export class Visit {
  readonly house: House
  readonly exchange: Exchange
  readonly route: Routes.Route
  readonly requestId: string
  readonly arrivedAt: number
  readonly invocationId: string | undefined
  /** What it is about, as the log will name it. */
  modelId: string
  /** Empty until it has come to one. */
  pool = ""
  readonly #known: Caller | undefined

  constructor(house: House, exchange: Exchange, route: Routes.Route, requestId: string, arrivedAt: number) {
    this.house = house
    this.exchange = exchange
    this.route = route
    this.requestId = requestId
    this.arrivedAt = arrivedAt
    const [segment = ""] = route.params
    this.modelId = Routes.decode(segment) ?? segment
    this.invocationId = header(exchange.headers, "amz-sdk-invocation-id")
    this.#known = callerOf(house.config, header(exchange.headers, "authorization"))
  }

  get caller(): Caller {
    const { account, region } = this.house.config
    return { account: account ?? this.#known?.account ?? "anonymous", region: this.#known?.region ?? region }
  }

  /** Whose jobs it can see. */
  get owner(): string {
    const { account, region } = this.caller
    return `${account}/${region}`
  }

  /** The account as ARNs have it: twelve digits. */
  get accountId(): string {
    const { account } = this.caller
    if (/^[0-9]{12}$/.test(account)) return account
    const [a, b] = Random.seedOf(account)
    return String((a * 2 ** 20 + (b >>> 12)) % 1e12).padStart(12, "0")
  }

  /** Refuses what no operation has to look at; `undefined` where it may come in. */
  turnedAway(): Gone | undefined {
    if (this.house.config.requireAuth && this.#known === undefined) {
      return this.refuse({
        name: this.exchange.headers.authorization === undefined
          ? "MissingAuthenticationTokenException"
          : "IncompleteSignature"
      })
    }
    if (this.exchange.tooLarge) {
      return this.invalid(
        "1 validation error detected: Value at 'body' failed to satisfy constraint: Member must have " +
          "length less than or equal to 25000000"
      )
    }
    return undefined
  }

  readonly log = (outcome: string, details: Details = nothing): void => {
    const { now, recorder } = this.house
    if (!recorder.logging) return
    const record: Stats.RequestRecord = {
      requestId: this.requestId,
      invocationId: this.invocationId,
      operation: this.route.operation,
      modelId: this.modelId,
      pool: this.pool,
      arrivedAt: this.arrivedAt,
      endedAt: now(),
      ...details,
      outcome
    }
    recorder.log(record)
  }

  readonly respondError = (error: WireError.WireError): void => respondError(this.exchange, this.requestId, error)

  /** Answers with an error that is the client's own doing. */
  refuse(error: WireError.WireError): Gone {
    this.house.recorder.failed(this.pool, error.name)
    this.log(error.name)
    this.respondError(error)
    return idle
  }

  invalid(message: string): Gone {
    return this.refuse({ name: "ValidationException", message })
  }

  /** The fault that befalls what asks no model. All that it asks is in its path and body. */
  fault(ref: ModelId.ModelRef | undefined): Fault.Fault | undefined {
    const { body, method, path } = this.exchange
    const digest = Random.digestOf(Buffer.concat([Buffer.from(`${method} ${path}\n`), body]))
    const { bodies, polls } = this.house
    return this.faultOf(ref, digest, (body.length === 0 ? polls : bodies).arrive(digest.join()))
  }

  /** The fault that befalls it, drawn for the `attempt`-th time that the same was asked. */
  faultOf(ref: ModelId.ModelRef | undefined, digest: Random.Seed, attempt: number): Fault.Fault | undefined {
    const { config, faults } = this.house
    return faults.choose(
      this.arrivedAt,
      this.route.operation,
      ref,
      this.caller.region,
      () => Random.forRequest(config.seed, digest, attempt, Draw.label.fault)
    )
  }

  /** Answers at once and free of charge, as far as its fault lets it. */
  answer(body: () => string, fault: Fault.Fault | undefined, details: Details = nothing): Gone {
    const { clock, faults, now, recorder, run } = this.house
    return run(Free.answer({
      exchange: this.exchange,
      requestId: this.requestId,
      arrivedAt: this.arrivedAt,
      body,
      fault,
      now,
      clock,
      recorder,
      released: faults.released,
      respondError: this.respondError,
      ended: (outcome) => this.log(outcome, details)
    }))
  }
}
