import {
  GetAsyncInvokeCommand,
  ListAsyncInvokesCommand,
  type ListAsyncInvokesCommandInput,
  paginateListAsyncInvokes,
  StartAsyncInvokeCommand,
  type StartAsyncInvokeCommandInput
} from "@aws-sdk/client-bedrock-runtime"
import * as Emulator from "@caprock/emulator/Emulator"
import * as Fault from "@caprock/emulator/Fault"
import type * as Options from "@caprock/emulator/Options"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as Jobs from "../src/internal/jobs.ts"
import { client, type Failed, refusal, sent, type Transport } from "./helpers.ts"

const outputDataConfig = { s3OutputDataConfig: { s3Uri: "s3://films/answers/" } }
const modelId = "amazon.nova-reel-v1:1"

const clientOf = (emulator: Emulator.Service, transport: Transport = "h1", accessKeyId = "AKIDEXAMPLE") =>
  Effect.map(client(emulator, transport, { credentials: { accessKeyId, secretAccessKey: "secret" } }), (sdk) => ({
    sdk,
    run: (input: Partial<StartAsyncInvokeCommandInput> = {}) =>
      sent((abortSignal) =>
        sdk.send(
          new StartAsyncInvokeCommand({ modelId, modelInput: { prompt: "A caprock" }, outputDataConfig, ...input }),
          { abortSignal }
        )
      ),
    get: (invocationArn: string | undefined) =>
      sent((abortSignal) => sdk.send(new GetAsyncInvokeCommand({ invocationArn }), { abortSignal })),
    list: (input: ListAsyncInvokesCommandInput = {}) =>
      sent((abortSignal) => sdk.send(new ListAsyncInvokesCommand(input), { abortSignal }))
  }))

const start = (options: Options.Options = {}, transport: Transport = "h1") =>
  Effect.gen(function*() {
    const emulator = yield* Emulator.make({ jobDuration: "1 minute", ...options })
    return { emulator, ...yield* clientOf(emulator, transport) }
  })

