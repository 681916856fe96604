// The order of admission, from options to numbers.
import * as Duration from "effect/Duration"
import type * as Options from "../Order.ts"
import { defaults } from "../Order.ts"
import * as Priority from "../Priority.ts"
import { InvalidOption } from "../RateLimiterError.ts"
import type { Order } from "./waitingRoom.ts"

/**
 * The order in numbers, or what is wrong with it.
 *
 * @internal
 */
export const resolve = (options: Options.Options = {}, room: Options.RoomOptions = {}): Order | InvalidOption => {
  const ageingMillis = Duration.toMillis(Duration.fromInputUnsafe(options.ageing ?? defaults.ageing))
  if (!(ageingMillis > 0)) {
    return new InvalidOption({ option: "order.ageing", problem: `is ${ageingMillis} ms: it must be more than 0` })
  }
  const guarantees = options.guarantees ?? []
  for (const { priority, share } of guarantees) {
    if (Number.isNaN(Priority.toNumber(priority))) {
      return new InvalidOption({
        option: "order.guarantees",
        problem: "have a priority that is neither a number nor one of interactive, standard, bulk"
      })
    }
    if (!(share > 0 && share <= 1)) {
      return new InvalidOption({
        option: "order.guarantees",
        problem: `have a share of ${share}: it must be more than 0 and at most 1`
      })
    }
  }
  const sum = guarantees.reduce((sum, { share }) => sum + share, 0)
  // Thirds do not add up to the last digit.
  if (sum > 1 + 1e-9) {
    return new InvalidOption({ option: "order.guarantees", problem: `add up to ${sum}: at most 1 can be kept` })
  }
  for (const unit of ["requests", "tokens"] as const) {
    const bound = room[unit] ?? 0
    if (!(bound >= 0)) {
      return new InvalidOption({ option: `room.${unit}`, problem: `is ${bound}: it must be 0 or more` })
    }
  }
  const { weight } = options
  return {
    ageingMillis,
    // A weight that is none is as any other's: one tenant's mistake must not stop a pool.
    weightOf: (tenant) => {
      const own = weight?.(tenant) ?? 1
      return own > 0 && own < Infinity ? own : 1
    },
    guarantees: guarantees.map(({ priority, share, tenant }) => ({
      priority: priority === undefined ? undefined : Priority.toNumber(priority),
      tenant,
      share
    })),
    mostRequests: room.requests ?? Infinity,
    mostTokens: room.tokens ?? Infinity
  }
}
