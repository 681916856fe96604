// Damaged streams over real sockets: what the client makes of each, and what is wrong with that.
import type { BedrockClient } from "@caprock/client"
import type { BedrockError } from "@caprock/errors/BedrockError"
import { Deferred, Effect, Exit, type Scope, Stream } from "effect"
import * as Net from "node:net"
import { judge, type Outcome } from "./judge.ts"
import { Draw, type Mutant, mutant } from "./mutants.ts"
import { clientOf, eventually } from "./server.ts"

/** No stream may take longer, whatever is in it. All that a client waits for here comes at once. */
const patienceMillis = 10_000

/**
 * The numbers that a test takes: the same in each run, unless PROPERTY_SEED says otherwise (`vitest.workspace.ts`). Looking for what nobody
 * has seen yet is the business of `pnpm fuzz`, which begins somewhere else each time.
 */
export const numbers = (count: number): ReadonlyArray<number> => {
  const from = new Draw(Number(process.env["FUZZ_SEED"])).below(2 ** 31)
  return Array.from({ length: count }, (_, i) => from + i)
}

interface Finding {
  readonly seed: number
  readonly problem: string
  readonly story: ReadonlyArray<string>
}

/** A mutant that is to be asked for, and what is called when its answer is over. */
interface Asked {
  readonly mutant: Mutant
  readonly done: () => void
}

interface Served {
  readonly server: Net.Server
  readonly port: number
  readonly open: Set<Net.Socket>
  /** Connections that there ever were. */
  readonly count: () => number
}

const requestEnd = Buffer.from("\r\n\r\n")

/** A server that answers each request with the packets of the mutant that it names. It reads no more of HTTP than it needs. */
const serve = (mutants: ReadonlyMap<string, Asked>) =>
  Effect.acquireRelease(
    Effect.callback<Served>(
      (resume) => {
        const open = new Set<Net.Socket>()
        let count = 0
        const server = Net.createServer({ noDelay: true }, (socket) => {
          count++
          open.add(socket)
          let received = Buffer.alloc(0)
          socket.on("error", () => {})
          socket.on("close", () => open.delete(socket))
          socket.on("data", (bytes) => {
            received = received.length === 0 ? bytes : Buffer.concat([received, bytes])
            const end = received.indexOf(requestEnd)
            if (end === -1) return
            const head = received.subarray(0, end).toString("latin1")
            const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0)
            if (received.length < end + 4 + length) return
            const body = received.subarray(end + 4, end + 4 + length).toString()
            received = received.subarray(end + 4 + length)
            const one = mutants.get(/mutant-(\d+)/.exec(body)?.[1] ?? "")
            if (one !== undefined) answer(socket, one.mutant, one.done)
          })
        })
        server.listen(0, "127.0.0.1", () => {
          const { port } = server.address() as Net.AddressInfo
          resume(Effect.succeed({ server, port, open, count: () => count }))
        })
      }
    ),
    ({ open, server }) =>
      Effect.callback<void>((resume) => {
        for (const socket of open) socket.destroy()
        server.close(() => resume(Effect.void))
      })
  )

const answer = (socket: Net.Socket, { ending, packets }: Mutant, done: () => void): void => {
  // Where the connection ends with the answer, the next must not be asked over it before the client knows.
  if (ending !== "keep") socket.once("close", () => setImmediate(() => setImmediate(done)))
  const next = (at: number): void => {
    const packet = packets[at]
    if (packet === undefined) {
      if (ending === "end") socket.end()
      else if (ending === "reset") socket.resetAndDestroy()
      else done()
    } else socket.write(packet, () => setImmediate(next, at + 1))
  }
  next(0)
}

/** What is asked: a client, or something with the same operations. */
type Asking = Pick<BedrockClient.Service, "converseStream" | "invokeModelWithResponseStream">

const modelId = "amazon.nova-lite-v1:0"

