// Bedrock without Effect, over real sockets.
import {
  AdmissionError,
  BedrockError,
  type CallEvent,
  type CallOptions,
  createBedrock,
  InterruptedStreamError,
  OptionsError,
  ServerError,
  ThrottlingError,
  TimeoutError,
  TransportError,
  ValidationError
} from "@caprock/bedrock/promise"
import { Fault } from "@caprock/emulator"
import { getEventListeners } from "node:events"
import { assert, describe, it } from "vitest"
import { clientOf, eventually, frame, listening, modelId, question, read, rejected, served, text } from "./served.ts"

const body = (words: string) => JSON.stringify({ messages: [{ role: "user", content: [{ text: words }] }] })

describe("operations", () => {
  it("give one answer", async () => {
    await using emulator = await served()
    await using bedrock = clientOf(emulator)
    const answer = await bedrock.converse(question("Why is the sky blue? [[emulate output=20]]"))
    assert.strictEqual(answer.stopReason, "end_turn")
    assert.strictEqual(answer.usage?.outputTokens, 20)

    const raw = await bedrock.invokeModel({ modelId, body: body("Why?") })
    assert.property(JSON.parse(new TextDecoder().decode(raw.body)), "output")

    const { inputTokens } = await bedrock.countTokens({
      modelId,
      input: { converse: { messages: question("Why?").messages } }
    })
    assert.isAbove(inputTokens ?? 0, 0)
    const { answered, requests } = await emulator.stats()
    assert.deepStrictEqual({ answered, requests }, { answered: 3, requests: 3 })
  })

  it("give events", async () => {
    await using emulator = await served()
    await using bedrock = clientOf(emulator)
    const events = await read(bedrock.converseStream(question("Why? [[emulate output=20]]")))
    assert.isUndefined(events.failure)
    assert.isDefined(events.seen[0]?.messageStart)
    assert.strictEqual(events.seen.at(-1)?.metadata?.usage?.outputTokens, 20)

    const chunks = await read(bedrock.invokeModelWithResponseStream({ modelId, body: body("Why?") }))
    assert.isUndefined(chunks.failure)
    assert.isDefined(chunks.seen[0]?.chunk?.bytes)
  })

  it("that no model's quota meters", async () => {
    await using emulator = await served()
    await using bedrock = clientOf(emulator)
    const { action } = await bedrock.applyGuardrail({
      guardrailIdentifier: "abc123",
      guardrailVersion: "1",
      source: "INPUT",
      content: [{ text: { text: "Hello" } }]
    })
    assert.strictEqual(action, "NONE")
    const { results } = await bedrock.invokeGuardrailChecks({
      messages: [{ role: "user", content: [{ text: "Hello" }] }],
      checks: { promptAttack: { categories: [{ category: "JAILBREAK" }] } }
    })
    assert.isDefined(results)

    const job = { modelId, modelInput: {}, outputDataConfig: { s3OutputDataConfig: { s3Uri: "s3://bucket/answers" } } }
    const { invocationArn } = await bedrock.startAsyncInvoke(job)
    assert.strictEqual((await bedrock.getAsyncInvoke({ invocationArn })).invocationArn, invocationArn)
    await bedrock.startAsyncInvoke(job)
    assert.lengthOf((await bedrock.listAsyncInvokes({ maxResults: 1 })).asyncInvokeSummaries ?? [], 1)
    assert.lengthOf((await read(bedrock.listAsyncInvokesAll({ maxResults: 1 }))).seen, 2)
    assert.lengthOf((await read(bedrock.listAsyncInvokesAll())).seen, 2)
  })

  it("keep the quota: calls wait for it, and none is throttled", async () => {
    await using emulator = await served({ window: "500 millis", quota: { requests: 10 } })
    await using bedrock = clientOf(emulator, {
      quotas: { default: { requestsPerMinute: 10 } },
      meters: { window: 500 }
    })
    const answers = await Promise.all(
      Array.from({ length: 25 }, (_, n) => bedrock.converse(question(`What of ${n}?`)))
    )
    assert.lengthOf(answers, 25)
    assert.strictEqual((await emulator.stats()).throttled.total, 0)
  })

  it("tell how a pool stands, in numbers", async () => {
    await using emulator = await served()
    await using bedrock = clientOf(emulator, { quotas: { default: { requestsPerMinute: 5, tokensPerMinute: 9000 } } })
    await bedrock.converse(question("Why?"))
    const { advice, guardMillis, meters, pool, waiting, waitingTokens } = await bedrock.snapshot(modelId)
    assert.deepStrictEqual(
      meters.map(({ limit, unit, windowMillis }) => [unit, limit, windowMillis]),
      [["requests", 5, 60_000], ["tokens", 9000, 60_000]]
    )
    assert.strictEqual(meters[0]?.used, 1)
    assert.deepStrictEqual({ advice, guardMillis, waiting, waitingTokens }, {
      advice: undefined,
      guardMillis: 250,
      waiting: 0,
      waitingTokens: 0
    })
    assert.include(pool, modelId)
    const unknown = await rejected(bedrock.snapshot("???"))
    assert.instanceOf(unknown, ValidationError)
  })
})

