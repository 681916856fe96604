/**
 * How much a run takes on at once: no more lines are read than can wait for quota or be under way.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"

/**
 * @category models
 * @since 0.1.0
 */
export interface Limits {
  /** Calls that wait for quota. */
  readonly maxWaiting: number
  /** Calls in all: those that wait, and those under way. */
  readonly maxCalls: number
  /** Bytes of the lines of these calls, beyond the first one. */
  readonly maxBytes: number
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Gate {
  readonly isOpen: () => boolean
  /** A call begins, waiting. */
  readonly enter: (bytes: number) => void
  /** A call goes from waiting to being under way, or back. */
  readonly admitted: () => void
  readonly returned: () => void
  /** A call ends that was waiting, or was under way. */
  readonly leave: (bytes: number, waiting: boolean) => void
  readonly calls: () => number
  /** Waits until another call may begin. */
  readonly open: Effect.Effect<void>
  /** Waits until no call is left. */
  readonly idle: Effect.Effect<void>
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = (limits: Limits): Gate => {
  let waiting = 0
  let calls = 0
  let bytes = 0
  const parked = new Set<{ readonly ready: () => boolean; readonly resume: (effect: Effect.Effect<void>) => void }>()

  const isOpen = () =>
    waiting < limits.maxWaiting && calls < limits.maxCalls && (calls === 0 || bytes < limits.maxBytes)
  const changed = () => {
    for (const one of parked) {
      if (!one.ready()) continue
      parked.delete(one)
      one.resume(Effect.void)
    }
  }
  const until = (ready: () => boolean): Effect.Effect<void> =>
    Effect.callback<void>((resume) => {
      if (ready()) return resume(Effect.void)
      const one = { ready, resume }
      parked.add(one)
      return Effect.sync(() => parked.delete(one))
    })

  return {
    isOpen,
    enter: (size) => {
      waiting += 1
      calls += 1
      bytes += size
    },
    admitted: () => {
      waiting -= 1
      changed()
    },
    returned: () => {
      waiting += 1
    },
    leave: (size, wasWaiting) => {
      if (wasWaiting) waiting -= 1
      calls -= 1
      bytes -= size
      changed()
    },
    calls: () => calls,
    open: until(isOpen),
    idle: until(() => calls === 0)
  }
}
