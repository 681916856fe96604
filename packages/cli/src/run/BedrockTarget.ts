/**
 * The target of a run as it is used: the layered `Bedrock`.
 *
 * @since 0.1.0
 */
import type { ConverseCommandOutput } from "@aws-sdk/client-bedrock-runtime"
import * as Bedrock from "@caprock/bedrock/Bedrock"
import * as CallAccount from "@caprock/bedrock/CallAccount"
import { CallEvents } from "@caprock/bedrock/CallEvents"
import type { OptionsError } from "@caprock/client/Settings"
import { BedrockError } from "@caprock/errors/BedrockError"
import { ValidationError } from "@caprock/errors/Reason"
import * as LimiterStore from "@caprock/rate-limiter/LimiterStore"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as redisStore from "../internal/redisStore.ts"
import * as streamedAnswer from "../internal/streamedAnswer.ts"
import { usageOf } from "../internal/usage.ts"
import { type Answer, type PoolSnapshot, Target } from "./Target.ts"

/**
 * @category configuration
 * @since 0.1.0
 */
export interface Options extends Bedrock.Options {
  /** What to say besides where a model is unknown to Bedrock. */
  readonly hint?: ((model: string) => string | undefined) | undefined
  /** Whether answers are streamed, so that what arrived of one that was cut is known. */
  readonly stream: boolean
  /** What all runs that share the quotas have in common: a file on this machine, or the URL of a Redis. */
  readonly share?: string | undefined
}

/**
 * The quotas can't be shared.
 *
 * @category errors
 * @since 0.1.0
 */
export class ShareError extends Data.TaggedError("ShareError")<{ readonly message: string }> {}

/**
 * The target on a `Bedrock` of your own.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerNoDeps = (
  options: Pick<Options, "hint" | "routes" | "stream">
): Layer.Layer<Target, never, Bedrock.Bedrock> =>
  Layer.effect(
    Target,
    Effect.map(Bedrock.Bedrock, (bedrock) =>
      Target.of({
        ask: (input, onEvent) =>
          (options.stream ? fold(bedrock.converseStream(input)) : Effect.map(bedrock.converse(input), answerOf)).pipe(
            Effect.mapError((error) => hinted(error, options.hint?.(input.modelId ?? ""))),
            Effect.provideService(CallEvents, onEvent)
          ),
        snapshot: (modelId) =>
          Object.hasOwn(options.routes?.routes ?? {}, modelId) ?
            Effect.succeed({ ...nothing, several: true }) :
            bedrock.snapshot(modelId).pipe(
              Effect.map((snapshot): PoolSnapshot => ({
                waiting: snapshot.waiting,
                // A limiter may count more than a run can say something about.
                meters: snapshot.meters.flatMap(({ unit, ...level }) =>
                  unit === "requests" || unit === "tokens" ? [{ unit, ...level }] : []
                )
              })),
              // A model that has no pool ends each of its calls in an error that says so; the panel shows none.
              Effect.orElseSucceed(() => nothing)
            )
      }))
  )

/**
 * The target that a run asks. Fails where an option makes no sense, or where what the quotas are shared through can't be used.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = ({ hint, share, stream, ...options }: Options): Layer.Layer<Target, OptionsError | ShareError> =>
  layerNoDeps({ hint, stream, routes: options.routes }).pipe(
    Layer.provide(
      share === undefined
        ? Bedrock.layer(options)
        : Layer.provide(Bedrock.layerShared(options), storeOf(share))
    )
  )

const storeOf = (place: string): Layer.Layer<LimiterStore.LimiterStore, ShareError> =>
  /^rediss?:\/\//.test(place)
    ? Layer.catchTag(
      redisStore.layer(place),
      "RedisError",
      // Its own message is empty.
      ({ cause }) => unusable(`Redis can't be reached: ${cause instanceof Error ? cause.message : String(cause)}`)
    )
    : Layer.catchTag(LimiterStore.layerLocal({ path: place }), "LimiterStoreError", ({ message }) => unusable(message))

const unusable = (message: string) => Layer.effectContext(Effect.fail(new ShareError({ message })))

/** Where the model is unknown, with what else was known of its name. */
const hinted = (error: BedrockError, hint: string | undefined): BedrockError => {
  const { reason } = error
  if (hint === undefined || reason._tag !== "ValidationError" || reason.kind !== "unknown-model") return error
  return new BedrockError({
    ...error,
    ...(error.cause === undefined ? {} : { cause: error.cause }),
    reason: new ValidationError({ ...reason, message: `${reason.message} ${hint}` })
  })
}

const nothing: PoolSnapshot = { waiting: 0, meters: [] }

const answerOf = (output: ConverseCommandOutput): Answer => ({
  content: output.output?.message?.content ?? [],
  stopReason: output.stopReason ?? "",
  usage: usageOf(output.usage),
  route: routeOf(output)
})

const routeOf = (answer: object): Answer["route"] => {
  const account = CallAccount.of(answer)
  return account && {
    target: account.target,
    tried: account.trials.flatMap(({ outcome, target }) =>
      typeof outcome === "string" ? [] : [{ target, reason: outcome.failed }]
    )
  }
}

const fold = <E>(events: Stream.Stream<Parameters<streamedAnswer.Folding["add"]>[0], E>): Effect.Effect<Answer, E> =>
  Effect.suspend(() => {
    const answer = streamedAnswer.make()
    let route: Answer["route"]
    return Effect.map(
      Stream.runForEach(events, (event) =>
        Effect.sync(() => {
          answer.add(event)
          route ??= routeOf(event)
        })),
      () => ({ ...answer.answer(), route })
    )
  })
