// The limiter in a plain client of the SDK, over real sockets.
import {
  ApplyGuardrailCommand,
  BedrockRuntime,
  ConverseCommand,
  ConverseStreamCommand,
  InvokeModelCommand,
  InvokeModelWithBidirectionalStreamCommand,
  InvokeModelWithResponseStreamCommand,
  ServiceUnavailableException,
  StartAsyncInvokeCommand,
  ThrottlingException,
  ValidationException
} from "@aws-sdk/client-bedrock-runtime"
import { AdmissionError, createLimiter, OptionsError, type Turn, ValidationError } from "@caprock/bedrock/sdk"
import { Fault } from "@caprock/emulator"
import { NodeHttpHandler } from "@smithy/node-http-handler"
import { getEventListeners } from "node:events"
import { assert, describe, it } from "vitest"
import { ample, bodyOf, handlers, limited, plain } from "./sdkLab.ts"
import { eventually, frame, listening, modelId, question, read, rejected, served, text } from "./served.ts"

const speech = async function*() {
  for (const event of [{ sessionStart: {} }, { sessionEnd: {} }]) {
    yield { chunk: { bytes: new TextEncoder().encode(JSON.stringify({ event })) } }
  }
}

describe.each(Object.entries(handlers))("over %s", (_, config) => {
  it("every answer is given as it came, and settled with what it cost", async () => {
    await using emulator = await served()
    await using house = limited(emulator, ample, config())
    const { books, client } = house
    const charged = async () => (await emulator.stats()).tokens.settled
    const settled = async (requests: number) =>
      assert.deepStrictEqual(await books(), { waiting: 0, requests, tokens: await charged(), inFlight: 0 })

    const answer = await client.send(new ConverseCommand(question("Why? [[emulate output=20]]")))
    assert.strictEqual(answer.usage?.outputTokens, 20)
    assert.deepInclude(answer.$metadata, { httpStatusCode: 200, attempts: 1 })
    await settled(1)

    const { body } = await client.send(new InvokeModelCommand({ modelId, body: bodyOf("Why?") }))
    assert.property(JSON.parse(body.transformToString()), "output")
    await settled(2)

    const { stream } = await client.send(new ConverseStreamCommand(question("Why? [[emulate output=20]]")))
    const events = await read(stream ?? [])
    assert.isUndefined(events.failure)
    assert.isDefined(events.seen[0]?.messageStart)
    assert.strictEqual(events.seen.at(-1)?.metadata?.usage?.outputTokens, 20)
    await settled(3)

    const answered = await client.send(
      new InvokeModelWithResponseStreamCommand({ modelId, body: bodyOf("Why? [[emulate output=20]]") })
    )
    const chunks = await read(answered.body ?? [])
    assert.isUndefined(chunks.failure)
    assert.isAbove(chunks.seen.length, 1)
    await settled(4)
  })

  it("a stream ends at any event that its reader leaves it at, and its connection with it", async () => {
    await using emulator = await served()
    await using house = limited(emulator, ample, config())
    for (let last = 0; last < 6; last++) {
      const { stream = [] } = await house.client.send(
        new ConverseStreamCommand(question("Why? [[emulate output=500]]", 500))
      )
      const events = (stream as AsyncIterable<object>)[Symbol.asyncIterator]()
      for (let seen = 0; seen < last; seen++) await events.next()
      await events.return?.()
      await eventually(async () => {
        const { inFlight, open } = await emulator.stats()
        return inFlight === 0 && open === 0
      })
      const { inFlight, requests, tokens = 0 } = await house.books()
      assert.deepStrictEqual({ inFlight, requests }, { inFlight: 0, requests: last + 1 })
      assert.isAtLeast(tokens, (await emulator.stats()).tokens.settled)
    }
  })

  it("a stream that fails in its middle fails with the SDK's own error, and stays charged", async () => {
    await using emulator = await served()
    await using house = limited(emulator, ample, config())
    await emulator.inject(Fault.streamError("throttlingException", { at: { frame: 5 } }))
    const { stream } = await house.client.send(new ConverseStreamCommand(question("Why? [[emulate output=50]]")))
    const { failure, seen } = await read(stream ?? [])
    assert.instanceOf(failure, ThrottlingException)
    assert.strictEqual(failure.$metadata.attempts, 1)
    assert.isAbove(seen.length, 2)
    assert.strictEqual((await emulator.stats()).requests, 1)
    const { inFlight, tokens = 0 } = await house.books()
    assert.strictEqual(inFlight, 0)
    // What it had booked: nobody said what it has cost.
    assert.isAtLeast(tokens, 200)
  })

  it("a stream that is refused with its first frame had begun: its input stays booked, and its output does not", async () => {
    await using emulator = await served()
    await using house = limited(emulator, { ...ample, backoff: { attempts: 1 } }, config())
    await emulator.inject(Fault.streamError("throttlingException", { at: { frame: 0 } }))
    const error = await rejected(house.client.send(new ConverseStreamCommand(question("Why?", 5_000))))
    assert.strictEqual((error as Error).name.toLowerCase(), "throttlingexception")
    const { meters } = await house.limiter.snapshot(house.client, modelId)
    const tokens = meters.find(({ unit }) => unit === "tokens")
    const own = (tokens?.used ?? 0) - (tokens?.foreign ?? 0)
    assert.isAbove(tokens?.used ?? 0, 0)
    assert.isBelow(own, 5_000)
  })

  it("a stream is asked for again until its first content", async () => {
    await using emulator = await served()
    await using house = limited(emulator, ample, config())
    await emulator.inject(Fault.streamError("modelStreamErrorException", { at: { frame: 1 } }), { times: 2 })
    const answer = await house.client.send(new ConverseStreamCommand(question("Why? [[emulate output=20]]")))
    const { failure, seen } = await read(answer.stream ?? [])
    assert.isUndefined(failure)
    assert.lengthOf(seen.filter(({ messageStart }) => messageStart !== undefined), 1)
    assert.strictEqual(answer.$metadata.attempts, 3)
    assert.strictEqual((await emulator.stats()).requests, 3)
  })

  it("a stream that breaks off without a word is settled all the same", async () => {
    await using emulator = await served()
    await using house = limited(emulator, ample, config())
    await emulator.inject(Fault.truncate({ frame: 5 }))
    const { stream } = await house.client.send(new ConverseStreamCommand(question("Why? [[emulate output=50]]")))
    await read(stream ?? [])
    const { inFlight, tokens = 0 } = await house.books()
    assert.strictEqual(inFlight, 0)
    assert.isAtLeast(tokens, 200)
  })

  it("a signal ends what is under way, as the SDK does, and what was sent stays booked", async () => {
    await using emulator = await served()
    await using house = limited(emulator, ample, config())
    const controller = new AbortController()
    const sent = rejected(
      house.client.send(new ConverseCommand(question("Why? [[emulate latency=60000]]")), {
        abortSignal: controller.signal
      })
    )
    await eventually(async () => (await emulator.stats()).inFlight === 1)
    controller.abort(new Error("the user went away"))
    const error = await sent
    assert.instanceOf(error, Error)
    assert.deepStrictEqual([error.name, error.message], ["AbortError", "Request aborted"])
    assert.strictEqual((error.cause as Error).message, "the user went away")
    await eventually(async () => (await emulator.stats()).open === 0)
    const { inFlight, requests, tokens = 0 } = await house.books()
    assert.deepStrictEqual({ inFlight, requests }, { inFlight: 0, requests: 1 })
    assert.isAtLeast(tokens, 200)
  })

  it("a signal ends a stream whose reader waits, and one whose reader does not", async () => {
    for (const idle of [false, true]) {
      await using emulator = await served()
      await using house = limited(emulator, ample, config())
      await emulator.inject(Fault.silence({ at: { frame: 3 } }))
      const controller = new AbortController()
      const { stream } = await house.client.send(
        new ConverseStreamCommand(question("Why? [[emulate output=50]]")),
        { abortSignal: controller.signal }
      )
      const events = (stream as AsyncIterable<object>)[Symbol.asyncIterator]()
      for (let n = 0; n < 3; n++) await events.next()
      const waits = idle ? undefined : rejected(events.next())
      controller.abort()
      const error = await (waits ?? rejected(events.next()))
      assert.strictEqual((error as Error).name, "AbortError")
      await eventually(async () => (await emulator.stats()).open === 0)
      assert.strictEqual((await house.books()).inFlight, 0)
      assert.lengthOf(getEventListeners(controller.signal, "abort"), 0)
    }
  })

  it("destroying the client does to its requests what it does without the limiter, and their reservations end with them", async () => {
    await using emulator = await served()
    await using house = limited(emulator, { ...ample, backoff: { attempts: 1 } }, config())
    const sent = house.client.send(new ConverseCommand(question("Why? [[emulate latency=300]]")))
      .then(() => "answered", () => "failed")
    await eventually(async () => (await emulator.stats()).inFlight === 1)
    house.client.destroy()
    // A connection of HTTP/2 that is one request's own is none of those that the SDK's handler closes.
    assert.strictEqual(await sent, "requestHandler" in config() ? "failed" : "answered")
    const { inFlight, requests } = await house.books()
    assert.deepStrictEqual({ inFlight, requests }, { inFlight: 0, requests: 1 })
  })
})

