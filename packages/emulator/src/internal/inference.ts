/** What is asked of a model: checks, metering, and the draw of its answer. */
import * as LatencyModel from "../LatencyModel.ts"
import type * as Answer from "./answer.ts"
import * as Draw from "./draw.ts"
import { names } from "./faultControl.ts"
import * as Generation from "./generation.ts"
import * as Json from "./json.ts"
import * as ModelId from "./modelId.ts"
import * as Pool from "./pool.ts"
import * as PromptCache from "./promptCache.ts"
import * as Random from "./random.ts"
import * as Reading from "./reading.ts"
import * as Routes from "./routes.ts"
import * as Steering from "./steering.ts"
import * as Text from "./text.ts"
import { type Caller, type Details, type Gone, header, type House, idle, nothing, type Visit } from "./visit.ts"
import * as WireError from "./wireError.ts"

export interface Inference {
  readonly pools: ReadonlyMap<string, Pool.Pool>
  /** The model that a name in a path or an input stands for; `undefined` where there is none. */
  readonly modelOf: (segment: string) => ModelId.ModelRef | undefined
  readonly poolOf: (caller: Caller, ref: ModelId.ModelRef) => Pool.Pool
  /** The most tokens that a model writes. */
  readonly maximumOf: (ref: ModelId.ModelRef) => number
  readonly answer: (visit: Visit) => Gone
  readonly countTokens: (visit: Visit) => Gone
  /** Multiplies the quotas of the pools of a model (or all) by `factor`, until the result is called. */
  readonly dip: (factor: number, model: string | undefined) => () => void
}

