import * as LowerBound from "@caprock/emulator/LowerBound"
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"

/**
 * The judge of the bound: the server's rules once more, in whole instants and as naively as can be, and a search through
 * every schedule. Where the rules leave the order within an instant open, it takes what suits the client best.
 */
interface Job {
  readonly reserved: number
  readonly settled: number
  readonly latency: number
  /** When, after arrival, what it grows by is charged: all at once. 0 is before the next arrival of that instant. */
  readonly growsAfter: number
}

interface Server {
  readonly shape: "rolling" | "fixed" | "bucket"
  readonly window: number
  readonly limit: number
  readonly requests: number
  /** The first boundary of fixed windows. */
  readonly phase: number
  /** Charges growth right after arrival, whatever the job says. */
  readonly early?: boolean
}

interface Sent extends Job {
  readonly at: number
}

/** Whether `server` takes what is sent at `now`, which is the last of `sent`. */
const accepts = (server: Server, all: ReadonlyArray<Sent>, now: number): boolean => {
  const sent = server.early === true ? all.map((job) => ({ ...job, growsAfter: 0 })) : all
  const kept = (job: Sent): number => job.at + job.latency <= now ? Math.min(job.reserved, job.settled) : job.reserved
  const growth = (job: Sent): number => Math.max(job.settled - job.reserved, 0)
  const hasGrown = (job: Sent, grown: number): boolean => grown < now || (job.growsAfter === 0 && job !== sent.at(-1))
  switch (server.shape) {
    case "rolling":
    case "fixed": {
      const windowOf = (time: number): number => Math.floor((time - server.phase) / server.window)
      const counts = (stamp: number): boolean =>
        server.shape === "rolling" ? stamp > now - server.window : windowOf(stamp) === windowOf(now)
      let tokens = 0
      let requests = 0
      for (const job of sent) {
        if (counts(job.at)) {
          tokens += kept(job)
          requests += 1
        }
        const grown = job.at + job.growsAfter
        if (hasGrown(job, grown) && counts(grown)) tokens += growth(job)
      }
      return tokens <= server.limit && requests <= server.requests
    }
    case "bucket": {
      // In units of 1 / window, so that each instant refills `limit` of them and nothing is rounded.
      const level = (capacity: number, changeAt: (time: number) => { back: number; out: number; grown: number }) => {
        let level = capacity * server.window
        for (let time = 0; time <= now; time++) {
          const { back, grown, out } = changeAt(time)
          if (time > 0) level = Math.min(capacity * server.window, level + capacity)
          level = Math.min(capacity * server.window, level + back * server.window) - out * server.window
          level -= grown * server.window
        }
        return level
      }
      const total = (of: (job: Sent) => number): number => sent.reduce((sum, job) => sum + of(job), 0)
      const tokens = level(server.limit, (time) => ({
        back: total((job) => job.at + job.latency === time ? job.reserved - Math.min(job.reserved, job.settled) : 0),
        out: total((job) => job.at === time ? job.reserved : 0),
        grown: total((job) => job.at + job.growsAfter === time && hasGrown(job, time) ? growth(job) : 0)
      }))
      const requests = level(server.requests, (time) => ({
        back: 0,
        out: total((job) => job.at === time ? 1 : 0),
        grown: 0
      }))
      return tokens >= 0 && requests >= 0
    }
  }
}

/** The least time below `below` of any schedule that all the servers accept, or `below` when there is none. */
const search = (servers: ReadonlyArray<Server>, jobs: ReadonlyArray<Job>, below: number): number => {
  let best = below
  const visit = (left: ReadonlyArray<Job>, sent: ReadonlyArray<Sent>, from: number, end: number): void => {
    if (left.length === 0) {
      best = Math.min(best, end)
      return
    }
    const shortest = Math.min(...left.map((job) => job.latency))
    const latest = sent.length === 0 ? 0 : best - shortest - 1
    for (let at = from; at <= latest; at++) {
      for (const job of new Set(left)) {
        if (at + job.latency >= best) continue
        const next = [...sent, { ...job, at }]
        if (!servers.every((server) => accepts(server, next, at))) continue
        const index = left.indexOf(job)
        visit([...left.slice(0, index), ...left.slice(index + 1)], next, at, Math.max(end, at + job.latency))
      }
    }
  }
  visit(jobs, [], 0, 0)
  return best
}

/** The server as it may be when nothing is known of it. Fixed windows are among the rolling ones. */
const anyOf = (server: Server): ReadonlyArray<Server> =>
  [false, true].flatMap((early) => (["rolling", "bucket"] as const).map((shape) => ({ ...server, shape, early })))

const asAnswered = (job: Job): LowerBound.Answered => ({
  input: 0,
  maxTokens: job.reserved,
  output: job.settled,
  burndown: 1,
  latencyMillis: job.latency,
  growthDelayMillis: job.growsAfter
})

