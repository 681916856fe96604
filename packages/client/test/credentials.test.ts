// Credentials, by the SDK's real providers: files, processes and endpoints on this machine.
import { BedrockClient } from "@caprock/client"
import type { BedrockError } from "@caprock/errors/BedrockError"
import { rowOf } from "@caprock/errors/Reason"
import { assert, describe, it } from "@effect/vitest"
import type { AwsCredentialIdentity } from "@smithy/types"
import { Effect, Fiber, Logger, Stream } from "effect"
import { TestClock } from "effect/testing"
import { createHash } from "node:crypto"
import type * as Http from "node:http"
import { Search } from "../src/internal/credentials.ts"
import { assumed, machine } from "./machine.ts"
import { answer, eventually, frames, request, sendJson, server, startStream } from "./server.ts"

// Nobody listens there.
const closed = "http://127.0.0.1:9"
const noInstance = { AWS_EC2_METADATA_DISABLED: "true" }

/** A Bedrock that answers, and what it was asked with. */
const bedrock = (handle?: (request: Http.IncomingMessage, response: Http.ServerResponse) => void) =>
  Effect.map(
    server((incoming, response) => handle === undefined ? sendJson(response, answer) : handle(incoming, response)),
    ({ url }) => (options: BedrockClient.Options = {}) =>
      BedrockClient.make({ region: "us-east-1", endpoint: url, ...options })
  )

/** What a program without types may give. */
const untyped = (given: unknown) => given as NonNullable<BedrockClient.Options["credentials"]>

const outcome = (error: BedrockError) => [rowOf(error.reason), error.attempts, error.retryable]

/** How a call ends on a machine. */
const ends = (variables: Record<string, string>, files?: Record<string, string>, options?: BedrockClient.Options) =>
  Effect.scoped(Effect.gen(function*() {
    yield* machine(variables, files)
    const client = yield* (yield* bedrock())(options)
    return yield* Effect.flip(client.converse(request))
  }))

const sts = (status: number, code: string, message: string) =>
  server((_incoming, response) => {
    response.writeHead(status, { "content-type": "text/xml" })
    response.end(
      `<ErrorResponse><Error><Type>Sender</Type><Code>${code}</Code><Message>${message}</Message></Error></ErrorResponse>`
    )
  })

