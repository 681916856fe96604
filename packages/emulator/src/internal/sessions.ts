/** A session in which both sides speak at once: admission, the turns of the model, faults and the end. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Fault from "../Fault.ts"
import * as LatencyModel from "../LatencyModel.ts"
import * as TokenCounter from "../TokenCounter.ts"
import * as Draw from "./draw.ts"
import * as EventReader from "./eventReader.ts"
import * as EventStream from "./eventStream.ts"
import type { Inference } from "./inference.ts"
import * as Json from "./json.ts"
import * as Random from "./random.ts"
import * as Sonic from "./sonic.ts"
import * as Steering from "./steering.ts"
import * as Text from "./text.ts"
import { type Gone, type House, idle, nothing, type Visit } from "./visit.ts"
import * as WireError from "./wireError.ts"

/** A signed event holds one of at most a megabyte (service model of the runtime, 2023-09-30), in base64 and frames. */
const longestFrame = 2 * 1024 * 1024

const tokensPerPiece = 4
const mostPieces = 32

const invalidInput = "Invalid input request, please fix your input and try again."

/** The event that a signed frame carries: JSON in base64, in JSON, in a frame, in a frame. `undefined` for what is none. */
const eventIn = (payload: Buffer): unknown => {
  const inner = EventReader.open(payload)
  if (inner?.headers.get(":message-type") !== "event" || inner.headers.get(":event-type") !== "chunk") return undefined
  const bytes = Json.text(Json.record(parse(inner.payload))["bytes"])
  return parse(Buffer.from(bytes, "base64"))
}

const parse = (bytes: Buffer): unknown => {
  try {
    return JSON.parse(bytes.toString("utf8"))
  } catch {
    return undefined
  }
}

/** Whose signature it is can't be told here, only whether there is one. */
const isSigned = ({ headers }: EventReader.Message): boolean => {
  const signature = headers.get(":chunk-signature")
  return headers.has(":date") && Buffer.isBuffer(signature) && signature.length === 32
}

/** A share counts in the first turn of the session, and so do frames: a negative number from its end. */
const strikeOf = (fault: Fault.Fault | undefined, frames: number): number => {
  const at = fault !== undefined && "at" in fault ? fault.at : undefined
  if (at === undefined) return Number.NaN
  const wanted = typeof at === "number" ? Math.floor(frames * at) : at.frame < 0 ? frames + at.frame : at.frame
  return Math.min(Math.max(0, wanted), fault?._tag === "Corrupt" ? frames - 1 : frames)
}

const frameOf = ([name, value]: Sonic.Said): Buffer =>
  EventStream.event("chunk", {
    bytes: Buffer.from(JSON.stringify({ event: { [name]: value } }), "utf8").toString("base64")
  })

