/**
 * How fast a quota lets requests go: pure arithmetic behind the time left and the advice.
 *
 * @since 0.1.0
 */

/**
 * One meter of a pool.
 *
 * @category models
 * @since 0.1.0
 */
export interface Meter {
  readonly unit: "requests" | "tokens"
  readonly limit: number
  readonly windowMillis: number
}

/**
 * What a mean request takes from the pool.
 *
 * @category models
 * @since 0.1.0
 */
export interface Call {
  /** Tokens held while it is under way. */
  readonly booked: number
  /** Tokens that stay charged when it is answered. */
  readonly charged: number
  /** From sending to the end of the answer. */
  readonly serviceMillis: number
}

/**
 * The tokens of a window that a request takes up, as a mean over the window: what is booked counts while it is under
 * way, and what is charged for the rest of the window.
 *
 * A pool of L tokens per window W can answer at most W·L / (W·this) requests per window: each holds `booked` for s and
 * `charged` for W − s, of the W·L token-milliseconds that the window has.
 *
 * @category arithmetic
 * @since 0.1.0
 */
export const tokensPerCall = (call: Call, windowMillis: number): number => {
  const held = Math.max(0, call.booked - call.charged)
  return call.charged + held * Math.min(1, call.serviceMillis / windowMillis)
}

/**
 * The shortest mean time between two requests that a meter allows.
 *
 * @category arithmetic
 * @since 0.1.0
 */
export const millisPerCall = (meter: Meter, call: Call): number =>
  meter.limit <= 0
    ? Number.POSITIVE_INFINITY
    : (meter.unit === "requests" ? 1 : tokensPerCall(call, meter.windowMillis)) * meter.windowMillis / meter.limit

/**
 * The meter that sets the pace, with that pace; `undefined` for a pool without meters.
 *
 * @category arithmetic
 * @since 0.1.0
 */
export const bottleneck = (
  meters: ReadonlyArray<Meter>,
  call: Call
): { readonly meter: Meter; readonly millisPerCall: number } | undefined => {
  let slowest: { readonly meter: Meter; readonly millisPerCall: number } | undefined
  for (const meter of meters) {
    const pace = millisPerCall(meter, call)
    if (slowest === undefined || pace > slowest.millisPerCall) slowest = { meter, millisPerCall: pace }
  }
  return slowest
}