describe("without credentials", () => {
  it.live("there are none, where none are configured", () =>
    Effect.gen(function*() {
      for (const variables of [noInstance, { AWS_EC2_METADATA_SERVICE_ENDPOINT: closed }]) {
        const error = yield* ends(variables)
        assert.deepStrictEqual(outcome(error), ["AccessError/no-credentials", 0, false])
        assert.strictEqual(error.reason.message, "Could not load credentials from any providers")
        assert.include(error.message, "AWS_PROFILE")
      }
      const named = yield* ends({ ...noInstance, AWS_PROFILE: "production" }, assumed)
      assert.deepStrictEqual(outcome(named), ["AccessError/no-credentials", 0, false])
      assert.include(named.reason.message, "Profile production could not be found")
    }))

  it.live("a process that fails is told, with what it said", () =>
    Effect.gen(function*() {
      const process = (command: string) =>
        ends(noInstance, { ".aws/config": `[default]\ncredential_process = ${command}\n` })
      const failed = yield* process("/bin/sh -c \"echo the vault is sealed >&2; exit 3\"")
      assert.deepStrictEqual(outcome(failed), ["AccessError/provider-failed", 0, false])
      assert.include(failed.reason.message, "the vault is sealed")
      assert.deepStrictEqual(outcome(yield* process("/no/such/program")), ["AccessError/provider-failed", 0, false])
      assert.deepStrictEqual(outcome(yield* process("/bin/echo hello")), ["AccessError/provider-failed", 0, false])
    }))

  it.live("a session that has expired is told from none", () =>
    Effect.gen(function*() {
      const config = "[default]\nsso_session = s\nsso_account_id = 111122223333\nsso_role_name = r\n" +
        "[sso-session s]\nsso_region = us-east-1\nsso_start_url = https://x.awsapps.com/start\n"
      const cache = `.aws/sso/cache/${createHash("sha1").update("s").digest("hex")}.json`
      const expired = yield* ends(noInstance, {
        ".aws/config": config,
        [cache]: JSON.stringify({ accessToken: "t", expiresAt: "2020-01-01T00:00:00Z" })
      })
      assert.deepStrictEqual(outcome(expired), ["AccessError/expired-credentials", 0, false])
      assert.include(expired.message, "aws sso login")
      const process = yield* ends(noInstance, {
        "keys.json": JSON.stringify({
          Version: 1,
          AccessKeyId: "a",
          SecretAccessKey: "plain-secret",
          Expiration: "2020-01-01T00:00:00Z"
        }),
        ".aws/config": "[default]\ncredential_process = /bin/sh -c \"cat $HOME/keys.json\"\n"
      })
      assert.deepStrictEqual(outcome(process), ["AccessError/expired-credentials", 0, false])
      assert.notInclude(String(process), "plain-secret")
    }))

  it.live("a key that was pasted with its line break is told, and what else no header may hold", () =>
    Effect.gen(function*() {
      for (const variables of [{ AWS_ACCESS_KEY_ID: "a\n" }, { AWS_SESSION_TOKEN: "t\n" }]) {
        const error = yield* ends({
          ...noInstance,
          AWS_ACCESS_KEY_ID: "a",
          AWS_SECRET_ACCESS_KEY: "b",
          ...variables
        })
        assert.deepStrictEqual(outcome(error), ["AccessError/invalid-credentials", 0, false])
        assert.match(
          error.reason.message,
          /Invalid character in header content \["(authorization|x-amz-security-token)"\]/
        )
      }
    }))

  it.live("a source that refuses is told from Bedrock, and from one that can't be reached", () =>
    Effect.gen(function*() {
      const answers = [
        [403, "AccessDenied", "Not authorized to perform: sts:AssumeRole", "provider-failed", false],
        [403, "ExpiredToken", "The security token included in the request is expired", "expired-credentials", false],
        [403, "InvalidClientTokenId", "The security token is invalid", "invalid-credentials", false]
      ] as const
      for (const [status, code, message, kind, retryable] of answers) {
        const { url } = yield* sts(status, code, message)
        const error = yield* ends({ ...noInstance, AWS_ENDPOINT_URL_STS: url }, assumed)
        assert.deepStrictEqual(outcome(error), [`AccessError/${kind}`, 0, retryable])
        assert.strictEqual(error.reason.message, message)
      }
      const unreachable = yield* ends({ ...noInstance, AWS_ENDPOINT_URL_STS: closed }, assumed)
      assert.deepStrictEqual(outcome(unreachable), ["AccessError/provider-unavailable", 0, true])
    }))

  it.live("a provider of the program's own is taken at its word", () =>
    Effect.gen(function*() {
      const own = (credentials: NonNullable<BedrockClient.Options["credentials"]>) =>
        Effect.map(ends({}, {}, { credentials }), (error) => [...outcome(error), error.reason.message])
      assert.deepStrictEqual(yield* own(() => Promise.reject(new Error("The vault is sealed."))), [
        "AccessError/provider-failed",
        0,
        false,
        "The vault is sealed."
      ])
      assert.deepStrictEqual(
        yield* own(() => Promise.reject(Object.assign(new Error("down"), { code: "ECONNRESET" }))),
        ["AccessError/provider-unavailable", 0, true, "down"]
      )
    }))

  it.live("a provider of the program's own that gives no keys is told, and nothing is sent", () =>
    Effect.gen(function*() {
      const gives = (given: unknown) => ends({}, {}, { credentials: untyped(() => Promise.resolve(given)) })
      for (
        const given of [undefined, null, {}, { accessKeyId: "a" }, { accessKeyId: "", secretAccessKey: "b" }, "a:b"]
      ) {
        const error = yield* gives(given)
        assert.deepStrictEqual(outcome(error), ["AccessError/provider-failed", 0, false], JSON.stringify(given))
        assert.include(error.reason.message, "gave no { accessKeyId, secretAccessKey }")
      }
      const thrown = yield* ends({}, {}, {
        credentials: () => {
          throw new Error("The vault is sealed.")
        }
      })
      assert.deepStrictEqual(outcome(thrown), ["AccessError/provider-failed", 0, false])
      // Written where no types look.
      const client = yield* (yield* bedrock())({
        credentials: untyped(() => ({ accessKeyId: "a", secretAccessKey: "b" }))
      })
      yield* client.converse(request)
    }))

  it.live("are found while every connection is in use", () =>
    Effect.gen(function*() {
      let asked = 0
      const { url } = yield* server((_incoming, response) => {
        asked++
        response.writeHead(200, { "content-type": "text/xml" })
        // So near its end that each call looks for it anew.
        // Real time: the SDK goes by no other clock.
        const end = new Date(Date.now() + 60_000).toISOString()
        response.end(
          "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>" +
            "<AccessKeyId>a</AccessKeyId><SecretAccessKey>b</SecretAccessKey><SessionToken>t</SessionToken>" +
            `<Expiration>${end}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`
        )
      })
      yield* machine({ ...noInstance, AWS_ENDPOINT_URL_STS: url }, assumed)
      // The one that there may be is the call's own, whose credentials they are.
      const client = yield* (yield* bedrock())({ maxConnections: 1 })
      yield* Effect.all([client.converse(request), client.converse(request)], { concurrency: "unbounded" })
      assert.isAbove(asked, 1)
    }))
})