it("streams that were read to their end leave their connection to the next", async () => {
  const ports = new Set<number | undefined>()
  await using server = await listening(({ socket }, response) => {
    ports.add(socket.remotePort)
    response.writeHead(200, { "content-type": "application/vnd.amazon.eventstream" })
    response.end(Buffer.concat([frame("messageStart", { role: "assistant" }), text("Hel"), text("lo")]))
  })
  await using house = limited(server, ample, {
    requestHandler: new NodeHttpHandler({ httpAgent: { keepAlive: true } })
  })
  for (let n = 0; n < 3; n++) {
    const { stream } = await house.client.send(new ConverseStreamCommand(question("Why?")))
    assert.lengthOf((await read(stream ?? [])).seen, 3)
  }
  assert.strictEqual(ports.size, 1)
})

describe("quotas", () => {
  it("are kept: requests wait, and none is throttled", async () => {
    await using emulator = await served({ window: "500 millis", quota: { requests: 10 } })
    await using house = limited(emulator, { quotas: { default: { requestsPerMinute: 10 } }, meters: { window: 500 } })
    const answers = await Promise.all(
      Array.from({ length: 25 }, (_, n) => house.client.send(new ConverseCommand(question(`What of ${n}?`))))
    )
    assert.lengthOf(answers, 25)
    assert.strictEqual((await emulator.stats()).throttled.total, 0)
  })

  it("are one for all clients of a limiter, and one for each Region", async () => {
    await using emulator = await served()
    await using house = limited(emulator, { quotas: { default: { requestsPerMinute: 1 } }, maxWait: 0 })
    const { client, limiter } = house
    const other = limiter.attach(plain(emulator))
    const elsewhere = limiter.attach(plain(emulator, { region: "eu-west-1" }))
    await client.send(new ConverseCommand(question("Why?")))
    assert.instanceOf(await rejected(other.send(new ConverseCommand(question("Why?")))), AdmissionError)
    await elsewhere.send(new ConverseCommand(question("Why?")))
    assert.include((await limiter.snapshot(elsewhere, modelId)).pool, "eu-west-1")
    other.destroy()
    elsewhere.destroy()
  })

  it("refuse before anything is sent", async () => {
    await using emulator = await served()
    await using house = limited(emulator, {
      quotas: { default: { requestsPerMinute: 1, tokensPerMinute: 1000 } },
      maxWait: "20 seconds"
    })
    const { client } = house
    const larger = await rejected(client.send(new ConverseCommand(question("Why?", 5000))))
    assert.instanceOf(larger, ValidationError)
    assert.include(larger, { kind: "exceeds-quota", attempts: 0 })
    await client.send(new ConverseCommand(question("Why?")))
    const late = await rejected(client.send(new ConverseStreamCommand(question("Why?"))))
    assert.instanceOf(late, AdmissionError)
    assert.include(late, { kind: "wait-too-long", attempts: 0 })
    assert.isAbove(late.predictedWaitMillis ?? 0, 20_000)
    const unknown = await rejected(client.send(new ConverseCommand({ ...question("Why?"), modelId: "???" })))
    assert.instanceOf(unknown, ValidationError)
    assert.strictEqual((await emulator.stats()).requests, 1)
  })

  it("learn from a throttle, whose tokens come back", async () => {
    await using emulator = await served()
    await using house = limited(emulator, { ...ample, backoff: { attempts: 1 } })
    const error = await rejected(
      house.client.send(new ConverseCommand(question("[[emulate error=ThrottlingException]]")))
    )
    assert.instanceOf(error, ThrottlingException)
    const { guardMillis, meters } = await house.limiter.snapshot(house.client, modelId)
    assert.isAbove(guardMillis, 250)
    // Somebody else has used up what is not ours.
    assert.isAbove(Math.max(...meters.map(({ foreign }) => foreign)), 0)
    assert.strictEqual((await house.books()).inFlight, 0)
  })

  it("go by turns, of a client and of a command", async () => {
    const held: Array<() => void> = []
    await using server = await listening((_, response) => {
      held.push(() => response.writeHead(200).end(JSON.stringify({ stopReason: "end_turn" })))
    })
    await using house = limited(server, { quotas: { default: { concurrentRequests: 1 } } }, handlers["HTTP/1.1"]?.())
    const { client, limiter } = house
    limiter.attach(client, { priority: "bulk", tenant: "nightly" })
    const order: Array<string> = []
    const ask = async (name: string, turn?: Turn) => {
      const command = new ConverseCommand(question("Why?"))
      if (turn !== undefined) command.middlewareStack.use(limiter.turn(turn))
      await client.send(command)
      order.push(name)
    }
    const all = [ask("first"), ask("job"), ask("job"), ask("user", { priority: "interactive" })]
    await eventually(async () => held.length === 1 && (await house.books()).waiting === 3)
    const { line } = await limiter.snapshot(client, modelId)
    assert.sameDeepMembers(line.map(({ priority, requests, tenant }) => [priority, tenant, requests]), [
      ["interactive", "nightly", 1],
      ["bulk", "nightly", 2]
    ])
    for (let answered = 0; answered < all.length; answered++) {
      await eventually(() => held.length > 0)
      held.shift()?.()
      await eventually(() => order.length > answered)
    }
    assert.deepStrictEqual(order, ["first", "user", "job", "job"])
  })
})

