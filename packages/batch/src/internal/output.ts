/** Text on its way into an object: gathered into large buffers, so that a line costs no effect of its own. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { createHash } from "node:crypto"
import type { StoreFailed } from "../BatchError.ts"
import type { Place } from "./place.ts"

/** The largest is large enough that what is done for each weighs nothing; small objects need no such. */
const bufferBytes = { first: 16 * 1024, most: 1024 * 1024 }

/** For one fiber. */
export interface Output {
  /** `bytes` are those of the text and the end of the line. What is digested is `as`, where that is given: for few lines, each of which is sent alone. */
  readonly line: (text: string, bytes: number, as?: string) => void
  /** Whether buffers are full, and `drain` should be called before more is written. */
  readonly full: () => boolean
  readonly drain: Effect.Effect<void, StoreFailed>
  /** Of all that was written. */
  readonly bytes: () => number
  /** Writes the rest; then the object is there. Gives its digest. */
  readonly close: Effect.Effect<string, StoreFailed>
}

/** Without a key it is only digested. */
export const open = Effect.fnUntraced(function*(
  { store }: Place,
  key: string | undefined
): Effect.fn.Return<Output, StoreFailed, Scope.Scope> {
  // Of its own, which ends with the object, and with the scope around it if that ends first.
  const scope = yield* Effect.flatMap(Effect.scope, (around) => Scope.fork(around))
  const upload = key === undefined ? undefined : yield* Scope.provide(store.upload(key), scope)
  const digest = createHash("sha256")
  let full: Array<{ readonly bytes: Buffer; readonly as: Buffer | string }> = []
  let buffer = Buffer.allocUnsafe(bufferBytes.first)
  let length = 0
  let bytes = 0

  const turn = (): void => {
    const bytes = buffer.subarray(0, length)
    if (length > 0) full.push({ bytes, as: bytes })
    else if (buffer.length === bufferBytes.most) return
    buffer = Buffer.allocUnsafe(Math.min(bufferBytes.most, 4 * buffer.length))
    length = 0
  }
  const drain = Effect.suspend(() => {
    const taken = full
    full = []
    for (const { as } of taken) digest.update(as)
    return upload === undefined
      ? Effect.void
      : Effect.forEach(taken, ({ bytes }) => upload.write(bytes), { discard: true })
  })

  return {
    line: (text, size, as) => {
      bytes += size
      if (as === undefined ? length + size > buffer.length : length > 0) turn()
      if (as !== undefined || size > buffer.length) {
        const line = Buffer.from(`${text}\n`)
        full.push({ bytes: line, as: as === undefined ? line : `${as}\n` })
        return
      }
      buffer.write(text, length)
      length += size
      buffer[length - 1] = 10
    },
    full: () => full.length > 0,
    drain,
    bytes: () => bytes,
    close: Effect.gen(function*() {
      if (length > 0) turn()
      yield* drain
      if (upload !== undefined) yield* upload.commit
      yield* Scope.close(scope, Exit.void)
      return digest.digest("hex")
    })
  }
})
