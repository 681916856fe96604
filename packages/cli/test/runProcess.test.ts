// The program as a process of its own: what signals, kill -9 and a full disk leave behind.
import * as Emulator from "@caprock/emulator/Emulator"
import * as Fault from "@caprock/emulator/Fault"
import * as LatencyModel from "@caprock/emulator/LatencyModel"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Path, Random, Schedule } from "effect"
import { caprock, credentials, environment, type Running, start } from "./process.ts"
import { isAnswer, model, platform, readResults, runArgs, temporaryFolder } from "./support.ts"

const prepare = (lines: number) =>
  Effect.gen(function*() {
    const path = yield* Path.Path
    const fs = yield* FileSystem.FileSystem
    const folder = yield* temporaryFolder
    const input = path.join(folder, "prompts.jsonl")
    const output = path.join(folder, "results.jsonl")
    yield* fs.writeFileString(
      input,
      Array.from({ length: lines }, (_, i) => `{"id":"r${i}","prompt":"Number ${i}"}\n`).join("")
    )
    return { input, output, folder }
  })

/** Real processes, so real time. Waits for what is to happen, never for a time in which it should have. */
const until = <E, R>(what: string, condition: Effect.Effect<boolean, E, R>, running?: Running) =>
  condition.pipe(
    Effect.flatMap((holds) => holds ? Effect.void : Effect.fail("not yet" as const)),
    Effect.retry({ schedule: Schedule.spaced("10 millis"), while: (error) => error === "not yet" }),
    Effect.timeoutOrElse({
      duration: "40 seconds",
      orElse: () => Effect.die(new Error(`never: ${what}\n${running?.stderr() ?? ""}`))
    })
  )

const sizeOf = (path: string) =>
  Effect.flatMap(FileSystem.FileSystem, (fs) => fs.readFileString(path)).pipe(
    Effect.map((text) => text.length),
    Effect.orElseSucceed(() => 0)
  )

