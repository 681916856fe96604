import { LimiterStore, Meter, RateLimiter } from "@caprock/rate-limiter"
import { it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import * as fs from "node:fs"
import * as FaultyStore from "./faultyStore.ts"
import { guard, send, senderOf, window } from "./sending.ts"
it.effect("trace", () =>
  Effect.gen(function*() {
    const { calls, quota } = JSON.parse(fs.readFileSync("/tmp/in2.json", "utf8"))
    const { links } = yield* FaultyStore.make(3)
    const clock = yield* Clock.Clock
    const out: string[] = []
    const senders = yield* Effect.forEach(links, (link, i) => {
      const traced = {
        ...link,
        exchange: (q: string, m: LimiterStore.Message) =>
          Effect.tap(link.exchange(q, m), (s) =>
            Effect.sync(() =>
              out.push(
                `${clock.currentTimeMillisUnsafe()} x${i} given ${m.given["tokens/1000"]} granted ${
                  m.granted["tokens/1000"]
                }->${s.granted["tokens/1000"]} owed ${m.owed["tokens/1000"]} free ${
                  s.free["tokens/1000"]
                } opens ${s.opensInMillis} lines ${
                  JSON.stringify(m.lines.map((l) => [l.count, l.head["tokens/1000"]]))
                } rem ${JSON.stringify(s.remains)} leaving ${JSON.stringify(m.leaving["tokens/1000"])}`
              )
            ))
      }
      return Effect.map(
        RateLimiter.makeShared({
          meters: () => [Meter.requests(quota.requests, window), Meter.tokens(quota.tokens, window)],
          guard,
          lease: 800,
          beat: 20,
          onLoss: "wait"
        }).pipe(Effect.provideService(LimiterStore.LimiterStore, traced)),
        (l) => {
          const limiter = {
            ...l,
            reserve: (cost: any) =>
              Effect.tap(l.reserve(cost), () =>
                Effect.sync(() => out.push(`${clock.currentTimeMillisUnsafe()} ADMIT ${i} ${cost.tokens}`)))
          }
          return senderOf(limiter as any)
        }
      )
    })
    const { refusals } = yield* send(calls, quota, [0], senders, 60_000)
    fs.writeFileSync("/tmp/trace.txt", out.join("\n") + "\n" + refusals.join("\n"))
  }).pipe(Effect.scoped))
