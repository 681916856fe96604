// A call through a client of the SDK, which ends as the SDK's own do.
import { isBedrockError } from "@caprock/errors/BedrockError"
import * as Cause from "effect/Cause"
import type { CallOptions } from "../../promise.ts"
import { Call, type Counter } from "../facade/calls.ts"
import type { Exchange, Named } from "./exchange.ts"

/** A call whose request is the SDK's: closing the limiter ends it only where there is none. */
export class SdkCall<Output extends object> extends Call {
  readonly #exchange: Exchange<Output>
  readonly #signal: AbortSignal | undefined

  constructor(host: Counter, { modelId, operation }: Named, options: CallOptions, exchange: Exchange<Output>) {
    super(host, operation, modelId, options)
    this.#signal = options.signal
    this.#exchange = exchange
  }

  override begin(onEnd: () => void): void {
    super.begin(onEnd, () => {
      if (!this.#exchange.underWay) onEnd()
    })
  }

  /** What the SDK threw, as it was; what the limiter says, in the classes of `promise`. */
  override rejection(cause: Cause.Cause<unknown>): unknown {
    const error = Cause.squash(cause)
    const thrown = isBedrockError(error) ? this.#exchange.thrown(error.reason) : undefined
    return thrown === undefined ? super.rejection(cause) : thrown.cause
  }

  override interruption(): unknown {
    return this.#signal?.aborted === true ? abortError(this.#signal.reason) : super.interruption()
  }
}

/** As the SDK's handlers make it (@smithy/node-http-handler 4.14.2, read 2026-11). */
const abortError = (reason: unknown): Error =>
  Object.assign(
    reason instanceof Error ? new Error("Request aborted", { cause: reason }) : new Error(String(reason)),
    { name: "AbortError" }
  )