describe("errors", () => {
  it("are classes, with what is known of the call", async () => {
    await using emulator = await served()
    await using bedrock = clientOf(emulator, { backoff: { attempts: 2, base: 1 } })
    const error = await rejected(bedrock.converse(question("[[emulate error=ThrottlingException]]")))
    assert.instanceOf(error, ThrottlingError)
    assert.instanceOf(error, BedrockError)
    assert.instanceOf(error, Error)
    assert.strictEqual(error.name, "ThrottlingError")
    assert.strictEqual(error.limit, "requests")
    const { attempts, gaveUp, httpStatus, operation, region, retryable, retryableElsewhere } = error
    assert.deepStrictEqual(
      { attempts, gaveUp, httpStatus, modelId: error.modelId, operation, region, retryable, retryableElsewhere },
      {
        attempts: 2,
        gaveUp: "attempts",
        httpStatus: 429,
        modelId,
        operation: "Converse",
        region: "us-east-1",
        retryable: true,
        retryableElsewhere: true
      }
    )
    assert.isString(error.requestId)
    assert.match(error.detail, /^Too many requests/)
    assert.match(
      error.message,
      /^Converse of amazon\.nova-lite-v1:0 in us-east-1 failed: ThrottlingError \(requests\)\. /
    )
    assert.instanceOf(error.cause, Error)
    assert.strictEqual((error.cause as Error).name, "ThrottlingException")
  })

  it.each([
    ["ServiceUnavailableException", { name: "ServerError", kind: "unavailable", retryable: true }],
    ["InternalServerException", { name: "ServerError", kind: "internal", retryable: true }],
    ["ModelErrorException", { name: "ServerError", kind: "model" }],
    ["ValidationException", { name: "ValidationError", kind: "malformed", retryable: false }],
    ["AccessDeniedException", { name: "AccessError", kind: "denied", retryable: false }],
    ["ResourceNotFoundException", { name: "NotFoundError", kind: "resource", retryable: false }]
  ])("%s is one of its class, of a stream too", async (exception, says) => {
    await using emulator = await served()
    await using bedrock = clientOf(emulator, { backoff: { attempts: 1 } })
    const error = await rejected(bedrock.converse(question(`[[emulate error=${exception}]]`)))
    const { failure } = await read(bedrock.converseStream(question(`[[emulate error=${exception}]]`)))
    for (const [thrown, operation] of [[error, "Converse"], [failure, "ConverseStream"]] as const) {
      assert.instanceOf(thrown, BedrockError)
      assert.strictEqual(thrown.constructor.name, says.name)
      assert.include(thrown, { ...says, operation })
    }
  })

  it("that come before anything is sent are of the same classes", async () => {
    await using bedrock = clientOf({ url: "http://127.0.0.1:1" }, {
      quotas: { default: { requestsPerMinute: 1, tokensPerMinute: 1000 } },
      maxWait: 0,
      backoff: { attempts: 1 }
    })
    const larger = await rejected(bedrock.converse(question("Why?", 5000)))
    assert.instanceOf(larger, ValidationError)
    assert.include(larger, { kind: "exceeds-quota", attempts: 0 })
    const refused = await rejected(bedrock.converse(question("Why?")))
    assert.instanceOf(refused, TransportError)
    assert.include(refused, { kind: "connect", attempts: 0 })
  })

  it("tell how long the wait would have been", async () => {
    await using emulator = await served()
    await using bedrock = clientOf(emulator, { quotas: { default: { requestsPerMinute: 1 } }, maxWait: "20 seconds" })
    await bedrock.converse(question("Why?"))
    const error = await rejected(bedrock.converse(question("Why not?")))
    assert.instanceOf(error, AdmissionError)
    assert.strictEqual(error.kind, "wait-too-long")
    assert.isAbove(error.predictedWaitMillis ?? 0, 50_000)
  })

  it("have the stack of who waits", async () => {
    await using emulator = await served()
    await using bedrock = clientOf(emulator, { backoff: { attempts: 1 } })
    const theHandler = async () => {
      await bedrock.converse(question("[[emulate error=ValidationException]]"))
    }
    const theReader = async () => {
      for await (const _ of bedrock.converseStream(question("[[emulate error=ValidationException]]"))) assert.fail()
    }
    for (const [call, name] of [[theHandler, "theHandler"], [theReader, "theReader"]] as const) {
      const error = await rejected(call())
      assert.instanceOf(error, ValidationError)
      assert.match(error.stack ?? "", new RegExp(`^ValidationError: Converse[^]*at (?:async )?${name} `))
    }
  })
})

