// The books that runs share in a Redis.
import * as LimiterStore from "@caprock/rate-limiter/LimiterStore"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

/** As TCP sees it, a machine that died is one that is slow for a quarter of an hour. */
const silence = Duration.seconds(5)

const most = 1_000

/**
 * A connection to it. Whoever starts while Redis can't be reached is told so at once; whoever has reached it once is connected again when it is back, also
 * where it said no word for so long though it was asked.
 */
export const connection = (url: string, longest: Duration.Input = silence) =>
  Layer.unwrap(Effect.map(
    // Loaded where it is asked for: few runs need it.
    Effect.promise(() => import("@effect/platform-node/NodeRedis")),
    (NodeRedis) => {
      let reached = false
      const socketTimeout = Duration.toMillis(Duration.fromInputUnsafe(longest))
      return NodeRedis.layer({
        url,
        disableOfflineQueue: true,
        // Something has to be asked, else an idle connection would be a silent one.
        pingInterval: socketTimeout / 5,
        socket: {
          socketTimeout,
          reconnectStrategy: (retries, cause) => reached ? Math.min(100 * 2 ** retries, most) : cause
        }
      }).pipe(Layer.tap(() =>
        Effect.sync(() => {
          reached = true
        })
      ))
    }
  ))

export const layer = (url: string) => Layer.provide(LimiterStore.layerRedis(), connection(url))