const bound = (server: Server, jobs: ReadonlyArray<Job>, shape: Server["shape"] | "unknown" = server.shape) =>
  LowerBound.make(jobs.map(asAnswered), {
    requests: server.requests,
    tokens: server.limit,
    windowMillis: server.window,
    shape: shape === "unknown" ? undefined : shape,
    phaseMillis: shape === "fixed" ? server.phase : undefined
  })

/** A client that knows all and sends each the first instant that every server takes it: no schedule, an upper bound. */
const greedy = (servers: ReadonlyArray<Server>, jobs: ReadonlyArray<Job>): number => {
  const sent: Array<Sent> = []
  let at = 0
  for (const job of jobs) {
    while (!servers.every((server) => accepts(server, [...sent, { ...job, at }], at))) at++
    sent.push({ ...job, at })
  }
  return Math.max(...sent.map((job) => job.at + job.latency))
}

const one = (reserved: number, settled: number, latency: number): Job => ({
  reserved,
  settled,
  latency,
  growsAfter: latency
})

const many = (count: number, job: Job): ReadonlyArray<Job> => Array.from({ length: count }, () => job)

const int = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const Instance = Schema.Struct({
  window: int(2, 8),
  limit: int(4, 10),
  requests: int(1, 8),
  phase: int(1, 6),
  kinds: Schema.NonEmptyArray(
    Schema.Struct({ reserved: int(1, 9), settled: int(1, 14), latency: int(1, 8), growsAfter: int(1, 8) })
  ),
  picks: Schema.Array(int(0, 3)).check(Schema.isMinLength(2), Schema.isMaxLength(5))
})

const read = (instance: typeof Instance.Type, shape: Server["shape"]) => {
  const server: Server = { ...instance, shape, phase: Math.min(instance.phase, instance.window) }
  const kinds = instance.kinds.map((kind): Job => ({
    ...kind,
    reserved: Math.min(kind.reserved, instance.limit),
    growsAfter: Math.min(kind.growsAfter, kind.latency)
  }))
  const jobs = instance.picks.flatMap((pick) => kinds[pick % kinds.length] ?? [])
  return { server, jobs }
}

// Each instant of a bucket is gone through, for each schedule: fewer of those.
const runs = { rolling: 1000, fixed: 1000, bucket: 250, unknown: 250 }
const check = (shape: keyof typeof runs) => ({ arbitrary: { runs: runs[shape] }, timeout: 120_000 })

