/**
 * A local Bedrock runtime that enforces quotas.
 *
 * It speaks the wire protocol of `bedrock-runtime` (HTTP/1.1 and HTTP/2 with prior knowledge on one port), so that
 * the AWS SDK works against it unmodified; meters requests and tokens by Bedrock's accounting; and injects faults.
 * Everything is decided by the seed and by what is asked.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type * as Batch from "./Batch.ts"
import { EmulatorError } from "./EmulatorError.ts"
import * as Fault from "./Fault.ts"
import * as Config from "./internal/config.ts"
import * as FaultControl from "./internal/faultControl.ts"
import * as Recorder from "./internal/recorder.ts"
import * as Runtime from "./internal/runtime.ts"
import * as Server from "./internal/server.ts"
import type { Store } from "./internal/store.ts"
import * as Options from "./Options.ts"
import type * as Stats from "./Stats.ts"

// -----------------------------------------------------------------------------
// Models
// -----------------------------------------------------------------------------

/**
 * Which requests a scripted fault befalls: the next `times` (1 unless set) of an operation and model, or of any. The records of batch jobs
 * only where the operation is `BatchRecord`.
 *
 * @category models
 * @since 0.1.0
 */
export interface InjectOptions {
  readonly times?: number | undefined
  readonly operation?: Fault.Target | undefined
  readonly model?: string | undefined
}

/**
 * A scripted fault.
 *
 * @category models
 * @since 0.1.0
 */
export interface Injection {
  /** How often it can still strike. */
  readonly remaining: Effect.Effect<number>
  /** Withdraws what has not struck yet. */
  readonly withdraw: Effect.Effect<void>
}

// -----------------------------------------------------------------------------
// Service
// -----------------------------------------------------------------------------

/**
 * A running emulator.
 *
 * @category models
 * @since 0.1.0
 */
export interface Service {
  /** Where it listens: give it to a client as its endpoint. */
  readonly url: string
  readonly port: number
  /** A snapshot. Costs O(pools + batch jobs). */
  readonly stats: Effect.Effect<Stats.Stats>
  /** The requests that the log has kept, oldest first. Empty unless the option `log` is set. */
  readonly log: Effect.Effect<ReadonlyArray<Stats.RequestRecord>>
  /** Lets a fault befall the next requests. */
  readonly inject: (fault: Fault.Fault, options?: InjectOptions) => Effect.Effect<Injection>
  /** Ends every silence. */
  readonly release: Effect.Effect<void>
  /** From now on and for a time every request fails. */
  readonly outage: (options: {
    readonly duration: Duration.Input
    readonly fault?: Fault.Fault | undefined
    readonly model?: string | undefined
    readonly region?: string | undefined
  }) => Effect.Effect<void>
  /** From now on and for a time every quota is multiplied by a factor. Returns at once. */
  readonly dip: (options: {
    readonly duration: Duration.Input
    readonly factor: number
    readonly model?: string | undefined
  }) => Effect.Effect<void>
}

/**
 * The emulator as a service.
 *
 * @category services
 * @since 0.1.0
 */
