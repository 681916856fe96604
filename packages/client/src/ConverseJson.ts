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
    try: () => read(converse, json, []) as Partial<ConverseCommandInput>,
    catch: (error) => error instanceof Refused ? error : new Refused([], String(error))
  })

/**
 * An answer's content as JSON. Members that this version of the SDK does not know are kept as they came.
 *
 * @category encoding
 * @since 0.1.0
 */
export const encodeContent = (content: ReadonlyArray<ContentBlock>): ReadonlyArray<unknown> => content.map(write)

const converse = NormalizedSchema.of(ConverseRequest$)

class Refused extends Error implements Problem {
  readonly path: ReadonlyArray<string | number>
  readonly problem: string
  constructor(path: ReadonlyArray<string | number>, problem: string) {
    super(problem)
    this.path = path
    this.problem = problem
  }
}

type Path = ReadonlyArray<string | number>

const read = (schema: NormalizedSchema, value: unknown, path: Path): unknown => {
  if (schema.isDocumentSchema()) return value
  if (schema.isStructSchema()) return readMembers(schema, value, path)
  if (schema.isListSchema()) {
    if (!Array.isArray(value)) throw new Refused(path, "must be an array")
    return value.map((one: unknown, at) => read(schema.getValueSchema(), one, [...path, at]))
  }
  if (schema.isMapSchema()) {
    return mapRecord(record(value, path), (one, key) => read(schema.getValueSchema(), one, [...path, key]))
  }
  if (schema.isBlobSchema()) return readBytes(value, path)
  if (schema.isStringSchema() && typeof value !== "string") throw new Refused(path, "must be text")
  if (schema.isNumericSchema() && typeof value !== "number") throw new Refused(path, "must be a number")
  if (schema.isBooleanSchema() && typeof value !== "boolean") throw new Refused(path, "must be true or false")
  return value
}

const readMembers = (schema: NormalizedSchema, value: unknown, path: Path): unknown => {
  const given = record(value, path)
  const members = schema.getMemberSchemas()
  if (schema.isUnionSchema() && Object.keys(given).length !== 1) {
    throw new Refused(path, `must have exactly one member, of ${names(members)}`)
  }
  return mapRecord(given, (one, name) => {
    const member = Object.hasOwn(members, name) ? members[name] : undefined
    if (member === undefined) {
      throw new Refused([...path, name], `is not a field of a Converse request. Here are ${names(members)}`)
    }
    return read(member, one, [...path, name])
  })
}

const readBytes = (value: unknown, path: Path): Uint8Array => {
  if (typeof value !== "string") throw new Refused(path, "must be base64 text")
  const bytes = Base64.decode(value)
  if (Result.isFailure(bytes)) throw new Refused(path, `is not base64: ${bytes.failure.message}`)
  return bytes.success
}

const write = (value: unknown): unknown => {
  if (value instanceof Uint8Array) return Base64.encode(value)
  if (Array.isArray(value)) return value.map(write)
  if (!isRecord(value)) return value
  const { $unknown: unknown } = value
  return Array.isArray(unknown) ? { [String(unknown[0])]: unknown[1] } : mapRecord(value, write)
}

const names = (members: Readonly<Record<string, unknown>>): string => Object.keys(members).join(", ")

type Json = Readonly<Record<string, unknown>>

const isRecord = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value)

const record = (value: unknown, path: Path): Json => {
  if (!isRecord(value)) throw new Refused(path, "must be an object")
  return value
}

const mapRecord = (value: Json, f: (one: unknown, key: string) => unknown): Json =>
  Object.fromEntries(Object.entries(value).map(([key, one]) => [key, f(one, key)] as const))
