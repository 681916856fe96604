import type { BatchJournal, Job, Part, Tally, Upload } from "@caprock/batch/BatchJournal"
import { assert, describe, it } from "@effect/vitest"
import { Duration } from "effect"
import * as machine from "../src/internal/machine.ts"
import { journalOf } from "./journals.ts"

const minute = 60_000
const of = { round: 0, part: 0 }

const tallyOf = (some: Partial<Tally> = {}): Tally => ({
  succeeded: 0,
  rejected: 0,
  failed: 0,
  missing: 0,
  foreign: 0,
  repeated: 0,
  inputTokens: 0,
  outputTokens: 0,
  ...some
})

const uploadOf = (part = 0, round = 0, records = 10): Upload => ({
  round,
  part,
  generation: 1,
  first: part * records,
  last: (part + 1) * records - 1,
  records,
  refused: 0,
  bytes: records,
  files: [],
  digest: `d${round}-${part}`
})

const job: Job = { name: "n", token: "t" }
const running: Job = { ...job, arn: "arn" }

const partOf = (some: Partial<Part> = {}): Part => ({ ...uploadOf(), attempt: 0, phase: "uploaded", ...some })

const batchOf = (
  parts: ReadonlyArray<Part>,
  some: Omit<NonNullable<Parameters<typeof journalOf>[0]>, "parts"> = {}
): BatchJournal =>
  journalOf({
    state: "running",
    ...some,
    input: { sealed: true, records: 10, refused: 0, bytes: 10, chain: "" },
    parts,
    limits: { minimumRecords: 4, recordsPerJob: 10, ...some.limits }
  })

const first = ({ parts: [part] }: BatchJournal): Part => part ?? assert.fail("it has no part")

/** What comes next, in words. */
const words = (journal: BatchJournal): ReadonlyArray<string> =>
  machine.next(journal).map((command) => {
    switch (command._tag) {
      case "form":
        return `form ${command.round}`
      case "late":
        return `late ${command.late.why} ${command.late.records}`
      case "settle":
        return command.event._tag === "ended" ? `ended ${command.event.state}` : command.event._tag
      case "wait":
      case "over":
        return command._tag
      default:
        return `${command._tag} ${command.part.round}-${command.part.part}`
    }
  })

describe("an event", () => {
  const phases = ["uploaded", "submitting", "running", "ended", "collected"] as const
  const inPhase = (phase: Part["phase"]): Part =>
    partOf({
      phase,
      ...(phase === "uploaded" ? {} : { job: phase === "submitting" ? job : running }),
      ...(phase === "collected" ? { tally: tallyOf({ succeeded: 10 }) } : {})
    })

  const events: ReadonlyArray<readonly [machine.Event, ReadonlyArray<Part["phase"]>]> = [
    [{ _tag: "submitting", of, job }, ["uploaded"]],
    [{ _tag: "created", of, arn: "arn" }, ["submitting"]],
    [{ _tag: "crowded", of }, ["submitting"]],
    [{ _tag: "refused", of, message: "no" }, ["submitting"]],
    [{ _tag: "seen", of, status: "InProgress" }, ["running"]],
    [{ _tag: "seen", of, status: "Completed" }, ["running"]],
    [{ _tag: "missed", of, at: 7 }, ["submitting", "running"]],
    [{ _tag: "collected", of, tally: tallyOf({ succeeded: 10 }) }, ["uploaded", "ended"]]
  ]

  it("changes a part in the phases that it belongs to, and no other part, and says nothing new twice", () => {
    for (const [event, mine] of events) {
      for (const phase of phases) {
        const told = `${event._tag} of one that is ${phase}`
        const other = { ...inPhase(phase), part: 1 }
        const journal = batchOf([inPhase(phase), other, { ...inPhase(phase), round: 1 }], { round: 1 })
        const after = machine.step(journal, event)
        assert.strictEqual(after !== journal, mine.includes(phase), told)
        assert.deepEqual(after.parts.slice(1), journal.parts.slice(1), told)
        assert.strictEqual(machine.step(after, event), after, `${told}, twice`)
      }
    }
  })

  it("takes a part on its way to the next phase", () => {
    const next = (phase: Part["phase"], event: machine.Event) => first(machine.step(batchOf([inPhase(phase)]), event))
    assert.deepInclude(next("uploaded", { _tag: "submitting", of, job }), { phase: "submitting", job })
    assert.deepInclude(next("submitting", { _tag: "created", of, arn: "arn" }), { phase: "running", job: running })
    const back = next("submitting", { _tag: "crowded", of })
    assert.deepEqual(back, partOf())
    assert.deepEqual(next("submitting", { _tag: "refused", of, message: "no" }), partOf())
  })

  it("of a part that nobody has is none", () => {
    const journal = batchOf([partOf()])
    for (const [event] of events) {
      assert.strictEqual(machine.step(journal, Object.assign({}, event, { of: { round: 3, part: 3 } })), journal)
    }
  })

  it("says what became of a job", () => {
    const journal = batchOf([partOf({ phase: "running", job: running })])
    const waits = machine.step(journal, { _tag: "seen", of, status: "Scheduled", message: "soon" })
    assert.deepInclude(first(waits), { phase: "running", job: { ...running, status: "Scheduled", message: "soon" } })
    // What it does not say any more was said.
    const ended = machine.step(waits, { _tag: "seen", of, status: "Completed" })
    assert.deepInclude(first(ended), { phase: "ended", job: { ...running, status: "Completed", message: "soon" } })
  })
})