describe("the time limit of the search", () => {
  it.effect("ends a call whose credentials do not come", () =>
    Effect.gen(function*() {
      const { open, url } = yield* server(() => {})
      yield* machine({ AWS_EC2_METADATA_SERVICE_ENDPOINT: url })
      const make = yield* bedrock()
      // The SDK gives an instance one second, in real time.
      for (const options of [{}, { credentials: () => new Promise<never>(() => {}) }]) {
        const client = yield* make(options)
        const fiber = yield* Effect.forkChild(Effect.flip(client.converse(request)))
        if (options.credentials === undefined) yield* eventually(() => open.size > 0)
        yield* TestClock.adjust("59999 millis")
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        const error = yield* Fiber.join(fiber)
        assert.deepStrictEqual(outcome(error), ["TimeoutError/credentials", 0, false])
        assert.strictEqual(error.reason.message, "Credentials did not come within 60000 ms.")
      }
    }))

  it.effect("is no limit of what comes after it", () =>
    Effect.gen(function*() {
      let arrived = false
      const make = yield* bedrock((_incoming, response) => {
        arrived = true
        startStream(response).write(frames.start)
      })
      const client = yield* make({
        credentials: { accessKeyId: "a", secretAccessKey: "b" },
        timeouts: { credentials: "1 second", firstToken: "10 seconds" }
      })
      for (const call of [client.converse(request), Stream.runDrain(client.converseStream(request))]) {
        arrived = false
        const fiber = yield* Effect.forkChild(Effect.flip(call))
        yield* eventually(() => arrived)
        yield* TestClock.adjust("9999 millis")
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        assert.deepStrictEqual(outcome(yield* Fiber.join(fiber)), ["TimeoutError/first-token", 1, true])
      }
    }))

  it.live("ends the SDK's own request, too, so that the next call begins a new search", () =>
    Effect.gen(function*() {
      let silent = true
      let asked = 0
      const { open, url } = yield* server((_incoming, response) => {
        asked++
        if (silent) return
        response.writeHead(200, { "content-type": "text/xml" })
        response.end(
          "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>x</AccessKeyId>" +
            "<SecretAccessKey>y</SecretAccessKey><SessionToken>z</SessionToken>" +
            "<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
        )
      })
      yield* machine({ ...noInstance, AWS_ENDPOINT_URL_STS: url }, assumed)
      const client = yield* (yield* bedrock())({ timeouts: { credentials: "150 millis" } })
      const error = yield* Effect.flip(client.converse(request))
      assert.deepStrictEqual(outcome(error), ["TimeoutError/credentials", 0, false])
      // Three tries of 50 ms, and the SDK's pauses between them.
      yield* eventually(() => asked === 3 && open.size === 0)
      silent = false
      assert.strictEqual((yield* Effect.eventually(client.converse(request))).stopReason, "end_turn")
    }))
})

