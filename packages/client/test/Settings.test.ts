import { BedrockClient, Settings } from "@caprock/client"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, Redacted } from "effect"
import { nearest } from "../src/internal/nearest.ts"

const messages = <A>(effect: Effect.Effect<A, Settings.OptionsError>) =>
  Effect.map(Effect.flip(effect), (error) => error.message.split("\n"))

const environment = (env: Record<string, string>) =>
  Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))

const duration = "a duration of more than 0, such as \"30 seconds\" or \"Infinity\""
const region = "a Region, such as \"us-east-1\""
const url = "a URL, such as \"https://bedrock-runtime.us-east-1.amazonaws.com\" or \"http://127.0.0.1:8080\""
const keys =
  "{ accessKeyId, secretAccessKey, sessionToken? }, each a text that is not empty, or a function that gives a Promise of them"

/** Written where no types look. */
const wrong: ReadonlyArray<readonly [options: object, message: string]> = [
  [{ maxConnections: 0 }, "maxConnections is 0, and must be a whole number of at least 1."],
  [{ maxConnections: -1 }, "maxConnections is -1, and must be a whole number of at least 1."],
  [{ maxConnections: 1.5 }, "maxConnections is 1.5, and must be a whole number of at least 1."],
  [{ maxConnections: Number.NaN }, "maxConnections is NaN, and must be a whole number of at least 1."],
  [{ maxConnections: "5" }, "maxConnections is \"5\", and must be a whole number of at least 1."],
  [{ maxConnections: null }, "maxConnections is null, and must be a whole number of at least 1."],
  [{ timeouts: { call: Number.NaN } }, `timeouts.call is NaN, and must be ${duration}.`],
  [{ timeouts: { call: -1 } }, `timeouts.call is -1, and must be ${duration}.`],
  [{ timeouts: { connect: 0 } }, `timeouts.connect is 0, and must be ${duration}.`],
  [{ timeouts: { firstToken: "30" } }, `timeouts.firstToken is "30", and must be ${duration}.`],
  [{ timeouts: { firstToken: "-3 seconds" } }, `timeouts.firstToken is "-3 seconds", and must be ${duration}.`],
  [{ timeouts: { betweenTokens: Duration.seconds(-1) } }, `timeouts.betweenTokens is -1s, and must be ${duration}.`],
  [
    { timeouts: { betweenTokens: { seconds: Number.NaN } } },
    `timeouts.betweenTokens is an object, and must be ${duration}.`
  ],
  [{ timeouts: [] }, "timeouts is a list, and must be an object."],
  [{ timeouts: { cal: 1 } }, "timeouts.cal is not known. timeouts.call is."],
  [
    { timeouts: { whatever: 1 } },
    "timeouts.whatever is not known. There are credentials, connect, firstToken, betweenTokens, call."
  ],
  [{ maxconnections: 5 }, "maxconnections is not known. maxConnections is."],
  [{ regoin: "us-east-1" }, "regoin is not known. region is."],
  [{ region: "" }, `region is "", and must be ${region}.`],
  [{ region: "us-east" }, `region is "us-east", and must be ${region}.`],
  [{ region: "us-east-1a" }, `region is "us-east-1a", and must be ${region}.`],
  [{ region: "us_east_1" }, `region is "us_east_1", and must be ${region}.`],
  [{ region: "US-EAST-1" }, `region is "US-EAST-1", and must be ${region}.`],
  [{ region: " us-east-1" }, `region is " us-east-1", and must be ${region}.`],
  [{ region: () => "us-east-1" }, `region is a function, and must be ${region}.`],
  [{ endpoint: "localhost:8080" }, `endpoint is "localhost:8080", and must be ${url}.`],
  [{ endpoint: "127.0.0.1" }, `endpoint is "127.0.0.1", and must be ${url}.`],
  [{ endpoint: "ftp://a" }, `endpoint is "ftp://a", and must be ${url}.`],
  [{ endpoint: "ftp://me:secret@a" }, `endpoint is "ftp://...@a", and must be ${url}.`],
  [{ endpoint: `ftp://${"a".repeat(100)}` }, `endpoint is "ftp://${"a".repeat(54)}...", and must be ${url}.`],
  [{ profile: "" }, "profile is \"\", and must be a text without space around it, and not an empty one."],
  [
    { token: "plain-secret" },
    "token is something else, and must be a Redacted text of visible characters, without space or line break."
  ],
  [
    { token: Redacted.make("plain-secret\n") },
    "token is something else, and must be a Redacted text of visible characters, without space or line break."
  ],
  [
    { credentials: { accessKeyId: "AKID", secretAccessKey: "" } },
    `credentials is something else, and must be ${keys}.`
  ],
  [
    { credentials: { accessKeyId: "AKID", secretAccessKey: "plain-secret", sessionToken: 5 } },
    `credentials is something else, and must be ${keys}.`
  ],
  [{ credentials: "plain-secret" }, `credentials is something else, and must be ${keys}.`]
]