describe("a signal", () => {
  const reason = new Error("the user went away")

  it("that was aborted before sends nothing", async () => {
    await using emulator = await served()
    await using bedrock = clientOf(emulator)
    const signal = AbortSignal.abort(reason)
    assert.strictEqual(await rejected(bedrock.converse(question("Why?"), { signal })), reason)
    const { failure, seen } = await read(bedrock.converseStream(question("Why?"), { signal }))
    assert.strictEqual(failure, reason)
    assert.lengthOf(seen, 0)
    assert.strictEqual((await emulator.stats()).requests, 0)
  })

  it("rejects with an AbortError where it says nothing else", async () => {
    await using emulator = await served()
    await using bedrock = clientOf(emulator)
    const controller = new AbortController()
    const call = rejected(bedrock.converse(question("Why? [[emulate latency=60000]]"), { signal: controller.signal }))
    await eventually(async () => (await emulator.stats()).inFlight === 1)
    controller.abort()
    const error = await call
    assert.instanceOf(error, DOMException)
    assert.strictEqual(error.name, "AbortError")
    const late = await rejected(
      bedrock.converse(question("[[emulate latency=60000]]"), { signal: AbortSignal.timeout(30) })
    )
    assert.instanceOf(late, DOMException)
    assert.strictEqual(late.name, "TimeoutError")
  })

  it("leaves the queue", async () => {
    await using emulator = await served()
    await using bedrock = clientOf(emulator, { quotas: { default: { requestsPerMinute: 1 } } })
    await bedrock.converse(question("Why?"))
    const controller = new AbortController()
    const call = rejected(bedrock.converse(question("Why not?"), { signal: controller.signal }))
    const stream = read(bedrock.converseStream(question("Why not?"), { signal: controller.signal }))
    await eventually(async () => (await bedrock.snapshot(modelId)).waiting === 2)
    controller.abort(reason)
    assert.strictEqual(await call, reason)
    assert.strictEqual((await stream).failure, reason)
    assert.strictEqual((await bedrock.snapshot(modelId)).waiting, 0)
    assert.strictEqual((await emulator.stats()).requests, 1)
  })

  it("closes the connection of what is under way", async () => {
    await using emulator = await served()
    await using bedrock = clientOf(emulator)
    const controller = new AbortController()
    const call = rejected(bedrock.converse(question("Why? [[emulate latency=60000]]"), { signal: controller.signal }))
    await eventually(async () => (await emulator.stats()).inFlight === 1)
    controller.abort(reason)
    assert.strictEqual(await call, reason)
    await eventually(async () => (await emulator.stats()).open === 0)
    assert.deepStrictEqual((await emulator.stats()).errors, { Disconnected: 1 })
  })

  it("ends the wait between two attempts", async () => {
    await using emulator = await served()
    await using bedrock = clientOf(emulator, { backoff: { base: "1 hour", cap: "1 hour", elapsed: "2 hours" } })
    const controller = new AbortController()
    const call = rejected(
      bedrock.converse(question("[[emulate error=ServiceUnavailableException]]"), { signal: controller.signal })
    )
    await eventually(async () => (await emulator.stats()).requests === 1 && (await emulator.stats()).inFlight === 0)
    controller.abort(reason)
    assert.strictEqual(await call, reason)
  })

  it("ends a stream whose reader waits, and one whose reader does not", async () => {
    for (const idle of [false, true]) {
      await using server = await listening((_, response) => {
        response.writeHead(200, { "content-type": "application/vnd.amazon.eventstream" })
        response.write(Buffer.concat([frame("messageStart", { role: "assistant" }), text("Hel")]))
      })
      await using bedrock = clientOf(server)
      const controller = new AbortController()
      const events = bedrock.converseStream(question("Why?"), { signal: controller.signal })[Symbol.asyncIterator]()
      assert.isDefined((await events.next()).value?.messageStart)
      if (!idle) {
        assert.isDefined((await events.next()).value?.contentBlockDelta)
        const waits = rejected(events.next())
        controller.abort(reason)
        assert.strictEqual(await waits, reason)
      } else {
        controller.abort(reason)
      }
      await eventually(() => server.open.size === 0)
      if (idle) assert.strictEqual(await rejected(events.next()), reason)
      assert.deepStrictEqual(await events.next(), { done: true, value: undefined })
    }
  })

  it("keeps no listener of a call that has ended", async () => {
    await using emulator = await served()
    await using bedrock = clientOf(emulator, { backoff: { attempts: 1 } })
    const { signal } = new AbortController()
    await bedrock.converse(question("Why?"), { signal })
    await rejected(bedrock.converse(question("[[emulate error=ValidationException]]"), { signal }))
    await read(bedrock.converseStream(question("Why?"), { signal }))
    for await (const _ of bedrock.converseStream(question("Why?"), { signal })) break
    assert.lengthOf(getEventListeners(signal, "abort"), 0)
  })
})