describe("credentials that the service refuses", () => {
  const refusal = (code: string, message: string, status = 403) => (response: Http.ServerResponse) =>
    sendJson(response, { message }, status, { "x-amzn-errortype": code })

  it.effect("are expired, or wrong, and sent once", () =>
    Effect.gen(function*() {
      const rows = [
        ["ExpiredTokenException", "The security token included in the request is expired", "expired-credentials"],
        [
          "UnrecognizedClientException",
          "The security token included in the request is invalid.",
          "invalid-credentials"
        ],
        [
          "InvalidSignatureException",
          "The request signature we calculated does not match the signature you provided.",
          "invalid-credentials"
        ]
      ] as const
      for (const [code, message, kind] of rows) {
        let requests = 0
        const make = yield* bedrock((_incoming, response) => {
          requests++
          refusal(code, message)(response)
        })
        yield* machine({
          ...noInstance,
          AWS_ACCESS_KEY_ID: "a",
          AWS_SECRET_ACCESS_KEY: "plain-secret",
          AWS_SESSION_TOKEN: "session"
        })
        const error = yield* Effect.flip((yield* make()).converse(request))
        assert.deepStrictEqual(outcome(error), [`AccessError/${kind}`, 1, false])
        assert.notInclude(String(error), "plain-secret")
        assert.strictEqual(requests, 1)
      }
    }))

  it.effect("are the same at the next try, but where they say when they expire: so there is none", () =>
    Effect.gen(function*() {
      const tokens: Array<unknown> = []
      const make = yield* bedrock((incoming, response) => {
        tokens.push(incoming.headers["x-amz-security-token"])
        refusal("ExpiredTokenException", "The security token included in the request is expired")(response)
      })
      let found = 0
      const sources = (expiration: Date | undefined) => () =>
        Promise.resolve({
          accessKeyId: "a",
          secretAccessKey: "b",
          sessionToken: String(++found),
          ...(expiration === undefined ? {} : { expiration })
        })
      // Five minutes before it does, the SDK asks for new ones by itself.
      // Real time: the SDK goes by no other clock.
      const soon = new Date(Date.now() + 240_000)
      const later = new Date(Date.now() + 3_600_000)
      for (const [expiration, different] of [[undefined, 1], [later, 1], [soon, 2]] as const) {
        tokens.length = 0
        const client = yield* make({ credentials: sources(expiration) })
        yield* Effect.flip(client.converse(request))
        yield* Effect.flip(client.converse(request))
        assert.deepStrictEqual([tokens.length, new Set(tokens).size], [2, different])
      }
    }))
})

describe("a clock that is wrong", () => {
  const hour = 3_600_000

  /** A Bedrock an hour from here, which takes no signature that is five minutes off. */
  const elsewhere = (ahead: number) => {
    const skews: Array<number> = []
    const make = bedrock((incoming, response) => {
      // Real time: the SDK goes by no other clock.
      const now = Date.now() + ahead
      const signed = String(incoming.headers["x-amz-date"])
      const at = Date.parse(signed.replace(/^(....)(..)(..T..)(..)(..Z)$/, "$1-$2-$3:$4:$5"))
      skews.push(Math.round((at - now) / hour))
      response.setHeader("date", new Date(now).toUTCString())
      if (Math.abs(at - now) > 300_000) {
        const problem = at < now ? "expired" : "not yet current"
        return sendJson(response, { message: `Signature ${problem}: ${signed} is now too far from ${now}` }, 403, {
          "x-amzn-errortype": "InvalidSignatureException"
        })
      }
      if (incoming.url?.endsWith("converse") === true) return sendJson(response, answer)
      startStream(response).end(Buffer.concat([frames.start, frames.text("Hi"), frames.stop, frames.metadata]))
    })
    return Effect.map(
      make,
      (make) => ({ skews, client: make({ credentials: { accessKeyId: "a", secretAccessKey: "b" } }) })
    )
  }

  it.live("is measured at the first refusal: the next request is signed right", () =>
    Effect.gen(function*() {
      for (const ahead of [hour, -hour]) {
        for (const operation of ["converse", "converseStream"] as const) {
          const { client, skews } = yield* elsewhere(ahead)
          const { converse, converseStream } = yield* client
          const call = operation === "converse"
            ? Effect.asVoid(converse(request))
            : Stream.runDrain(converseStream(request))
          const error = yield* Effect.flip(call)
          assert.deepStrictEqual(outcome(error), ["AccessError/clock-skew-corrected", 1, true])
          yield* call
          assert.deepStrictEqual(skews.map((skew) => skew + 0), [-ahead / hour, 0])
        }
      }
    }))

  it.effect("is told by RequestExpired as well, without a date to measure it by", () =>
    Effect.gen(function*() {
      const make = yield* bedrock((_incoming, response) => {
        response.sendDate = false
        sendJson(response, { message: "Request has expired." }, 400, { "x-amzn-errortype": "RequestExpired" })
      })
      const client = yield* make({ credentials: { accessKeyId: "a", secretAccessKey: "b" } })
      assert.deepStrictEqual(outcome(yield* Effect.flip(client.converse(request))), [
        "AccessError/clock-skew",
        1,
        false
      ])
    }))
})