describe("retries", () => {
  it.each(["standard", "adaptive"])("are ours alone, whatever the client's are (%s)", async (retryMode) => {
    await using emulator = await served()
    await using house = limited(emulator, { ...ample, backoff: { base: 1, attempts: 3 } }, {
      retryMode,
      maxAttempts: 7
    })
    const error = await rejected(
      house.client.send(new ConverseCommand(question("[[emulate error=ServiceUnavailableException]]")))
    )
    assert.instanceOf(error, ServiceUnavailableException)
    assert.deepInclude(error.$metadata, { httpStatusCode: 503, attempts: 3 })
    assert.strictEqual((await emulator.stats()).requests, 3)
    const invalid = await rejected(
      house.client.send(new ConverseCommand(question("[[emulate error=ValidationException]]")))
    )
    assert.instanceOf(invalid, ValidationException)
    assert.strictEqual((await emulator.stats()).requests, 4)
  })

  it("ask a strategy of the client's own nothing", async () => {
    await using emulator = await served()
    let asked = 0
    const fail = () => {
      asked++
      return Promise.reject(new Error("asked"))
    }
    await using house = limited(emulator, ample, {
      retryStrategy: { acquireInitialRetryToken: fail, refreshRetryTokenForRetry: fail, recordSuccess: fail }
    })
    await emulator.inject(Fault.error("ServiceUnavailableException"))
    const answer = await house.client.send(new ConverseCommand(question("Why?")))
    assert.deepStrictEqual([answer.$metadata.attempts, asked], [2, 0])
  })

  it("reserve anew, with credentials and a number of their own", async () => {
    const seen: Array<readonly [id: string | undefined, attempt: string | undefined, key: string | undefined]> = []
    await using server = await listening(({ headers }, response) => {
      const { authorization = "", "amz-sdk-invocation-id": id, "amz-sdk-request": attempt } = headers
      seen.push([String(id), String(attempt), /Credential=(\w+)/.exec(authorization)?.[1]])
      response.writeHead(503, { "x-amzn-errortype": "ServiceUnavailableException" }).end("{}")
    })
    let keys = 0
    await using house = limited(server, { ...ample, backoff: { attempts: 2, base: 1 } }, {
      ...handlers["HTTP/1.1"]?.(),
      // As those of a session that lasts no longer than a wait. Real time: the SDK goes by no other clock.
      credentials: async () => ({ accessKeyId: `key${++keys}`, secretAccessKey: "any", expiration: new Date() })
    })
    await rejected(house.client.send(new ConverseCommand(question("Why?"))))
    assert.deepStrictEqual(seen.map(([, attempt]) => attempt), ["attempt=1", "attempt=2"])
    assert.notStrictEqual(seen[0]?.[2], seen[1]?.[2])
    assert.strictEqual(seen[0]?.[0], seen[1]?.[0])
    assert.match(seen[0]?.[0] ?? "", /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/)
    assert.strictEqual((await house.books()).requests, 2)
  })

  it("are there for what no quota meters, and start one job", async () => {
    await using emulator = await served()
    await using house = limited(emulator, { quotas: { default: { requestsPerMinute: 1 } }, maxWait: 0 })
    const { client } = house
    await emulator.inject(Fault.error("ServiceUnavailableException"), { times: 2 })
    const command = new ApplyGuardrailCommand({
      guardrailIdentifier: "abc123",
      guardrailVersion: "1",
      source: "INPUT",
      content: [{ text: { text: "Hello" } }]
    })
    assert.deepInclude(await client.send(command), { action: "NONE" })
    assert.strictEqual((await emulator.stats()).requests, 3)

    const tokens = new Set<unknown>()
    client.middlewareStack.add((next) => (args) => {
      tokens.add(Reflect.get(args.input, "clientRequestToken"))
      return next(args)
    }, { step: "build" })
    await emulator.inject(Fault.error("ServiceUnavailableException"), { times: 2 })
    const job = { modelId, modelInput: {}, outputDataConfig: { s3OutputDataConfig: { s3Uri: "s3://bucket/answers" } } }
    const { invocationArn } = await client.send(new StartAsyncInvokeCommand(job))
    assert.isString(invocationArn)
    assert.lengthOf([...tokens], 1)
    assert.isString([...tokens][0])
  })
})

