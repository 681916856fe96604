// `pnpm fuzz [count] [--bedrock] [--from <number>]`: gives damaged event streams to the client, over real sockets, and fails when it is not
// told what is wrong with one as an error with a fitting type, within its time. 100,000 unless told: four minutes and more of one core.
// `--bedrock` gives them to the whole service, and looks at its books, too.
//
// A stream is drawn from its number alone (`packages/client/test/mutants.ts`). The numbers begin at a random one, which is printed; tests take
// the same few in each run. `pnpm fuzz 1 --from <number>` shows one of them again. What was found stays in the repository as a test of its own.
import * as Effect from "effect/Effect"
import { parseArgs } from "node:util"
import * as Bedrock from "../packages/bedrock/test/fuzzed.ts"
import { sweep } from "../packages/client/test/fuzz.ts"
import { mutant } from "../packages/client/test/mutants.ts"

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { from: { type: "string" }, bedrock: { type: "boolean", default: false } }
})
const count = Number(positionals[0] ?? 100_000)
const from = Number(values.from ?? Math.floor(Math.random() * 2 ** 31))
console.log(`pnpm fuzz ${count}${values.bedrock ? " --bedrock" : ""} --from ${from}`)

const seeds = function*(): Generator<number> {
  const started = performance.now()
  for (let i = 0; i < count; i++) {
    if (i > 0 && i % 10_000 === 0) console.log(`${i} after ${Math.round((performance.now() - started) / 1000)} s`)
    yield from + i
  }
}

const started = performance.now()
const { connections, findings, outcomes } = await Effect.runPromise(
  sweep(seeds(), 8, values.bedrock ? Bedrock.connect : undefined)
)
const seconds = (performance.now() - started) / 1000
for (const [outcome, times] of [...outcomes].toSorted(([, a], [, b]) => b - a)) {
  console.log(`${String(times).padStart(8)}  ${outcome}`)
}
console.log(`${count} streams in ${seconds.toFixed(1)} s over ${connections} connections: ${findings.length} findings`)
for (const { problem, seed, story } of findings.slice(0, 20)) {
  console.log(`\n${seed}: ${problem}\n  ${story.join("; ")}`)
}
if (count === 1) console.log(mutant(from).body.toString("latin1"))
if (findings.length > 0) process.exitCode = 1
