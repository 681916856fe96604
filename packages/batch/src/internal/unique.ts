// A name that nobody else has: of the holder of a lease, and of a probe. Processes that draw from one seed must not have the same.
import * as Effect from "effect/Effect"

export const unique: Effect.Effect<string> = Effect.sync(() => crypto.randomUUID())