const runOne = (client: Asking, id: string, { operation }: Mutant) =>
  Effect.suspend(() => {
    const events: Array<Readonly<Record<string, unknown>>> = []
    const stream: Stream.Stream<object, BedrockError> = operation === "converseStream"
      ? client.converseStream({ modelId, messages: [{ role: "user", content: [{ text: `mutant-${id}` }] }] })
      : client.invokeModelWithResponseStream({ modelId, body: JSON.stringify({ inputText: `mutant-${id}` }) })
    return stream.pipe(
      Stream.runForEach((event) => Effect.sync(() => void events.push({ ...event }))),
      Effect.exit,
      Effect.map((exit): Outcome => ({ exit, events })),
      Effect.timeoutOption(patienceMillis),
      Effect.map((outcome) => outcome._tag === "None" ? { exit: undefined, events } : outcome.value)
    )
  })

const nameOf = (exit: Exit.Exit<void, BedrockError> | undefined): string => {
  if (exit === undefined) return "hung"
  if (Exit.isSuccess(exit)) return "success"
  const [reason] = exit.cause.reasons
  if (reason?._tag !== "Fail") return "defect"
  const { error } = reason
  const { reason: why } = error
  if (why._tag !== "InterruptedStreamError") return "kind" in why ? `${why._tag}/${why.kind}` : why._tag
  const { origin } = why
  const from = origin === undefined ? "its end" : "kind" in origin ? `${origin._tag}/${origin.kind}` : origin._tag
  return `InterruptedStreamError${why.content ? " after content" : ""} by ${from}`
}

/** Runs mutants one after the other: their outcome, and what is wrong with it. */
const runner = (mutants: Map<string, Asked>, client: Asking) => {
  let next = 0
  return (one: Mutant) =>
    Effect.gen(function*() {
      const id = String(next++)
      const answered = yield* Deferred.make<void>()
      mutants.set(id, { mutant: one, done: () => Deferred.doneUnsafe(answered, Exit.void) })
      const { events, exit } = yield* runOne(client, id, one)
      mutants.delete(id)
      if (one.ending !== "keep") yield* Deferred.await(answered)
      const problem = exit === undefined ? `hung for ${patienceMillis} ms` : judge(one, { events, exit })
      return { outcome: nameOf(exit), problem }
    })
}

/** Each of them with the command that shows it again. */
export const told = (findings: ReadonlyArray<Finding>, option = ""): ReadonlyArray<string> =>
  findings.map(({ problem, seed, story }) => `pnpm fuzz 1 ${option}--from ${seed}: ${problem} (${story.join("; ")})`)

/** Runs the mutants of many seeds, some at a time, and counts their outcomes. */
export const sweep = (
  seeds: Iterable<number>,
  concurrency: number,
  connect: (url: string) => Effect.Effect<Asking, never, Scope.Scope> = (url) => Effect.orDie(clientOf(url))
) =>
  Effect.gen(function*() {
    const outcomes = new Map<string, number>()
    const findings: Array<Finding> = []
    const rest = seeds[Symbol.iterator]()
    let connections = 0
    // Each has a server of its own: nobody is sent a request over a connection that another's mutant has broken.
    const worker = Effect.scoped(Effect.gen(function*() {
      const mutants = new Map<string, Asked>()
      const { count, open, port } = yield* serve(mutants)
      yield* Effect.scoped(Effect.gen(function*() {
        const run = runner(mutants, yield* connect(`http://127.0.0.1:${port}`))
        for (let next = rest.next(); next.done !== true; next = rest.next()) {
          const seed = next.value
          const one = mutant(seed)
          const { outcome, problem } = yield* run(one)
          outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
          if (problem !== undefined) findings.push({ seed, problem, story: [one.operation, ...one.story] })
        }
      }))
      connections += count()
      // The client is closed, and none of its connections may be left. A socket that stays would hang this run.
      yield* eventually(() => open.size === 0)
    }))
    yield* Effect.forEach(Array.from({ length: concurrency }), () => worker, { concurrency, discard: true })
    return { outcomes, findings, connections }
  })
