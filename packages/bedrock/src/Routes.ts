/**
 * Routes: several models and Regions under one name, which stands wherever a model's id does.
 *
 * @since 0.1.0
 */
import type * as BedrockClient from "@caprock/client/BedrockClient"
import type { OptionsError } from "@caprock/client/Settings"
import type { BedrockError } from "@caprock/errors/BedrockError"
import * as Catalogue from "@caprock/quota/Catalogue"
import type { Exhausted } from "@caprock/router/LastResort"
import type { RouteFile } from "@caprock/router/Route"
import type { Functions, RouteTable } from "@caprock/router/RouteTable"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { Service } from "./Bedrock.ts"
import * as targets from "./internal/targets.ts"

type Operation<Name extends "converse" | "invokeModel" | "invokeModelWithResponseStream"> = BedrockClient.Service[Name]

type Failure = Exhausted<BedrockError>["error"]

/**
 * What is done when no target of a route can answer a conversation: an answer that is ready, a smaller model, "try again in so many seconds". The streams
 * of a conversation have it as their events. What it asks of `bedrock`, which is the layer's own service, stays inside the route's fence. To have nothing
 * better, fail with the reason's own error.
 *
 * @category models
 * @since 0.1.0
 */
export type LastResort = (
  reason: Exhausted<BedrockError>,
  input: Parameters<Operation<"converse">>[0],
  bedrock: Service
) => Effect.Effect<Effect.Success<ReturnType<Operation<"converse">>>, Failure>

/**
 * An answer in the model's own format. What `invokeModel` of the service gives is one.
 *
 * @category models
 * @since 0.1.0
 */
export interface Body {
  readonly body: Uint8Array | string
  readonly contentType?: string | undefined
}

/**
 * What is done when no target of a route can answer, by operation. The bodies of `invokeModel` and its stream are the model's own, so that nothing but what
 * is written for them can take their place: an operation that has none fails.
 *
 * @category models
 * @since 0.1.0
 */
export interface LastResorts {
  /** Of `converse` and `converseStream`. */
  readonly converse?: LastResort | undefined
  readonly invokeModel?:
    | ((
      reason: Exhausted<BedrockError>,
      input: Parameters<Operation<"invokeModel">>[0],
      bedrock: Service
    ) => Effect.Effect<Body, Failure>)
    | undefined
  readonly invokeModelWithResponseStream?:
    | ((
      reason: Exhausted<BedrockError>,
      input: Parameters<Operation<"invokeModelWithResponseStream">>[0],
      bedrock: Service
    ) => Stream.Stream<Stream.Success<ReturnType<Operation<"invokeModelWithResponseStream">>>, Failure>)
    | undefined
}

/**
 * Whether an answer of a conversation is good enough. One that is not goes on to the next level of a route's `difficulty`; where there is none, it comes back,
 * and its account says `rejected`.
 *
 * @category models
 * @since 0.1.0
 */
export type Check = (
  answer: Effect.Success<ReturnType<Operation<"converse">>>,
  input: Parameters<Operation<"converse">>[0]
) => Effect.Effect<boolean, BedrockError>

/**
 * Where calls may go.
 *
 * - `routes`: targets and routes, as `Route.fromJson` of `@caprock/router` reads them from a file. A route's name stands for a model's id in
 *   `converse`, `converseStream`, `invokeModel` and `invokeModelWithResponseStream`. What Bedrock itself says of a target goes before the file: a
 *   model by its own id is processed in its Region, a global profile anywhere.
 * - `functions`: what the routes name with `by`.
 * - `checks`: of the answers of `converse`, by the routes' names. A stream is not checked: its beginning has been read when its end is there.
 * - `lastResorts`: by the routes' names; a function is that of conversations.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface RouteOptions {
  readonly routes?: RouteFile | undefined
  readonly functions?: Functions | undefined
  readonly checks?: Readonly<Record<string, Check>> | undefined
  readonly lastResorts?: Readonly<Record<string, LastResort | LastResorts>> | undefined
}

/**
 * How a client for another Region is made, where routes have targets in several. `Bedrock.layer` makes them with its own options; on a client of your own
 * (`Bedrock.layerNoDeps`), provide this, or all targets have to be in the Region of that client.
 *
 * @category services
 * @since 0.1.0
 */
export const RegionClients = Context.Reference<
  ((region: string) => Effect.Effect<BedrockClient.Service, OptionsError, Scope.Scope>) | undefined
>("@caprock/bedrock/Routes/RegionClients", { defaultValue: () => undefined })

/**
 * The table that a layer makes of routes, for programs that only want to know what it would be. Fails with all that is wrong, as the layer does.
 *
 * - `region`: where requests go whose target names no Region.
 * - `resolve`: the models behind profiles of one's own, as the layer has it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const table = (
  routes: RouteFile,
  { catalogue = Catalogue.builtIn, region, resolve }: {
    readonly region?: string | undefined
    readonly resolve?: ReadonlyMap<string, string> | undefined
    readonly catalogue?: Catalogue.Catalogue | undefined
  } = {},
  functions?: Functions
): Result.Result<RouteTable, OptionsError> => targets.table(routes, { catalogue, region, resolve }, functions)
