// Every operation, over the wire: where its request goes, what is an answer to it, and how its errors are read.
import * as Sdk from "@aws-sdk/client-bedrock-runtime"
import { BedrockClient, BedrockClientTest, Operations } from "@caprock/client"
import { Reason } from "@caprock/errors"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { ask, asked, names } from "./asked.ts"
import { clientOf, sendJson, server } from "./server.ts"

const serviceName = (name: string) => `${name.charAt(0).toUpperCase()}${name.slice(1)}`

it.effect("the client has every operation that the SDK has, and no other", () =>
  Effect.gen(function*() {
    const { listAsyncInvokesAll: _, region: __, ...operations } = yield* BedrockClient.BedrockClient
    const commands = Object.keys(Sdk).flatMap((name) => /^(\w+)Command$/.exec(name)?.[1] ?? [])
    assert.deepStrictEqual(Object.keys(operations).map(serviceName).sort(), commands.sort())
  }).pipe(Effect.provide(BedrockClient.layerTest({}))))

/** The errors that the service's model has for an operation: in the SDK, its declaration is the one place that says it. */
const errorsOf = (operation: string): ReadonlyArray<string> => {
  const sdk = import.meta.resolve("@aws-sdk/client-bedrock-runtime")
  const text = readFileSync(fileURLToPath(new URL(`../dist-types/commands/${operation}Command.d.ts`, sdk)), "utf8")
  return [...text.matchAll(/@throws \{@link (\w+Exception)\} \(/g)].map(([, name = ""]) => name)
}

const status: Readonly<Record<string, readonly [status: number, row: string]>> = {
  AccessDeniedException: [403, "AccessError/denied"],
  ConflictException: [400, "ConflictError"],
  InternalServerException: [500, "ServerError/internal"],
  ModelErrorException: [424, "ServerError/model"],
  ModelNotReadyException: [429, "ServerError/not-ready"],
  ModelStreamErrorException: [424, "ServerError/model"],
  ModelTimeoutException: [408, "ServerError/model-timeout"],
  ResourceNotFoundException: [404, "NotFoundError/resource"],
  ServiceQuotaExceededException: [400, "ResourceQuotaError"],
  ServiceUnavailableException: [503, "ServerError/unavailable"],
  ThrottlingException: [429, "ThrottlingError/unknown"],
  ValidationException: [400, "ValidationError/malformed"]
}

describe.each(names)("%s", (name) => {
  it.effect("sends its request where the service has it, and gives what came", () =>
    Effect.gen(function*() {
      const paths: Array<string> = []
      const { url } = yield* server((incoming, response) => {
        paths.push(decodeURIComponent(incoming.url ?? ""))
        sendJson(response, asked[name].answer ?? {})
      })
      const outcome = yield* Effect.exit(ask(yield* clientOf(url), name))
      assert.deepStrictEqual(paths, [asked[name].path])
      // A stream that is no stream has its own tests.
      if (asked[name].answer !== undefined) assert.strictEqual(outcome._tag, "Success")
    }))

  it.effect("fails with each error of its own as that error", () =>
    Effect.gen(function*() {
      let error = ""
      const { url } = yield* server((_, response) =>
        sendJson(response, { message: "No." }, status[error]?.[0], { "x-amzn-errortype": error })
      )
      const client = yield* clientOf(url)
      const errors = errorsOf(serviceName(name))
      assert.isAbove(errors.length, 3)
      for (error of errors) {
        const failure = yield* Effect.flip(ask(client, name))
        assert.deepStrictEqual(
          [failure.operation, failure.attempts, failure.httpStatus, Reason.rowOf(failure.reason)],
          [serviceName(name), 1, ...(status[error] ?? [])],
          error
        )
      }
    }))
})

describe.each(names.filter((name) => !["invokeModel", "listAsyncInvokes"].includes(name)))("%s", (name) => {
  it.effect("takes a success without an answer for none", () =>
    Effect.gen(function*() {
      const { url } = yield* server((_, response) => sendJson(response, {}))
      const { reason } = yield* Effect.flip(ask(yield* clientOf(url), name))
      // Two bytes are the beginning of a stream.
      const kind = asked[name].answer === undefined ? "closed" : "protocol"
      assert.strictEqual(reason._tag === "TransportError" && reason.kind, kind)
    }))
})

describe("listAsyncInvokesAll", () => {
  const page = (nextToken: string | undefined, ...arns: ReadonlyArray<string>): Sdk.ListAsyncInvokesCommandOutput => ({
    $metadata: {},
    asyncInvokeSummaries: arns.map((invocationArn) => ({
      invocationArn,
      modelArn: "m",
      submitTime: new Date(0),
      outputDataConfig: { s3OutputDataConfig: { s3Uri: "s3://bucket" } }
    })),
    nextToken
  })

  it.effect("goes on through all pages, with the same question", () =>
    Effect.gen(function*() {
      const client = yield* BedrockClient.BedrockClient
      const { requests } = yield* BedrockClientTest.BedrockClientTest
      const all = yield* Stream.runCollect(client.listAsyncInvokesAll({ statusEquals: "Completed" }))
      assert.deepStrictEqual(all.map(({ invocationArn }) => invocationArn), ["a", "b", "c"])
      assert.deepStrictEqual((yield* requests).map(({ input }) => input), [
        { statusEquals: "Completed" },
        { statusEquals: "Completed", nextToken: "page 1" },
        { statusEquals: "Completed", nextToken: "page 2" }
      ])
    }).pipe(Effect.provide(BedrockClient.layerTest({
      listAsyncInvokes: [page("page 1", "a", "b"), page("page 2"), page(undefined, "c")]
    }))))

  it.effect("asks for no page that nobody wants, and begins anew each time", () =>
    Effect.gen(function*() {
      const client = yield* BedrockClient.BedrockClient
      const { requests } = yield* BedrockClientTest.BedrockClientTest
      const first = client.listAsyncInvokesAll().pipe(Stream.take(2), Stream.runDrain)
      yield* first
      yield* first
      assert.deepStrictEqual((yield* requests).map(({ input }) => input), [{}, {}])
    }).pipe(Effect.provide(BedrockClient.layerTest({ listAsyncInvokes: () => page("more", "a", "b") }))))

  it.effect("takes whatever lists", () =>
    Effect.gen(function*() {
      const listing = Operations.listAsyncInvokesAll({ listAsyncInvokes: () => Effect.succeed(page(undefined, "a")) })
      assert.lengthOf(yield* Stream.runCollect(listing()), 1)
    }))
})
