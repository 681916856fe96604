/** A request's way in: routing, checks, metering, and the draw of its answer. */
import type * as Clock from "effect/Clock"
import type * as Effect from "effect/Effect"
import type * as Http from "node:http"
import * as LatencyModel from "../LatencyModel.ts"
import type { Shape as MeterShape } from "../Meter.ts"
import type * as Options from "../Options.ts"
import type * as OutputModel from "../OutputModel.ts"
import type * as Answer from "./answer.ts"
import * as Bodies from "./bodies.ts"
import * as Draw from "./draw.ts"
import type * as FaultControl from "./faultControl.ts"
import { names } from "./faultControl.ts"
import * as Free from "./free.ts"
import * as Generation from "./generation.ts"
import * as Invoke from "./invoke.ts"
import * as Json from "./json.ts"
import * as ModelId from "./modelId.ts"
import * as Pool from "./pool.ts"
import * as PromptCache from "./promptCache.ts"
import * as Random from "./random.ts"
import * as Reading from "./reading.ts"
import type * as Recorder from "./recorder.ts"
import type { Exchange } from "./server.ts"
import * as Steering from "./steering.ts"
import * as Text from "./text.ts"
import * as WireError from "./wireError.ts"

/** The options with their defaults, durations in milliseconds. */
export interface Config {
  readonly seed: Random.Seed
  readonly window: number
  readonly shape: MeterShape
  readonly during: boolean
  readonly countRejected: boolean
  readonly reserveCacheReads: boolean
  readonly quota: Options.Quota
  readonly quotas: Readonly<Record<string, Options.Quota>>
  readonly burndown: number | Readonly<Record<string, number>>
  readonly maxOutput: number | Readonly<Record<string, number>>
  readonly contextWindow: number | Readonly<Record<string, number>>
  readonly defaultMaxOutput: number
  readonly defaultContextWindow: number
  readonly models: ReadonlySet<string> | undefined
  readonly account: string | undefined
  readonly region: string
  readonly requireAuth: boolean
  readonly cacheMinimumTokens: number
  readonly cacheTtl: number
  readonly latency: LatencyModel.LatencyModel
  readonly output: OutputModel.OutputModel | OutputModel.OutputFunction
  readonly steering: boolean
}

export interface Runtime {
  readonly onExchange: (exchange: Exchange) => () => void
  readonly pools: ReadonlyMap<string, Pool.Pool>
  readonly bodies: Bodies.Bodies
  readonly now: () => number
  /** Multiplies the quotas of the pools of a model (or all) by `factor`, until the result is called. */
  readonly dip: (factor: number, model: string | undefined) => () => void
}

/** The service's own limit on a body: 25 MB. */
export const maxBody = 25 * 1024 * 1024

const credentialScope = /Credential=([^/,\s]+)\/[0-9]{8}\/([a-z0-9-]+)\//

interface Caller {
  readonly account: string
  readonly region: string
}

const header = (headers: Http.IncomingHttpHeaders, name: string): string | undefined => {
  const value = headers[name]
  return typeof value === "string" ? value : undefined
}