describe("options given in code", () => {
  it.effect.each(wrong)("%o: %s", ([options, message]) =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* messages(Effect.scoped(BedrockClient.make(options))), [message])
      assert.notInclude(message, "plain-secret")
    }))

  it.effect("are all named that are wrong, in one error that is data", () =>
    Effect.gen(function*() {
      const options = { region: "nowhere", timeouts: { call: 0 }, maxConnections: 0 }
      const { problems } = yield* Effect.flip(Effect.scoped(BedrockClient.make(options)))
      assert.deepStrictEqual(problems.map(({ name }) => name).sort(), ["maxConnections", "region", "timeouts.call"])
    }))

  it.effect("are taken where they make sense", () =>
    Effect.gen(function*() {
      for (
        const region of [
          "us-east-1",
          "ap-southeast-2",
          "us-gov-west-1",
          "us-isob-east-1",
          "eusc-de-east-1",
          "cn-northwest-1",
          "mx-central-1",
          "eu-isoe-west-1",
          undefined
        ]
      ) {
        yield* BedrockClient.make({ region, maxConnections: 1, endpoint: "https://[::1]:8080/under", token: undefined })
      }
      yield* BedrockClient.make({
        timeouts: { call: Infinity, connect: Duration.infinity, firstToken: "Infinity", betweenTokens: { minutes: 1 } },
        credentials: { accessKeyId: "a", secretAccessKey: "b" },
        token: Redacted.make("ABSK.-_~+/="),
        profile: "a profile"
      })
    }))
})