describe("caprock run, as a process", () => {
  it.live("is killed at 50 random moments, and answers each line exactly once", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const lines = 2000
      const { input, output } = yield* prepare(lines)
      // Now and then a line ends in an error: so a continued run has lines to take out.
      const emulator = yield* Emulator.make({
        latency: LatencyModel.uniform(5, 60),
        faults: [{ fault: Fault.error("ValidationException"), rate: 0.02 }]
      })
      const connections = 8
      const command = runArgs(input, output, emulator.url, "--max-connections", String(connections))
      for (let kill = 0; kill < 50; kill++) {
        const before = yield* sizeOf(output)
        yield* Effect.scoped(Effect.gen(function*() {
          const running = yield* start(command)
          // One in five dies while it starts or opens the output, the others in full flight.
          const early = kill % 5 === 0
          const began = early
            ? fs.exists(`${output}.lock`)
            : Effect.map(sizeOf(output), (size) => size !== before)
          yield* Effect.raceFirst(until("the run begins", began, running), running.ended)
          yield* Effect.sleep(yield* Random.nextBetween(0, early ? 30 : 120))
          running.child.kill("SIGKILL")
          yield* running.ended
        }))
      }
      const killed = (yield* emulator.stats).requests
      let ended = yield* caprock(command)
      for (let i = 0; i < 20 && ended.code === 1; i++) ended = yield* caprock(command)
      assert.strictEqual(ended.code, 0, ended.stderr)

      const results = yield* readResults(output)
      const answers = results.filter(isAnswer)
      assert.strictEqual(results.length, lines)
      assert.strictEqual(new Set(answers.map((line) => line.id)).size, lines)
      assert.isTrue(answers.every((line) => line.id === `r${line.line - 1}`))
      // Asked twice at most is what was under way when the process died, and what ended in an error.
      const { errors, requests } = yield* emulator.stats
      const refused = errors["ValidationException"] ?? 0
      assert.isAtMost(requests, lines + 50 * connections + refused)
      assert.isAbove(killed, 300)
    }).pipe(platform), 600_000)

  it.live("Ctrl-C finishes what was sent, says how to go on, and exits with 130", () =>
    Effect.gen(function*() {
      const { input, output } = yield* prepare(100)
      const emulator = yield* Emulator.make({ latency: LatencyModel.fixed(700) })
      const running = yield* start(runArgs(input, output, emulator.url, "--max-connections=4", "--rpm=50"))
      yield* until("requests under way", Effect.map(emulator.stats, (stats) => stats.inFlight === 4), running)
      running.child.kill("SIGINT")
      const { code, stderr } = yield* running.ended
      assert.strictEqual(code, 130, stderr)
      assert.include(stderr, "Stopping: 4 requests are still being answered. Ctrl-C again stops at once.")
      assert.include(stderr, "Stopped by SIGINT. Run the same command again: it goes on where it stopped.")
      assert.strictEqual((yield* readResults(output)).filter(isAnswer).length, 4)
      const { answered, requests } = yield* emulator.stats
      assert.deepEqual({ answered, requests }, { answered: 4, requests: 4 })
      yield* Effect.flatMap(FileSystem.FileSystem, (fs) => fs.exists(`${output}.lock`)).pipe(
        Effect.map((exists) => assert.isFalse(exists))
      )
    }).pipe(platform))

  it.live("a second Ctrl-C stops at once, and what was written stays", () =>
    Effect.gen(function*() {
      const { input, output } = yield* prepare(50)
      const emulator = yield* Emulator.make({})
      const command = runArgs(input, output, emulator.url, "--max-connections=4")
      // Two answers, and then silence for ever.
      yield* emulator.inject(Fault.slow(1), { times: 2 })
      yield* emulator.inject(Fault.silence(), { times: 1000 })
      const running = yield* start(command)
      yield* until("silence", Effect.map(emulator.stats, (stats) => stats.inFlight === 4), running)
      running.child.kill("SIGINT")
      yield* until("the first is heard", Effect.sync(() => running.stderr().includes("Stopping")), running)
      running.child.kill("SIGINT")
      const { code, stderr } = yield* running.ended
      assert.strictEqual(code, 130, stderr)
      assert.strictEqual((yield* readResults(output)).length, 2)
      assert.isFalse(yield* Effect.flatMap(FileSystem.FileSystem, (fs) => fs.exists(`${output}.lock`)))
    }).pipe(platform))

  it.live("SIGTERM is a Ctrl-C with a code of its own", () =>
    Effect.gen(function*() {
      const { input, output } = yield* prepare(50)
      const emulator = yield* Emulator.make({ latency: LatencyModel.fixed(300) })
      const running = yield* start(runArgs(input, output, emulator.url, "--max-connections=4"))
      yield* until("requests under way", Effect.map(emulator.stats, (stats) => stats.inFlight === 4), running)
      running.child.kill("SIGTERM")
      const { code, stderr } = yield* running.ended
      assert.strictEqual(code, 143, stderr)
      assert.include(stderr, "Stopped by SIGTERM")
      assert.isAtLeast((yield* readResults(output)).length, 4)
    }).pipe(platform))

  it.live("a file that may not grow any further is left whole, and is continued when it may", () =>
    Effect.gen(function*() {
      const { input, output } = yield* prepare(150)
      const emulator = yield* Emulator.make({ latency: LatencyModel.fixed(2) })
      const command = runArgs(input, output, emulator.url)
      const { code, stderr } = yield* caprock(command, { fileLimit: 16 })
      assert.strictEqual(code, 2, stderr)
      assert.include(stderr, `Stopped: ${output} could not be written any further`)
      assert.include(stderr, "EFBIG")
      assert.include(stderr, "Raise the limit, then run the same command again.")
      const kept = yield* readResults(output)
      // 16 KB hold about 30 of them: what was whole stayed.
      assert.isAbove(kept.length, 5)
      assert.isBelow(kept.length, 150)
      assert.include(stderr, "Nothing more is sent.")
      // Each answer that was counted is there, and each that was given and is not has been named.
      const lost = /^(\d+) answers? could not be written and (?:is|are) lost: lines? \d/m.exec(stderr)?.[1]
      assert.strictEqual((yield* emulator.stats).answered, kept.length + Number(lost))
      assert.include(stderr, `${kept.length} answered, the rest without a result yet`)
      // Of what was sent, most could not be written: no ratio would mean anything.
      assert.match(stderr, /^\d+ requests sent, 0 throttles/m)
      const again = yield* caprock(command)
      assert.strictEqual(again.code, 0, again.stderr)
      assert.strictEqual(new Set((yield* readResults(output)).map((line) => line.id)).size, 150)
    }).pipe(platform))

  it.live("without credentials it says where it looked, and that --emulate needs none", () =>
    Effect.gen(function*() {
      const { input, output } = yield* prepare(50)
      const { code, stderr } = yield* caprock(["run", input, "--out", output, "--model", model, "--region=us-east-1"], {
        env: Object.fromEntries(Object.keys(credentials).map((name) => [name, ""]))
      })
      assert.strictEqual(code, 2, stderr)
      for (const said of ["AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_BEARER_TOKEN_BEDROCK", "--emulate needs no"]) {
        assert.include(stderr, said)
      }
      assert.strictEqual((yield* readResults(output)).filter(isAnswer).length, 0)
    }).pipe(platform))

  it.live("usage errors exit with 2, help with 0", () =>
    Effect.gen(function*() {
      assert.deepInclude(yield* caprock(["run"]), { code: 2, stdout: "" })
      const help = yield* caprock(["run", "--help"])
      assert.strictEqual(help.code, 0)
      assert.include(help.stdout, "Exit codes: 0 all answered, 1 some lines failed")
      assert.isUndefined(Reflect.get(environment, "AWS_PROFILE"))
    }))
})

