// The input of a session on its way to the SDK: a Stream that is read only when the server can have it, and that can be left.
import type * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

interface Hooks {
  /** The stream came to its end by itself. */
  readonly onEnd: () => void
  /** It failed: the connection has to be gone before the SDK takes what follows for its end. */
  readonly onFailure: () => void
}

/**
 * A stream as the async iterable that the SDK reads its events from. It is not begun before {@link open}, so that a session that was
 * never sent has taken nothing from it, and may be tried again.
 *
 * An async generator in between could not be left while it waits for the next event; this can.
 *
 * @internal
 */
export class Feed<A, E> implements AsyncIterable<A> {
  readonly #iterator: AsyncIterator<A>
  readonly #hooks: Hooks
  readonly #gate = Promise.withResolvers<void>()
  #failure: Cause.Cause<E> | undefined
  #closed = false

  constructor(body: Stream.Stream<A, E>, context: Context.Context<never>, hooks: Hooks) {
    this.#hooks = hooks
    const total = Stream.catchCause(body, (cause) => {
      this.#failure = cause
      hooks.onFailure()
      return Stream.empty
    })
    this.#iterator = Stream.toAsyncIterableWith(total, context)[Symbol.asyncIterator]()
  }

  /** Why it failed, if it did. */
  get failure(): Cause.Cause<E> | undefined {
    return this.#failure
  }

  /** The request is on its way. */
  open(): void {
    this.#gate.resolve()
  }

  /** Interrupts the stream, and is done when it has cleaned up. */
  get close(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#closed = true
      this.#gate.resolve()
      return Effect.promise<unknown>(() => this.#iterator.return?.() ?? Promise.resolve())
    })
  }

  [Symbol.asyncIterator](): AsyncIterator<A> {
    return { next: () => this.#next() }
  }

  #next(): Promise<IteratorResult<A>> {
    return this.#gate.promise.then(() => this.#closed ? done : this.#iterator.next()).then((result) => {
      if (result.done === true && this.#failure === undefined && !this.#closed) this.#hooks.onEnd()
      return result
    })
  }
}

const done = { done: true, value: undefined } as const