export const make = (house: House, inference: Inference): (visit: Visit) => Gone => {
  const { clock, config, faults, now, polls, recorder, run } = house
  const pseudo = Text.make(config.seed)

  return (visit) => {
    const { exchange, requestId } = visit
    const ref = inference.modelOf(visit.route.params[0] ?? "")
    if (ref === undefined) return visit.invalid("The provided model identifier is invalid.")
    const { incoming } = exchange
    // What the service says to HTTP/1.1 here is not documented.
    if (incoming === undefined) return visit.invalid("This operation needs HTTP/2.")
    const pool = inference.poolOf(visit.caller, ref)
    visit.pool = pool.key
    recorder.pooled(pool.key)
    // A session has no body that would tell it from others.
    const digest = Random.seedOf(`sessions with ${ref.model}`)
    const attempt = polls.arrive(digest.join())
    // Nor is it documented what it reserves: here a request, and tokens as they come.
    const admitted = pool.admit(visit.arrivedAt, 0)
    if (typeof admitted === "string") {
      recorder.throttled(pool.key, admitted)
      visit.log(`Throttled${admitted.charAt(0).toUpperCase()}${admitted.slice(1)}`)
      visit.respondError({ name: "ThrottlingException", message: WireError.throttled[admitted] })
      return idle
    }
    const listener = new Sonic.Listener()
    const speaker = new Sonic.Speaker(requestId)
    const cost = (): number =>
      listener.input.speech + listener.input.text + (speaker.output.speech + speaker.output.text) * pool.burndown
    let finished = false
    const finish = (outcome: string, charged = cost()): void => {
      if (finished) return
      finished = true
      pool.settle(now(), admitted, charged)
      recorder.settled(pool.key, charged)
      recorder.ended()
      if (outcome === "Answered") recorder.answered(pool.key)
      else recorder.failed(pool.key, outcome)
      visit.log(outcome, {
        ...nothing,
        inputTokens: listener.input.speech + listener.input.text,
        outputTokens: speaker.output.speech + speaker.output.text,
        latencyMillis: now() - visit.arrivedAt,
        settled: charged
      })
    }
    const raise = (): void => {
      if (config.during) pool.raise(now(), admitted, cost())
    }

    /** Hands what is heard to `onHeard`, up to the end of the session. */
    const listen = (onHeard: (event: Sonic.Heard) => void): void => {
      const hear = (event: Sonic.Heard): void => {
        raise()
        if (event._tag !== "Nothing") onHeard(event)
      }
      const reader = EventReader.make(longestFrame, (message) => {
        if (finished) return
        if (message === undefined) return hear({ _tag: "Wrong", message: invalidInput })
        if (!isSigned(message)) return hear({ _tag: "Wrong", message: "An event of the input is not signed." })
        // The last frame is signed, and empty.
        if (message.payload.length > 0) hear(listener.hear(eventIn(message.payload)))
      })
      incoming(
        reader.take,
        () => hear(reader.idle() ? { _tag: "SessionEnd" } : { _tag: "Wrong", message: invalidInput })
      )
    }

    const sleepUntil = (time: number): Effect.Effect<void> =>
      Effect.suspend(() => {
        const millis = Math.ceil(time - now())
        return millis <= 0 ? Effect.void : clock.sleep(Duration.millis(millis))
      })
    const silence = (millis: number | undefined): Effect.Effect<void> =>
      millis === undefined
        ? faults.released
        : Effect.raceFirst(faults.released, clock.sleep(Duration.millis(millis)))
    const broken = (outcome: string, end: () => void): false => {
      finish(outcome)
      end()
      return false
    }

    const fault = visit.faultOf(ref, digest, attempt)
    let turns = 0
    /** False: it broke off. */
    const take = Effect.fnUntraced(function*(turn: Sonic.Turn): Effect.fn.Return<boolean> {
      const turnDigest = Random.seedOf(turn.prompt)
      const draw = polls.arrive(turnDigest.join())
      const random = (purpose: number) => Random.forRequest(config.seed, turnDigest, draw, purpose)
      const steered = config.steering ? Steering.read(turn.prompt) : Steering.none
      const maxTokens = listener.maxTokens ?? inference.maximumOf(ref)
      const drawn = Draw.draw(
        config.output,
        {
          operation: visit.route.operation,
          ref,
          body: {},
          prompt: { tokens: listener.input.speech + listener.input.text, checkpoints: [], last: turn.prompt },
          maxTokens: listener.maxTokens,
          invoke: undefined
        },
        maxTokens,
        steered.output,
        random(Draw.label.output)
      )
      if ("_tag" in drawn) {
        return broken(
          "ModelStreamErrorException",
          () =>
            exchange.end(
              EventStream.exception("modelStreamErrorException", { message: "message" in drawn ? drawn.message : "" })
            )
        )
      }
      const text = drawn.text ?? pseudo.take(random(Draw.label.text), drawn.outputTokens)
      const pieces = Text.split(text, Math.min(Math.max(Math.ceil(drawn.outputTokens / tokensPerPiece), 1), mostPieces))
      const { first, total } = steered.latency === undefined
        ? LatencyModel.draw(config.latencyOf(visit.caller.region), drawn.outputTokens, random(Draw.label.latency))
        : { first: steered.latency / 4, total: steered.latency }
      const slowed = fault?._tag === "Slow" ? fault.factor : 1
      let startedAt = now()
      const begin = speaker.begin(turn)
      const parts: ReadonlyArray<() => ReadonlyArray<Sonic.Said>> = [
        () => begin,
        ...pieces.map((piece) => () => speaker.piece(turn, piece, TokenCounter.count(piece))),
        () => speaker.finish(turn, text)
      ]
      // The pieces are alike, and the end of a turn is four events.
      const frames = begin.length + pieces.length * (turn.bytesPerToken === undefined ? 3 : 6) + 4
      const strike = turns++ === 0 ? strikeOf(fault, frames) : Number.NaN
      let sent = 0
      const struck = (frame: Buffer | undefined): Effect.Effect<boolean> =>
        Effect.gen(function*() {
          switch (fault?._tag) {
            case "Cut":
              return broken("Cut", exchange.cut)
            case "Truncate":
              return broken("Truncate", exchange.end)
            case "StreamError":
              return broken("StreamError", () => exchange.end(EventStream.fault(fault, requestId)))
            case "Silence": {
              const before = now()
              yield* silence(fault.millis)
              startedAt += now() - before
            }
          }
          if (frame !== undefined) {
            exchange.write(fault?._tag === "Corrupt" ? EventStream.damaged(frame, fault.damage) : frame)
          }
          return true
        })
      for (const [i, part] of parts.entries()) {
        const share = Math.min(Math.max(0, i - 1) / Math.max(1, pieces.length - 1), 1)
        yield* sleepUntil(startedAt + first + (total - first) * slowed * share)
        for (const said of part()) {
          const frame = frameOf(said)
          if (sent++ !== strike) exchange.write(frame)
          else if (!(yield* struck(frame))) return false
        }
        raise()
      }
      return sent !== strike || (yield* struck(undefined))
    })

    const say = (events: ReadonlyArray<Sonic.Said>): void => {
      for (const said of events) exchange.write(frameOf(said))
    }

    const talk = Effect.gen(function*() {
      const heard = yield* Queue.unbounded<Sonic.Heard>()
      listen((event) => Queue.offerUnsafe(heard, event))
      if (fault?._tag === "Error") {
        yield* sleepUntil(visit.arrivedAt + (fault.delayMillis ?? 0))
        finish(fault.name, 0)
        return visit.respondError(fault)
      }
      if (fault?._tag === "Reset") return void broken("Reset", exchange.reset)
      if (fault?._tag === "Silence" && fault.at === undefined) yield* silence(fault.millis)
      exchange.open(200, ["x-amzn-requestid", requestId, "content-type", "application/vnd.amazon.eventstream"])
      while (true) {
        const event = yield* Queue.take(heard)
        switch (event._tag) {
          case "Turn":
            if (!(yield* take(event.turn))) return
            break
          case "PromptEnd":
            say(speaker.end(event.promptName))
            break
          case "SessionEnd":
            say(speaker.close(listener.input))
            finish("Answered")
            return exchange.end()
          case "Wrong":
            finish("ValidationException")
            return exchange.end(EventStream.exception("validationException", { message: event.message }))
        }
      }
    })

    recorder.reserved(pool.key, 0)
    recorder.started()
    return run(Effect.onInterrupt(talk, () => Effect.sync(() => finish("Disconnected"))))
  }
}