export class Emulator extends Context.Service<Emulator, Service>()("@caprock/emulator/Emulator") {}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Starts an emulator. It stops with the scope: then no socket, timer or fiber of it is left.
 *
 * Fails with an `EmulatorError` that names the option that is wrong or the package that it needs, or says that the port cannot be opened. An answer
 * costs the process about 0.2 ms of CPU over HTTP/1.1, and 0.7 ms over a new HTTP/2 connection.
 *
 * **Example** (Starting one, and asking what it saw)
 *
 * ```ts
 * import { Emulator } from "@caprock/emulator"
 * import { Effect } from "effect"
 *
 * export const program = Effect.gen(function*() {
 *   const emulator = yield* Emulator.make({ quota: { requests: 10, tokens: 5000 }, burndown: 5 })
 *   // AWS_ENDPOINT_URL_BEDROCK_RUNTIME=emulator.url, or the client's option `endpoint`
 *   const { answered, throttled } = yield* emulator.stats
 *   return { url: emulator.url, answered, throttled: throttled.total }
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options.Options = {}): Effect.Effect<Service, EmulatorError, Scope.Scope> =>
  Effect.gen(function*() {
    const checked = yield* Options.check(options)
    const clock = yield* Clock.Clock
    const scope = yield* Effect.scope
    const recorder = Recorder.make(checked.log ?? Options.defaults.log)
    const faults = FaultControl.make(checked.faults ?? [])
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    const fibers = new Set<Fiber.Fiber<void>>()
    let stopping = false
    const store = checked.batch === undefined ? undefined : yield* storeAt(checked.batch.s3)
    const runtime = Runtime.make({
      config: Config.of(checked),
      clock,
      recorder,
      faults,
      store,
      run: (effect) => {
        const fiber = fork(effect)
        fibers.add(fiber)
        fiber.addObserver(() => fibers.delete(fiber))
        return () => fiber.interruptUnsafe()
      }
    })
    const host = checked.host ?? Options.defaults.host
    const server = yield* Server.listen({
      host,
      port: checked.port ?? Options.defaults.port,
      maxBody: Runtime.maxBody,
      handlers: {
        onConnection: recorder.connection,
        onExchange: (exchange) => stopping ? () => {} : runtime.onExchange(exchange)
      }
    }).pipe(
      Effect.mapError((cause) =>
        new EmulatorError({ kind: "listen", message: `the emulator cannot listen: ${cause.message}`, cause })
      )
    )
    // Added after the server's finalizer, so run before it: requests end first, then sockets.
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        stopping = true
        return Fiber.interruptAll(fibers)
      })
    )

    const outage: Service["outage"] = ({ duration, fault, model, region }) =>
      Effect.sync(() => {
        const from = runtime.now()
        faults.outage({ fault: fault ?? unavailable, model, region, from, until: from + Duration.toMillis(duration) })
      })
    const dip: Service["dip"] = ({ duration, factor, model }) =>
      Effect.acquireUseRelease(
        Effect.sync(() => runtime.dip(factor, model)),
        () => Effect.sleep(duration),
        (end) => Effect.sync(end)
      ).pipe(Effect.forkIn(scope, { startImmediately: true }), Effect.asVoid)

    for (const { afterMillis, durationMillis, fault, model, region } of checked.outages ?? []) {
      faults.outage({
        fault: fault ?? unavailable,
        model,
        region,
        from: afterMillis,
        until: afterMillis + durationMillis
      })
    }
    for (const { afterMillis, durationMillis, factor, model } of checked.dips ?? []) {
      yield* Effect.sleep(afterMillis).pipe(
        Effect.andThen(dip({ duration: durationMillis, factor, model })),
        Effect.forkIn(scope)
      )
    }

    return {
      url: `http://${server.host.includes(":") ? `[${server.host}]` : server.host}:${server.port}`,
      port: server.port,
      stats: Effect.sync(() =>
        recorder.snapshot({
          now: runtime.now(),
          pools: runtime.pools,
          perBody: runtime.bodies.stats(),
          jobs: runtime.jobs(),
          open: server.open()
        })
      ),
      log: Effect.sync(() => recorder.records()),
      inject: (fault, { model, operation, times = 1 } = {}) =>
        Effect.sync(() => {
          const script: FaultControl.Script = { fault, model, operation, remaining: times }
          const withdraw = faults.script(script)
          return { remaining: Effect.sync(() => script.remaining), withdraw: Effect.sync(withdraw) }
        }),
      release: faults.release,
      outage,
      dip
    }
  })

// -----------------------------------------------------------------------------
// Layers
// -----------------------------------------------------------------------------

/**
 * The emulator as a layer.
 *
 * **Example** (Letting the next two requests fail)
 *
 * ```ts
 * import { Emulator, Fault } from "@caprock/emulator"
 * import { Effect } from "effect"
 *
 * export const program = Effect.gen(function*() {
 *   const emulator = yield* Emulator.Emulator
 *   yield* emulator.inject(Fault.error("InternalServerException"), { times: 2 })
 *   return emulator.url
 * }).pipe(Effect.provide(Emulator.layer({ quota: { tokens: 100_000 } })))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options.Options = {}): Layer.Layer<Emulator, EmulatorError> =>
  Layer.effect(Emulator, make(options))

// -----------------------------------------------------------------------------
// Mechanics
// -----------------------------------------------------------------------------

/** Loaded only where it is asked for: most emulators need no client of S3, and whoever needs one installs it. */
const storeAt = (s3: Batch.Options["s3"]): Effect.Effect<Store, EmulatorError, Scope.Scope> =>
  Effect.tryPromise({
    try: () => import("./internal/s3.ts"),
    catch: (cause) =>
      new EmulatorError({
        kind: "package",
        message: "emulator option batch: it needs the package @aws-sdk/client-s3, which cannot be loaded; install it",
        cause
      })
  }).pipe(Effect.flatMap(({ make }) => make(s3)))

const unavailable = Fault.error("ServiceUnavailableException")