describe("a job that Bedrock does not show", () => {
  const after = (journal: BatchJournal, ...at: ReadonlyArray<number>) =>
    at.reduce((now, at) => machine.step(now, { _tag: "missed", of, at }), journal)

  it("is given up after ten minutes, and not before", () => {
    const asked = batchOf([partOf({ phase: "submitting", job })])
    const missed = after(asked, 5)
    assert.deepEqual(first(missed).job, { ...job, missedAt: 5 })
    assert.strictEqual(after(missed, 5 + 10 * minute - 1), missed)
    const gone = first(after(missed, 5 + 10 * minute))
    assert.strictEqual(gone.phase, "uploaded")
    assert.isUndefined(gone.job)
    const lost = first(after(batchOf([partOf({ phase: "running", job: running })]), 5, 5 + 10 * minute))
    assert.strictEqual(lost.phase, "ended")
    assert.deepInclude(lost.job, { arn: "arn", status: "Gone" })
    assert.notProperty(lost.job, "missedAt")
  })

  it("is looked for anew after it was heard of, or asked for again", () => {
    const missed = after(batchOf([partOf({ phase: "submitting", job })]), 5)
    assert.deepEqual(first(machine.step(missed, { _tag: "submitting", of, job })).job, job)
    assert.deepEqual(first(machine.step(missed, { _tag: "created", of, arn: "arn" })).job, running)
    const unseen = after(batchOf([partOf({ phase: "running", job: { ...running, status: "InProgress" } })]), 5)
    const seen = machine.step(unseen, { _tag: "seen", of, status: "InProgress" })
    assert.deepEqual(first(seen).job, { ...running, status: "InProgress" })
  })
})

