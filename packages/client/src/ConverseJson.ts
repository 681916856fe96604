/**
 * Converse requests as JSON, where bytes are base64: as `aws bedrock-runtime converse --cli-input-json` takes them.
 *
 * A request is read by the model of the service that the installed SDK carries, to its last member. What that model does not know
 * is refused, because the SDK would leave it out in silence, and another question would be asked. What values mean is
 * left to Bedrock: whether a role exists, a number is in its range, a required member is there.
 *
 * **Example** (A request from a file)
 *
 * ```ts
 * import { ConverseJson } from "@caprock/client"
 * import { Result } from "effect"
 *
 * const request = ConverseJson.decode({
 *   modelId: "us.amazon.nova-lite-v1:0",
 *   messages: [{ role: "user", content: [{ txet: "What is a caprock?" }] }]
 * })
 *
 * if (Result.isFailure(request)) {
 *   console.log(request.failure.path.join("."), request.failure.problem) // => messages.0.content.0.txet is not a field …
 * }
 * ```
 *
 * @since 0.1.0
 */
import { type ContentBlock, type ConverseCommandInput, ConverseRequest$ } from "@aws-sdk/client-bedrock-runtime"
import { NormalizedSchema } from "@smithy/core/schema"
import * as Base64 from "effect/encoding/Base64"
import * as Result from "effect/Result"

/**
 * What is wrong with a request: where, and what is wrong there, as the rest of a sentence that begins with the place.
 *
 * @category models
 * @since 0.1.0
 */
export interface Problem {
  readonly path: ReadonlyArray<string | number>
  readonly problem: string
}

/**
 * A request as the SDK takes it. It need not have a model id. Pure; O(size of the request).
 *
 * @category decoding
 * @since 0.1.0
 */
export const decode = (json: unknown): Result.Result<Partial<ConverseCommandInput>, Problem> =>
  Result.try({
    // Each member has the shape that the model gives it, and the types of the SDK are written from the same model.
    try: () => converse(json, undefined) as Partial<ConverseCommandInput>,
    catch: (error) => error instanceof Refused ? error : new Refused(undefined, String(error))
  })

/**
 * An answer's content as JSON. Members that this version of the SDK does not know are kept as they came.
 *
 * @category encoding
 * @since 0.1.0
 */
export const encodeContent = (content: ReadonlyArray<ContentBlock>): ReadonlyArray<unknown> => content.map(write)

/** Where a value stands: cheap to make on the way to it, since most values are right. */
interface Place {
  readonly key: string | number
  readonly within: Place | undefined
}

class Refused extends Error implements Problem {
  readonly path: ReadonlyArray<string | number>
  readonly problem: string
  constructor(place: Place | undefined, problem: string) {
    super(problem)
    const path: Array<string | number> = []
    for (let at = place; at !== undefined; at = at.within) path.unshift(at.key)
    this.path = path
    this.problem = problem
  }
}

/** Reads a value of one shape. */
type Reader = (value: unknown, place: Place | undefined) => unknown

const readerOf = (schema: NormalizedSchema): Reader => {
  if (schema.isDocumentSchema()) return (value) => value
  if (schema.isStructSchema()) return structReader(schema)
  if (schema.isListSchema()) {
    const read = later(() => readerOf(schema.getValueSchema()))
    return (value, place) => {
      if (!Array.isArray(value)) throw new Refused(place, "must be an array")
      return value.map((one: unknown, key) => read()(one, { key, within: place }))
    }
  }
  if (schema.isMapSchema()) {
    const read = later(() => readerOf(schema.getValueSchema()))
    return (value, place) => mapRecord(record(value, place), (one, key) => read()(one, { key, within: place }))
  }
  if (schema.isBlobSchema()) return readBytes
  if (schema.isStringSchema()) return readerOfType("string", "must be text")
  if (schema.isNumericSchema()) return readerOfType("number", "must be a number")
  if (schema.isBooleanSchema()) return readerOfType("boolean", "must be true or false")
  return (value) => value
}

const structReader = (schema: NormalizedSchema): Reader => {
  const isUnion = schema.isUnionSchema()
  // Shapes hold each other in circles. What one is made of never changes, and is worked out once.
  const members = later(() => {
    const schemas = Object.entries(schema.getMemberSchemas())
    return new Map(schemas.map(([name, member]) => [name, readerOf(member)] as const))
  })
  return (value, place) => {
    const given = record(value, place)
    const known = members()
    if (isUnion && Object.keys(given).length !== 1) {
      throw new Refused(place, `must have exactly one member, of ${names(known)}`)
    }
    return mapRecord(given, (one, name) => {
      const read = known.get(name)
      if (read === undefined) {
        throw new Refused(
          { key: name, within: place },
          `is not a field of a Converse request. Here are ${names(known)}`
        )
      }
      return read(one, { key: name, within: place })
    })
  }
}

/** Works something out when it is asked for first. */
const later = <A extends object>(make: () => A): () => A => {
  let made: A | undefined
  return () => made ??= make()
}

const readerOfType = (type: "string" | "number" | "boolean", problem: string): Reader => (value, place) => {
  if (typeof value !== type) throw new Refused(place, problem)
  return value
}

const readBytes: Reader = (value, place) => {
  if (typeof value !== "string") throw new Refused(place, "must be base64 text")
  const bytes = Base64.decode(value)
  if (Result.isFailure(bytes)) throw new Refused(place, `is not base64: ${bytes.failure.message}`)
  return bytes.success
}

const converse = readerOf(NormalizedSchema.of(ConverseRequest$))

const write = (value: unknown): unknown => {
  if (value instanceof Uint8Array) return Base64.encode(value)
  if (Array.isArray(value)) return value.map(write)
  if (!isRecord(value)) return value
  const { $unknown: unknown } = value
  return Array.isArray(unknown) ? { [String(unknown[0])]: unknown[1] } : mapRecord(value, write)
}

const names = (members: ReadonlyMap<string, unknown>): string => [...members.keys()].join(", ")

type Json = Readonly<Record<string, unknown>>

const isRecord = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value)

const record = (value: unknown, place: Place | undefined): Json => {
  if (!isRecord(value)) throw new Refused(place, "must be an object")
  return value
}

const mapRecord = (value: Json, f: (one: unknown, key: string) => unknown): Json =>
  Object.fromEntries(Object.entries(value).map(([key, one]) => [key, f(one, key)] as const))
