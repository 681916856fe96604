// What the entry point without Effect has to have in common with the service, and how a program ends that uses it.
import { Bedrock, type CallLimits, type CallTurn, type Routes } from "@caprock/bedrock"
import type * as Facade from "@caprock/bedrock/promise"
import { createBedrock, OptionsError } from "@caprock/bedrock/promise"
import { BedrockError, Reason } from "@caprock/errors"
import type { Quotas } from "@caprock/quota"
import type { Route, Target } from "@caprock/router"
import { Duration, Effect, Layer, Stream } from "effect"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { assert, describe, it } from "vitest"
import { streamed } from "../src/internal/facade/answers.ts"
import { Host } from "../src/internal/facade/calls.ts"
import * as Errors from "../src/internal/facade/errors.ts"
import { fromEffect } from "../src/internal/facade/rejections.ts"
import { eventually, rejected, served } from "./served.ts"

type Same<A, B> = [A] extends [B] ? [B] extends [A] ? true : false : false

/** Type-checks only where the two are the same. */
const same = <A, B>(...differ: Same<A, B> extends true ? [] : [left: A, right: B]) => assert.lengthOf(differ, 0)

describe("the types without Effect", () => {
  it("have every option, and every word", () => {
    // The functions of routes are Effects.
    same<
      Exclude<keyof Bedrock.Options, Exclude<keyof Routes.RouteOptions, "routes">>,
      Exclude<keyof Facade.Options, "onEvent" | "onWarning">
    >()
    same<keyof NonNullable<Bedrock.Options["timeouts"]>, keyof NonNullable<Facade.Options["timeouts"]>>()
    same<keyof NonNullable<Bedrock.Options["meters"]>, keyof NonNullable<Facade.Options["meters"]>>()
    same<keyof NonNullable<Bedrock.Options["backoff"]>, keyof NonNullable<Facade.Options["backoff"]>>()
    same<
      keyof CallLimits.CallLimits | keyof CallTurn.CallTurn,
      Exclude<keyof Facade.CallOptions, "signal">
    >()
    same<keyof NonNullable<Bedrock.Options["retryBudget"]>, keyof NonNullable<Facade.Options["retryBudget"]>>()
    same<Quotas.Quota, Facade.Quota>()
    same<Target.Target, Facade.Target>()
    same<keyof Route.Route, keyof Facade.Route>()
    // Those that ask a function are not for them.
    const policies: ReadonlyArray<Exclude<Route.Policy, Route.Difficulty | Route.Choose>> = [] as ReadonlyArray<
      Facade.Policy
    >
    assert.deepStrictEqual(policies, [])
    same<Bedrock.Snapshot["advice"], Facade.Snapshot["advice"]>()
    same<Reason.ThrottlingError["limit"], Errors.ThrottlingError["limit"]>()
    same<Reason.ServerError["kind"], Errors.ServerError["kind"]>()
    same<Reason.ValidationError["kind"], Errors.ValidationError["kind"]>()
    same<Reason.AccessError["kind"], Errors.AccessError["kind"]>()
    same<Reason.NotFoundError["kind"], Errors.NotFoundError["kind"]>()
    same<Reason.TransportError["kind"], Errors.TransportError["kind"]>()
    same<Reason.TimeoutError["kind"], Errors.TimeoutError["kind"]>()
    same<Reason.AdmissionError["kind"], Errors.AdmissionError["kind"]>()
    same<Reason.InterruptedStreamError["partial"], Errors.InterruptedStreamError["partial"]>()
  })

  it("have a class for every reason", () => {
    const names = Reason.Reason.members.map(({ identifier }) => identifier)
    const classes = Object.entries(Errors).flatMap(([name, of]) =>
      Object.getPrototypeOf(of) === Errors.BedrockError ? [name] : []
    )
    assert.sameMembers(classes, [...names])
  })
})

/** Runs a program in a process of its own, which imports the package by its name. */
const run = (source: string, env: Readonly<Record<string, string>> = {}, type = "module") =>
  promisify(execFile)(process.execPath, [`--input-type=${type}`, "--eval", source], {
    cwd: fileURLToPath(new URL("..", import.meta.url)),
    env: { ...process.env, ...env },
    timeout: 30_000
  })

describe("options", () => {
  it("that are wrong are told at once, all of them, by name", () => {
    const wrong = (options: object) => {
      try {
        createBedrock(options)
      } catch (error) {
        assert.instanceOf(error, OptionsError)
        assert.strictEqual(error.name, "OptionsError")
        assert.strictEqual(error.message, error.problems.map(({ message }) => message).join("\n"))
        return error.problems.map(({ message }) => message)
      }
      return []
    }
    assert.deepStrictEqual(wrong({ region: "us-east-1", quotas: { default: {} } }), [])
    assert.deepStrictEqual(wrong({ maxConnections: 0, timeouts: { call: "soon" }, token: "a b" }), [
      "token is something else, and must be a text of visible characters, without space or line break.",
      "maxConnections is 0, and must be a whole number of at least 1.",
      "timeouts.call is \"soon\", and must be a duration of more than 0, such as \"30 seconds\" or \"Infinity\"."
    ])
    assert.match(wrong({ maxWiat: 3 }).join(), /^maxWiat is not known. maxWait is\.$/)
  })

  it("that are not given are read from the environment", async () => {
    const program = `
      import { createBedrock } from "@caprock/bedrock/promise"
      const { meters } = await createBedrock({ account: "mine" }).snapshot("amazon.nova-lite-v1:0")
      for (const { limit, unit } of meters) console.log(limit, unit)
    `
    const set = { AWS_REGION: "us-east-1", CAPROCK_RPM: "20", CAPROCK_TPM: "4000" }
    assert.strictEqual((await run(program, set)).stdout, "20 requests\n4000 tokens\n")
    const failure = await rejected(run(program, { ...set, CAPROCK_TPM: "4k" }))
    assert.match(String(failure), /OptionsError: CAPROCK_TPM is "4k", and must be/)
  })
})

