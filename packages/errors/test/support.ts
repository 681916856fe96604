// Errors in the shapes in which the SDK throws them, without the SDK.
import { Reason } from "@caprock/errors"
import { assert } from "@effect/vitest"
import { Schema } from "effect"

/** Compares every field. (Chai's deep equality looks at no more of two errors than their names and messages.) */
export const assertReason = (actual: Reason.Reason, expected: Reason.Reason): void => {
  const encode = Schema.encodeSync(Reason.Reason)
  assert.deepStrictEqual(encode(actual), encode(expected))
}

export interface SdkShape {
  readonly name: string
  readonly message?: string
  readonly status?: number
  readonly headers?: Record<string, string>
  readonly requestId?: string
  readonly attempts?: number
  readonly extra?: Record<string, unknown>
}

/** A service exception of the SDK: `$metadata` and a non-enumerable `$response`. */
export const sdkError = (shape: SdkShape): Error => {
  const error = new Error(shape.message ?? "")
  error.name = shape.name
  Object.assign(error, {
    $fault: "client",
    $metadata: {
      ...(shape.status === undefined ? {} : { httpStatusCode: shape.status }),
      ...(shape.requestId === undefined ? {} : { requestId: shape.requestId }),
      ...(shape.attempts === undefined ? {} : { attempts: shape.attempts, totalRetryDelay: 0 })
    },
    ...shape.extra
  })
  if (shape.headers !== undefined) {
    Object.defineProperty(error, "$response", {
      value: { statusCode: shape.status, headers: shape.headers },
      enumerable: false
    })
  }
  return error
}

/** An exception inside a stream after the first event: no `$metadata`, no `$response`. */
export const bareError = (name: string, message: string, extra: Record<string, unknown> = {}): Error =>
  Object.assign(new Error(message), { name }, extra)

/** A system error of Node. */
export const systemError = (code: string, message: string = code, extra: Record<string, unknown> = {}): Error =>
  Object.assign(new Error(message), { code }, extra)
