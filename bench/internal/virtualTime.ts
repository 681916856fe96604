/**
 * Time that passes only when nothing is left to do: minutes of waiting take milliseconds, and take the same course each time. It
 * stands in for timers, dates and chance of the whole process, so it has to be installed before whatever might keep the real ones is
 * imported. Sockets and files do not wait for it.
 */
import { generator } from "./chance.ts"

interface Entry {
  at: number
  readonly order: number
  run: (() => void) | undefined
  readonly every: number | undefined
}

const goesBefore = (a: Entry, b: Entry): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)

/** A binary heap of timers. Those that were cleared stay in it until their time has come. */
class Agenda {
  readonly #entries: Array<Entry> = []

  get first(): Entry | undefined {
    return this.#entries[0]
  }

  push(entry: Entry): void {
    const entries = this.#entries
    let index = entries.length
    while (index > 0) {
      const parent = (index - 1) >> 1
      const above = entries[parent] as Entry
      if (!goesBefore(entry, above)) break
      entries[index] = above
      index = parent
    }
    entries[index] = entry
  }

  pop(): void {
    const entries = this.#entries
    const last = entries.pop()
    if (last === undefined || entries.length === 0) return
    let index = 0
    while (true) {
      let child = 2 * index + 1
      if (child >= entries.length) break
      const right = entries[child + 1]
      if (right !== undefined && goesBefore(right, entries[child] as Entry)) child++
      const below = entries[child] as Entry
      if (!goesBefore(below, last)) break
      entries[index] = below
      index = child
    }
    entries[index] = last
  }
}

export interface VirtualTime {
  /** Milliseconds since it began. */
  readonly now: () => number
  /** Lets time pass until this is so, or nothing is left that could happen. */
  readonly until: (isOver: () => boolean) => Promise<void>
}

/** When it begins: any date that certificates and signatures do not mind. */
const epoch = Date.UTC(2026, 0, 1)

/** From now on, for the rest of this process. */
export const install = (seed: number): VirtualTime => {
  const RealDate = Date
  const realImmediate = setImmediate
  const agenda = new Agenda()
  let now = 0
  let order = 0
  let immediates: Array<Entry> = []

  const enter = (run: () => void, millis: number | undefined, every: number | undefined) => {
    // As Node does: never in no time, and whole milliseconds downwards.
    const entry: Entry = { at: now + Math.max(1, Math.trunc(millis ?? 1)), order: order++, run, every }
    agenda.push(entry)
    return handleOf(entry)
  }
  const handleOf = (entry: Entry) => {
    const handle = {
      entry,
      ref: () => handle,
      unref: () => handle,
      hasRef: () => true,
      refresh: () => handle,
      [Symbol.dispose]: () => clear(handle)
    }
    return handle
  }
  const clear = (handle: unknown): void => {
    if (typeof handle === "object" && handle !== null && "entry" in handle) (handle.entry as Entry).run = undefined
  }
  type Callback = (...values: ReadonlyArray<unknown>) => void
  const patches = {
    setTimeout: (run: Callback, millis?: number, ...values: ReadonlyArray<unknown>) =>
      enter(() => run(...values), millis, undefined),
    setInterval: (run: Callback, millis?: number, ...values: ReadonlyArray<unknown>) =>
      enter(() => run(...values), millis, Math.max(1, Math.trunc(millis ?? 1))),
    setImmediate: (run: Callback, ...values: ReadonlyArray<unknown>) => {
      const entry: Entry = { at: now, order: order++, run: () => run(...values), every: undefined }
      immediates.push(entry)
      return handleOf(entry)
    },
    clearTimeout: clear,
    clearInterval: clear,
    clearImmediate: clear,
    Date: new Proxy(RealDate, {
      construct: (target, values, newTarget) =>
        Reflect.construct(target, values.length === 0 ? [epoch + now] : values, newTarget),
      apply: () => new RealDate(epoch + now).toString(),
      get: (target, name, receiver) => name === "now" ? () => epoch + now : Reflect.get(target, name, receiver)
    })
  }
  Object.assign(globalThis, patches)
  Object.assign(performance, { now: () => now })
  const { hrtime } = process
  Object.assign(hrtime, { bigint: () => BigInt(Math.round(now * 1e6)) })
  Math.random = generator(seed)

  // After a turn of the real loop no promise and no tick is left.
  const turn = (): Promise<void> => new Promise((resolve) => realImmediate(resolve))
  const quiet = async (): Promise<void> => {
    await turn()
    while (immediates.length > 0) {
      const due = immediates
      immediates = []
      for (const { run } of due) run?.()
      await turn()
    }
  }
  return {
    now: () => now,
    until: async (isOver) => {
      await quiet()
      while (!isOver()) {
        const next = agenda.first
        if (next === undefined) return
        agenda.pop()
        if (next.run === undefined) continue
        now = Math.max(now, next.at)
        const { run } = next
        if (next.every === undefined) next.run = undefined
        else {
          next.at = now + next.every
          agenda.push(next)
        }
        run()
        // Those of the same instant go one after the other, each with all that follows from it.
        await quiet()
      }
    }
  }
}
