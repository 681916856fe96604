// The limiter for clients of the SDK: its books, and the client without Effect around them.
import * as RetryBudget from "@caprock/backoff/RetryBudget"
import * as Settings from "@caprock/client/Settings"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Bedrock from "../../Bedrock.ts"
import type * as Sdk from "../../sdk.ts"
import type * as calls from "../calls.ts"
import * as desks from "../desk.ts"
import { unary } from "../facade/answers.ts"
import { Host } from "../facade/calls.ts"
import { snapshotOf, thrown, withModels } from "../facade/make.ts"
import * as settings from "../options.ts"
import * as middleware from "./middleware.ts"

/** The books of a limiter, which know no Region: each client has its own. */
class Books extends Context.Service<Books, calls.Desk>()("@caprock/bedrock/internal/sdk/make/Books") {}

const layer = ({ retryBudget, ...options }: Bedrock.ServiceOptions): Layer.Layer<Books> =>
  Layer.effect(Books, desks.make(undefined, options)).pipe(
    Layer.provide([
      Bedrock.layerLimiter(Settings.pick(settings.QuotaOptions, options)),
      RetryBudget.layer(retryBudget)
    ]),
    // They have been checked.
    Layer.orDie
  )

/** @internal */
export const make = ({ onEvent, onWarning, ...options }: Sdk.Options): Sdk.Limiter => {
  const exit = Effect.runSyncExit(settings.loadLimiter(withModels(options)))
  if (Exit.isFailure(exit)) throw thrown(exit.cause)
  const host = new Host(Books, layer(exit.value), { onEvent, onWarning })
  const turns: middleware.Turns = new WeakMap()
  const close = () => host.close()
  return {
    attach: (client, turn = {}) => {
      client.middlewareStack.use(middleware.limiter(host, client, turns, turn))
      return client
    },
    turn: (options) => middleware.turn(turns, options),
    snapshot: (client, modelId) =>
      client.config.region().then((region) =>
        unary(
          host,
          "Snapshot",
          (books, modelId: string) => Effect.map(desks.snapshot({ ...books, region }, modelId), snapshotOf)
        )(modelId)
      ),
    close,
    [Symbol.asyncDispose]: close
  }
}
