// Shared quotas in a file, for the processes of one machine. A step of a quota's books is a transaction, which is there whole or not at all,
// whichever process dies and when. Nobody serves, and so nobody has to take over.
//
// The clock is the monotonic one: all processes of a machine read the same, it is not set, and it is the one by which a member measures its own
// lease: where a suspended machine stops it, it stops both. It begins anew when the machine is started.
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { type LimiterStore, LimiterStoreError, type Message } from "../LimiterStore.ts"
import * as LocalFile from "./localFile.ts"
import * as SharedQuota from "./sharedQuota.ts"

/** Where it is. */
export interface Options {
  /** The file. Beside it are two more, `-wal` and `-shm`. */
  readonly path: string
}

/**
 * So often one looks whether others changed anything, while somebody waits here, and else: each time takes a tenth of a millisecond of CPU, most of it
 * for the timer.
 */
const lookMillis = { waiting: 20, idle: 100 }

/**
 * Who has the file for longer than this does not run: a step takes some hundred microseconds. One that fails is asked again by the next beat; a program that
 * begins has more time, when many do at once on a busy machine.
 */
const patience = { step: "2 seconds", opening: "30 seconds" } as const

/** Somebody else has the file: again after so long. */
const turns = (duration: Duration.Input) =>
  Schedule.min([Schedule.exponential("1 millis", 1.5), Schedule.spaced("10 millis")]).pipe(
    Schedule.jittered,
    Schedule.upTo({ duration })
  )

/** By so little a clock that all processes read may seem to be behind the last that was written. */
const clockSlackMillis = 1_000

const noNode = (cause?: unknown) =>
  new LimiterStoreError({ problem: "needs node:sqlite, which Node 24 has", ...(cause === undefined ? {} : { cause }) })

const node = Effect.try({
  try: (): LocalFile.Node => ({
    fs: process.getBuiltinModule("node:fs"),
    sqlite: process.getBuiltinModule("node:sqlite")
  }),
  catch: noNode
}).pipe(Effect.filterOrFail(({ sqlite }) => typeof sqlite?.DatabaseSync === "function", () => noNode()))

/** Which clock this process reads: another one after each start of the machine, and where a container has its own. Linux tells. */
const clockOf = ({ fs }: LocalFile.Node): string => {
  try {
    const boot = fs.readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()
    return `${boot} ${fs.readlinkSync("/proc/self/ns/time")}`
  } catch {
    return ""
  }
}

/**
 * Books from before the machine was started. Who held a share then is dead, and the store's time goes on where it was. What was written last
 * a power cut may have taken: nothing is granted until the machine has been up for a window.
 */
const afterStart = (quota: SharedQuota.SharedQuota, message: Message): SharedQuota.SharedQuota => {
  for (const member of Object.values(quota.members)) member.expires = Math.min(member.expires, quota.time)
  quota.opensAt = Math.max(quota.opensAt, quota.time + SharedQuota.closedOf(message))
  quota.lost = false
  quota.expected = []
  quota.skew = quota.time
  return quota
}

/** JSON knows no infinite limit. */
const finite = (message: Message): Message => {
  const meters = Object.entries(message.meters)
  if (meters.every(([, { limit }]) => limit <= Number.MAX_VALUE)) return message
  return {
    ...message,
    meters: Object.fromEntries(
      meters.map(([name, { limit, staysMillis }]) => [name, { limit: Math.min(limit, Number.MAX_VALUE), staysMillis }])
    )
  }
}

