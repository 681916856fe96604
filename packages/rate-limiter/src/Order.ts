/**
 * In which order those who wait are admitted, and how many may wait.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import type { Priority } from "./Priority.ts"

/**
 * A share of each pool that is kept for a class, a tenant, or a tenant's requests of one class, as long as they have use for it. Others
 * borrow what is idle, and it comes back as what they were charged leaves the window.
 *
 * @category models
 * @since 0.1.0
 */
export interface Guarantee {
  readonly priority?: Priority | undefined
  readonly tenant?: string | undefined
  /** From 0 to 1; all together at most 1. */
  readonly share: number
}

/**
 * What is used where an option is not set.
 *
 * @category configuration
 * @since 0.1.0
 */
export const defaults = {
  /** A user who waits for half a minute has left; a job that gets a turn each half minute goes on. */
  ageing: Duration.seconds(30)
} as const

/**
 * The order of admission. Without any of it, and without priorities and tenants in the costs: first come, first served.
 *
 * - `ageing`: the next of a class goes before one of a class that is higher by 1 when it has been kept waiting for so long since its
 *   class was last served. So a class that is lower by n gets a turn each n times this, at least, whatever comes in above. Infinite:
 *   never. Default 30 seconds.
 * - `weight`: of a tenant, more than 0. Within a class, tenants get what is there in proportion to it. Default 1 for all.
 * - `guarantees`: shares that are kept. None unless set.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface Options {
  readonly ageing?: Duration.Input | undefined
  readonly weight?: ((tenant: string) => number) | undefined
  readonly guarantees?: ReadonlyArray<Guarantee> | undefined
}

/**
 * How many may wait in one pool, and for how many tokens all together. Whoever finds no room is told so at once, unless somebody of a
 * lower class waits: then the newest of the lowest class goes. No bounds unless set.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface RoomOptions {
  readonly requests?: number | undefined
  readonly tokens?: number | undefined
}