describe("LowerBound", () => {
  for (const shape of ["rolling", "fixed", "bucket"] as const) {
    it.prop(`no schedule beats it: ${shape}`, [Instance], ([instance]) => {
      const { jobs, server } = read(instance, shape)
      const { millis } = bound(server, jobs)
      assert.isAtLeast(search([server], jobs, Math.ceil(millis)), millis - 1e-9)
    }, check(shape))
  }

  it.prop("no schedule that suits every server beats that of the unknown one", [Instance], ([instance]) => {
    const { jobs, server } = read(instance, "rolling")
    const { millis } = bound(server, jobs, "unknown")
    const servers = anyOf(server)
    assert.isAtLeast(search(servers, jobs, Math.ceil(millis)), millis - 1e-9)
  }, check("unknown"))

  it("allows for refunds that let more growing requests in at the end", () => {
    const server: Server = { shape: "bucket", window: 7, limit: 4, requests: 6, phase: 0 }
    const growing: Job = { reserved: 4, settled: 12, latency: 5, growsAfter: 4 }
    const jobs = [growing, ...many(3, one(3, 1, 6)), growing]
    assert.isAtLeast(search([server], jobs, 25), bound(server, jobs).millis - 1e-9)
  })

  // The other side: on plain instances the bound is nearly reached, so that none of its parts can be much too low.
  const rolling: Server = { shape: "rolling", window: 20, limit: 60, requests: 1000, phase: 0 }
  const tight: ReadonlyArray<
    readonly [
      part: LowerBound.Part,
      shape: Server["shape"] | "unknown",
      server: Server,
      jobs: ReadonlyArray<Job>,
      within: number
    ]
  > = [
    ["requests", "rolling", { ...rolling, requests: 3 }, many(20, one(1, 1, 5)), 1],
    ["settled", "rolling", rolling, many(40, one(10, 10, 3)), 1],
    ["settled", "rolling", { ...rolling, limit: 600 }, many(500, one(6, 5, 1)), 1.05],
    ["reserved", "rolling", rolling, many(60, one(12, 3, 10)), 1.08],
    ["reserved", "rolling", { ...rolling, limit: 600 }, many(100, one(60, 1, 7)), 1.15],
    ["debt", "rolling", rolling, many(40, one(10, 25, 19)), 1.3],
    ["latency", "rolling", rolling, [one(1, 1, 90)], 1],
    ["requests", "fixed", { ...rolling, shape: "fixed", phase: 7, requests: 3 }, many(20, one(1, 1, 5)), 1],
    ["settled", "fixed", { ...rolling, shape: "fixed", phase: 7 }, many(40, one(10, 10, 3)), 1],
    ["reserved", "fixed", { ...rolling, shape: "fixed", phase: 7 }, many(60, one(15, 3, 11)), 1.4],
    ["requests", "bucket", { ...rolling, shape: "bucket", requests: 3 }, many(20, one(1, 1, 5)), 1.01],
    ["settled", "bucket", { ...rolling, shape: "bucket" }, many(40, one(10, 10, 3)), 1.01],
    ["reserved", "bucket", { ...rolling, shape: "bucket" }, many(60, one(12, 1, 20)), 1.5],
    ["debt", "bucket", { ...rolling, shape: "bucket" }, many(40, one(10, 25, 3)), 1.12],
    ["debt", "unknown", rolling, many(40, one(10, 25, 3)), 1.12]
  ]
  it.each(tight)("%s, %s shape: nearly reached", (part, shape, server, jobs, within) => {
    const { binding, millis } = bound(server, jobs, shape)
    assert.strictEqual(binding, part)
    const servers = shape === "unknown" ? anyOf(server) : [server]
    const reached = greedy(servers, jobs)
    assert.isAtLeast(reached, millis - 1e-9)
    assert.isAtMost(reached / millis, within)
  })

  it("counts cache writes as input and burndown in the settlement", () => {
    const request = { input: 1, cacheWrite: 2, maxTokens: 3, output: 2, burndown: 5, latencyMillis: 0 }
    const { parts } = LowerBound.make(Array.from({ length: 4 }, () => request), { tokens: 6, windowMillis: 10 })
    // R = 6 and S = 13, so that `min(R, S)` fills a window; 4 × 13 less what may be outstanding, 7, is 45.
    assert.closeTo(parts.settled, 30, 1e-9)
    assert.closeTo(parts.debt, (45 / 6 - 1) * 10, 1e-9)
  })

  it("counts growth in full where nothing is known, but for the largest", () => {
    const request = { input: 1, maxTokens: 5, output: 12, burndown: 1, latencyMillis: 4 }
    const { parts } = LowerBound.make(Array.from({ length: 20 }, () => request), { tokens: 20, windowMillis: 10 })
    // R = 6, S = 13, so that up to 27 may count: ⌈260 / 27⌉ windows, 260 × 10 of area, and 27 × 6 of it at the end.
    assert.closeTo(parts.settled, 94, 1e-9)
    assert.closeTo(parts.reserved, (2600 - 162) / 27, 1e-9)
    assert.closeTo(parts.debt, (253 / 20 - 1) * 10 + 4, 1e-9)
  })

  it("takes the most favourable phase unless it is told one", () => {
    const jobs = many(40, one(10, 10, 3)).map(asAnswered)
    const of = (phaseMillis?: number) =>
      LowerBound.make(jobs, { tokens: 60, windowMillis: 20, shape: "fixed", phaseMillis }).millis
    assert.deepStrictEqual([of(), of(7), of(20)], [103, 110, 123])
  })

  it("is 0 for nothing, and the longest answer where nothing is limited", () => {
    assert.strictEqual(LowerBound.make([], { tokens: 1, windowMillis: 1 }).millis, 0)
    const jobs = [one(5, 5, 7), one(5, 5, 9)].map(asAnswered)
    assert.deepInclude(LowerBound.make(jobs, { windowMillis: 10 }), { millis: 9, binding: "latency" })
  })

  it("reads an emulator's log", () => {
    const record = {
      requestId: "r",
      invocationId: undefined,
      operation: "Converse",
      modelId: "m",
      pool: "p",
      arrivedAt: 0,
      endedAt: 90,
      inputTokens: 100,
      cacheReadTokens: 7,
      cacheWriteTokens: 20,
      maxTokens: 200,
      outputTokens: 80,
      latencyMillis: 64,
      reserved: 320,
      settled: 520,
      outcome: "Answered"
    } as const
    const read = (adjust: "end" | "during") =>
      LowerBound.answeredIn([record, { ...record, outcome: "ThrottledTokens" }], { adjust })
    const expected = { input: 100, cacheWrite: 20, maxTokens: 200, output: 80, burndown: 5, latencyMillis: 64 }
    assert.deepStrictEqual(read("end"), [{ ...expected, growthDelayMillis: 64 }])
    // It outgrows the reservation halfway; 20 pieces.
    assert.deepStrictEqual(read("during"), [{ ...expected, growthDelayMillis: 64 * (0.75 - 0.05) }])
  })
})