describe("a stream", () => {
  it("sends nothing before it is read, and is read once", async () => {
    await using emulator = await served()
    await using bedrock = clientOf(emulator)
    const events = bedrock.converseStream(question("Why?"))
    events[Symbol.asyncIterator]()
    await bedrock.countTokens({ modelId, input: { converse: { messages: question("Why?").messages } } })
    assert.strictEqual((await emulator.stats()).requests, 1)
    const { failure, seen } = await read(events)
    assert.instanceOf(failure, TypeError)
    assert.match((failure as Error).message, /can't be read twice/)
    assert.lengthOf(seen, 0)
  })

  it("that is cut ends with what had arrived", async () => {
    await using emulator = await served()
    await using bedrock = clientOf(emulator)
    await emulator.inject(Fault.cut(0.5))
    const { failure, seen } = await read(bedrock.converseStream(question("Why? [[emulate output=60]]")))
    assert.instanceOf(failure, InterruptedStreamError)
    const words = seen.map((event) => event.contentBlockDelta?.delta?.text ?? "").join("")
    assert.isNotEmpty(words)
    assert.strictEqual(failure.partial.text, words)
    assert.isTrue(failure.content)
    assert.instanceOf(failure.origin, TransportError)
    assert.strictEqual(failure.origin.operation, "ConverseStream")
    assert.isFalse(failure.retryable)
  })

  it("whose reader breaks out ends its request at once", async () => {
    await using server = await listening((_, response) => {
      response.writeHead(200, { "content-type": "application/vnd.amazon.eventstream" })
      response.write(Buffer.concat([text("Hel"), text("lo")]))
    })
    await using bedrock = clientOf(server, { quotas: { default: { requestsPerMinute: 1 } } })
    let seen = ""
    for await (const { contentBlockDelta } of bedrock.converseStream(question("Why?"))) {
      seen += contentBlockDelta?.delta?.text
      if (seen === "Hello") break
    }
    await eventually(() => server.open.size === 0)
    // What the server may have charged stays booked.
    assert.strictEqual((await bedrock.snapshot(modelId)).meters[0]?.used, 1)
  })

  it("can be left while somebody waits for its next event", async () => {
    await using server = await listening((_, response) => {
      response.writeHead(200, { "content-type": "application/vnd.amazon.eventstream" })
      response.write(text("Hel"))
    })
    await using bedrock = clientOf(server)
    const events = bedrock.converseStream(question("Why?"))[Symbol.asyncIterator]()
    await events.next()
    const waits = events.next()
    const after = events.next()
    assert.deepStrictEqual(await events.return?.(), { done: true, value: undefined })
    assert.deepStrictEqual(await waits, { done: true, value: undefined })
    assert.deepStrictEqual(await after, { done: true, value: undefined })
    await eventually(() => server.open.size === 0)
  })

  it("is a ReadableStream where one is asked for", async () => {
    await using server = await listening((_, response) => {
      response.writeHead(200, { "content-type": "application/vnd.amazon.eventstream" })
      response.write(Buffer.concat([frame("messageStart", { role: "assistant" }), text("Hel")]))
    })
    await using bedrock = clientOf(server)
    const reader = ReadableStream.from(bedrock.converseStream(question("Why?"))).getReader()
    assert.isDefined((await reader.read()).value?.messageStart)
    assert.isDefined((await reader.read()).value?.contentBlockDelta)
    await reader.cancel()
    await eventually(() => server.open.size === 0)
  })

  it("can be read by hand first, and then in a loop", async () => {
    await using emulator = await served()
    await using bedrock = clientOf(emulator)
    const events = bedrock.converseStream(question("Why?"))[Symbol.asyncIterator]()
    assert.isDefined((await events.next()).value?.messageStart)
    const { failure, seen } = await read(events as AsyncIterator<object> & AsyncIterable<object>)
    assert.isUndefined(failure)
    assert.property(seen.at(-1), "metadata")
  })

  it("gives its events in order to those who ask at the same time", async () => {
    await using server = await listening((_, response) => {
      response.writeHead(200, { "content-type": "application/vnd.amazon.eventstream" })
      response.end(Buffer.concat([
        frame("messageStart", { role: "assistant" }),
        ...["a", "b", "c", "d"].map(text),
        frame("messageStop", { stopReason: "end_turn" }),
        frame("metadata", { usage: { inputTokens: 1, outputTokens: 4, totalTokens: 5 } })
      ]))
    })
    await using bedrock = clientOf(server)
    const events = bedrock.converseStream(question("Why?"))[Symbol.asyncIterator]()
    const together = await Promise.all(Array.from({ length: 9 }, () => events.next()))
    assert.strictEqual(together.map(({ value }) => value?.contentBlockDelta?.delta?.text ?? ".").join(""), ".abcd....")
    assert.deepStrictEqual(together.map(({ done }) => done), [...Array(7).fill(false), true, true])
  })

  it("holds its server back while its reader is slow", async () => {
    const piece = text("x".repeat(64 * 1024))
    let written = 0
    await using server = await listening((_, response) => {
      response.writeHead(200, { "content-type": "application/vnd.amazon.eventstream" })
      const more = () => {
        while (written < 4000 && response.write(piece)) written++
        if (written < 4000) response.once("drain", more)
      }
      more()
    })
    await using bedrock = clientOf(server)
    let seen = 0
    for await (const _ of bedrock.converseStream(question("Why?"))) {
      if (++seen === 1) {
        // The server goes on until the buffers between are full, and no further.
        let before = -1
        await eventually(async () => {
          await new Promise((resolve) => setTimeout(resolve, 50))
          const still = before === written
          before = written
          return still
        })
        assert.isBelow(written * piece.length, 40_000_000)
        const held = written
        assert.isBelow(held, 1000)
      }
      if (seen === 500) break
    }
    assert.strictEqual(seen, 500)
  })
})

describe("a conversation", () => {
  const modelId = "amazon.nova-2-sonic-v1:0"
  const promptName = "prompt"
  const contentName = "question"
  const said = (event: object) => ({ chunk: { bytes: new TextEncoder().encode(JSON.stringify({ event })) } })
  const kind = (event: { readonly chunk?: { readonly bytes?: Uint8Array | undefined } | undefined }) =>
    Object.keys(JSON.parse(new TextDecoder().decode(event.chunk?.bytes)).event).join()
  const opening = [
    { sessionStart: { inferenceConfiguration: { maxTokens: 1024, topP: 0.9, temperature: 0.7 } } },
    { promptStart: { promptName, textOutputConfiguration: { mediaType: "text/plain" } } },
    { contentStart: { promptName, contentName, type: "TEXT", interactive: true, role: "USER" } },
    { textInput: { promptName, contentName, content: "Why is the sky blue?" } },
    { contentEnd: { promptName, contentName } }
  ].map(said)

  it("has an iterable on both sides", async () => {
    await using emulator = await served()
    await using bedrock = clientOf(emulator)
    const body = async function*() {
      yield* opening
      yield* [{ promptEnd: { promptName } }, { sessionEnd: {} }].map(said)
    }
    const { failure, seen } = await read(bedrock.invokeModelWithBidirectionalStream({ modelId, body: body() }))
    assert.isUndefined(failure)
    assert.include(seen.map(kind), "textOutput")
    assert.strictEqual(kind(seen.at(-1) ?? {}), "completionEnd")
  })

  it("throws what its input threw", async () => {
    await using emulator = await served()
    await using bedrock = clientOf(emulator)
    const broken = new Error("the microphone broke")
    const body = async function*() {
      yield* opening
      throw broken
    }
    const { failure } = await read(bedrock.invokeModelWithBidirectionalStream({ modelId, body: body() }))
    assert.strictEqual(failure, broken)
  })

  it("leaves its input when it is left, though that waits for what never comes", async () => {
    await using emulator = await served()
    await using bedrock = clientOf(emulator)
    const left = Promise.withResolvers<void>()
    const body = {
      [Symbol.asyncIterator]: () => {
        const events = opening.values()
        return {
          next: () => {
            const { done, value } = events.next()
            return done === true ? new Promise<never>(() => {}) : Promise.resolve({ done: false, value })
          },
          return: () => {
            left.resolve()
            return Promise.resolve({ done: true as const, value: undefined })
          }
        }
      }
    }
    for await (const _ of bedrock.invokeModelWithBidirectionalStream({ modelId, body })) break
    await left.promise
    await eventually(async () => (await emulator.stats()).open === 0)
  })
})

describe("close", () => {
  const shuttingDown = (error: unknown): AdmissionError => {
    assert.instanceOf(error, AdmissionError)
    assert.strictEqual(error.kind, "shutting-down")
    assert.isFalse(error.retryable)
    return error
  }

  it("is the same end however often, and refuses what comes after", async () => {
    await using emulator = await served()
    const bedrock = clientOf(emulator)
    await bedrock.converse(question("Why?"))
    await Promise.all([bedrock.close(), bedrock.close(), bedrock[Symbol.asyncDispose]()])
    await bedrock.close()
    await eventually(async () => (await emulator.stats()).open === 0)
    const error = shuttingDown(await rejected(bedrock.converse(question("Why?"))))
    assert.include(error, { attempts: 0, operation: "Converse", modelId })
    shuttingDown((await read(bedrock.converseStream(question("Why?")))).failure)
    shuttingDown(await rejected(bedrock.snapshot(modelId)))
    assert.strictEqual((await emulator.stats()).requests, 1)
  })

  it("of a client that was never used, and of one that is being built", async () => {
    await clientOf({ url: "http://127.0.0.1:1" }).close()
    const bedrock = clientOf({ url: "http://127.0.0.1:1" })
    const call = rejected(bedrock.converse(question("Why?")))
    await bedrock.close()
    shuttingDown(await call)
  })

  it("ends what waits, what is under way, and what sleeps between two attempts", async () => {
    await using emulator = await served()
    const bedrock = clientOf(emulator, {
      quotas: { default: { requestsPerMinute: 2 } },
      backoff: { base: "1 hour", cap: "1 hour", elapsed: "2 hours" }
    })
    const asleep = rejected(bedrock.converse(question("[[emulate error=ServiceUnavailableException]]")))
    const underWay = rejected(bedrock.converse(question("Why? [[emulate latency=60000]]")))
    const waiting = rejected(bedrock.converse(question("Why?")))
    const waitingStream = read(bedrock.converseStream(question("Why?")))
    await eventually(async () => {
      const { inFlight, requests } = await emulator.stats()
      return requests === 2 && inFlight === 1 && (await bedrock.snapshot(modelId)).waiting === 2
    })
    await bedrock.close()
    assert.strictEqual(shuttingDown(await asleep).attempts, 1)
    assert.strictEqual(shuttingDown(await underWay).attempts, 1)
    assert.strictEqual(shuttingDown(await waiting).attempts, 0)
    shuttingDown((await waitingStream).failure)
    await eventually(async () => (await emulator.stats()).open === 0)
  })

  it("ends a stream with what had arrived of it", async () => {
    for (const idle of [false, true]) {
      await using server = await listening((_, response) => {
        response.writeHead(200, { "content-type": "application/vnd.amazon.eventstream" })
        response.write(text("Hel"))
      })
      const bedrock = clientOf(server)
      const events = bedrock.converseStream(question("Why?"))[Symbol.asyncIterator]()
      await events.next()
      const waits = idle ? undefined : rejected(events.next())
      await bedrock.close()
      await eventually(() => server.open.size === 0)
      const failure = await (waits ?? rejected(events.next()))
      assert.instanceOf(failure, InterruptedStreamError)
      assert.strictEqual(failure.partial.text, "Hel")
      shuttingDown(failure.origin)
    }
  })
})

describe("what is said of one call", () => {
  it("decides whose turn it is", async () => {
    await using emulator = await served({ window: "1 second", quota: { requests: 1 } })
    await using bedrock = clientOf(emulator, {
      quotas: { default: { requestsPerMinute: 1 } },
      meters: { window: 1_000 }
    })
    const order: Array<string> = []
    const ask = async (name: string, options: CallOptions) => {
      await bedrock.converse(question("Why?"), options)
      order.push(name)
    }
    await ask("first", {})
    const calls = [ask("job", { priority: "bulk", tenant: "nightly" }), ask("question", { priority: "interactive" })]
    const { line, nextAdmissionMillis } = await bedrock.snapshot(modelId)
    assert.sameDeepMembers(line.map(({ priority, requests, tenant }) => ({ priority, requests, tenant })), [
      { priority: "bulk", requests: 1, tenant: "nightly" },
      { priority: "interactive", requests: 1, tenant: line.find(({ priority }) => priority !== "bulk")?.tenant ?? "?" }
    ])
    assert.isNumber(nextAdmissionMillis)
    await Promise.all(calls)
    assert.deepStrictEqual(order, ["first", "question", "job"])
  })

  it("limits it", async () => {
    await using emulator = await served()
    await using bedrock = clientOf(emulator, { quotas: { default: { requestsPerMinute: 1 } } })
    await bedrock.converse(question("Why?"))
    const hurried = await rejected(bedrock.converse(question("Why?"), { maxWait: "1 second" }))
    assert.instanceOf(hurried, AdmissionError)
    assert.strictEqual(hurried.kind, "wait-too-long")
    await using free = clientOf(emulator)
    const late = await rejected(free.converse(question("Why? [[emulate latency=60000]]"), { deadline: 50 }))
    assert.instanceOf(late, TimeoutError)
    assert.strictEqual(late.kind, "deadline")
  })
})

describe("aborted, left or closed after any number of turns", () => {
  const turns = async (count: number) => {
    for (let turn = 0; turn < count; turn++) await (turn % 4 === 3 ? new Promise(setImmediate) : undefined)
  }
  const reason = new Error("gone")

  it.each(["aborted", "left", "closed"])("%s, a call leaves no connection and no waiter", async (end) => {
    await using server = await listening((_, response) => {
      response.writeHead(200, { "content-type": "application/vnd.amazon.eventstream" })
      response.write(text("Hel"))
    })
    let given = 0
    for (let count = 0; count < 40; count++) {
      const bedrock = clientOf(server, { quotas: { default: { requestsPerMinute: 5 } } })
      const controller = new AbortController()
      const events = bedrock.converseStream(question("Why?"), { signal: controller.signal })[Symbol.asyncIterator]()
      const first = events.next().then((result) => result, (failure: unknown) => failure)
      await turns(count)
      if (end === "aborted") controller.abort(reason)
      if (end === "left") await events.return?.()
      if (end === "closed") await bedrock.close()
      const outcome = await first
      const event = typeof outcome === "object" && outcome !== null && "value" in outcome && outcome.value !== undefined
      if (event) given++
      else if (end === "aborted") assert.strictEqual(outcome, reason)
      else if (end === "closed") assert.include(outcome, { name: "AdmissionError", kind: "shutting-down" })
      if (event && end !== "left") {
        const failure = await rejected(events.next())
        if (end === "aborted") assert.strictEqual(failure, reason)
        else assert.instanceOf(failure, InterruptedStreamError)
      }
      assert.deepStrictEqual(await events.next(), { done: true, value: undefined })
      await eventually(() => server.open.size === 0)
      if (end !== "closed") assert.strictEqual((await bedrock.snapshot(modelId)).waiting, 0)
      assert.lengthOf(getEventListeners(controller.signal, "abort"), 0)
      await bedrock.close()
    }
    // Some were ended before their first event, and some after.
    assert.isAbove(given, 0)
    assert.isBelow(given, 40)
  })
})

describe("routes", () => {
  const routes = {
    targets: { ohio: { model: modelId, region: "us-east-2" }, oregon: { model: modelId, region: "us-west-2" } },
    routes: { chat: { policy: { ordered: ["ohio", "oregon"], patience: "2 seconds" } } }
  } as const

  it.each([["as data", routes], ["as the text of a file", JSON.stringify(routes)]])(
    "%s: a call goes on elsewhere, and says where",
    async (_, routes) => {
      await using emulator = await served()
      const events: Array<CallEvent> = []
      await using bedrock = clientOf(emulator, { routes, onEvent: (event) => events.push(event) })
      await emulator.inject(Fault.error("ServiceUnavailableException"))
      await bedrock.converse({ ...question("Why?"), modelId: "chat" })
      const ended = events.find((event) => event._tag === "CallEnded")
      assert.strictEqual(ended?.account?.target, "oregon")
      assert.deepStrictEqual(ended?.account?.trials.map(({ target }) => target), ["ohio", "oregon"])
    }
  )

  it("that make no sense are refused with the other options", () => {
    assert.throws(() => createBedrock({ routes: "{" }), OptionsError, /routes/)
    assert.throws(() => createBedrock({ routes: "{}" }), OptionsError, /targets/)
    const lost = { targets: {}, routes: { chat: { policy: "ohio" } } }
    assert.throws(() => createBedrock({ routes: lost }), OptionsError, /ohio/)
  })
})

describe("events", () => {
  it("are told to the listener, with errors of these classes", async () => {
    await using emulator = await served()
    const events: Array<CallEvent> = []
    await using bedrock = clientOf(emulator, { onEvent: (event) => events.push(event) })
    await emulator.inject(Fault.error("ServiceUnavailableException"))
    await bedrock.converse(question("Why?"))
    assert.deepStrictEqual(
      events.map(({ _tag }) => _tag),
      ["Waiting", "Admitted", "AttemptFailed", "Waiting", "Admitted", "Settled", "CallEnded"]
    )
    const [failed] = events.flatMap((event) => event._tag === "AttemptFailed" ? [event.error] : [])
    assert.instanceOf(failed, ServerError)
  })

  it("whose listener throws harm no call, and it is said", async () => {
    await using emulator = await served()
    const planted = new Error("planted")
    const warnings: Array<readonly [string, object]> = []
    await using bedrock = clientOf(emulator, {
      backoff: { attempts: 2, base: 1 },
      onEvent: () => {
        throw planted
      },
      onWarning: (message, details) => {
        warnings.push([message, details])
        throw new Error("planted, too")
      }
    })
    await bedrock.converse(question("Why?"))
    assert.lengthOf(warnings, 1)
    assert.match(warnings[0]?.[0] ?? "", /listener threw/)
    assert.deepInclude(warnings[0]?.[1], { cause: planted })
    await rejected(bedrock.converse(question("[[emulate error=ServiceUnavailableException]]")))
    assert.deepInclude(warnings[1]?.[1], { limit: "attempts", failures: 2 })
  })
})