describe("before anything is sent", () => {
  it("nothing is charged", async () => {
    await using house = limited({ url: "http://127.0.0.1:1" }, { ...ample, backoff: { attempts: 1 } })
    const empty = { waiting: 0, requests: 0, tokens: 0, inFlight: 0 }
    const refused = await rejected(house.client.send(new ConverseCommand(question("Why?"))))
    assert.instanceOf(refused, Error)
    assert.deepStrictEqual(await house.books(), empty)
    await using keyless = limited({ url: "http://127.0.0.1:1" }, { ...ample, backoff: { attempts: 1 } }, {
      credentials: () => Promise.reject(new Error("no credentials today"))
    })
    const error = await rejected(keyless.client.send(new ConverseStreamCommand(question("Why?"))))
    assert.match(String(error), /no credentials today/)
    assert.deepStrictEqual(await keyless.books(), empty)
  })

  it("a signal leaves the queue, and the wait between two attempts", async () => {
    await using emulator = await served()
    await using house = limited(emulator, {
      quotas: { default: { requestsPerMinute: 1 } },
      backoff: { base: "1 hour", cap: "1 hour", elapsed: "2 hours" }
    })
    const { client } = house
    const before = await rejected(
      client.send(new ConverseCommand(question("Why?")), { abortSignal: AbortSignal.abort() })
    )
    assert.strictEqual((before as Error).name, "AbortError")
    const controller = new AbortController()
    const options = { abortSignal: controller.signal }
    const asleep = rejected(
      client.send(new ConverseCommand(question("[[emulate error=ServiceUnavailableException]]")), options)
    )
    await eventually(async () => (await emulator.stats()).requests === 1 && (await emulator.stats()).inFlight === 0)
    const waiting = [
      rejected(client.send(new ConverseCommand(question("Why?")), options)),
      rejected(client.send(new ConverseStreamCommand(question("Why?")), options))
    ]
    await eventually(async () => (await house.books()).waiting === 2)
    controller.abort()
    for (const error of await Promise.all([asleep, ...waiting])) assert.strictEqual((error as Error).name, "AbortError")
    assert.strictEqual((await house.books()).waiting, 0)
    assert.strictEqual((await emulator.stats()).requests, 1)
    assert.lengthOf(getEventListeners(controller.signal, "abort"), 0)
  })
})

