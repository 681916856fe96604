/**
 * What the router does, as it happens: for metrics, logs and screens.
 *
 * @since 0.1.0
 */

/**
 * One event of a target's health.
 *
 * - `Opened`: it failed, or was slow, too often: it gets no call for so long. `times`: how often in a row.
 * - `Probed`: it gets one call, which decides.
 * - `Closed`: that call was well. The target gets more and more of its calls back.
 *
 * @category models
 * @since 0.1.0
 */
export type HealthEvent =
  | { readonly _tag: "Opened"; readonly target: string; readonly forMillis: number; readonly times: number }
  | { readonly _tag: "Probed"; readonly target: string }
  | { readonly _tag: "Closed"; readonly target: string }
