/**
 * The store of one machine for the suite of all stores: a file that two connections share, each of which has some of the members.
 */
import { Clock, Effect, Layer } from "effect"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import * as LocalStore from "../src/internal/localStore.ts"
import * as StoreRig from "./storeRig.ts"

/** A folder that is gone in the end. */
export const folder = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(join(tmpdir(), "caprock-local-"))),
  (path) => Effect.sync(() => fs.rmSync(path, { recursive: true, force: true }))
)

/** What runs in it finds that the machine has been up for so long. */
export const uptime = (millis: () => number) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(Effect.clockWith(Effect.succeed), (clock) =>
    Effect.provideService(effect, Clock.Clock, {
      currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
      currentTimeMillis: clock.currentTimeMillis,
      currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
      currentTimeNanos: clock.currentTimeNanos,
      monotonicTimeNanosUnsafe: () => BigInt(millis()) * 1_000_000n,
      monotonicTimeNanos: Effect.sync(() => BigInt(millis()) * 1_000_000n),
      sleep: (duration) => clock.sleep(duration)
    }))

const rig = Effect.gen(function*() {
  const path = join(yield* folder, "limiter.db")
  let now = 0
  const connection = uptime(() => now)(LocalStore.make({ path }))
  const [one, other] = [yield* connection, yield* connection]
  const of = (member: string) => member.charCodeAt(0) % 2 === 0 ? one : other
  const db = yield* Effect.acquireRelease(
    Effect.sync(() => new DatabaseSync(path, { timeout: 1000 })),
    (db) => Effect.sync(() => db.close())
  )
  return StoreRig.Rig.of({
    store: {
      exchange: (quota, message) => of(message.member).exchange(quota, message),
      leave: (quota, message) => of(message.member).leave(quota, message),
      listen: (member, wake) => of(member).listen(member, wake)
    },
    setTime: (_, millis) =>
      Effect.sync(() => {
        now = millis
      }),
    wipe: (quota) => Effect.sync(() => db.prepare("delete from quotas where name = ?").run(quota)),
    save: (quota) =>
      Effect.sync(() => {
        const row = db.prepare("select books from quotas where name = ?").get(quota)
        return Effect.sync(() =>
          db.prepare("update quotas set books = ? where name = ?").run(row?.["books"] ?? null, quota)
        )
      })
  })
})

/** The suite's layer. */
export const layer = Layer.effect(StoreRig.Rig, rig)
