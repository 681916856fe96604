import * as Contest from "@caprock/cli/demo/Contest"
import * as Layered from "@caprock/cli/demo/Layered"
import * as PlainSdk from "@caprock/cli/demo/PlainSdk"
import * as Round from "@caprock/cli/demo/Round"
import * as View from "@caprock/cli/demo/View"
import * as Workload from "@caprock/cli/demo/Workload"
import { Screen } from "@caprock/cli/terminal/Screen"
import * as Emulator from "@caprock/emulator/Emulator"
import { assert, describe, it } from "@effect/vitest"
import { Console, Effect } from "effect"

const quota: View.Quota = { requests: 60, tokens: 90_000, windowMillis: 6000 }

/** What an emulator counts that nobody asked anything. */
const silent = Effect.scoped(Effect.flatMap(Emulator.make(), (emulator) => emulator.stats))

const counted = (progress: Partial<Round.Progress> & { readonly settled?: number; readonly throttles?: number }) =>
  Effect.map(silent, (stats): Round.Result => ({
    prompts: 300,
    answered: 60,
    failures: { ThrottlingException: 200, TimeoutError: 3 },
    elapsedMillis: 3000,
    log: [],
    ...progress,
    stats: {
      ...stats,
      requests: 412,
      throttled: { ...stats.throttled, total: progress.throttles ?? 352 },
      tokens: { reserved: 0, settled: progress.settled ?? 67_500 },
      perBody: { distinct: 300, max: 3, mean: 1.4 },
      pools: {
        pool: {
          ...stats,
          usage: { requests: { used: 30, limit: 60 }, tokens: { used: 81_000, limit: 90_000 } }
        }
      }
    }
  }))

