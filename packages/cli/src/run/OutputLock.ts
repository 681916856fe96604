/**
 * Keeps two runs from writing one output: a file beside it, created exclusively, with the process id of its owner. The
 * lock of a process that is gone is taken over.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { hostname } from "node:os"
import { cannotWrite, codeOf } from "../internal/platformErrors.ts"
import { CliFailure } from "../terminal/CliFailure.ts"

const Owner = Schema.Struct({ pid: Schema.Int, host: Schema.String, since: Schema.Finite })
type Owner = typeof Owner.Type
const OwnerJson = Schema.fromJsonString(Owner)
const decodeOwner = Schema.decodeUnknownResult(OwnerJson)
const encodeOwner = Schema.encodeSync(OwnerJson)

/**
 * What taking the lock found.
 *
 * @category models
 * @since 0.1.0
 */
export interface Taken {
  /** The process id of the dead owner whose lock was taken over. */
  readonly tookOverFrom: number | undefined
}

const maxRounds = 5

/**
 * Takes the lock for the scope's life. Fails when a live process holds it, or when the folder can't be written.
 *
 * @category locking
 * @since 0.1.0
 */
export const take = (output: string): Effect.Effect<Taken, CliFailure, FileSystem.FileSystem | Scope.Scope> =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const path = `${output}.lock`
    const mine = encodeOwner({ pid: process.pid, host: hostname(), since: yield* Clock.currentTimeMillis })

    const release = Effect.flatMap(
      fs.readFileString(path),
      (owner) => owner === mine ? fs.remove(path) : Effect.void
    )

    let tookOverFrom: number | undefined
    let unreadable = 0
    for (let round = 0; round < maxRounds; round++) {
      const created = yield* Effect.result(Effect.uninterruptible(Effect.gen(function*() {
        yield* fs.writeFileString(path, mine, { flag: "wx" })
        yield* Effect.addFinalizer(() => Effect.ignore(release))
      })))
      if (Result.isSuccess(created)) return { tookOverFrom }
      if (codeOf(created.failure) !== "EEXIST") return yield* cannotWrite(`${path} beside the output`, created.failure)

      const found = yield* Effect.result(fs.readFileString(path))
      // Its owner has just let go of it.
      if (Result.isFailure(found)) continue
      const owner = decodeOwner(found.success)
      if (Result.isSuccess(owner) && !isGone(owner.success)) return yield* held(path, output, owner.success)
      if (Result.isFailure(owner)) {
        if (found.success !== "") {
          return yield* new CliFailure({
            problem: `${path} is there, and was not made by caprock.`,
            remedy: "Move it away, or choose another --out: this name keeps two runs from writing one output."
          })
        }
        // Created, and not written yet: its owner is about to, or was killed in between.
        if (unreadable++ === 0) {
          yield* Effect.sleep("500 millis")
          continue
        }
      }
      const aside = `${path}.${process.pid}`
      const moved = yield* Effect.result(fs.rename(path, aside))
      if (Result.isFailure(moved)) continue
      const taken = yield* fs.readFileString(aside).pipe(Effect.orElseSucceed(() => ""))
      // Another run may have taken over in between, and its lock is what we now hold in our hands: put it back.
      if (taken !== found.success) yield* Effect.ignore(fs.link(aside, path))
      else if (Result.isSuccess(owner)) tookOverFrom = owner.success.pid
      yield* Effect.ignore(fs.remove(aside))
    }
    return yield* new CliFailure({
      problem: `Other processes keep taking ${path}.`,
      remedy: "Run one `caprock run` at a time on one output."
    })
  })

const held = (path: string, output: string, { host, pid, since }: Owner) => {
  const wait = "Wait for it, or choose another --out."
  if (host === hostname()) {
    return new CliFailure({
      problem: `Another caprock run (process ${pid}) is writing ${output}.`,
      remedy: `${wait} If process ${pid} isn't caprock, delete ${path}.`
    })
  }
  const began = Option.match(DateTime.make(since), {
    onNone: () => "",
    onSome: (time) => ` since ${DateTime.formatIso(time)}`
  })
  return new CliFailure({
    problem: `A caprock run on the machine "${host}" (process ${pid}) holds ${path}${began}.`,
    remedy:
      `${wait} Only there can be seen whether it still runs. If it does not, or that machine or container is gone, ` +
      `delete ${path} and run the same command again: nothing that was written is lost.`
  })
}

/** Only a process of this machine can be known to be dead. A lock with our own id is one of an earlier life. */
const isGone = (owner: Owner): boolean => {
  if (owner.host !== hostname()) return false
  if (owner.pid === process.pid) return true
  try {
    process.kill(owner.pid, 0)
    return false
  } catch (error) {
    // EPERM: it lives, and belongs to somebody else.
    return error instanceof Error && "code" in error && error.code === "ESRCH"
  }
}