describe("options from variables", () => {
  it.effect("are read, each from its own", () =>
    Effect.gen(function*() {
      for (const { example, name, option } of BedrockClient.variables) {
        const options = yield* BedrockClient.config().pipe(environment({ [name]: example }))
        const [top = "", below] = option.split(".")
        const value: unknown = Reflect.get(options, top)
        const found = below === undefined ? value : Reflect.get(Object(value), below)
        assert.strictEqual(
          Redacted.isRedacted(found) ? Redacted.value(found) : String(found),
          example,
          name
        )
        assert.deepStrictEqual(Object.keys(options), [top])
      }
    }))

  it.effect("come after what is given in code, ours before those of AWS, and the special before the general", () =>
    Effect.gen(function*() {
      const order = ["CAPROCK_ENDPOINT", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL"]
      const regions = ["CAPROCK_REGION", "AWS_REGION", "AWS_DEFAULT_REGION"]
      const tokens = ["CAPROCK_TOKEN", "AWS_BEARER_TOKEN_BEDROCK"]
      const env: Record<string, string> = {}
      assert.deepStrictEqual(yield* BedrockClient.config().pipe(environment(env)), {})
      for (const [index, name] of order.toReversed().entries()) {
        env[name] = `http://${index}.test`
        assert.strictEqual((yield* BedrockClient.config().pipe(environment(env))).endpoint, env[name])
      }
      for (const [index, name] of regions.toReversed().entries()) {
        env[name] = `us-east-${index}`
        assert.strictEqual((yield* BedrockClient.config().pipe(environment(env))).region, env[name])
      }
      for (const name of tokens.toReversed()) {
        env[name] = `${name}-1`
        const { token } = yield* BedrockClient.config().pipe(environment(env))
        assert.strictEqual(token && Redacted.value(token), env[name])
      }
      const given = {
        region: "eu-west-3",
        endpoint: "http://code.test",
        token: Redacted.make("code"),
        timeouts: { call: 5 }
      }
      env["CAPROCK_TIMEOUT_CALL"] = "1 minute"
      env["CAPROCK_TIMEOUT_CONNECT"] = "1 second"
      assert.deepStrictEqual(yield* BedrockClient.config(given).pipe(environment(env)), {
        ...given,
        timeouts: { call: 5, connect: "1 second" }
      })
      assert.deepStrictEqual(given.timeouts, { call: 5 })
      // Who signs is given: nobody else's key goes before it.
      const signed = yield* BedrockClient.config({ credentials: { accessKeyId: "a", secretAccessKey: "b" } }).pipe(
        environment(env)
      )
      assert.isUndefined(signed.token)
    }))

  it.effect("say nothing where they are empty, and space around them does not count", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* BedrockClient.config().pipe(environment({ CAPROCK_REGION: "", AWS_REGION: " \n", CAPROCK_TOKEN: "" })),
        {}
      )
      assert.deepStrictEqual(
        yield* BedrockClient.config().pipe(environment({ AWS_REGION: "us-east-1\n" })),
        { region: "us-east-1" }
      )
    }))

  it.effect("leave endpoints out that AWS's own switch says to ignore", () =>
    Effect.gen(function*() {
      const env = { AWS_ENDPOINT_URL: "http://a.test", AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: "True" }
      assert.deepStrictEqual(yield* BedrockClient.config().pipe(environment(env)), {})
      assert.deepStrictEqual(
        yield* BedrockClient.config().pipe(environment({ ...env, CAPROCK_ENDPOINT: "http://b.test" })),
        { endpoint: "http://b.test" }
      )
    }))

  it.effect("are named by what is wrong with them", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        (yield* messages(
          BedrockClient.config().pipe(environment({
            CAPROCK_MAX_CONNECTIONS: "many",
            CAPROCK_TIMEOUT_CALL: "soon",
            AWS_DEFAULT_REGION: "Frankfurt",
            AWS_ENDPOINT_URL: "here",
            AWS_BEARER_TOKEN_BEDROCK: "plain secret"
          }))
        )).sort(),
        [
          `AWS_BEARER_TOKEN_BEDROCK is something else, and must be a Redacted text of visible characters, without space or line break.`,
          `AWS_DEFAULT_REGION is "Frankfurt", and must be ${region}.`,
          `AWS_ENDPOINT_URL is "here", and must be ${url}.`,
          "CAPROCK_MAX_CONNECTIONS is \"many\", and must be a whole number of at least 1.",
          `CAPROCK_TIMEOUT_CALL is "soon", and must be ${duration}.`
        ]
      )
      // Of two the one that counts.
      assert.deepStrictEqual(
        yield* messages(BedrockClient.config().pipe(environment({ CAPROCK_REGION: "x", AWS_REGION: "us-east-1" }))),
        [`CAPROCK_REGION is "x", and must be ${region}.`]
      )
    }))

  it.effect("are told when they are misspelt, and only then", () =>
    Effect.gen(function*() {
      const read = (env: Record<string, string>) => BedrockClient.config().pipe(environment(env))
      assert.deepStrictEqual(
        (yield* messages(read({
          CAPROCK_MAX_CONECTIONS: "5",
          CAPROCK_TIMEOUT_FRIST_TOKEN: "5 seconds",
          CAPROCK_CONNECT_TIMEOUT: "5 seconds"
        }))).sort(),
        [
          "CAPROCK_CONNECT_TIMEOUT is not known. CAPROCK_TIMEOUT_CONNECT is.",
          "CAPROCK_MAX_CONECTIONS is not known. CAPROCK_MAX_CONNECTIONS is.",
          "CAPROCK_TIMEOUT_FRIST_TOKEN is not known. CAPROCK_TIMEOUT_FIRST_TOKEN is."
        ]
      )
      // What Kubernetes makes for a service called caprock, what is empty, what others read, and what is not ours.
      assert.deepStrictEqual(
        yield* read({
          CAPROCK_SERVICE_HOST: "10.0.0.1",
          CAPROCK_SERVICE_PORT: "80",
          CAPROCK_PORT: "tcp://10.0.0.1:80",
          CAPROCK_PORT_80_TCP_ADDR: "10.0.0.1",
          CAPROCK_REGIN: "",
          CAPROCK_RPM: "100",
          CAPROCK_QUOTAS: "{}",
          AWS_REGON: "x",
          REGION: "x",
          CAPROCK: "x"
        }),
        {}
      )
    }))

  it.effect("may be in any provider", () =>
    Effect.gen(function*() {
      const read = (provider: ConfigProvider.ConfigProvider) =>
        Effect.provideService(BedrockClient.config(), ConfigProvider.ConfigProvider, provider)
      assert.deepStrictEqual(yield* read(ConfigProvider.fromUnknown({ CAPROCK_MAX_CONNECTIONS: 5 })), {
        maxConnections: 5
      })
      assert.deepStrictEqual(yield* messages(read(ConfigProvider.fromUnknown({ CAPROCK_REGOIN: "us-east-1" }))), [
        "CAPROCK_REGOIN is not known. CAPROCK_REGION is."
      ])
      const broken = ConfigProvider.make(() => Effect.fail(new ConfigProvider.SourceError({ message: "No disk." })))
      assert.deepStrictEqual(yield* messages(read(broken)), ["CAPROCK_REGION: it can't be read. No disk."])
    }))
})

describe("the nearest name", () => {
  it("is within a third of its letters, by a slip of each kind", () => {
    const names = ["region", "endpoint", "maxConnections", "call", "RPM"]
    const meant = (name: string) => nearest(name, names)
    assert.deepStrictEqual(
      ["regin", "regionn", "regoin", "ragion", "Region", "endpiont", "max_connections", "cal", "RMP", "rpm"].map(meant),
      [
        "region",
        "region",
        "region",
        "region",
        "region",
        "endpoint",
        "maxConnections",
        "call",
        "RPM",
        "RPM"
      ]
    )
    assert.deepStrictEqual(["", "ron", "calling", "port", "connections"].map(meant), [
      undefined,
      undefined,
      undefined,
      undefined,
      "maxConnections"
    ])
    assert.isUndefined(nearest("region", []))
    assert.deepStrictEqual(Settings.nearestFirst("chta", ["batch", "chit", "chat"]), ["chat", "chit", "batch"])
    assert.deepStrictEqual(Settings.nearestFirst("a", []), [])
    // The nearer of two, whichever comes first.
    assert.deepStrictEqual([nearest("callb", ["calls", "call"]), nearest("callb", ["call", "callb"])], [
      "calls",
      "callb"
    ])
  })
})
