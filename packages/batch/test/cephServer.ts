/**
 * An S3 that somebody else wrote: Ceph's gateway, on a cluster of one monitor and one store in memory, on loopback. It keeps conditions by itself,
 * and lets nobody in whose signature does not fit.
 */
import { Data, Deferred, Effect, Schedule, type Scope } from "effect"
import { execFile, spawn } from "node:child_process"
import { randomInt, randomUUID } from "node:crypto"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import * as Debian from "../../../tools/debian.ts"
import { createBucket } from "./s3Server.ts"

class ServerError extends Data.TaggedError("ServerError")<{ readonly message: string }> {}

const found = Debian.obtain({
  name: "ceph",
  programs: ["ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "monmaptool"],
  packages: ["ceph-mon", "ceph-osd", "radosgw"]
})

/** Whether there is one to be had. */
export const installed = found !== undefined

export interface Server {
  readonly url: string
  readonly bucket: string
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string }
}

/** One that the system gives to nobody by itself: between asking for it and taking it, somebody else would. */
const freePort: Effect.Effect<number> = Effect.callback((resume) => {
  const server = createServer()
  const port = randomInt(20_000, 30_000)
  server.once("error", () => resume(freePort))
  server.listen(port, "127.0.0.1", () => server.close(() => resume(Effect.succeed(port))))
})

/** One copy of everything, in memory, for whoever is on this machine. Monitors wait a second before they agree, which one alone need not. */
const configuration = (id: string, folder: string, libraries: string, gateway: number) =>
  `[global]
fsid = ${id}
monmap = ${folder}/map
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind msgr2 = false
auth cluster required = none
auth service required = none
auth client required = none
paxos propose interval = 0.01
paxos min wait = 0.01
mon tick interval = 1
mon data = ${folder}/monitor
mon cluster log file = ${folder}/cluster.log
mon allow pool size one = true
osd data = ${folder}/store
osd objectstore = memstore
osd crush chooseleaf type = 0
osd crush update on start = false
osd class update on start = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd class dir = ${libraries}/rados-classes
erasure code dir = ${libraries}/ceph/erasure-code
plugin dir = ${libraries}/ceph
rgw frontends = beast endpoint=127.0.0.1:${gateway}
rgw data = ${folder}/gateway
run dir = ${folder}
crash dir = ${folder}
admin socket =
log file = ${folder}/$name.log
log to stderr = false
`

/** For as long as the scope is open. */
export const start: Effect.Effect<Server, ServerError, Scope.Scope> = Effect.gen(function*() {
  if (found === undefined) return yield* new ServerError({ message: "no ceph" })
  const { env, root } = found
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "caprock-ceph-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )
  for (const one of ["monitor", "store", "gateway"]) mkdirSync(join(folder, one))
  const triplet = readdirSync(join(root, "/usr/lib")).find((one) =>
    existsSync(join(root, "/usr/lib", one, "rados-classes"))
  )
  const ports = { monitor: yield* freePort, gateway: yield* freePort }
  const id = randomUUID()
  const file = join(folder, "ceph.conf")
  writeFileSync(file, configuration(id, folder, join(root, "/usr/lib", triplet ?? ""), ports.gateway))

  /** What they wrote down. */
  const told = () =>
    readdirSync(folder).filter((one) => one.endsWith(".log")).map((one) =>
      `${one}: ${readFileSync(join(folder, one), "utf8").slice(-2_000)}`
    ).join("\n")
  const failed = (what: string) => (cause: unknown) =>
    new ServerError({ message: `${what}: ${String(cause)}\n${told()}` })

  const run = (command: string, ...args: ReadonlyArray<string>) =>
    Effect.tryPromise({
      try: (signal) =>
        promisify(execFile)(command, args, { env, cwd: folder, timeout: 120_000, signal, killSignal: "SIGKILL" }),
      catch: failed(command)
    })
  /** Fails when it ends before the scope does. */
  const serve = Effect.fnUntraced(function*(command: string, ...args: ReadonlyArray<string>) {
    const [first = command, ...rest] = [...Debian.leash, command, "-c", file, "-f", ...args]
    const child = yield* Effect.sync(() => spawn(first, rest, { env, cwd: folder, stdio: "ignore" }))
    const ended = yield* Deferred.make<number | null>()
    child.once("close", (code) => Deferred.doneUnsafe(ended, Effect.succeed(code)))
    yield* Effect.addFinalizer(() => Effect.andThen(Effect.sync(() => child.kill("SIGKILL")), Deferred.await(ended)))
    return Effect.flatMap(Deferred.await(ended), (code) => Effect.fail(failed(command)(`ended with ${code}`)))
  }, Effect.uninterruptible)

  yield* run("monmaptool", "--create", "--fsid", id, "--addv", "a", `[v1:127.0.0.1:${ports.monitor}]`, "map")
  yield* run("osdmaptool", "-c", file, "--createsimple", "1", "stores")
  yield* run("ceph-mon", "-c", file, "-i", "a", "--mkfs", "--monmap", "map", "--osdmap", "stores")
  const monitor = yield* serve("ceph-mon", "-i", "a")
  yield* run("ceph-osd", "-c", file, "-i", "0", "--mkfs", "--osd-uuid", randomUUID())
  const store = yield* serve("ceph-osd", "-i", "0")
  const credentials = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "secret" }
  const keys = ["--access-key", credentials.accessKeyId, "--secret-key", credentials.secretAccessKey]
  // It waits until there is a cluster, and makes what the gateway needs.
  yield* run("radosgw-admin", "-c", file, "user", "create", "--uid", "tests", "--display-name", "tests", ...keys).pipe(
    Effect.raceFirst(monitor),
    Effect.raceFirst(store)
  )
  const gateway = yield* serve("radosgw", "-n", "client.gateway")
  const url = `http://127.0.0.1:${ports.gateway}`
  // Nothing tells when it is there.
  yield* Effect.promise(() => fetch(url).then(() => true, () => false)).pipe(
    Effect.repeat({ schedule: Schedule.spaced("20 millis"), until: (isThere) => isThere }),
    Effect.raceFirst(gateway)
  )
  const bucket = "caprock-batch"
  yield* createBucket(url, bucket, credentials)
  return { url, bucket, credentials }
})