export const make = (options: {
  readonly config: Config
  readonly clock: Clock.Clock
  readonly recorder: Recorder.Recorder
  readonly faults: FaultControl.FaultControl
  /** Starts a request's fiber; the result interrupts it. */
  readonly run: (effect: Effect.Effect<void>) => () => void
}): Runtime => {
  const { clock, config, faults, recorder } = options
  const bodies = Bodies.make()
  const cache = PromptCache.make({ minimumTokens: config.cacheMinimumTokens, ttl: config.cacheTtl })
  const pseudo = Text.make(config.seed)
  const pools = new Map<string, Pool.Pool>()
  const refs = new Map<string, ModelId.ModelRef>()
  const parsed = new Map<string, ModelId.ModelRef | undefined>()
  const dips = new Set<{ readonly factor: number; readonly model: string | undefined }>()
  const origin = clock.monotonicTimeNanosUnsafe()
  const now = (): number => Number(clock.monotonicTimeNanosUnsafe() - origin) / 1e6
  const ids = Random.fromSeed(Random.seedOf(`${config.seed.join()} request ids`))
  let sequence = 0

  const hex = (digits: number): string => Math.floor(ids() * 16 ** digits).toString(16).padStart(digits, "0")
  const nextId = (): string => {
    sequence++
    return `${hex(8)}-${hex(4)}-4${hex(3)}-a${hex(3)}-${sequence.toString(16).padStart(12, "0")}`
  }

  const byModel = <A>(from: A | Readonly<Record<string, A>>, ref: ModelId.ModelRef, otherwise: A): A => {
    if (!Json.isRecord(from)) return from as A
    const table = from as Readonly<Record<string, A>>
    return table[ref.id] ?? table[ref.model] ?? table[ref.raw] ?? otherwise
  }

  const refOf = (segment: string): ModelId.ModelRef | undefined => {
    if (parsed.has(segment)) return parsed.get(segment)
    const raw = Reading.decodeSegment(segment)
    const ref = raw === undefined ? undefined : ModelId.parse(raw)
    // A client that makes ids up must not fill the memory.
    if (parsed.size < 10_000) parsed.set(segment, ref)
    return ref
  }

  const known = (ref: ModelId.ModelRef): boolean =>
    config.models === undefined || config.models.has(ref.id) || config.models.has(ref.model) ||
    config.models.has(ref.raw)

  const callerOf = (authorization: string | undefined): Caller | undefined => {
    if (authorization === undefined) return undefined
    if (authorization.startsWith("Bearer ")) {
      const token = Random.seedOf(authorization)[0].toString(16)
      return { account: `bearer-${token}`, region: config.region }
    }
    const scope = credentialScope.exec(authorization)
    return scope === null ? undefined : { account: scope[1] ?? "", region: scope[2] ?? config.region }
  }

  const factorOf = (ref: ModelId.ModelRef): number => {
    let factor = 1
    for (const dip of dips) if (names(dip.model, ref)) factor *= dip.factor
    return factor
  }

  const poolOf = (caller: Caller | undefined, ref: ModelId.ModelRef): Pool.Pool => {
    const account = config.account ?? caller?.account ?? "anonymous"
    const key = `${account}/${caller?.region ?? config.region}/${ref.path}/${ref.model}`
    const found = pools.get(key)
    if (found !== undefined) return found
    const created = Pool.make({
      key,
      quota: config.quotas[ref.id] ?? config.quotas[ref.model] ?? config.quotas[ref.raw] ?? config.quota,
      burndown: byModel(config.burndown, ref, 1),
      shape: config.shape,
      window: config.window,
      phase: Random.fromSeed(Random.seedOf(`${config.seed.join()} phase of ${ref.path}/${ref.model}`))(),
      countRejected: config.countRejected
    })
    if (dips.size > 0) created.scale(now(), factorOf(ref))
    pools.set(key, created)
    refs.set(key, ref)
    return created
  }

  const rescale = (): void => {
    for (const [key, pool] of pools) {
      const ref = refs.get(key)
      if (ref !== undefined) pool.scale(now(), factorOf(ref))
    }
  }

  const respondError = (exchange: Exchange, requestId: string, error: WireError.WireError): void => {
    const { body, headers, status } = WireError.encode(error)
    exchange.respond(status, ["x-amzn-requestid", requestId, ...headers], body)
  }

  const forFault = (digest: Random.Seed, attempt: number): Random.Random =>
    Random.forRequest(config.seed, digest, attempt, Draw.label.fault)

  const onExchange = (exchange: Exchange): () => void => {
    const arrivedAt = now()
    const requestId = nextId()
    const route = Reading.routeOf(exchange.path)
    if (route === undefined || exchange.method !== "POST") {
      respondError(exchange, requestId, { name: "UnknownOperationException" })
      return idle
    }
    const { operation, segment } = route
    const invocationId = header(exchange.headers, "amz-sdk-invocation-id")
    recorder.request(invocationId)
    let modelId = Reading.decodeSegment(segment) ?? segment
    let poolKey = ""
    const log = (outcome: string, details: LogDetails = nothing): void => {
      if (!recorder.logging) return
      recorder.log({
        requestId,
        invocationId,
        operation,
        modelId,
        pool: poolKey,
        arrivedAt,
        endedAt: now(),
        ...details,
        outcome
      })
    }
    const refuse = (error: WireError.WireError): () => void => {
      recorder.failed(poolKey, error.name)
      log(error.name)
      respondError(exchange, requestId, error)
      return idle
    }
    const invalid = (message: string): () => void => refuse({ name: "ValidationException", message })

    const authorization = header(exchange.headers, "authorization")
    const caller = callerOf(authorization)
    if (config.requireAuth && caller === undefined) {
      return refuse({
        name: authorization === undefined ? "MissingAuthenticationTokenException" : "IncompleteSignature"
      })
    }
    if (exchange.tooLarge) {
      return invalid(
        "1 validation error detected: Value at 'body' failed to satisfy constraint: Member must have " +
          "length less than or equal to 25000000"
      )
    }
    const ref = refOf(segment)
    if (ref === undefined || !known(ref)) return invalid("The provided model identifier is invalid.")
    modelId = ref.raw
    const digest = Random.digestOf(exchange.body)
    const key = digest.join()
    if (operation === "CountTokens") {
      const inputTokens = Reading.countTokens(ref, exchange.body)
      if (typeof inputTokens === "string") return invalid(inputTokens)
      return options.run(Free.answer({
        exchange,
        requestId,
        arrivedAt,
        body: () => JSON.stringify({ inputTokens }),
        fault: faults.choose(arrivedAt, operation, ref, () => forFault(digest, bodies.arrive(key))),
        now,
        clock,
        recorder,
        released: faults.released,
        respondError: (error) => respondError(exchange, requestId, error),
        ended: (outcome) => log(outcome, { ...nothing, inputTokens })
      }))
    }
    const reading = Reading.readBody(operation, ref, exchange.body)
    if (typeof reading === "string") return invalid(reading)
    const modelMaximum = byModel(config.maxOutput, ref, config.defaultMaxOutput)
    if (reading.maxTokens !== undefined && reading.maxTokens > modelMaximum) {
      return invalid(
        `The maximum tokens you requested exceeds the model limit of ${modelMaximum}. Try again with a maximum tokens ` +
          `value that is lower than ${modelMaximum}.`
      )
    }
    if (reading.prompt.tokens > byModel(config.contextWindow, ref, config.defaultContextWindow)) {
      return invalid("Input is too long for requested model.")
    }

    const embedding = reading.invoke !== undefined && Invoke.isEmbedding(reading.invoke.family)
    const maxTokens = embedding ? 0 : reading.maxTokens ?? modelMaximum
    const pool = poolOf(caller, ref)
    poolKey = pool.key
    recorder.pooled(poolKey)
    const attempt = bodies.arrive(key)
    const { checkpoints } = reading.prompt
    const hit = checkpoints.length === 0 ? noHit : cache.look(arrivedAt, pool.key, checkpoints)
    const inputTokens = reading.prompt.tokens - hit.read - hit.write
    const inputCost = inputTokens + hit.write
    const reserved = inputCost + maxTokens + (config.reserveCacheReads ? hit.read : 0)
    const details: LogDetails = {
      ...nothing,
      inputTokens,
      cacheReadTokens: hit.read,
      cacheWriteTokens: hit.write,
      maxTokens
    }
    const admitted = pool.admit(arrivedAt, reserved)
    if (typeof admitted === "string") {
      recorder.throttled(poolKey, admitted)
      log(`Throttled${admitted.charAt(0).toUpperCase()}${admitted.slice(1)}`, details)
      respondError(exchange, requestId, { name: "ThrottlingException", message: WireError.throttled[admitted] })
      return idle
    }
    recorder.reserved(poolKey, reserved)
    if (checkpoints.length > 0) cache.store(arrivedAt, pool.key, checkpoints)

    const steered = config.steering ? Steering.read(reading.prompt.last) : Steering.none
    const draw = bodies.take(key)
    const random = (purpose: number): Random.Random => Random.forRequest(config.seed, digest, draw, purpose)
    const drawn = Draw.draw(config.output, reading, maxTokens, steered.output, random(Draw.label.output))
    const broken = "_tag" in drawn ? drawn : undefined
    const output: Draw.Drawn = "_tag" in drawn ? nothingDrawn : drawn
    const fault = broken ?? steered.fault ??
      faults.choose(arrivedAt, operation, ref, () => forFault(digest, attempt))
    const serviceTier = header(exchange.headers, "x-amzn-bedrock-service-tier") ??
      Json.record(reading.body["serviceTier"])["type"]
    const answer: Answer.Answer = {
      id: requestId.replaceAll("-", ""),
      modelId: ref.model,
      text: output.text ?? pseudo.take(random(Draw.label.text), output.outputTokens),
      toolUse: output.toolUse,
      toolUseId: `tooluse_${requestId.replaceAll("-", "").slice(-22)}`,
      stopReason: output.stopReason,
      usage: {
        inputTokens,
        outputTokens: output.outputTokens,
        cacheReadTokens: hit.read,
        cacheWriteTokens: hit.write,
        caching: checkpoints.length > 0
      },
      serviceTier: typeof serviceTier === "string" ? serviceTier : undefined
    }
    const timing = steered.latency === undefined
      ? LatencyModel.draw(config.latency, output.outputTokens, random(Draw.label.latency))
      : { first: steered.latency / 4, total: steered.latency }
    const vectors = random(Draw.label.vector)
    const vector = (): ReadonlyArray<number> =>
      Array.from({ length: reading.invoke?.dimensions ?? 0 }, () => Math.round((vectors() * 2 - 1) * 1e6) / 1e6)
    let settled = 0
    recorder.started()
    return options.run(Generation.run({
      exchange,
      requestId,
      arrivedAt,
      reservation: admitted,
      answer,
      shape: Draw.shapeOf(reading, answer, vector),
      timing,
      fault,
      inputCost,
      burndown: pool.burndown,
      books: {
        now,
        clock,
        during: config.during,
        raise: (target) => pool.raise(now(), admitted, target),
        settle: (final) => {
          settled = final
          pool.settle(now(), admitted, final)
          recorder.settled(poolKey, final)
        },
        released: faults.released,
        respondError: (error) => respondError(exchange, requestId, error),
        ended: (outcome, outputTokens) => {
          recorder.ended()
          if (outcome === "Answered") recorder.answered(poolKey)
          else {
            bodies.giveBack(key, draw)
            recorder.failed(poolKey, outcome)
          }
          log(outcome, { ...details, outputTokens, latencyMillis: timing.total, reserved, settled })
        }
      }
    }))
  }

  return {
    onExchange,
    pools,
    bodies,
    now,
    dip: (factor, model) => {
      const dip = { factor, model }
      dips.add(dip)
      rescale()
      return () => {
        dips.delete(dip)
        rescale()
      }
    }
  }
}

const idle = (): void => {}

const nothingDrawn: Draw.Drawn = { outputTokens: 0, text: "", toolUse: undefined, stopReason: "end_turn" }

const noHit: PromptCache.Hit = { read: 0, write: 0 }

/** What the log has of a request that took nothing. */
const nothing = {
  inputTokens: 0,
  cacheReadTokens: 0,
  cacheWriteTokens: 0,
  maxTokens: 0,
  outputTokens: 0,
  latencyMillis: 0,
  reserved: 0,
  settled: 0
}

type LogDetails = Readonly<typeof nothing>