describe("what the SDK says while it looks", () => {
  const explained = (...lines: ReadonlyArray<string>) => {
    const search = new Search(() => {})
    for (const line of lines) search.logger.debug(line)
    return search
  }
  const found = (search: Search, message: string) =>
    Effect.promise(async () => {
      const client = {
        config: {
          credentials: () =>
            Promise.reject<AwsCredentialIdentity>(
              Object.assign(new Error(message), { name: "CredentialsProviderError" })
            )
        }
      }
      search.watch(client)
      const error: unknown = await client.config.credentials().catch((error: unknown) => error)
      const cause: unknown = Reflect.get(Object(error), "cause")
      return String(cause)
    })

  it.effect("explains that there are none; what is not configured explains nothing", () =>
    Effect.gen(function*() {
      const none = "Could not load credentials from any providers"
      const link = "@smithy/property-provider -> "
      assert.strictEqual(
        yield* found(
          explained(
            `${link}Not found in ENV: ENV_RETRY_MODE`,
            `${link}Unable to find environment variable credentials.`,
            `${link}AWS_PROFILE is set, skipping fromEnv provider.`,
            `${link}Skipping SSO provider in default chain (inputs do not include SSO fields).`,
            `${link}Could not resolve credentials using profile: [default] in configuration/credentials file(s).`,
            `${link}Profile default could not be found in shared credentials file.`,
            `${link}Profile default did not contain credential_process.`,
            `${link}Web identity configuration not specified`,
            `${link}EC2 Instance Metadata Service access disabled`,
            `${link}AWS_EC2_METADATA_V1_DISABLED not set in env, checking config file next.`,
            "@aws-sdk/credential-provider-node - defaultProvider::fromIni"
          ),
          none
        ),
        `CredentialsProviderError: ${none}`
      )
      assert.strictEqual(
        yield* found(
          explained(
            "@aws-sdk/credential-provider-node - remoteProvider::fromHttp/fromContainerMetadata",
            ...Array.from({ length: 20 }, (_, i) => `${link}Source ${i % 10} failed.`)
          ),
          none
        ),
        `CredentialsProviderError: ${none}: The container's endpoint gave none. ${
          [0, 1, 2, 3, 4, 5, 6].map((i) => `Source ${i} failed.`).join(" ")
        }`
      )
      // What has a cause of its own is left as it is.
      assert.strictEqual(
        yield* found(explained(`${link}Something failed.`), "The session has expired."),
        "CredentialsProviderError: The session has expired."
      )
    }))

  it.live("is a warning of ours, not one on the console", () =>
    Effect.gen(function*() {
      const logged: Array<unknown> = []
      const logger = Logger.make(({ logLevel, message }) => logged.push([logLevel, String(message)]))
      yield* machine({ ...noInstance, AWS_PROFILE: "default", AWS_ACCESS_KEY_ID: "a", AWS_SECRET_ACCESS_KEY: "b" }, {
        ".aws/credentials": "[default]\naws_access_key_id = c\naws_secret_access_key = d\n"
      })
      const client = yield* (yield* bedrock())().pipe(Effect.provide(Logger.layer([logger])))
      yield* client.converse(request)
      assert.lengthOf(logged, 1)
      assert.include(String(logged[0]), "Multiple credential sources detected")
    }))
})