describe("caprock emulate, as a process", () => {
  it.live("prints what a shell can eval, serves, and ends with its statistics", () =>
    Effect.gen(function*() {
      const running = yield* start(["emulate", "--rpm=2", "--tpm=5000", "--faults=cut=0"])
      let stdout = ""
      running.child.stdout?.on("data", (text: string) => stdout += text)
      yield* until("the address is printed", Effect.sync(() => stdout.includes("AWS_SECRET_ACCESS_KEY")), running)
      const url = /AWS_ENDPOINT_URL_BEDROCK_RUNTIME=(http:\/\/127\.0\.0\.1:\d+)\n/.exec(stdout)?.[1] ?? ""
      const statuses = yield* Effect.forEach([1, 2, 3], () =>
        Effect.promise(() =>
          fetch(`${url}/model/amazon.nova-lite-v1%3A0/converse`, {
            method: "POST",
            headers: { "content-type": "application/json" },
            body: JSON.stringify({
              messages: [{ role: "user", content: [{ text: "Hi" }] }],
              inferenceConfig: { maxTokens: 50 }
            })
          }).then((response) =>
            response.status
          )
        ))
      assert.deepEqual(statuses, [200, 200, 429])
      running.child.kill("SIGINT")
      const { code, stderr } = yield* running.ended
      assert.strictEqual(code, 0, stderr)
      assert.include(
        stderr,
        `Emulating Bedrock at ${url}: 2 requests and 5,000 tokens in a minute (rolling), for each pool.`
      )
      assert.include(stderr, "3 requests, 2 answered, 0 in flight, throttled 1 (requests 1, tokens 0, day 0)")
    }).pipe(platform))

  it.live("with --s3 has batch jobs, and says where", () =>
    Effect.gen(function*() {
      const running = yield* start(["emulate", "--s3=http://127.0.0.1:1"])
      let stdout = ""
      running.child.stdout?.on("data", (text: string) => stdout += text)
      yield* until("the address is printed", Effect.sync(() => stdout.includes("AWS_SECRET_ACCESS_KEY")), running)
      const url = /AWS_ENDPOINT_URL_BEDROCK=(http:\/\/127\.0\.0\.1:\d+)\n/.exec(stdout)?.[1] ?? ""
      assert.include(stdout, "AWS_ENDPOINT_URL_S3=http://127.0.0.1:1\n")
      const status = yield* Effect.promise(() =>
        fetch(`${url}/model-invocation-job`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({
            jobName: "nightly",
            roleArn: "arn:aws:iam::111122223333:role/batch",
            modelId: "amazon.nova-lite-v1:0",
            inputDataConfig: { s3InputDataConfig: { s3Uri: "s3://bucket/in/" } },
            outputDataConfig: { s3OutputDataConfig: { s3Uri: "s3://bucket/out/" } }
          })
        }).then((response) => response.status)
      )
      assert.strictEqual(status, 200)
      running.child.kill("SIGINT")
      const { code, stderr } = yield* running.ended
      assert.strictEqual(code, 0, stderr)
      assert.match(stderr, /1 batch job \((Submitted|Validating) 1\), 0 records answered, 0 of them failed/)
    }).pipe(platform))
})
