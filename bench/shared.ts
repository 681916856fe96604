/**
 * What it takes to share a quota through Redis: admissions a second, commands that Redis gets and CPU for each. Limiters alone, which admit and count,
 * and nothing is sent: Caprock's, Effect's and rate-limiter-flexible's, in 1 to 8 processes, one run after the other.
 *
 *     node bench/shared.ts [--processes 1,2,4,8] [--seconds 5] [--callers 64] [--rate 2500] [--quotas scarce,paced,free] [--window 2000] [--only Caprock]
 *
 * `scarce`: a quota of `--rate` admissions a second, of which `--callers` in each process want all there is. `paced`: as many calls come, and there is
 * twice the quota. `free`: a quota that nobody uses up, and calls as fast as they go. A call takes a request and 1,000 tokens, and is charged so much.
 *
 * It is measured for whole windows, and for `--seconds` at least.
 *
 * Commands: those that clients sent; in brackets, all that Redis did, with what scripts called inside.
 */
import * as Effect from "effect/Effect"
import { parseArgs } from "node:util"
import * as RedisServers from "../packages/rate-limiter/test/redisServers.ts"
import { type Process, start } from "./internal/processes.ts"
import { names, type Start, type Took } from "./internal/sharedProcess.ts"
import { table } from "./internal/table.ts"

const { values: flags } = parseArgs({
  options: {
    processes: { type: "string", default: "1,2,4,8" },
    seconds: { type: "string", default: "5" },
    callers: { type: "string", default: "64" },
    rate: { type: "string", default: "2500" },
    quotas: { type: "string", default: "scarce,paced,free" },
    window: { type: "string", default: "2000" },
    only: { type: "string", default: "" }
  }
})

const list = (text: string): ReadonlyArray<string> => text.split(",").filter((item) => item !== "")
const window = Number(flags.window)
const rate = Number(flags.rate)
const warmMillis = 2 * window
/** Whole windows, and the guard after each: a limiter that keeps to rolling windows sends a quota at once where it may, and then waits. */
const wholeMillis = window + 250
const measuredMillis = Math.ceil(Number(flags.seconds) * 1000 / wholeMillis) * wholeMillis

/** What only scripts call here. */
const inner = /^(time|info|hmget|hget|hset|hdel|pexpire|expire|publish|get|set|pttl|ttl|incrby|incr)$/

const commandsOf = (info: string): { readonly sent: number; readonly all: number } => {
  let sent = 0
  let all = 0
  const scripted = /cmdstat_eval(sha)?:/.test(info)
  for (const [, name = "", calls] of info.matchAll(/cmdstat_([^:]+):calls=(\d+)/g)) {
    all += Number(calls)
    if (!(scripted && inner.test(name))) sent += Number(calls)
  }
  return { sent, all }
}

const sleep = (millis: number) => new Promise((resolve) => setTimeout(resolve, millis))

const run = (by: Start["by"], quota: string, count: number) =>
  Effect.scoped(Effect.gen(function*() {
    const { port, url } = yield* RedisServers.start("redis")
    const ask = (line: string) => Effect.runPromise(RedisServers.ask(port, line))
    return yield* Effect.promise(async () => {
      const processes = Array.from({ length: count }, (): Process => start("sharedProcess.ts"))
      try {
        const requests = rate * window / 1000 * (quota === "scarce" ? 1 : quota === "paced" ? 2 : 1_000)
        const callers = Number(flags.callers)
        await Promise.all(processes.map((process) =>
          process.ask(
            {
              by,
              redis: url,
              callers,
              quota: { requests, tokens: requests * 1_000 },
              window,
              pause: quota === "paced" ? callers * count * 1000 / rate : 0
            } satisfies Start
          )
        ))
        await sleep(warmMillis)
        const took = () => Promise.all(processes.map((process) => process.ask<Took>({})))
        await took()
        await ask("CONFIG RESETSTAT")
        const from = performance.now()
        await sleep(measuredMillis)
        const info = await ask("INFO commandstats")
        const millis = performance.now() - from
        const all = await took()
        const admitted = all.reduce((sum, one) => sum + one.admitted, 0)
        return {
          perSecond: admitted * 1000 / millis,
          sent: commandsOf(info).sent / admitted,
          all: commandsOf(info).all / admitted,
          cpu: all.reduce((sum, one) => sum + one.cpuMicros, 0) / admitted
        }
      } finally {
        for (const process of processes) process.stop()
      }
    })
  }))

const main = Effect.gen(function*() {
  for (const quota of list(flags.quotas)) {
    const rows: Array<ReadonlyArray<string>> = []
    for (const count of list(flags.processes).map(Number)) {
      let ours: Effect.Success<ReturnType<typeof run>> | undefined
      for (const by of names.filter((name) => flags.only === "" || name.includes(flags.only))) {
        const took = yield* run(by, quota, count)
        ours ??= took
        const row = [
          `${count} × ${by}`,
          took.perSecond.toFixed(0),
          `${took.sent.toFixed(3)} (${took.all.toFixed(2)})`,
          took.cpu.toFixed(0),
          (took.sent / ours.sent).toFixed(1),
          (took.cpu / ours.cpu).toFixed(1)
        ]
        console.error(row.join(" | "))
        rows.push(row)
      }
    }
    console.log(
      `\n${quota}${quota === "free" ? "" : `: ${rate} a second`}, windows of ${
        window / 1000
      } s, ${flags.callers} callers in each process`
    )
    console.log(table(["", "a second", "commands", "CPU µs", "× commands", "× CPU"], rows))
  }
})

Effect.runPromise(main).then(() => process.exit(0), (cause) => {
  console.error(cause)
  process.exit(1)
})
