// The file that the processes of one machine share: an SQLite database, a row of which is a quota's books. What it does, it does at once, and
// what goes wrong it throws.
import * as Data from "effect/Data"
import type * as Fs from "node:fs"
import type * as Sqlite from "node:sqlite"
import { LimiterStoreError, type Wake } from "../LimiterStore.ts"
import type { SharedQuota } from "./sharedQuota.ts"

/** What of Node it needs. Not imported: who bundles the limiter for anywhere else must not meet it. */
export interface Node {
  readonly fs: typeof Fs
  readonly sqlite: typeof Sqlite
}

/** A row. */
export interface Row {
  /** The clock that it was written by. */
  readonly clock: string
  readonly quota: SharedQuota
}

/** The file, open. */
export interface LocalFile {
  /** The quotas that were written here, on this clock. */
  readonly written: Set<string>
  /** Whether it is there yet, under its name. */
  readonly isThere: () => boolean
  readonly transaction: <A>(work: () => A) => A
  readonly read: (name: string) => Row | undefined
  readonly write: (name: string, row: Row) => void
  readonly wake: (wake: Wake, by: string, whom: string) => void
  /** Forgets the wakes of who is not there any more. */
  readonly forget: (name: string, members: ReadonlyArray<string>) => void
  /** What woke a member since, or everybody. */
  readonly woken: (member: string, since: number) => ReadonlyArray<readonly [serial: number, wake: Wake]>
  readonly lastSerial: () => number
  /** Another one after each change that others made. */
  readonly version: () => unknown
  readonly close: () => void
}

/** Whom a wake is for that is for all. */
export const everybody = ""

/** "CpRk": the file is ours. */
const application = 0x4370526b

const schema = 1

const tables = `
  create table quotas (name text primary key, clock text not null, books text not null) strict;
  create table wakes (
    serial integer primary key autoincrement, quota text not null, member text not null, sender text not null, wake text not null,
    unique (quota, member)
  ) strict;
  pragma application_id = ${application};
  pragma user_version = ${schema};
`

/** File systems over a network, by Linux's numbers (`linux/magic.h`): NFS, SMB and AFS. Their locks and mapped memory don't hold what SQLite needs. */
const networks = new Set([0x6969, 0x517b, 0xff534d42, 0xfe534d42, 0x5346414f])

// -----------------------------------------------------------------------------
// What goes wrong
// -----------------------------------------------------------------------------

/** Another has the file just now. */
export class Busy extends Data.TaggedError("Busy")<{ readonly cause: unknown }> {}

/** SQLite's result codes (`sqlite3.h`) and the system's, and what to do. */
const reasons: ReadonlyArray<readonly [codes: ReadonlyArray<unknown>, problem: (path: string) => string]> = [
  [[13, "ENOSPC", "EDQUOT"], (path) => `has no room for ${path}: make some on its disk`],
  [
    [11, 26],
    (path) =>
      `finds ${path} damaged, or not its own: stop all that use it and remove it, with its -wal and -shm; it is made anew`
  ],
  [
    [3, 8, 14, 23, "EACCES", "EPERM", "EROFS", "ENOENT", "ENOTDIR", "EISDIR"],
    (path) =>
      `can't write ${path}: its folder has to be there, and this user has to be let write in it, and to the file`
  ],
  [[10, "EIO", "EFBIG"], (path) => `can't write ${path}: is its disk well and not full, and how large may a file be?`]
]

const fieldOf = (cause: unknown, field: string): unknown =>
  typeof cause === "object" && cause !== null ? Reflect.get(cause, field) : undefined

/** What is wrong with the file; nothing, where it is with the program. */
export const problemOf = (path: string, cause: unknown): Busy | LimiterStoreError | undefined => {
  if (cause instanceof LimiterStoreError) return cause
  const result = fieldOf(cause, "errcode")
  // The low byte; the others say more of it.
  const code = typeof result === "number" ? result & 0xff : fieldOf(cause, "code")
  // Held, a table of it is, or too many open it at once.
  if (code === 5 || code === 6 || code === 15) return new Busy({ cause })
  const reason = reasons.find(([codes]) => codes.includes(code))
  if (reason !== undefined) return new LimiterStoreError({ problem: reason[1](path), cause })
  const isTheirs = typeof result === "number" || fieldOf(cause, "syscall") !== undefined
  return isTheirs ? new LimiterStoreError({ problem: `can't use ${path}`, cause }) : undefined
}

// -----------------------------------------------------------------------------
// Opening it
// -----------------------------------------------------------------------------

/** Opens the file, and makes it where there is none. */
export const open = (node: Node, path: string, temporary: string, startedAt: number): LocalFile => {
  create(node, path, temporary)
  const older = isOlder(node, path, startedAt)
  const file = use(node, path)
  if (!older || file.isSound()) return file
  const stillThere = file.isThere()
  file.close()
  if (stillThere) remove(node, path)
  return open(node, path, temporary, startedAt)
}

/**
 * Makes the file, for its owner alone: SQLite gives its companions the same mode. Under another name, and closed before it has this one: with a
 * file that it closes a process loses its locks on it, those of all its threads.
 */