describe("closing the limiter", () => {
  it("ends who waits, and leaves what is under way to its client", async () => {
    await using server = await listening((request, response) => {
      if (request.url?.endsWith("converse") === true) {
        setImmediate(async () => {
          await limiter.close()
          response.writeHead(200).end(JSON.stringify({ stopReason: "end_turn" }))
        })
      } else {
        response.writeHead(200, { "content-type": "application/vnd.amazon.eventstream" })
        response.write(Buffer.concat([frame("messageStart", { role: "assistant" }), text("Hel")]))
        finish = () => response.end(text("lo"))
      }
    })
    let finish = () => {}
    await using house = limited(server, { quotas: { default: { requestsPerMinute: 2 } } }, handlers["HTTP/1.1"]?.())
    const { client, limiter } = house
    const { stream } = await client.send(new ConverseStreamCommand(question("Why?")))
    const underWay = client.send(new ConverseCommand(question("Why?")))
    const waiting = rejected(client.send(new ConverseCommand(question("Why?"))))
    assert.strictEqual((await underWay).stopReason, "end_turn")
    const error = await waiting
    assert.instanceOf(error, AdmissionError)
    assert.include(error, { kind: "shutting-down", attempts: 0 })
    assert.instanceOf(await rejected(client.send(new ConverseCommand(question("Why?")))), AdmissionError)
    finish()
    const { failure, seen } = await read(stream ?? [])
    assert.isUndefined(failure)
    assert.lengthOf(seen, 3)
  })
})