describe("demo", () => {
  it.effect("shows a round while it goes, as a panel and as a line", () =>
    Effect.gen(function*() {
      const round = yield* counted({})
      assert.deepStrictEqual(View.panel("SDK", round), [
        "SDK, 3.0 s",
        "  answered ████░░░░░░░░░░░░░░░░ 60 of 300, 203 failed, 37 open",
        "  requests ██████████░░░░░░░░░░ 30 of 60 in this minute",
        "  tokens   ██████████████████░░ 81,000 of 90,000 in this minute",
        "  the server got 412 requests and throttled 352"
      ])
      assert.strictEqual(
        View.line("SDK", round),
        "SDK, 3.0 s: 60 of 300 answered, 203 failed, 412 requests sent, 352 throttles"
      )
    }))

  it.effect("counts what is open at the end as lost, and compares times only where all was answered", () =>
    Effect.gen(function*() {
      const some = View.figures(yield* counted({}), quota, 24_000)
      // In half a window a server gives a window and a half.
      assert.deepStrictEqual(some, {
        answered: 60,
        lost: 240,
        throttles: 352,
        sentPerCall: 412 / 300,
        mostPerCall: 3,
        millis: 3000,
        quotaUsed: 0.5,
        againstLeast: undefined
      })
      const all = yield* counted({ answered: 300, failures: {}, elapsedMillis: 30_000 })
      assert.strictEqual(View.figures(all, quota, 24_000).againstLeast, 1.25)
      assert.strictEqual(View.leastMillis(yield* counted({}), quota), undefined)
    }))

  it.effect("puts the rounds side by side", () =>
    Effect.gen(function*() {
      const sdk = yield* counted({})
      const ours = yield* counted({
        answered: 300,
        failures: {},
        elapsedMillis: 30_000,
        settled: 432_000,
        throttles: 0
      })
      const table = View.table([
        { name: "SDK", figures: View.figures(sdk, quota, 24_000) },
        { name: "Caprock", figures: View.figures(ours, quota, 24_000) }
      ])
      assert.deepStrictEqual(table.split("\n"), [
        "                                                       SDK            Caprock",
        "─".repeat(77),
        "answered                                                60                300",
        "failed                                                 240                  0",
        "throttles seen by the server                           352                  0",
        "requests sent per call                    1.37 (at most 3)   1.37 (at most 3)",
        "time                                   3.0 s, then gave up               30 s",
        "share of the quota used                               50 %               80 %",
        "time against the theoretical minimum        never finished         1.25 times"
      ])
      const text = View.closing([{ name: "SDK", result: sdk }, { name: "Caprock", result: ours }], 24_000, quota)
      assert.include(text, "SDK: 200 calls ended in ThrottlingException.")
      assert.include(text, "is 24 s (4 min 0 s in life)")
      assert.include(text, "the 250 ms by which Caprock keeps each charge longer cost it 4 % here and 0.4 % there.")
      assert.notInclude(View.closing([{ name: "SDK", result: sdk }], undefined, quota), "theoretical minimum")
    }))

  it.effect("asks the same every time, each text once", () =>
    Effect.gen(function*() {
      const prompts = yield* Workload.prompts(50)
      assert.deepStrictEqual(yield* Workload.prompts(50), prompts)
      assert.strictEqual(new Set(prompts.map((prompt) => JSON.stringify(prompt.messages))).size, 50)
      assert.strictEqual(new Set(prompts.map((prompt) => prompt.inferenceConfig?.maxTokens)).size, 3)
    }))

  // Live: two real clients and a real server.
  it.live("is the same burst for both contestants", () =>
    Effect.gen(function*() {
      const prompts = yield* Workload.prompts(20)
      const rounds = yield* Effect.forEach([PlainSdk.make, Layered.make], (contestant) =>
        Round.run({
          server: { ...Workload.server, quota: {}, latency: undefined },
          prompts,
          contestant,
          limit: "30 seconds",
          show: () => Effect.void
        }))
      const charged = rounds.map(({ log }) =>
        log.map(({ reserved, settled }) => [reserved, settled].join(" ")).toSorted()
      )
      assert.deepStrictEqual(rounds.map(({ answered }) => answered), [20, 20])
      assert.strictEqual(charged[0]?.length, 20)
      assert.deepStrictEqual(charged[0], charged[1])
    }))

  it.live("ends when the limit is over, and says by name what failed", () =>
    Effect.gen(function*() {
      const [prompt] = yield* Workload.prompts(1)
      const prompts = [prompt, prompt, prompt].filter((prompt) => prompt !== undefined)
      let asked = 0
      const round = yield* Round.run({
        server: {},
        prompts,
        contestant: () => Effect.succeed(() => asked++ === 0 ? Effect.never : Effect.fail({ name: "Refused" })),
        limit: "50 millis",
        show: () => Effect.void
      })
      assert.deepInclude(round, { prompts: 3, answered: 0, failures: { Refused: 2 } })
    }))

  it.live("fails when the last contestant loses anything, and only then", () =>
    Effect.gen(function*() {
      const prompts = yield* Workload.prompts(3)
      const good: Round.Contestant = () => Effect.succeed(() => Effect.void)
      const bad: Round.Contestant = () => Effect.succeed(() => Effect.fail({ name: "Refused" }))
      const said: Array<string> = []
      const printed: Array<unknown> = []
      const run = (first: Round.Contestant, second: Round.Contestant) =>
        Contest.run({
          server: {},
          quota,
          prompts,
          contestants: [{ name: "first", contestant: first }, { name: "second", contestant: second }],
          limit: "10 seconds"
        }).pipe(
          Effect.provideService(
            Screen,
            Screen.of({
              live: false,
              columns: Effect.succeed(80),
              say: (text) => Effect.sync(() => said.push(text)),
              panel: () => Effect.void
            })
          ),
          Effect.provideService(Console.Console, { ...console, log: (text: unknown) => printed.push(text) })
        )
      yield* run(bad, good)
      assert.include(said.join("\n"), "ms: 0 of 3 answered, 3 failed")
      assert.include(String(printed[0]), "first: 3 calls ended in Refused.")
      assert.deepInclude(yield* Effect.flip(run(good, bad)), { _tag: "Quiet", code: 1 })
    }))
})
