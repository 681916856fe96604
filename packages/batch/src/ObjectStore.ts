/**
 * A bucket, as batches need it: large objects in streams, and small ones written only if nobody else wrote meanwhile.
 *
 * @since 0.1.0
 */
import * as Settings from "@caprock/client/Settings"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { StoreFailed, StoreUnsafe } from "./BatchError.ts"
import * as aws from "./internal/aws.ts"
import * as memory from "./internal/memoryStore.ts"

// -----------------------------------------------------------------------------
// Models
// -----------------------------------------------------------------------------

/**
 * A small object. `etag` names this version of it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Stored {
  readonly bytes: Uint8Array
  readonly etag: string
}

/**
 * An object in a listing.
 *
 * @category models
 * @since 0.1.0
 */
export interface Listed {
  readonly key: string
  readonly bytes: number
  readonly etag: string
}

/**
 * On what condition an object is written: that there is none, or that it is still this version.
 *
 * @category models
 * @since 0.1.0
 */
export type When = { readonly absent: true } | { readonly etag: string }

/**
 * A large object that is being written. It is there once `commit` has succeeded, and not before; when its scope closes without, nothing of it stays.
 *
 * @category models
 * @since 0.1.0
 */
export interface Upload {
  /** Takes its bytes: nobody may change them afterwards. Waits while enough is on its way. */
  readonly write: (bytes: Uint8Array) => Effect.Effect<void, StoreFailed>
  readonly commit: Effect.Effect<void, StoreFailed>
}

// -----------------------------------------------------------------------------
// Options
// -----------------------------------------------------------------------------

/**
 * Options of {@link make}.
 *
 * - `bucket`: its name.
 * - `region`: without one, the SDK looks where it always does.
 * - `endpoint`: of a server that speaks S3, with buckets in the path.
 * - `credentials`: without them, the SDK looks where it always does.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface Options {
  readonly bucket: string
  readonly region?: string | undefined
  readonly endpoint?: string | undefined
  readonly credentials?: Credentials | undefined
}

/**
 * What is allowed for each option, as {@link layerConfig} holds them.
 *
 * @category configuration
 * @since 0.1.0
 */
export const Options = Schema.Struct({
  bucket: Schema.optionalKey(Settings.name),
  region: Schema.optionalKey(Settings.region),
  endpoint: Schema.optionalKey(Settings.endpoint),
  credentials: Schema.optionalKey(Settings.credentials)
})

/**
 * The variables that {@link layerConfig} reads, ours before those of AWS. Credentials the SDK reads itself, as its documentation says.
 *
 * @category configuration
 * @since 0.1.0
 */
export const variables: ReadonlyArray<Settings.Variable> = [
  { name: "CAPROCK_BUCKET", option: "bucket", read: Settings.readers.text, example: "nightly" },
  ...Settings.regionVariables,
  ...Settings.endpointVariables("CAPROCK_BUCKET_ENDPOINT", "S3")
]

/**
 * The options that are given, and for all others what is found in {@link variables} by the current `ConfigProvider`. Fails with all that is wrong with
 * them, and where nobody names a bucket.
 *
 * @category configuration
 * @since 0.1.0
 */
export const config = (options: Partial<Options> = {}): Effect.Effect<Options, Settings.OptionsError> =>
  Effect.flatMap(
    Settings.load(Options, variables, options),
    ({ bucket, ...others }) =>
      bucket === undefined
        ? Settings.fail("bucket", "there is none. Give it, or set CAPROCK_BUCKET.")
        : Effect.succeed({ bucket, ...others })
  )

/**
 * Who asks.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}

// -----------------------------------------------------------------------------
// Service
// -----------------------------------------------------------------------------

/**
 * One bucket.
 *
 * - `get`: an object from the byte `from` on, up to and without the byte `to`. Fails where there is none. A stream that is cut fails, and can be got again
 *   from where it was.
 * - `read`: a small object, or nothing.
 * - `put`: writes a small object, and gives its `etag`; nothing where the condition does not hold. When it fails, it may have written.
 * - `upload`: writes a large one.
 * - `list`: all objects whose key begins with the prefix, in the order of their keys.
 * - `folders`: what follows the prefix in keys that have a slash after it, up to the first one, each once and in their order. The keys of a folder cost nothing.
 * - `remove`: whether or not they were there.
 * - `prove`: whether the bucket keeps its conditions, by an object below the prefix that comes and goes.
 * - `sweep`: ends all uploads under the prefix that somebody began and nobody will commit, and gives their number.
 *
 * @category services
 * @since 0.1.0
 */
export class ObjectStore extends Context.Service<ObjectStore, {
  readonly bucket: string
  readonly get: (key: string, from?: number, to?: number) => Stream.Stream<Uint8Array, StoreFailed>
  readonly read: (key: string) => Effect.Effect<Stored | undefined, StoreFailed>
  readonly put: (key: string, bytes: Uint8Array, when?: When) => Effect.Effect<string | undefined, StoreFailed>
  readonly upload: (key: string) => Effect.Effect<Upload, StoreFailed, Scope.Scope>
  readonly list: (prefix: string) => Stream.Stream<Listed, StoreFailed>
  readonly folders: (prefix: string) => Stream.Stream<string, StoreFailed>
  readonly remove: (keys: ReadonlyArray<string>) => Effect.Effect<void, StoreFailed>
  readonly prove: (prefix: string) => Effect.Effect<void, StoreFailed | StoreUnsafe>
  readonly sweep: (prefix: string) => Effect.Effect<number, StoreFailed>
}>()("@caprock/batch/ObjectStore") {}

// -----------------------------------------------------------------------------
// Constructors and layers
// -----------------------------------------------------------------------------

/**
 * A bucket of S3, or of any server that speaks it. What may pass is tried six times within about six seconds; a conditional write once.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options): Effect.Effect<ObjectStore["Service"], never, Scope.Scope> => aws.bucket(options)

/**
 * A bucket of S3, or of any server that speaks it.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<ObjectStore> => Layer.effect(ObjectStore, make(options))

/**
 * {@link layer}, with what is not given read from {@link variables}.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (options: Partial<Options> = {}): Layer.Layer<ObjectStore, Settings.OptionsError> =>
  Layer.effect(ObjectStore, Effect.flatMap(config(options), make))

/**
 * A bucket in memory, for tests: it honours conditions, and is gone with the process.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeMemory = (bucket = "memory"): ObjectStore["Service"] => memory.make(bucket)

/**
 * A bucket in memory, for tests.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory = (bucket = "memory"): Layer.Layer<ObjectStore> =>
  Layer.sync(ObjectStore, () => makeMemory(bucket))