export const make = ({ bodies, clock, config, faults, now, recorder, run }: House): Inference => {
  const cache = PromptCache.make({ minimumTokens: config.cacheMinimumTokens, ttl: config.cacheTtl })
  const pseudo = Text.make(config.seed)
  const pools = new Map<string, Pool.Pool>()
  const accounts = new Map<string, Pool.AccountDay>()
  const refs = new Map<string, ModelId.ModelRef>()
  const parsed = new Map<string, ModelId.ModelRef | undefined>()
  const dips = new Set<{ readonly factor: number; readonly model: string | undefined }>()

  const byModel = <A>(from: A | Readonly<Record<string, A>>, ref: ModelId.ModelRef, otherwise: A): A => {
    if (!Json.isRecord(from)) return from as A
    const table = from as Readonly<Record<string, A>>
    return table[ref.id] ?? table[ref.model] ?? table[ref.raw] ?? otherwise
  }

  const refOf = (segment: string): ModelId.ModelRef | undefined => {
    if (parsed.has(segment)) return parsed.get(segment)
    const raw = Routes.decode(segment)
    const ref = raw === undefined ? undefined : ModelId.parse(raw)
    // A client that makes ids up must not fill the memory.
    if (parsed.size < 10_000) parsed.set(segment, ref)
    return ref
  }

  const known = (ref: ModelId.ModelRef): boolean =>
    config.models === undefined || config.models.has(ref.id) || config.models.has(ref.model) ||
    config.models.has(ref.raw)

  const modelOf = (segment: string): ModelId.ModelRef | undefined => {
    const ref = refOf(segment)
    return ref !== undefined && known(ref) ? ref : undefined
  }

  /** Of the dips of a model; without one, of those of every model. */
  const factorOf = (ref: ModelId.ModelRef | undefined): number => {
    let factor = 1
    for (const dip of dips) if (names(dip.model, ref)) factor *= dip.factor
    return factor
  }

  const accountOf = ({ account, region }: Caller): Pool.AccountDay | undefined => {
    const key = `${account}/${region}`
    const found = accounts.get(key)
    if (found !== undefined) return found
    const created = Pool.accountDay({
      tokensPerDay: config.accountTokensPerDay,
      shape: config.shape,
      window: config.window,
      phase: Random.fromSeed(Random.seedOf(`${config.seed.join()} phase of ${key}`))()
    })
    if (created === undefined) return undefined
    created.meter.resize(now(), created.limit * factorOf(undefined))
    accounts.set(key, created)
    return created
  }

  const poolOf = ({ account, region }: Caller, ref: ModelId.ModelRef): Pool.Pool => {
    const key = `${account}/${region}/${ref.path}/${ref.model}`
    const found = pools.get(key)
    if (found !== undefined) return found
    const created = Pool.make({
      key,
      quota: config.quotas[ref.id] ?? config.quotas[ref.model] ?? config.quotas[ref.raw] ?? config.quota,
      account: accountOf({ account, region }),
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

  const maximumOf = (ref: ModelId.ModelRef): number => byModel(config.maxOutput, ref, config.defaultMaxOutput)

  const rescale = (): void => {
    for (const { limit, meter } of accounts.values()) meter.resize(now(), limit * factorOf(undefined))
    for (const [key, pool] of pools) {
      const ref = refs.get(key)
      if (ref !== undefined) pool.scale(now(), factorOf(ref))
    }
  }

  /** The model that a request names in its path. */
  const named = ({ route }: Visit): ModelId.ModelRef | undefined => modelOf(route.params[0] ?? "")

  const countTokens = (visit: Visit): Gone => {
    const ref = named(visit)
    if (ref === undefined) return visit.invalid(noModel)
    const { body } = visit.exchange
    const inputTokens = Reading.countTokens(ref, body)
    if (typeof inputTokens === "string") return visit.invalid(inputTokens)
    const digest = Random.digestOf(body)
    return visit.answer(
      () => JSON.stringify({ inputTokens }),
      visit.faultOf(ref, digest, bodies.arrive(digest.join())),
      { ...nothing, inputTokens }
    )
  }

  const answer = (visit: Visit): Gone => {
    const { arrivedAt, exchange, requestId, route } = visit
    const ref = named(visit)
    if (ref === undefined) return visit.invalid(noModel)
    const reading = Reading.readBody(route.operation, ref, exchange.body)
    if (typeof reading === "string") return visit.invalid(reading)
    const modelMaximum = maximumOf(ref)
    if (reading.maxTokens !== undefined && reading.maxTokens > modelMaximum) {
      return visit.invalid(
        `The maximum tokens you requested exceeds the model limit of ${modelMaximum}. Try again with a maximum tokens ` +
          `value that is lower than ${modelMaximum}.`
      )
    }
    if (reading.prompt.tokens > byModel(config.contextWindow, ref, config.defaultContextWindow)) {
      return visit.invalid("Input is too long for requested model.")
    }

    const maxTokens = reading.invoke?.format.generates === false ? 0 : reading.maxTokens ?? modelMaximum
    const pool = poolOf(visit.caller, ref)
    visit.pool = pool.key
    recorder.pooled(pool.key)
    const digest = Random.digestOf(exchange.body)
    const key = digest.join()
    const attempt = bodies.arrive(key)
    const { checkpoints } = reading.prompt
    const hit = checkpoints.length === 0 ? noHit : cache.look(arrivedAt, pool.key, checkpoints)
    const inputTokens = reading.prompt.tokens - hit.read - hit.write
    const inputCost = inputTokens + hit.write
    const reserved = inputCost + maxTokens + (config.reserveCacheReads ? hit.read : 0)
    const details: Details = {
      ...nothing,
      inputTokens,
      cacheReadTokens: hit.read,
      cacheWriteTokens: hit.write,
      maxTokens
    }
    const admitted = pool.admit(arrivedAt, reserved)
    if (typeof admitted === "string") {
      recorder.throttled(pool.key, admitted)
      visit.log(`Throttled${admitted.charAt(0).toUpperCase()}${admitted.slice(1)}`, details)
      visit.respondError({ name: "ThrottlingException", message: WireError.throttled[admitted] })
      return idle
    }
    recorder.reserved(pool.key, reserved)
    if (checkpoints.length > 0) cache.store(arrivedAt, pool.key, checkpoints)

    const steered = config.steering ? Steering.read(reading.prompt.last) : Steering.none
    const draw = bodies.take(key)
    const random = (purpose: number): Random.Random => Random.forRequest(config.seed, digest, draw, purpose)
    const drawn = Draw.draw(config.output, reading, maxTokens, steered.output, random(Draw.label.output))
    const broken = "_tag" in drawn ? drawn : undefined
    const output: Draw.Drawn = "_tag" in drawn ? nothingDrawn : drawn
    const fault = broken ?? steered.fault ??
      visit.faultOf(ref, digest, attempt)
    const serviceTier = header(exchange.headers, "x-amzn-bedrock-service-tier") ??
      Json.record(reading.body["serviceTier"])["type"]
    const answer: Answer.Answer = {
      id: requestId.replaceAll("-", ""),
      modelId: ref.model,
      text: output.text ?? pseudo.take(random(Draw.label.text), output.outputTokens),
      toolUse: output.toolUse,
      content: output.content,
      more: output.more,
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
      ? LatencyModel.draw(config.latencyOf(visit.caller.region), output.outputTokens, random(Draw.label.latency))
      : { first: steered.latency / 4, total: steered.latency }
    const vector = (input: unknown): ReadonlyArray<number> =>
      Random.vector(config.seed, JSON.stringify([ref.model, input]), reading.invoke?.dimensions ?? 0)
    let settled = 0
    recorder.started()
    return run(Generation.run({
      exchange,
      requestId,
      arrivedAt,
      reservation: admitted,
      answer,
      shape: Draw.shapeOf(reading, answer, vector, config.usageHeaders),
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
          recorder.settled(pool.key, final)
        },
        released: faults.released,
        respondError: visit.respondError,
        ended: (outcome, outputTokens) => {
          recorder.ended()
          if (outcome === "Answered") recorder.answered(pool.key)
          else {
            bodies.giveBack(key, draw)
            recorder.failed(pool.key, outcome)
          }
          visit.log(outcome, { ...details, outputTokens, latencyMillis: timing.total, reserved, settled })
        }
      }
    }))
  }

  return {
    pools,
    modelOf,
    poolOf,
    maximumOf,
    answer,
    countTokens,
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

const noModel = "The provided model identifier is invalid."

const nothingDrawn: Draw.Drawn = { outputTokens: 0, text: "", toolUse: undefined, stopReason: "end_turn" }

const noHit: PromptCache.Hit = { read: 0, write: 0 }
