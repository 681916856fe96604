/**
 * Who goes first when not all can go at once.
 *
 * @since 0.1.0
 */

/**
 * The class of a request: one of three by name, or any number, where more goes first. By number `interactive` is 1, `standard` 0 and
 * `bulk` -1.
 *
 * @category models
 * @since 0.1.0
 */
export type Priority = "interactive" | "standard" | "bulk" | number

const named = { interactive: 1, standard: 0, bulk: -1 } as const

/**
 * The number of a class: `standard` where none is told, and `NaN` for a name that no class has.
 *
 * @category accessors
 * @since 0.1.0
 */
export const toNumber = (priority: Priority | undefined): number =>
  priority === undefined
    ? named.standard
    : typeof priority === "number"
    ? priority
    : Object.hasOwn(named, priority)
    ? named[priority]
    : Number.NaN

/**
 * The name of a class, or its number where it has none.
 *
 * @category accessors
 * @since 0.1.0
 */
export const fromNumber = (priority: number): Priority =>
  priority === named.interactive
    ? "interactive"
    : priority === named.standard
    ? "standard"
    : priority === named.bulk
    ? "bulk"
    : priority