const create = ({ fs }: Node, path: string, temporary: string): void => {
  if (fs.statSync(path, { throwIfNoEntry: false }) !== undefined) return
  fs.closeSync(fs.openSync(temporary, "wx", 0o600))
  try {
    fs.linkSync(temporary, path)
  } catch (cause) {
    if (fieldOf(cause, "code") !== "EEXIST") throw cause
  } finally {
    fs.rmSync(temporary, { force: true })
  }
}

const companions = ["", "-wal", "-shm"]

const remove = ({ fs }: Node, path: string): void => {
  for (const companion of companions) fs.rmSync(`${path}${companion}`, { force: true })
}

/** Whether nobody has written to it since the machine was started: a power cut may have damaged it, and it is nobody's. */
const isOlder = ({ fs }: Node, path: string, startedAt: number): boolean =>
  companions.every((companion) =>
    (fs.statSync(`${path}${companion}`, { throwIfNoEntry: false })?.mtimeMs ?? 0) < startedAt
  )

const identityOf = ({ fs }: Node, path: string): string =>
  companions.map((companion) => {
    const stat = fs.statSync(`${path}${companion}`, { throwIfNoEntry: false, bigint: true })
    return stat === undefined ? "none" : `${stat.dev}:${stat.ino}`
  }).join()

const numberOf = (row: Record<string, unknown> | undefined, column: string): number => Number(row?.[column] ?? 0)

const parsed = (text: string): SharedQuota | undefined => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** SQLite looks after pages, and not after what they say. */
const booksOf = (path: string, text: unknown): SharedQuota => {
  const books = parsed(String(text))
  if (typeof books?.epoch === "string" && typeof books.time === "number") return books
  throw new LimiterStoreError({ problem: `finds no books in ${path}: stop all that use it, and remove it` })
}

const use = (node: Node, path: string): LocalFile & { readonly isSound: () => boolean } => {
  const refuse = (problem: string) => new LimiterStoreError({ problem })
  if (networks.has(node.fs.statfsSync(path).type)) {
    throw refuse(
      `can't keep ${path} on a network's file system: give it a place on a disk of this machine, or use Redis`
    )
  }
  const db = new node.sqlite.DatabaseSync(path)
  const pragma = (name: string) => numberOf(db.prepare(`pragma ${name}`).get(), name)
  const isEmpty = () => db.prepare("select name from sqlite_schema limit 1").get() === undefined
  // Who fails in the middle closes the file, which takes back what was done.
  const transaction: LocalFile["transaction"] = (work) => {
    db.exec("begin immediate")
    const done = work()
    db.exec("commit")
    return done
  }
  try {
    // Before it is changed in any way. Tables come together with whose they are: once there are some, it is said.
    const may = isEmpty() ? [0, application] : [application]
    if (!may.includes(pragma("application_id"))) {
      throw refuse(`finds somebody else's database in ${path}: give it a file of its own`)
    }
    if (db.prepare("pragma journal_mode = wal").get()?.["journal_mode"] !== "wal") {
      throw refuse(`can't share ${path} on this file system: give it a place on a disk of this machine`)
    }
    // Nothing waits for the disk: whoever dies loses nothing by that. After a power cut `isSound` looks at what is left.
    db.exec("pragma synchronous = off")
    transaction(() => {
      if (isEmpty()) db.exec(tables)
      const found = pragma("user_version")
      if (found !== schema) {
        throw refuse(
          `finds ${path} written by another version of it (${found}, this is ${schema}): give each version a file of its own`
        )
      }
    })
    const read = db.prepare("select clock, books from quotas where name = ?")
    const write = db.prepare("insert or replace into quotas (name, clock, books) values (?, ?, ?)")
    const wake = db.prepare("insert or replace into wakes (quota, member, sender, wake) values (?, ?, ?, ?)")
    const forget = db.prepare(
      `delete from wakes where quota = ? and member <> '${everybody}' and member not in (select value from json_each(?))`
    )
    const woken = db.prepare(
      `select serial, wake from wakes where serial > ? and (member = ? or member = '${everybody}' and sender <> ?) order by serial`
    )
    const last = db.prepare("select max(serial) as serial from wakes")
    const version = db.prepare("pragma data_version")
    const identity = identityOf(node, path)
    return {
      written: new Set(),
      isThere: () => identityOf(node, path) === identity,
      transaction,
      read: (name) => {
        const row = read.get(name)
        return row === undefined
          ? undefined
          : { clock: String(row["clock"]), quota: booksOf(path, row["books"]) }
      },
      write: (name, { clock, quota }) => {
        write.run(name, clock, JSON.stringify(quota))
      },
      wake: (one, by, whom) => {
        wake.run(one.quota, whom, by, JSON.stringify(one))
      },
      forget: (name, members) => {
        forget.run(name, JSON.stringify(members))
      },
      woken: (member, since) =>
        woken.all(since, member, member).map((row) => {
          const one: Wake = JSON.parse(String(row["wake"]))
          return [numberOf(row, "serial"), one]
        }),
      lastSerial: () => numberOf(last.get(), "serial"),
      version: () => version.get()?.["data_version"],
      isSound: () => {
        try {
          for (const { books } of db.prepare("select books from quotas").all()) booksOf(path, books)
          return db.prepare("pragma integrity_check(1)").get()?.["integrity_check"] === "ok"
        } catch (cause) {
          if (problemOf(path, cause)?._tag === "Busy") throw cause
          return false
        }
      },
      close: () => db.close()
    }
  } catch (cause) {
    db.close()
    throw cause
  }
}