/** The store in a file: it fails at once where the file can't be used. */
export const make = ({ path }: Options): Effect.Effect<LimiterStore["Service"], LimiterStoreError, Scope.Scope> =>
  Effect.gen(function*() {
    const modules = yield* node
    const machine = yield* Clock.Clock
    const now = () => Math.floor(Number(machine.monotonicTimeNanosUnsafe()) / 1e6)
    const startedAt = machine.currentTimeMillisUnsafe() - now()
    const clock = clockOf(modules)
    const temporary = `${path}.new-${yield* Random.nextIntBetween(0, 2 ** 48)}`
    /** What was asked for here. */
    const quotas = new Set<string>()
    /** Which of them somebody waits for here. */
    const waiting = new Set<string>()
    const listeners = new Set<(always: boolean) => void>()
    let file: LocalFile.LocalFile | undefined

    const close = (): void => {
      const closing = file
      file = undefined
      closing?.close()
    }
    const opened = (): LocalFile.LocalFile => {
      // Removed or replaced: who comes now sees other books.
      if (file?.isThere() === false) close()
      file ??= LocalFile.open(modules, path, temporary, startedAt)
      return file
    }
    const run = <A>(
      work: (file: LocalFile.LocalFile) => A,
      longest: string & Duration.Input = patience.step
    ): Effect.Effect<A, LimiterStoreError> =>
      Effect.suspend(() => {
        try {
          return Effect.succeed(work(opened()))
        } catch (cause) {
          const problem = LocalFile.problemOf(path, cause)
          if (problem?._tag !== "Busy") close()
          return problem === undefined ? Effect.die(cause) : Effect.fail(problem)
        }
      }).pipe(
        Effect.retry({ while: ({ _tag }) => _tag === "Busy", schedule: turns(longest) }),
        Effect.catchTag("Busy", ({ cause }) =>
          new LimiterStoreError({
            problem:
              `waited ${longest} for ${path}: was a process stopped that has it? It goes on when that does, or is ended`,
            cause
          }))
      )

    /** Whether it was written by the clock that is read here. Where nobody tells which it is, one that was begun anew is behind. */
    const isOfThisStart = ({ clock: wrote, quota }: LocalFile.Row): boolean =>
      wrote === clock && (clock !== "" || now() + quota.skew >= quota.time - clockSlackMillis)
    const booksIn = (
      file: LocalFile.LocalFile,
      name: string,
      message: Message
    ): SharedQuota.SharedQuota | undefined => {
      const row = file.read(name)
      if (row === undefined || isOfThisStart(row)) return row?.quota
      if (!file.written.has(name)) return afterStart(row.quota, message)
      throw new LimiterStoreError({
        problem:
          `shares ${path} with another machine, or a container with a clock of its own: give each a file of its own, or use Redis`
      })
    }
    const step = <S extends Omit<SharedQuota.Step, "standing"> | undefined>(
      name: string,
      message: Message,
      take: (known: SharedQuota.SharedQuota | undefined, message: Message, now: number) => S
    ): Effect.Effect<S, LimiterStoreError> =>
      run((file) => {
        quotas.add(name)
        const waiter = JSON.stringify([name, message.member])
        if (message.lines.length > 0) waiting.add(waiter)
        else waiting.delete(waiter)
        const step = file.transaction(() => {
          const step = take(booksIn(file, name, message), finite(message), now())
          if (step === undefined) return step
          const { granted, quota, wanted } = step
          const by = message.member
          file.write(name, { clock, quota })
          for (const { member, ...told } of granted) {
            file.wake({ _tag: "Granted", quota: name, epoch: quota.epoch, ...told }, by, member)
          }
          if (wanted) file.wake({ _tag: "Wanted", quota: name, by }, by, LocalFile.everybody)
          if (wanted || granted.length > 0) file.forget(name, Object.keys(quota.members))
          return step
        })
        file.written.add(name)
        // By the file, only others see that it was changed.
        if (step !== undefined && (step.wanted || step.granted.length > 0)) { for (const look of listeners) look(true) }
        return step
      })

    yield* Effect.acquireRelease(run(() => undefined, patience.opening), () => Effect.sync(close))

    return {
      exchange: (name, message) => Effect.map(step(name, message, SharedQuota.exchange), ({ standing }) => standing),
      leave: (name, message) => Effect.asVoid(step(name, { ...message, lines: [] }, SharedQuota.leave)),
      listen: (member, wake) =>
        Effect.gen(function*() {
          const heard = yield* run((file) => ({ file, version: file.version(), serial: file.lastSerial() }))
          let gone: LocalFile.LocalFile | undefined
          const look = (file: LocalFile.LocalFile, always: boolean): void => {
            if (!file.isThere()) {
              if (gone === file) return
              gone = file
              // Who holds a share has to say so to the next books.
              for (const quota of quotas) wake({ _tag: "Wanted", quota, by: LocalFile.everybody })
              return
            }
            const version = file.version()
            if (!always && heard.file === file && heard.version === version) return
            const since = heard.file === file ? heard.serial : 0
            Object.assign(heard, { file, version })
            for (const [serial, one] of file.woken(member, since)) {
              heard.serial = serial
              wake(one)
            }
          }
          const lookUnsafe = (always: boolean): void => {
            try {
              if (file !== undefined) look(file, always)
            } catch {
              // The next step says what is wrong with the file.
            }
          }
          yield* Effect.acquireRelease(
            Effect.sync(() => listeners.add(lookUnsafe)),
            () => Effect.sync(() => listeners.delete(lookUnsafe))
          )
          yield* Effect.suspend(() => Effect.sleep(waiting.size > 0 ? lookMillis.waiting : lookMillis.idle)).pipe(
            Effect.andThen(Effect.sync(() => lookUnsafe(false))),
            Effect.forever,
            Effect.forkScoped
          )
        })
    }
  })