describe("what comes next", () => {
  it("is a job for each part that is large enough, as far as there is room", () => {
    const parts = [0, 1, 2].map((part) => partOf({ part }))
    assert.deepEqual(words(batchOf(parts)), ["submit 0-0", "submit 0-1", "submit 0-2"])
    assert.deepEqual(words(batchOf(parts, { limits: { jobs: 2 } })), ["submit 0-0", "submit 0-1"])
    const [one, ...others] = parts
    const busy = [{ ...one ?? partOf(), phase: "submitting", job } as const, ...others]
    assert.deepEqual(words(batchOf(busy, { limits: { jobs: 2 } })), ["submit 0-1"])
    assert.deepEqual(words(batchOf(busy, { limits: { jobs: 1 } })), ["wait"])
    assert.deepEqual(words(batchOf([partOf({ records: 3 })])), ["collected"])
    assert.deepEqual(words(batchOf([partOf({ records: 4 })])), ["submit 0-0"])
  })

  it("is to count what nobody will ask as missing", () => {
    const small = partOf({ part: 2, records: 3 })
    const [command] = machine.next(batchOf([small]))
    assert.deepEqual(command, {
      _tag: "settle",
      event: { _tag: "collected", of: { round: 0, part: 2 }, tally: tallyOf({ missing: 3 }) }
    })
  })

  it("is what came of jobs, before any other is begun", () => {
    const ended = partOf({ phase: "ended", job: { ...running, status: "Failed" } })
    assert.deepEqual(words(batchOf([partOf({ part: 1 }), ended])), ["collect 0-0"])
    // It waits to be mended.
    const judged = { ...ended, tally: tallyOf({ missing: 10 }) }
    const problem = { kind: "failed", job: "arn", status: "Failed", message: "no" } as const
    assert.deepEqual(words(batchOf([partOf({ part: 1 }), judged], { problem })), ["ended failed"])
    const live = partOf({ part: 2, phase: "running", job: running })
    assert.deepEqual(words(batchOf([partOf({ part: 1 }), judged, live], { problem })), ["wait"])
  })

  it("is nothing when it is over", () => {
    for (const state of ["done", "failed", "cancelled"] as const) {
      assert.deepEqual(words(batchOf([partOf()], { state })), ["over"])
    }
  })

  it("is to stop what runs, where the batch is cancelled or late, and to ask for nothing", () => {
    const parts = [
      partOf({ phase: "running", job: running }),
      partOf({ part: 1, phase: "running", job: { ...running, status: "Stopping" } }),
      partOf({ part: 2 }),
      partOf({ part: 3, phase: "submitting", job })
    ]
    const late = { why: "deadline", records: 0, done: false } as const
    for (const some of [{ state: "cancelling" } as const, { late }]) {
      const journal = batchOf(parts, some)
      assert.isFalse(machine.isAsking(journal))
      assert.deepEqual(words(journal), ["stop 0-0", "collected"])
      assert.deepEqual(words({ ...journal, parts: parts.filter(({ part }) => part === 3) }), ["wait"])
    }
    assert.deepEqual(words(batchOf([partOf({ phase: "collected", tally: tallyOf() })], { state: "cancelling" })), [
      "ended cancelled"
    ])
  })

  it("is to wait for more input", () => {
    const open = batchOf([partOf({ phase: "collected", job: running, tally: tallyOf({ missing: 10 }) })])
    assert.deepEqual(words({ ...open, input: { ...open.input, sealed: false } }), ["wait"])
    assert.deepEqual(words(open), ["form 1"])
  })
})

describe("what a round left", () => {
  const done: Job = { ...running, status: "Completed" }
  const collected = (tally: Partial<Tally>, some: Partial<Part> = {}) =>
    partOf({ phase: "collected", job: done, tally: tallyOf(tally), ...some })
  const settings = (some: { rounds?: number; small?: "fail"; deadline?: Duration.Duration }) => ({ settings: some })
  const rest = { kind: "job", message: "never" } as const

  it("is asked again where it is enough for a job, and rounds are left", () => {
    assert.deepEqual(words(batchOf([collected({ succeeded: 10 })])), ["ended done"])
    assert.deepEqual(words(batchOf([collected({ succeeded: 6, failed: 1, missing: 3 })])), ["form 1"])
    assert.deepEqual(words(batchOf([collected({ succeeded: 6, rejected: 4 })])), ["ended done"])
    assert.deepEqual(words(batchOf([collected({ missing: 10 })], settings({ rounds: 1 }))), ["ended done"])
    assert.deepEqual(words(batchOf([collected({ missing: 10, succeeded: 0 }, { rest })])), ["ended done"])
  })

  it("is asked on demand where it is too little for a job, if it may be", () => {
    const few = [collected({ succeeded: 7, missing: 3 })]
    assert.deepEqual(words(batchOf(few)), ["late small 3"])
    assert.deepEqual(words(batchOf(few, settings({ small: "fail" }))), ["ended done"])
    assert.deepEqual(words(batchOf(few, settings({ rounds: 1 }))), ["ended done"])
    const never = partOf({ phase: "collected", records: 3, tally: tallyOf({ missing: 3 }) })
    assert.deepEqual(words(batchOf([never], settings({ rounds: 1 }))), ["late small 3"])
  })

  it("is not done when it is begun to be asked", () => {
    for (const some of [{}, settings({ rounds: 1, deadline: Duration.days(1) })]) {
      const [command] = machine.next(batchOf([collected({ missing: 3 })], some))
      assert.isFalse(command?._tag === "late" ? command.late.done : true)
    }
    const nothing = batchOf([collected({ succeeded: 10 })], settings({ deadline: Duration.days(1) }))
    assert.deepEqual(words(nothing), ["ended done"])
  })

  it("is asked on demand with a deadline, all of it, each once", () => {
    const deadline = Duration.days(1)
    const parts = [
      collected({ succeeded: 4, failed: 6 }),
      collected({ missing: 10 }, { part: 1, rest }),
      partOf({ part: 2, records: 3, phase: "collected", tally: tallyOf({ missing: 3 }), rest }),
      collected({ succeeded: 1, missing: 5 }, { round: 1, records: 6 })
    ]
    const used = { ...settings({ deadline, rounds: 2 }), round: 1 }
    assert.deepEqual(words(batchOf(parts, used)), ["late deadline 15"])
    assert.deepEqual(words(batchOf(parts, { ...settings({ rounds: 2 }), round: 1 })), ["ended done"])
    const late = { why: "deadline", records: 0, done: false } as const
    assert.deepEqual(words(batchOf(parts, { ...used, late })), ["late deadline 15"])
    assert.deepEqual(words(batchOf(parts, { ...used, late: { ...late, done: true } })), ["ended done"])
  })

  it("and was kept from being answered is asked again, whatever the rounds", () => {
    const stopped = (status: string, message = "") => collected({ missing: 10 }, { job: { ...done, status, message } })
    assert.deepEqual(words(batchOf([stopped("Stopped")], settings({ rounds: 1 }))), ["form 1"])
    assert.deepEqual(words(batchOf([stopped("Failed", "Access denied")], settings({ rounds: 1 }))), ["form 1"])
    assert.deepEqual(words(batchOf([stopped("Failed", "Oops")], settings({ rounds: 1 }))), ["ended done"])
    assert.deepEqual(words(batchOf([stopped("Completed", "Access denied")], settings({ rounds: 1 }))), ["ended done"])
  })
})

