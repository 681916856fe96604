// Real processes with one quota, some of which are killed, and a store that is started anew in the middle.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { type ChildProcess, fork } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import type { Said, Start } from "./fleetProcess.ts"
import * as RedisServers from "./redisServers.ts"

const limits = { requests: 40, tokens: 4_000 }
const window = 2_000
const jobs = Array.from({ length: 120 }, (_, id) => ({ id, tokens: 40 + (id * 37) % 100 }))

/** All that was sent, and who does what. */
class Fleet {
  readonly sent: Array<{ readonly at: number; readonly tokens: number }> = []
  readonly done = new Set<number>()
  private readonly running = new Map<ChildProcess, Start["jobs"]>()
  private readonly store: Start["store"]
  private over = false

  constructor(store: Start["store"]) {
    this.store = store
  }

  begin(jobs: Start["jobs"]): ChildProcess {
    const child = fork(fileURLToPath(new URL("./fleetProcess.ts", import.meta.url)), {
      execArgv: [],
      stdio: ["ignore", "ignore", "inherit", "ipc"]
    })
    this.running.set(child, jobs)
    child.on("message", ({ id, sentAt }: Said) => {
      if (sentAt === undefined) this.done.add(id)
      else this.sent.push({ at: sentAt, tokens: jobs.find((job) => job.id === id)?.tokens ?? Number.NaN })
    })
    // What it said before it died is heard before this.
    child.once("close", () => {
      this.running.delete(child)
      const left = jobs.filter(({ id }) => !this.done.has(id))
      if (left.length > 0 && !this.over) this.begin(left)
    })
    child.send({ store: this.store, limits, window, jobs } satisfies Start)
    return child
  }

  end(): void {
    this.over = true
    for (const child of this.running.keys()) child.kill("SIGKILL")
  }

  /** Somebody else does what it has not done. */
  killOne(): void {
    const [child] = this.running.keys()
    child?.kill("SIGKILL")
  }

  until(count: number): Effect.Effect<void> {
    return Effect.suspend(() => this.done.size >= count ? Effect.void : Effect.fail("not yet")).pipe(
      Effect.retry(Schedule.spaced("20 millis")),
      Effect.orDie
    )
  }
}

const fleet = (store: Start["store"]) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const fleet = new Fleet(store)
      for (let process = 0; process < 3; process++) fleet.begin(jobs.filter(({ id }) => id % 3 === process))
      return fleet
    }),
    (fleet) => Effect.sync(() => fleet.end())
  )

const judge = ({ done, sent }: Fleet): void => {
  assert.strictEqual(done.size, jobs.length)
  for (const { at } of sent) {
    const counted = sent.filter((one) => one.at > at - window && one.at <= at)
    assert.isAtMost(counted.length, limits.requests)
    assert.isAtMost(counted.reduce((sum, { tokens }) => sum + tokens, 0), limits.tokens)
  }
}

describe("processes with one quota never send more than it, and all is done", () => {
  it.live("through a file, when one is killed", () =>
    Effect.gen(function*() {
      const folder = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "caprock-fleet-"))),
        (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
      )
      const processes = yield* fleet({ path: join(folder, "quotas") })
      yield* processes.until(50)
      processes.killOne()
      yield* processes.until(jobs.length)
      judge(processes)
    }).pipe(Effect.scoped), 120_000)

  // Left out, and loudly, only where no server is to be had; with CI set that is a failure.
  describe.runIf(RedisServers.installed("redis"))("with a server", () => {
    it.live(
      "through Redis, when one is killed, and then Redis starts again with nothing in it",
      () =>
        Effect.gen(function*() {
          const server = yield* RedisServers.start("redis")
          const processes = yield* fleet({ redis: server.url })
          yield* processes.until(50)
          processes.killOne()
          yield* processes.until(80)
          yield* server.restart
          yield* processes.until(jobs.length)
          judge(processes)
        }).pipe(Effect.scoped),
      120_000
    )
  })
})
