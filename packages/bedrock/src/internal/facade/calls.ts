// Calls without Effect: each is a fiber on one layer, which is built for the first of them, and ends as a Promise does.
import { isBedrockError } from "@caprock/errors/BedrockError"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as CallEvents from "../../CallEvents.ts"
import { CallLimits } from "../../CallLimits.ts"
import { CallTurn } from "../../CallTurn.ts"
import type { CallOptions, Options } from "../../promise.ts"
import * as rejections from "./rejections.ts"

/** Who is told of calls, and of what else there is to say. */
export type Listeners = Pick<Options, "onEvent" | "onWarning">

const standardError = Logger.withConsoleError(Logger.formatLogFmt)

const warning = (onWarning: NonNullable<Listeners["onWarning"]>) =>
  Logger.make<unknown, void>((options) => {
    const { annotations } = Logger.formatStructured.log(options)
    const [message, cause] = Arr.ensure(options.message)
    try {
      onWarning(String(message), cause === undefined ? annotations : { ...annotations, cause })
    } catch {
      standardError.log(options)
    }
  })

/** What an iterable of the caller's threw. */
export class Thrown {
  readonly reason: unknown

  constructor(reason: unknown) {
    this.reason = reason
  }
}

/** What all calls of a client share, over the service that serves them. */
export class Host<Id, Service> {
  readonly #service: Context.Key<Id, Service>
  readonly #runtime: ManagedRuntime.ManagedRuntime<Id, never>
  readonly #onEvent: Listeners["onEvent"]
  /** Of all calls. Standard output is the program's: nothing of ours goes there. */
  readonly context: Context.Context<never>
  /** What ends the calls that have given nothing yet. */
  readonly running = new Set<() => void>()
  #closing: Promise<void> | undefined
  #threw = false

  constructor(service: Context.Key<Id, Service>, layer: Layer.Layer<Id>, { onEvent, onWarning }: Listeners) {
    this.#service = service
    this.#runtime = ManagedRuntime.make(layer)
    this.#onEvent = onEvent
    const logger = onWarning === undefined ? standardError : warning(onWarning)
    this.context = Context.make(Logger.CurrentLoggers, new Set([logger]))
  }

  get closed(): boolean {
    return this.#closing !== undefined
  }

  /** The service, which the first call builds. */
  use<A, E>(ask: (service: Service) => Effect.Effect<A, E>): Effect.Effect<A, E> {
    const context = this.#runtime.cachedContext
    return context === undefined
      ? Effect.flatMap(this.#runtime.contextEffect, (context) => ask(Context.get(context, this.#service)))
      : ask(Context.get(context, this.#service))
  }

  /** Tells the listener, with the error as the classes have it. What it throws is thrown on the first time only, to be logged. */
  tell(event: CallEvents.CallEvent): void {
    try {
      this.#onEvent?.(event._tag === "AttemptFailed" ? { ...event, error: rejections.fromEffect(event.error) } : event)
    } catch (cause) {
      if (this.#threw) return
      this.#threw = true
      throw cause
    }
  }

  /** Ends the calls that are running, closes every connection, and is done when the last one is closed. */
  close(): Promise<void> {
    if (this.#closing === undefined) {
      const { promise, reject, resolve } = Promise.withResolvers<void>()
      // First, so that whoever is ended learns why.
      this.#closing = promise
      for (const end of this.running) end()
      this.#runtime.dispose().then(resolve, reject)
    }
    return this.#closing
  }
}

/** What one call asks of the host. */
export type Counter = Pick<Host<unknown, unknown>, "closed" | "context" | "running" | "tell">

/** One call, whose parts are run one after the other. */
export class Call {
  readonly #host: Counter
  readonly #operation: string
  readonly #modelId: string | undefined
  readonly #context: Context.Context<never>
  readonly #signal: AbortSignal | undefined
  #fiber: Fiber.Fiber<unknown, unknown> | undefined
  #onEnd: (() => void) | undefined
  #onClose: (() => void) | undefined
  /** Requests that were sent; known when it has ended. */
  #sent = 0

  constructor(
    host: Counter,
    operation: string,
    modelId: string | undefined,
    { deadline, maxWait, priority, signal, tenant }: CallOptions
  ) {
    this.#host = host
    this.#operation = operation
    this.#modelId = modelId
    this.#signal = signal
    const context = Context.add(host.context, CallEvents.CallEvents, (event) => {
      if (event._tag === "CallEnded") this.#sent = event.attempts
      host.tell(event)
    })
    const limited = deadline === undefined && maxWait === undefined
      ? context
      : Context.add(context, CallLimits, { deadline, maxWait })
    this.#context = priority === undefined && tenant === undefined
      ? limited
      : Context.add(limited, CallTurn, { priority, tenant })
  }

  /** Why it must not begin, if so. */
  refusal(): { readonly reason: unknown } | undefined {
    return this.#signal?.aborted === true || this.#host.closed ? { reason: this.interruption() } : undefined
  }

  /** From here on its signal calls `onEnd`, and the close of the client `onClose`. */
  begin(onEnd: () => void, onClose = onEnd): void {
    this.#onEnd = onEnd
    this.#onClose = onClose
    this.#host.running.add(onClose)
    this.#signal?.addEventListener("abort", onEnd)
  }

  /** It has given something: closing the client ends it by its connection, so that it can say what had arrived. */
  answered(): void {
    if (this.#onClose !== undefined) this.#host.running.delete(this.#onClose)
  }

  end(): void {
    if (this.#onEnd === undefined) return
    this.answered()
    this.#signal?.removeEventListener("abort", this.#onEnd)
    this.#onEnd = undefined
  }

  /** Runs a part of it. Never rejects. */
  run<A, E>(effect: Effect.Effect<A, E>): Promise<Exit.Exit<A, E>> {
    const { promise, resolve } = Promise.withResolvers<Exit.Exit<A, E>>()
    const fiber = Effect.runForkWith(this.#context)(effect)
    this.#fiber = fiber
    fiber.addObserver((exit) => {
      this.#fiber = undefined
      resolve(exit)
    })
    return promise
  }

  /** Ends the part that runs, if one does. */
  interrupt(): void {
    this.#fiber?.interruptUnsafe()
  }

  /** What a failure rejects with. */
  rejection(cause: Cause.Cause<unknown>): unknown {
    if (Cause.hasInterruptsOnly(cause)) return this.interruption()
    const error = Cause.squash(cause)
    if (error instanceof Thrown) return error.reason
    return isBedrockError(error) ? rejections.fromEffect(error) : error
  }

  /** What an end from outside rejects with: only its signal and the close of the client can be that. */
  interruption(): unknown {
    return this.#signal?.aborted === true ? this.#signal.reason : rejections.shuttingDown({
      operation: this.#operation,
      modelId: this.#modelId,
      attempts: this.#sent
    })
  }
}