describe("what came of a job", () => {
  const judged = (
    status: string,
    tally: Partial<Tally>,
    some: Partial<Part> = {},
    more: Parameters<typeof batchOf>[1] = {}
  ) =>
    machine.step(batchOf([partOf({ phase: "ended", job: { ...running, status }, ...some })], more), {
      _tag: "collected",
      of,
      tally: tallyOf(tally)
    })

  it("counts where anything was answered", () => {
    for (const status of ["Completed", "PartiallyCompleted", "Failed", "Expired", "Gone", "Stopped"]) {
      for (const what of ["succeeded", "rejected", "failed"] as const) {
        const part = first(judged(status, { [what]: 1, missing: 9 }))
        assert.deepInclude(part, { phase: "collected", attempt: 0 }, `${status}, ${what}`)
        assert.isUndefined(part.rest)
      }
    }
  })

  it("is another job where nothing was, with more time where it never began", () => {
    for (const status of ["Failed", "Expired", "Gone"]) {
      const part = first(judged(status, { missing: 10 }))
      assert.deepInclude(part, { phase: "uploaded", attempt: 1 })
      assert.isUndefined(part.job)
      assert.strictEqual(part.hours, status === "Expired" ? 144 : undefined)
    }
    assert.strictEqual(first(judged("Expired", { missing: 10 }, { hours: 144 })).hours, 168)
    const given = first(judged("Expired", { missing: 10 }, { attempt: 2 }))
    assert.strictEqual(given.phase, "collected")
    assert.deepEqual(given.rest, {
      kind: "job",
      code: "Expired",
      message: "its job never answered: Expired, it does not say why"
    })
  })

  it("is something, where it was partly completed", () => {
    const part = first(judged("PartiallyCompleted", { missing: 10 }))
    assert.deepInclude(part, { phase: "collected", attempt: 0, tally: tallyOf({ missing: 10 }) })
  })

  it("waits with its count to be mended, where nothing was answered", () => {
    const waits: Partial<Part> = { phase: "ended", attempt: 1, tally: tallyOf({ missing: 10 }) }
    const lasting: Partial<Part> = { attempt: 1, job: { ...running, status: "Failed", message: "Access denied" } }
    assert.deepInclude(first(judged("Completed", { missing: 10 }, { attempt: 1 })), waits)
    assert.deepInclude(first(judged("Failed", { missing: 10 }, { attempt: 1 })), waits)
    assert.deepInclude(first(judged("", { missing: 10 }, lasting)), waits)
    const some = judged("", { succeeded: 1, missing: 9 }, lasting)
    assert.deepInclude(first(some), { phase: "collected", tally: tallyOf({ succeeded: 1, missing: 9 }) })
    assert.isDefined(some.problem)
  })

  it("is a problem where somebody has to look", () => {
    const message = (text: string): Partial<Part> => ({ job: { ...running, status: "Failed", message: text } })
    assert.deepInclude(judged("Completed", { missing: 10 }).problem, {
      kind: "failed",
      status: "Completed",
      job: "arn"
    })
    assert.deepInclude(judged("Stopped", { missing: 10 }).problem, { kind: "stopped", status: "Stopped" })
    assert.deepInclude(judged("", { missing: 10 }, message("Access denied")).problem, {
      kind: "failed",
      message: "Access denied"
    })
    assert.deepInclude(judged("Failed", { missing: 10 }, { attempt: 1 }).problem, { kind: "failed", status: "Failed" })
    assert.isUndefined(judged("Failed", { missing: 10 }).problem)
    // The first one stays, but for what somebody did.
    const problem = { kind: "refused", job: "other", status: "refused", message: "no" } as const
    assert.strictEqual(judged("Completed", { missing: 10 }, {}, { problem }).problem, problem)
    assert.strictEqual(judged("", { missing: 10 }, message("Access denied"), { problem }).problem, problem)
    assert.strictEqual(judged("Failed", { missing: 10 }, { attempt: 1 }, { problem }).problem, problem)
  })

  it("is not asked again where the batch is to end", () => {
    const late = { why: "deadline", records: 0, done: false } as const
    for (const status of ["Stopped", "Failed", "Expired", "Gone"]) {
      for (const some of [{ state: "cancelling" } as const, { late }]) {
        const journal = judged(status, { missing: 10 }, {}, some)
        assert.deepInclude(first(journal), { phase: "collected", attempt: 0 }, status)
        assert.isUndefined(journal.problem)
      }
    }
    // But what was paid for, and is nowhere, is a problem with a deadline, too.
    assert.isDefined(judged("Completed", { missing: 10 }, {}, { late }).problem)
    assert.isUndefined(judged("Completed", { missing: 10 }, {}, { state: "cancelling" }).problem)
  })

  it("that was never one is left for later, or fails", () => {
    const never = (some: Partial<Part>, small: "fail" | "on-demand") =>
      first(machine.step(batchOf([partOf({ records: 3, ...some })], { settings: { small } }), {
        _tag: "collected",
        of,
        tally: tallyOf({ missing: some.records ?? 3 })
      }))
    assert.isUndefined(never({}, "on-demand").rest)
    assert.strictEqual(never({}, "fail").phase, "collected")
    assert.deepEqual(never({}, "fail").rest, {
      kind: "job",
      code: "TooFew",
      message: "3 records are too few for a job, which has 4 at least"
    })
    assert.isUndefined(never({ records: 0 }, "fail").rest)
  })
})

