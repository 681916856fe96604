// What a call without Effect gives: one answer as a Promise, or events as an iterable.
import type { BedrockError } from "@caprock/errors/BedrockError"
import type * as Arr from "effect/Array"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Predicate from "effect/Predicate"
import * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { CallOptions } from "../../promise.ts"
import { Call, type Host, type Thrown } from "./calls.ts"

/** An operation with one answer. */
export const unary = <Id, Service, Input, Output>(
  host: Host<Id, Service>,
  operation: string,
  ask: (service: Service, input: Input) => Effect.Effect<Output, BedrockError>
) =>
(input: Input, options: CallOptions = {}): Promise<Output> =>
  answer(new Call(host, operation, modelIdOf(input), options), host.use((service) => ask(service, input)))

/** The one answer of a call. */
export const answer = <Output>(call: Call, asked: Effect.Effect<Output, BedrockError>): Promise<Output> => {
  const refusal = call.refusal()
  if (refusal !== undefined) return Promise.reject(refusal.reason)
  call.begin(() => call.interrupt())
  return call.run(asked).then((exit) => {
    call.end()
    if (Exit.isSuccess(exit)) return exit.value
    // Made where it is thrown, so that its stack leads to who waits for it.
    throw call.rejection(exit.cause)
  })
}

/** An operation whose answer comes in events. Nothing is sent before the first of them is asked for. */
export const streamed = <Id, Service, Input, Event>(
  host: Host<Id, Service>,
  operation: string,
  ask: (service: Service, input: Input) => Stream.Stream<Event, BedrockError | Thrown>
) =>
(input: Input, options: CallOptions = {}): AsyncIterable<Event> => {
  let read = false
  return {
    [Symbol.asyncIterator]: () => {
      if (read) {
        throw new TypeError(
          `This answer of ${operation} has been read already, and can't be read twice. Call the operation again for another one.`
        )
      }
      read = true
      const asked = host.use((service) => Effect.sync(() => ask(service, input)))
      return new Events(new Call(host, operation, modelIdOf(input), options), asked)
    }
  }
}

/** @internal */
export const modelIdOf = (input: unknown): string | undefined =>
  Predicate.hasProperty(input, "modelId") && typeof input.modelId === "string" ? input.modelId : undefined

type Batch<Event> = Arr.NonEmptyReadonlyArray<Event>

interface Failed {
  readonly reason: unknown
}

const ended = { done: true, value: undefined } as const

/** The events of one call: each is asked for when the one who reads wants it. */
export class Events<Event> implements AsyncIterableIterator<Event, undefined, undefined> {
  readonly #call: Call
  readonly #scope = Scope.makeUnsafe()
  #pull: Pull.Pull<Batch<Event>, BedrockError | Thrown>
  #held: ReadonlyArray<Event> = []
  #at = 0
  #begun = false
  /** Whether it was ended from outside. */
  #cut = false
  /** How it is over, if it is. A failure is told once. */
  #over: { readonly failure?: Failed | undefined } | undefined
  /** The pull that runs, and those who asked meanwhile. */
  #pulling: Promise<unknown> | undefined
  readonly #queue: Array<() => void> = []

  constructor(call: Call, asked: Effect.Effect<Stream.Stream<Event, BedrockError | Thrown>>) {
    this.#call = call
    const opened = Effect.flatMap(asked, (stream) => Scope.provide(Stream.toPull(stream), this.#scope))
    this.#pull = this.#closing(Effect.flatMap(opened, (pull) => {
      this.#pull = this.#closing(pull)
      return pull
    }))
  }

  next(): Promise<IteratorResult<Event, undefined>> {
    if (this.#pulling === undefined) return this.#next()
    const { promise, resolve } = Promise.withResolvers<IteratorResult<Event, undefined>>()
    this.#queue.push(() => resolve(this.#next()))
    return promise
  }

  /** As every iterator of the language: who has taken the first event can read the rest in a loop. */
  [Symbol.asyncIterator](): this {
    return this
  }

  return(): Promise<IteratorResult<Event, undefined>> {
    if (this.#over === undefined) this.#finish(undefined)
    return this.#stop(Exit.void).then(() => ended)
  }

  #next(): Promise<IteratorResult<Event, undefined>> {
    const event = this.#held[this.#at++]
    if (event !== undefined) return Promise.resolve({ done: false, value: event })
    if (!this.#begun) this.#begin()
    if (this.#over !== undefined) return this.#told()
    const pulling = this.#call.run(this.#pull)
    this.#pulling = pulling
    // What is made here has the stack of the reader, as long as nobody else waits for this very promise.
    return pulling.then((exit): IteratorResult<Event, undefined> | Promise<IteratorResult<Event, undefined>> => {
      this.#pulling = undefined
      const result = this.#taken(exit)
      while (this.#pulling === undefined && this.#queue.length > 0) this.#queue.shift()?.()
      return result
    })
  }

  #taken(
    exit: Exit.Exit<Batch<Event>, Cause.Done | BedrockError | Thrown>
  ): IteratorResult<Event, undefined> | Promise<IteratorResult<Event, undefined>> {
    if (this.#over !== undefined) return this.#told()
    if (Exit.isFailure(exit)) {
      this.#finish(Pull.isDoneCause(exit.cause) ? undefined : { reason: this.#call.rejection(exit.cause) })
      return this.#told()
    }
    if (this.#cut) {
      this.#leave()
      return this.#told()
    }
    this.#call.answered()
    this.#held = exit.value
    this.#at = 1
    return { done: false, value: exit.value[0] }
  }

  #begin(): void {
    this.#begun = true
    const refusal = this.#call.refusal()
    if (refusal !== undefined) return this.#finish(refusal)
    this.#call.begin(() => {
      this.#cut = true
      // Who reads is told when the pull has ended; and where nobody does just now, who does next.
      if (this.#pulling === undefined) this.#leave()
      else this.#call.interrupt()
    })
  }

  #leave(): void {
    this.#finish({ reason: this.#call.interruption() })
    void this.#stop(Exit.interrupt())
  }

  #finish(failure: Failed | undefined): void {
    this.#over = { failure }
    this.#held = []
    this.#call.end()
  }

  #told(): Promise<IteratorReturnResult<undefined>> {
    const failure = this.#over?.failure
    this.#over = {}
    return failure === undefined ? Promise.resolve(ended) : Promise.reject(failure.reason)
  }

  /** Ends the request, whoever waits for it. */
  #stop(exit: Exit.Exit<unknown, unknown>): Promise<unknown> {
    const close = () => this.#call.run(Scope.close(this.#scope, exit))
    if (this.#pulling === undefined) return close()
    this.#call.interrupt()
    // It may have ended well in the meantime, and then nothing was closed.
    return this.#pulling.then(close)
  }

  /** Whatever ends a pull ends the request. */
  #closing(pull: Pull.Pull<Batch<Event>, BedrockError | Thrown>): Pull.Pull<Batch<Event>, BedrockError | Thrown> {
    return Effect.onExit(pull, (exit) =>
      Exit.isSuccess(exit)
        ? Effect.void
        : Scope.close(this.#scope, Pull.isDoneCause(exit.cause) ? Exit.void : exit))
  }
}
