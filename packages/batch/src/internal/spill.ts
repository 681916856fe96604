/**
 * What comes in any order and is wanted in one, on a disk: written once and read once, both in large pieces. The places are cut into
 * stretches, each of which gathers what belongs to it, and is small enough to be held in memory when its turn comes.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type * as PlatformError from "effect/PlatformError"
import type * as Scope from "effect/Scope"
import { SpillFailed } from "../BatchError.ts"

/** In memory at a time, when its turn comes. */
const stretchBytes = 16 * 1024 * 1024
/** Each gathers so much before it is written. */
const pieceBytes = 64 * 1024
/** So many gather at once: half of them is 16 MiB. */
const mostStretches = 512

const headBytes = 8

/** For one fiber. */
export interface Spill {
  /** How many stretches there are. */
  readonly stretches: number
  /** The places of a stretch: from the first, up to and without the second. */
  readonly placesOf: (stretch: number) => readonly [from: number, to: number]
  /** Takes a copy. Whether something is to be written now, by `drain`. */
  readonly add: (place: number, bytes: Uint8Array) => boolean
  readonly drain: Effect.Effect<void, SpillFailed>
  /** What was added for each place of a stretch: the last, where there is more than one. */
  readonly load: (stretch: number) => Effect.Effect<ReadonlyMap<number, Buffer>, SpillFailed>
}

interface Piece {
  readonly at: number
  readonly length: number
}

const failed = (error: PlatformError.PlatformError): SpillFailed => new SpillFailed({ problem: error.message })

/** For so many places, and about so many bytes. The file goes with the scope. */
export const make = Effect.fnUntraced(function*(
  places: number,
  bytes: number
): Effect.fn.Return<Spill, SpillFailed, FileSystem.FileSystem | Scope.Scope> {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Effect.mapError(fs.makeTempFileScoped({ prefix: "caprock-batch-" }), failed)
  const file = yield* Effect.mapError(fs.open(path, { flag: "w+" }), failed)

  const wanted = Math.min(mostStretches, Math.max(1, Math.ceil(bytes / stretchBytes)), Math.max(1, places))
  const width = Math.max(1, Math.ceil(places / wanted))
  const stretches = Math.ceil(places / width)
  const gathering = Array.from({ length: stretches }, () => ({ buffer: Buffer.alloc(0), length: 0 }))
  const pieces = Array.from({ length: stretches }, (): Array<Piece> => [])
  let written = 0
  let waiting: Array<Uint8Array> = []

  const write = (stretch: number, piece: Uint8Array): void => {
    pieces[stretch]?.push({ at: written, length: piece.length })
    written += piece.length
    waiting.push(piece)
  }
  const turn = (stretch: number): void => {
    const gathered = gathering[stretch]
    if (gathered === undefined || gathered.length === 0) return
    write(stretch, gathered.buffer.subarray(0, gathered.length))
    gathering[stretch] = { buffer: Buffer.alloc(0), length: 0 }
  }
  const drain = Effect.suspend(() => {
    const taken = waiting
    waiting = []
    return Effect.mapError(Effect.forEach(taken, (piece) => file.writeAll(piece), { discard: true }), failed)
  })

  return {
    stretches,
    placesOf: (stretch) => [stretch * width, Math.min(places, (stretch + 1) * width)],
    add: (place, bytes) => {
      const stretch = Math.floor(place / width)
      const size = headBytes + bytes.length
      if ((gathering[stretch]?.length ?? 0) + size > pieceBytes) turn(stretch)
      const gathered = gathering[stretch]
      if (gathered === undefined) return false
      const alone = size > pieceBytes
      if (gathered.buffer.length === 0 || alone) gathered.buffer = Buffer.allocUnsafe(alone ? size : pieceBytes)
      gathered.buffer.writeUInt32LE(place, gathered.length)
      gathered.buffer.writeUInt32LE(bytes.length, gathered.length + 4)
      gathered.buffer.set(bytes, gathered.length + headBytes)
      gathered.length += size
      if (alone) turn(stretch)
      return waiting.length > 0
    },
    drain,
    load: Effect.fnUntraced(function*(stretch) {
      turn(stretch)
      yield* drain
      const found = new Map<number, Buffer>()
      for (const { at, length } of pieces[stretch] ?? []) {
        const read = yield* Effect.mapError(file.readAlloc(length, { position: BigInt(at) }), failed)
        const piece = Option.match(read, { onNone: () => undefined, onSome: (bytes) => bytes })
        if (piece === undefined || piece.length < length) {
          return yield* new SpillFailed({ problem: `${path} is shorter than what was written` })
        }
        const bytes = Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength)
        for (let from = 0; from < length;) {
          const end = from + headBytes + bytes.readUInt32LE(from + 4)
          found.set(bytes.readUInt32LE(from), bytes.subarray(from + headBytes, end))
          from = end
        }
      }
      return found
    })
  }
})