describe.each<Transport>(["h1", "h2"])("asynchronous invocations over %s", (transport) => {
  it.effect("are in progress for their time, and then completed", () =>
    Effect.gen(function*() {
      const { get, run } = yield* start({}, transport)
      yield* TestClock.adjust("1 second")
      const { invocationArn } = yield* run({ clientRequestToken: "token-1" })
      assert.match(invocationArn ?? "", /^arn:aws:bedrock:us-east-1:[0-9]{12}:async-invoke\/[a-z0-9]{12}$/)
      const { $metadata: _, ...job } = yield* get(invocationArn)
      assert.deepStrictEqual(job, {
        invocationArn,
        modelArn: `arn:aws:bedrock:us-east-1::foundation-model/${modelId}`,
        clientRequestToken: "token-1",
        status: "InProgress",
        submitTime: new Date(1_000),
        lastModifiedTime: new Date(1_000),
        outputDataConfig
      })
      yield* TestClock.adjust("59999 millis")
      assert.strictEqual((yield* get(invocationArn)).status, "InProgress")
      yield* TestClock.adjust(1)
      const { endTime, lastModifiedTime, status } = yield* get(invocationArn)
      assert.deepStrictEqual([status, endTime, lastModifiedTime], ["Completed", new Date(61_000), new Date(61_000)])
    }))

  it.effect("fail, and take their time, as their input wants it", () =>
    Effect.gen(function*() {
      const { get, list, run } = yield* start({}, transport)
      const { invocationArn } = yield* run({
        modelInput: { deep: [{ prompt: "[[emulate latency=5000 error=ModelTimeoutException]]" }] }
      })
      assert.strictEqual((yield* get(invocationArn)).status, "InProgress")
      yield* TestClock.adjust("5 seconds")
      const { failureMessage, status } = yield* get(invocationArn)
      assert.strictEqual(status, "Failed")
      assert.match(failureMessage ?? "", /timed out/)
      const { asyncInvokeSummaries } = yield* list({ statusEquals: "Failed" })
      assert.deepStrictEqual(asyncInvokeSummaries?.map((job) => [job.invocationArn, job.failureMessage]), [
        [invocationArn, failureMessage]
      ])
    }))

  it.effect("are one for one token, and a conflict for another question with it", () =>
    Effect.gen(function*() {
      const { list, run } = yield* start({}, transport)
      const first = yield* run({ clientRequestToken: "t", tags: [{ key: "a", value: "b" }] })
      yield* TestClock.adjust("1 hour")
      const again = yield* run({ clientRequestToken: "t", tags: [{ key: "a", value: "b" }] })
      assert.strictEqual(again.invocationArn, first.invocationArn)
      for (
        const other of [
          {},
          { tags: [{ key: "a", value: "c" }] },
          { modelId: "amazon.nova-reel-v1:0" },
          { modelInput: { prompt: "Another" } },
          { outputDataConfig: { s3OutputDataConfig: { s3Uri: "s3://other" } } }
        ]
      ) {
        assert.strictEqual((yield* refusal(run({ clientRequestToken: "t", ...other }))).name, "ConflictException")
      }
      assert.lengthOf((yield* list()).asyncInvokeSummaries ?? [], 1)
      // The SDK makes a token for each of these.
      yield* run()
      yield* run()
      assert.lengthOf((yield* list()).asyncInvokeSummaries ?? [], 3)
    }))

  it.effect("are accepted, though their answer is lost", () =>
    Effect.gen(function*() {
      const { emulator, list, run } = yield* start({}, transport)
      for (const fault of [Fault.cut(), Fault.badBody("half"), Fault.badHead("wrong-type")]) {
        yield* emulator.inject(fault, { operation: "StartAsyncInvoke" })
        const input = { clientRequestToken: fault._tag }
        yield* Effect.exit(run(input))
        const [job] = (yield* list()).asyncInvokeSummaries ?? []
        assert.strictEqual(job?.clientRequestToken, fault._tag)
        assert.strictEqual((yield* run(input)).invocationArn, job?.invocationArn)
      }
      assert.lengthOf((yield* list()).asyncInvokeSummaries ?? [], 3)
    }))

  it.effect("are not, where the request came to nothing before", () =>
    Effect.gen(function*() {
      const { emulator, list, run } = yield* start({}, transport)
      for (const fault of [Fault.reset, Fault.error("ThrottlingException")]) {
        yield* emulator.inject(fault, { operation: "StartAsyncInvoke" })
        yield* refusal(run({ clientRequestToken: "t" }))
        assert.deepStrictEqual((yield* list()).asyncInvokeSummaries, [])
      }
      const { answered, errors, requests } = yield* emulator.stats
      assert.deepStrictEqual({ answered, requests, errors }, {
        answered: 2,
        requests: 4,
        errors: { Reset: 1, ThrottlingException: 1 }
      })
    }))

  it.effect("are listed by page, in either order, whatever is started meanwhile", () =>
    Effect.gen(function*() {
      const { list, run, sdk } = yield* start({}, transport)
      const arns: Array<string | undefined> = []
      for (let i = 0; i < 5; i++) {
        arns.push((yield* run()).invocationArn)
        yield* TestClock.adjust("1 second")
      }
      const listed = (input: ListAsyncInvokesCommandInput) =>
        Effect.map(list(input), ({ asyncInvokeSummaries, nextToken }) => ({
          arns: asyncInvokeSummaries?.map(({ invocationArn }) => invocationArn),
          nextToken
        }))
      const newest = arns.toReversed()
      assert.deepStrictEqual((yield* listed({})).arns, newest)
      assert.deepStrictEqual((yield* listed({ sortBy: "SubmissionTime", sortOrder: "Ascending" })).arns, arns)
      const first = yield* listed({ maxResults: 2 })
      assert.deepStrictEqual(first.arns, newest.slice(0, 2))
      yield* run()
      const second = yield* listed({ maxResults: 2, nextToken: first.nextToken })
      assert.deepStrictEqual(second.arns, newest.slice(2, 4))
      const third = yield* listed({ maxResults: 2, nextToken: second.nextToken })
      assert.deepStrictEqual(third, { arns: newest.slice(4), nextToken: undefined })
      // A page that is exactly full, and the last one.
      assert.isUndefined((yield* listed({ maxResults: 6 })).nextToken)

      const between = yield* listed({ submitTimeAfter: new Date(0), submitTimeBefore: new Date(3_000) })
      assert.deepStrictEqual(between.arns, [arns[2], arns[1]])
      yield* TestClock.adjust("57 seconds")
      assert.deepStrictEqual((yield* listed({ statusEquals: "Completed" })).arns, [arns[2], arns[1], arns[0]])
      assert.lengthOf((yield* listed({ statusEquals: "InProgress" })).arns ?? [], 3)

      const all = yield* Effect.promise(async () => {
        const sizes: Array<number | undefined> = []
        for await (const page of paginateListAsyncInvokes({ client: sdk, pageSize: 4 }, {})) {
          sizes.push(page.asyncInvokeSummaries?.length)
        }
        return sizes
      })
      assert.deepStrictEqual(all, [4, 2])
    }))

  it.effect("refuse what is no such request", () =>
    Effect.gen(function*() {
      const { get, list, run } = yield* start({ models: [modelId] }, transport)
      const s3 = (s3Uri: string | undefined) => ({ outputDataConfig: { s3OutputDataConfig: { s3Uri } } })
      const wrong: ReadonlyArray<readonly [Effect.Effect<unknown, Failed>, RegExp]> = [
        [run({ modelId: undefined }), /'modelId'.*not be null/],
        [run({ modelId: "no such id" }), /'modelId'.*regular expression pattern/],
        [run({ modelId: "amazon.nova-lite-v1:0" }), /model identifier is invalid/],
        [run({ modelInput: undefined }), /'modelInput'.*not be null/],
        [run({ outputDataConfig: undefined }), /'outputDataConfig'.*not be null/],
        [run(s3(undefined)), /'outputDataConfig\.s3OutputDataConfig\.s3Uri'.*not be null/],
        [run(s3("https://bucket")), /s3Uri'.*regular expression pattern/],
        [run({ clientRequestToken: "not one token" }), /'clientRequestToken'.*regular expression pattern/],
        [run({ clientRequestToken: "t".repeat(257) }), /'clientRequestToken'.*length less than or equal to 256/],
        [run({ tags: [{ key: "", value: "" }] }), /'tags\.1\.member\.key'.*length greater than or equal to 1/],
        [get("arn:aws:bedrock:us-east-1:111122223333:job/abc"), /'invocationArn'.*regular expression pattern/],
        [get("arn:aws:bedrock:us-east-1:111122223333:async-invoke/abcdef123456"), /that of no invocation/],
        [list({ maxResults: 0 }), /'maxResults'.*value greater than or equal to 1/],
        [list({ maxResults: 1001 }), /'maxResults'.*value less than or equal to 1000/],
        [
          list({ statusEquals: "Done" as "Failed" }),
          /'statusEquals'.*enum value set: \[InProgress, Completed, Failed\]/
        ],
        [list({ sortOrder: "Up" as "Ascending" }), /'sortOrder'.*enum value set/],
        [list({ nextToken: "made-up" }), /token is invalid/]
      ]
      for (const [call, message] of wrong) {
        const refused = yield* refusal(call)
        assert.strictEqual(refused.name, "ValidationException")
        assert.match(refused.message, message)
      }
      assert.deepStrictEqual((yield* list()).asyncInvokeSummaries, [])
    }))
})

describe("asynchronous invocations", () => {
  it.effect("are those of their account, and so are their tokens", () =>
    Effect.gen(function*() {
      const { emulator, run } = yield* start()
      const other = yield* clientOf(emulator, "h1", "111122223333")
      const { invocationArn } = yield* run({ clientRequestToken: "t" })
      assert.match((yield* refusal(other.get(invocationArn))).message, /that of no invocation/)
      assert.deepStrictEqual((yield* other.list()).asyncInvokeSummaries, [])
      const own = yield* other.run({ clientRequestToken: "t" })
      assert.notStrictEqual(own.invocationArn, invocationArn)
      assert.include(own.invocationArn ?? "", ":111122223333:")
    }))

  it.effect("have the same ids from the same seed", () =>
    Effect.gen(function*() {
      const ids = (seed: string) =>
        Effect.flatMap(start({ seed }), ({ run }) =>
          Effect.map(Effect.all([run(), run()]), (jobs) => jobs.map(({ invocationArn }) => invocationArn)))
      const one = yield* ids("a")
      assert.deepStrictEqual(yield* ids("a"), one)
      assert.notDeepEqual(yield* ids("b"), one)
      assert.notStrictEqual(one[0], one[1])
    }))

  it.effect("of provisioned throughput say so, and the log names what was asked", () =>
    Effect.gen(function*() {
      const { emulator, get, run } = yield* start({ log: 10 })
      const provisioned = "arn:aws:bedrock:us-east-1:111122223333:provisioned-model/abc123def456"
      const { invocationArn } = yield* run({ modelId: provisioned })
      assert.strictEqual((yield* get(invocationArn)).modelArn, provisioned)
      assert.deepStrictEqual(
        (yield* emulator.log).map(({ modelId, operation, outcome }) => [operation, modelId, outcome]),
        [["StartAsyncInvoke", provisioned, "Answered"], ["GetAsyncInvoke", invocationArn, "Answered"]]
      )
    }))

  it.effect("that are asked for again and again are no equal prompts, and faults strike their share of the asking", () =>
    Effect.gen(function*() {
      const { emulator, get, run } = yield* start({
        faults: [{ fault: Fault.error("InternalServerException"), rate: 0.5, operation: "GetAsyncInvoke" }]
      })
      const { invocationArn } = yield* run()
      for (let i = 0; i < 40; i++) yield* Effect.exit(get(invocationArn))
      const { answered, errors, perBody } = yield* emulator.stats
      assert.deepStrictEqual(perBody, { distinct: 1, max: 1, mean: 1 })
      assert.strictEqual(answered + (errors["InternalServerException"] ?? 0), 41)
      assert.isAbove(errors["InternalServerException"] ?? 0, 8)
      assert.isAbove(answered, 8)
    }))

  it.effect("of one job are answered and fail alike, whatever else is asked meanwhile", () =>
    Effect.gen(function*() {
      const fates = (others: boolean) =>
        Effect.gen(function*() {
          const { get, list, run } = yield* start({
            faults: [{ fault: Fault.error("InternalServerException"), rate: 0.5, operation: "GetAsyncInvoke" }]
          })
          const { invocationArn } = yield* run()
          const other = yield* run()
          const seen: Array<string> = []
          for (let i = 0; i < 30; i++) {
            seen.push((yield* Effect.exit(get(invocationArn)))._tag)
            if (!others) continue
            yield* Effect.exit(get(other.invocationArn))
            yield* list({ maxResults: i + 1 })
          }
          return seen
        })
      assert.deepStrictEqual(yield* fates(true), yield* fates(false))
    }))

  it.effect("ask the same in whatever order the members of their input stand", () =>
    Effect.gen(function*() {
      const { emulator } = yield* start()
      const post = (body: string) =>
        Effect.promise(() =>
          fetch(`${emulator.url}/async-invoke`, { method: "POST", body }).then((answer) => answer.text())
        )
      const output = `"outputDataConfig": {"s3OutputDataConfig": {"s3Uri": "s3://films"}}`
      const first = yield* post(
        `{"clientRequestToken": "t", "modelId": "${modelId}", "modelInput": {"a": [{"b": 1, "c": 2}], "d": 3}, ${output}}`
      )
      const second = yield* post(
        `{${output}, "modelInput": {"d": 3, "a": [{"c": 2, "b": 1}]}, "modelId": "${modelId}", "clientRequestToken": "t"}`
      )
      assert.include(first, "invocationArn")
      assert.strictEqual(second, first)
    }))

  it("are forgotten from the oldest on, with their tokens", () => {
    const jobs = Jobs.make(2)
    const add = (arn: string, token: string | undefined) =>
      jobs.add({
        arn,
        sequence: 0,
        owner: "me",
        token,
        asked: "",
        submittedAt: 0
      })
    add("a", "t")
    add("b", undefined)
    assert.strictEqual(jobs.withToken("me", "t")?.arn, "a")
    add("c", "u")
    assert.isUndefined(jobs.withToken("me", "t"))
    assert.isUndefined(jobs.find("me", "a"))
    assert.deepStrictEqual(jobs.of("me").map(({ arn }) => arn), ["b", "c"])
    assert.deepStrictEqual(jobs.of("you"), [])
  })
})