describe("a batch", () => {
  const failed = partOf({ phase: "ended", job: { ...running, status: "Failed" }, tally: tallyOf({ missing: 10 }) })
  const problem = { kind: "failed", job: "arn", status: "Failed", message: "no" } as const

  it("goes on when it is resumed, where there was a problem", () => {
    const over = batchOf([failed, partOf({ part: 1, phase: "ended", job: running })], { problem, state: "failed" })
    const mended = machine.step(over, { _tag: "resumed" })
    assert.strictEqual(mended.state, "running")
    assert.isUndefined(mended.problem)
    assert.deepEqual(mended.parts, [partOf({ attempt: 1 }), partOf({ part: 1, phase: "ended", job: running })])
    const open = machine.step({ ...over, input: { ...over.input, sealed: false } }, { _tag: "resumed" })
    assert.strictEqual(open.state, "open")
    for (const state of ["done", "cancelling", "cancelled"] as const) {
      const ended = { ...over, state }
      assert.strictEqual(machine.step(ended, { _tag: "resumed" }), ended)
    }
    const well = batchOf([failed])
    assert.strictEqual(machine.step(well, { _tag: "resumed" }), well)
  })

  it("is cancelled, sealed or late while it is under way, and once", () => {
    const states = ["open", "running", "cancelling", "done", "failed", "cancelled"] as const
    for (const state of states) {
      const journal = batchOf([], { state })
      const isUnderWay = state === "open" || state === "running"
      assert.strictEqual(machine.step(journal, { _tag: "cancelled" }).state, isUnderWay ? "cancelling" : state)
      const overdue = machine.step(journal, { _tag: "overdue" })
      assert.deepEqual(overdue.late, isUnderWay ? { why: "deadline", records: 0, done: false } : undefined)
      assert.strictEqual(machine.step(overdue, { _tag: "overdue" }), overdue)
      const unsealed = { ...journal, input: { ...journal.input, sealed: false } }
      const sealed = machine.step(unsealed, { _tag: "sealed" })
      assert.deepInclude(sealed, { state: state === "open" ? "running" : state })
      assert.isTrue(sealed.input.sealed)
      assert.strictEqual(machine.step(sealed, { _tag: "sealed" }), sealed)
    }
  })

  it("has one count of what is late, until it is done", () => {
    const late = (records: number) => ({ _tag: "late", late: { why: "small", records, done: false } } as const)
    const small = machine.step(batchOf([]), late(3))
    assert.deepEqual(small.late, { why: "small", records: 3, done: false })
    assert.strictEqual(machine.step(small, late(3)), small)
    const overdue = machine.step(batchOf([]), { _tag: "overdue" })
    assert.deepEqual(machine.step(overdue, late(5)).late, { why: "deadline", records: 5, done: false })
    const answered = machine.step(small, { _tag: "answered" })
    assert.deepEqual(answered.late, { why: "small", records: 3, done: true })
    assert.strictEqual(machine.step(answered, late(9)), answered)
    const none = batchOf([])
    assert.strictEqual(machine.step(none, { _tag: "answered" }), none)
  })

  it("takes up its parts, and those of the next round", () => {
    const input = { sealed: false, records: 20, refused: 0, bytes: 20, chain: "c" }
    const more = machine.step(batchOf([partOf()]), { _tag: "uploaded", upload: uploadOf(1), input })
    assert.deepEqual(more.parts[1], partOf({ ...uploadOf(1) }))
    assert.strictEqual(more.input, input)
    const formed = machine.step(more, { _tag: "formed", round: 1, uploads: [uploadOf(0, 1)] })
    assert.deepEqual(formed.parts[2], partOf({ ...uploadOf(0, 1) }))
    assert.strictEqual(formed.round, 1)
    assert.strictEqual(machine.step(formed, { _tag: "formed", round: 1, uploads: [uploadOf(0, 1)] }), formed)
    assert.strictEqual(machine.step(formed, { _tag: "formed", round: 3, uploads: [] }), formed)
  })

  it("that ends cancelled has a reason for each record without an answer", () => {
    const answered = partOf({ part: 1, phase: "collected", job: running, tally: tallyOf({ succeeded: 10 }) })
    const ended = machine.step(batchOf([failed, answered], { state: "cancelling" }), {
      _tag: "ended",
      state: "cancelled"
    })
    assert.deepEqual(ended.parts.map(({ phase, rest }) => [phase, rest?.kind]), [
      ["collected", "cancelled"],
      ["collected", undefined]
    ])
    assert.strictEqual(ended.state, "cancelled")
    const done = machine.step(batchOf([answered]), { _tag: "ended", state: "done" })
    assert.deepEqual([done.state, done.parts], ["done", [answered]])
  })

  it("that was refused keeps why, and the first reason", () => {
    const asked = batchOf([partOf({ phase: "submitting", job })])
    const refused = machine.step(asked, { _tag: "refused", of, message: "may not" })
    assert.deepEqual(refused.problem, { kind: "refused", job: "n", status: "refused", message: "may not" })
    assert.strictEqual(first(refused).phase, "uploaded")
    const second = batchOf([partOf(), partOf({ part: 1, phase: "submitting", job })])
    const other = machine.step(second, { _tag: "refused", of: { round: 0, part: 1 }, message: "may not" })
    assert.strictEqual(other.problem?.job, "n")
    const again = machine.step({ ...asked, problem }, { _tag: "refused", of, message: "may not" })
    assert.strictEqual(again.problem, problem)
  })
})