it("closing the limiter ends the wait between two attempts", async () => {
  await using emulator = await served()
  await using house = limited(emulator, { ...ample, backoff: { base: "1 hour", cap: "1 hour", elapsed: "2 hours" } })
  const asleep = rejected(
    house.client.send(new ConverseCommand(question("[[emulate error=ServiceUnavailableException]]")))
  )
  await eventually(async () => (await house.books()).requests === 1 && (await house.books()).inFlight === 0)
  await house.limiter.close()
  const error = await asleep
  assert.instanceOf(error, AdmissionError)
  assert.include(error, { kind: "shutting-down", attempts: 1 })
})

describe("a client", () => {
  it("may cache its handlers, and have methods", async () => {
    await using emulator = await served()
    await using house = limited(emulator, ample)
    const client = house.limiter.attach(
      new BedrockRuntime({
        endpoint: emulator.url,
        region: "us-east-1",
        credentials: { accessKeyId: "any", secretAccessKey: "any" },
        cacheMiddleware: true
      })
    )
    const outputs = [10, 20, 30, 40]
    const answers = await Promise.all(
      outputs.map((output) => client.converse(question(`Why? [[emulate output=${output} latency=${50 - output}]]`)))
    )
    assert.deepStrictEqual(answers.map(({ usage }) => usage?.outputTokens), outputs)
    assert.deepStrictEqual(await house.books(), {
      waiting: 0,
      requests: 4,
      tokens: (await emulator.stats()).tokens.settled,
      inFlight: 0
    })
    client.destroy()
  })

  it("may send the same input again before the first is answered", async () => {
    await using emulator = await served()
    await using house = limited(emulator, ample)
    const command = new ConverseCommand(question("Why? [[emulate latency=50]]"))
    const answers = await Promise.all([1, 2, 3].map(() => house.client.send(command)))
    assert.deepStrictEqual(answers.map(({ $metadata }) => $metadata.attempts), [1, 1, 1])
  })

  it("is limited once, however often it is attached; by the last", async () => {
    await using emulator = await served()
    await using house = limited(emulator, ample)
    await using other = limited(emulator, ample)
    house.limiter.attach(house.client)
    await house.client.send(new ConverseCommand(question("Why?")))
    assert.strictEqual((await house.books()).requests, 1)
    other.limiter.attach(house.client)
    await house.client.send(new ConverseCommand(question("Why?")))
    assert.deepStrictEqual([(await house.books()).requests, (await other.books()).requests], [1, 1])
  })

  it("of another service is refused at its first call", async () => {
    await using house = limited({ url: "http://127.0.0.1:1" })
    house.client.middlewareStack.add((next, context) => {
      context.clientName = "S3Client"
      return next
    }, { step: "initialize" })
    const error = await rejected(house.client.send(new ConverseCommand(question("Why?"))))
    assert.instanceOf(error, TypeError)
    assert.match(error.message, /S3Client/)
  })

  it("may speak", async () => {
    await using emulator = await served()
    await using house = limited(emulator, ample)
    const sonic = "amazon.nova-2-sonic-v1:0"
    const answer = await house.client.send(
      new InvokeModelWithBidirectionalStreamCommand({ modelId: sonic, body: speech() })
    )
    const { failure } = await read(answer.body ?? [])
    assert.isUndefined(failure)
    const { meters } = await house.limiter.snapshot(house.client, sonic)
    assert.deepStrictEqual(meters.map(({ unit, used }) => [unit, used > 0]), [
      ["requests", true],
      ["tokens", true],
      ["concurrency", false]
    ])
  })
})

describe("options", () => {
  it("that are wrong are told at once; those of a client are not the limiter's", () => {
    const wrong = (options: object) => {
      try {
        createLimiter(options)
      } catch (error) {
        assert.instanceOf(error, OptionsError)
        return error.problems.map(({ name }) => name)
      }
      return []
    }
    assert.deepStrictEqual(wrong({ quotas: { default: {} }, resolve: { a: "b" } }), [])
    assert.deepStrictEqual(wrong({ maxWait: "soon", deadline: 5, region: "us-east-1" }).toSorted(), [
      "deadline",
      "maxWait",
      "region"
    ])
  })

  it("tell events, with what became of them", async () => {
    await using emulator = await served()
    const events: Array<string> = []
    await using house = limited(emulator, { ...ample, onEvent: ({ _tag }) => events.push(_tag) })
    await emulator.inject(Fault.error("ServiceUnavailableException"))
    await house.client.send(new ConverseCommand(question("Why?")))
    assert.deepStrictEqual(events, [
      "Waiting",
      "Admitted",
      "AttemptFailed",
      "Waiting",
      "Admitted",
      "Settled",
      "CallEnded"
    ])
  })
})
