/**
 * What falling over to another target comes to, by who does it: two targets, in virtual time, the first of which fails, is full, refuses what makes no sense,
 * or cuts its answers off.
 *
 *     node bench/fallbacks.ts [--seed 1]
 *
 * - `outage`: ten calls a second for five minutes. From the 30th second to the 60th the first target fails, after a second each time.
 * - `full`: each takes 300 requests in any minute, and refuses more; nine calls a second for three minutes.
 * - `caller`: a hundred calls that no target takes, since they make no sense.
 * - `cut`: a hundred streams that the first target cuts off after six of ten words.
 */
import { spawnSync } from "node:child_process"
import { parseArgs } from "node:util"
import type { Name } from "./internal/fallbackContestants.ts"
import { outage, type Scenario, World } from "./internal/fallbackWorld.ts"
import { table } from "./internal/table.ts"
import { install } from "./internal/virtualTime.ts"

const { values: flags } = parseArgs({
  options: { seed: { type: "string", default: "1" }, scenario: { type: "string" }, name: { type: "string" } }
})

interface Took {
  readonly calls: number
  readonly lost: number
  readonly sent: number
  readonly refused: number
  /** Requests to the first target while it was away. */
  readonly intoOutage: number
  /** Milliseconds, of calls that began while the first target was away. */
  readonly p90: number
  readonly p99: number
  /** Milliseconds from when the first target was back until it had nine in ten of a second's calls; `null` when never. */
  readonly back: number | null
  /** Words that a reader got twice. */
  readonly twice: number
}

/** One contestant in one scenario, in a process whose time is virtual. */
const measure = async (scenario: Scenario, name: Name): Promise<Took> => {
  const time = install(Number(flags.seed))
  const { contestants } = await import("./internal/fallbackContestants.ts")
  const world = new World(scenario, time.now)
  const contestant = contestants[name](world, scenario)
  const rate = scenario === "full" ? 9 : 10
  const calls = { outage: 3_000, full: 1_620, caller: 100, cut: 100 }[scenario]
  const took: Array<{ readonly at: number; readonly millis: number }> = []
  let ended = 0
  let lost = 0
  let twice = 0
  const call = async (): Promise<void> => {
    const at = time.now()
    const words: Array<string> = []
    try {
      await (scenario === "cut" ? contestant.stream((word) => words.push(word)) : contestant.ask())
    } catch {
      lost++
    }
    twice += words.length - new Set(words).size
    took.push({ at, millis: time.now() - at })
    ended++
  }
  for (let i = 0; i < calls; i++) setTimeout(() => void call(), 1 + 1000 * i / rate)
  await time.until(() => ended === calls)

  const from = 1000 * outage.from
  const to = 1000 * outage.to
  const during = took.filter(({ at }) => at >= from && at < to).map(({ millis }) => millis).sort((a, b) => a - b)
  const share = (second: number): number => {
    const within = (at: number) => at >= to + 1000 * second && at < to + 1000 * (second + 1)
    return world.sent.a.filter(within).length / rate
  }
  const back = Array.from({ length: 240 }, (_, second) => second).find((second) => share(second) >= 0.9)
  return {
    calls,
    lost,
    sent: world.sent.a.length + world.sent.b.length,
    refused: world.refused,
    intoOutage: world.sent.a.filter((at) => at >= from && at < to).length,
    p90: during[Math.floor(0.9 * during.length)] ?? 0,
    p99: during[Math.floor(0.99 * during.length)] ?? 0,
    back: back === undefined ? null : 1000 * back,
    twice
  }
}

if (flags.scenario !== undefined) {
  console.log(JSON.stringify(await measure(flags.scenario as Scenario, flags.name as Name)))
} else {
  const names: ReadonlyArray<Name> = [
    "Caprock's ModelRouter",
    "Effect's ExecutionPlan",
    "Vercel AI SDK, ai-fallback",
    "LangChain, withFallbacks"
  ]
  const run = (scenario: Scenario, name: Name): Took => {
    const { stderr, stdout } = spawnSync(
      process.execPath,
      [import.meta.filename, "--scenario", scenario, "--name", name, "--seed", flags.seed],
      { encoding: "utf8" }
    )
    const line = stdout.trim().split("\n").at(-1) ?? ""
    if (!line.startsWith("{")) throw new Error(`${name}, ${scenario}: ${stdout}${stderr}`)
    return JSON.parse(line)
  }
  console.log(table(
    [
      "",
      "outage: lost",
      "sent per call",
      "sent into it",
      "p90, p99 ms in it",
      "back after s",
      "full: refused",
      "lost",
      "caller: sent per call",
      "cut: words twice",
      "failed"
    ],
    names.map((name) => {
      const away = run("outage", name)
      const full = run("full", name)
      const caller = run("caller", name)
      const cut = run("cut", name)
      return [
        name,
        String(away.lost),
        (away.sent / away.calls).toFixed(2),
        String(away.intoOutage),
        `${away.p90.toFixed(0)}, ${away.p99.toFixed(0)}`,
        away.back === null ? "never" : (away.back / 1000).toFixed(0),
        String(full.refused),
        String(full.lost),
        (caller.sent / caller.calls).toFixed(2),
        String(cut.twice),
        String(cut.lost)
      ]
    })
  ))
}