describe("between an event and who waits for it", () => {
  /** A stream of one event and silence, whose end is seen; `give` hands the event over, and leaves the reader a turn behind. */
  const oneEvent = () => {
    const host = new Host(Bedrock.Bedrock, Layer.orDie(Bedrock.layerTest({})), {})
    const { promise: asked, resolve: ask } = Promise.withResolvers<() => void>()
    let closed = false
    const first = Effect.callback<string>((resume) => ask(() => resume(Effect.succeed("an event"))))
    const stream = Stream.fromEffect(first).pipe(
      Stream.concat(Stream.never),
      Stream.ensuring(Effect.sync(() => {
        closed = true
      }))
    )
    const controller = new AbortController()
    const events = streamed(host, "Test", () => stream)({}, { signal: controller.signal })[Symbol.asyncIterator]()
    return { asked, closed: () => closed, controller, host, events }
  }

  it("an abort counts", async () => {
    const { asked, closed, controller, events } = oneEvent()
    const waits = rejected(events.next())
    const give = await asked
    give()
    controller.abort("gone")
    assert.strictEqual(await waits, "gone")
    await eventually(closed)
  })

  it("leaving counts", async () => {
    const { asked, closed, events } = oneEvent()
    const waits = events.next()
    const give = await asked
    give()
    await events.return?.()
    assert.deepStrictEqual(await waits, { done: true, value: undefined })
    assert.isTrue(closed())
  })

  it("the close of the client counts", async () => {
    const { asked, closed, host, events } = oneEvent()
    const waits = rejected(events.next())
    const give = await asked
    give()
    await host.close()
    assert.include(await waits, { name: "AdmissionError", kind: "shutting-down" })
    await eventually(closed)
  })
})

it("an error says when to try again", () => {
  const reason = new Reason.ThrottlingError({ limit: "tokens", message: "no", retryAfter: Duration.seconds(3) })
  const error = fromEffect(new BedrockError.BedrockError({ operation: "Converse", attempts: 1, reason }))
  assert.strictEqual(error.retryAfterMillis, 3_000)
})

it("an application inference profile draws on the pool of its model", async () => {
  const profile = "arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/a1b2c3"
  await using bedrock = createBedrock({ region: "us-east-1", resolve: { [profile]: "us.amazon.nova-lite-v1:0" } })
  assert.include((await bedrock.snapshot(profile)).pool, "amazon.nova-lite-v1:0")
})

it("a CommonJS program can require it", async () => {
  const program = `const { createBedrock } = require("@caprock/bedrock/promise"); console.log(typeof createBedrock)`
  assert.strictEqual((await run(program, {}, "commonjs")).stdout, "function\n")
})

describe("a program that never closes its client", () => {
  it("ends when its calls have", async () => {
    await using emulator = await served()
    const started = performance.now()
    const { stderr, stdout } = await run(`
      import { createBedrock } from "@caprock/bedrock/promise"
      const bedrock = createBedrock({
        endpoint: "${emulator.url}",
        region: "us-east-1",
        credentials: { accessKeyId: "any", secretAccessKey: "any" },
        quotas: { default: { requestsPerMinute: 100 } }
      })
      const ask = { modelId: "amazon.nova-lite-v1:0", messages: [{ role: "user", content: [{ text: "Why?" }] }] }
      await Promise.all([bedrock.converse(ask), bedrock.converse(ask)])
      for await (const event of bedrock.converseStream(ask)) if (event.metadata) console.log("whole")
      for await (const event of bedrock.converseStream(ask)) break
      const body = (async function*() {
        yield { chunk: { bytes: new TextEncoder().encode('{"event":{"sessionStart":{}}}') } }
        yield { chunk: { bytes: new TextEncoder().encode('{"event":{"sessionEnd":{}}}') } }
      })()
      for await (const event of bedrock.invokeModelWithBidirectionalStream({ modelId: "amazon.nova-2-sonic-v1:0", body }));
      await bedrock.converse(ask, { signal: AbortSignal.abort() }).catch((error) => console.log(error.name))
    `)
    assert.deepStrictEqual([stdout, stderr], ["whole\nAbortError\n", ""])
    // Connections are kept for a minute.
    assert.isBelow(performance.now() - started, 20_000)
  })
})
