import {
  ApplyGuardrailCommand,
  type ApplyGuardrailCommandInput,
  InvokeGuardrailChecksCommand,
  type InvokeGuardrailChecksCommandInput
} from "@aws-sdk/client-bedrock-runtime"
import * as Emulator from "@caprock/emulator/Emulator"
import * as Fault from "@caprock/emulator/Fault"
import type * as Options from "@caprock/emulator/Options"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { client, refusal, sent, type Transport } from "./helpers.ts"

const start = (options: Options.Options = {}, transport: Transport = "h1") =>
  Effect.gen(function*() {
    const emulator = yield* Emulator.make(options)
    const sdk = yield* client(emulator, transport)
    return {
      emulator,
      apply: (input: Partial<ApplyGuardrailCommandInput>) =>
        sent((abortSignal) =>
          sdk.send(
            new ApplyGuardrailCommand({
              guardrailIdentifier: "abc123",
              guardrailVersion: "1",
              source: "INPUT",
              content: [{ text: { text: "Where is my parcel?" } }],
              ...input
            }),
            { abortSignal }
          )
        ),
      check: (input: Partial<InvokeGuardrailChecksCommandInput>) =>
        sent((abortSignal) =>
          sdk.send(
            new InvokeGuardrailChecksCommand({
              messages: [{ role: "user", content: [{ text: "Hi" }] }],
              checks: { promptAttack: { categories: [{ category: "JAILBREAK" }] } },
              ...input
            }),
            { abortSignal }
          )
        )
    }
  })

const texts = (...texts: ReadonlyArray<string>) => texts.map((text) => ({ text: { text } }))

describe.each<Transport>(["h1", "h2"])("ApplyGuardrail over %s", (transport) => {
  it.effect("lets pass what holds no blocked word, and counts its text units", () =>
    Effect.gen(function*() {
      const { apply, emulator } = yield* start({ guardrails: { abc123: { blockedWords: ["anvil"] } } }, transport)
      const answer = yield* apply({ content: texts("a".repeat(1001), "Anvils are not one.") })
      assert.strictEqual(answer.action, "NONE")
      assert.strictEqual(answer.actionReason, "No action.")
      assert.deepStrictEqual(answer.outputs, [])
      assert.strictEqual(answer.usage?.wordPolicyUnits, 3)
      assert.deepStrictEqual(answer.guardrailCoverage?.textCharacters, { guarded: 1020, total: 1020 })
      const { answered, inFlight, requests } = yield* emulator.stats
      assert.deepStrictEqual({ answered, inFlight, requests }, { answered: 1, inFlight: 0, requests: 1 })
    }))

  it.effect("intervenes where one does, in whatever case, and says which", () =>
    Effect.gen(function*() {
      const { apply } = yield* start({
        guardrails: { abc123: { blockedWords: ["anvil", "c++", "rocket skates"], message: "No." } }
      }, transport)
      const answer = yield* apply({ content: texts("An ANVIL,", "please: and Rocket Skates. In C++!") })
      assert.strictEqual(answer.action, "GUARDRAIL_INTERVENED")
      assert.deepStrictEqual(answer.outputs, [{ text: "No." }])
      const [assessment] = answer.assessments ?? []
      assert.deepStrictEqual(
        assessment?.wordPolicy?.customWords?.map(({ action, match }) => [match, action]),
        [["anvil", "BLOCKED"], ["c++", "BLOCKED"], ["rocket skates", "BLOCKED"]]
      )
      assert.deepInclude(assessment?.appliedGuardrailDetails, { guardrailId: "abc123", guardrailVersion: "1" })
    }))

  it.effect("knows its guardrails by id or ARN, and their versions", () =>
    Effect.gen(function*() {
      const { apply } = yield* start({ guardrails: { abc123: { versions: ["1", "DRAFT"] } } }, transport)
      const arn = "arn:aws:bedrock:us-east-1:111122223333:guardrail/abc123"
      for (const guardrailVersion of ["1", "DRAFT"]) {
        assert.strictEqual((yield* apply({ guardrailIdentifier: arn, guardrailVersion })).action, "NONE")
      }
      for (const wrong of [{ guardrailIdentifier: "other" }, { guardrailVersion: "2" }]) {
        const { message, name } = yield* refusal(apply(wrong))
        assert.strictEqual(name, "ResourceNotFoundException")
        assert.match(message, /identifier or version .* does not exist/)
      }
    }))

  it.effect("refuses what is no such request", () =>
    Effect.gen(function*() {
      const { apply } = yield* start({}, transport)
      const wrong: ReadonlyArray<readonly [Partial<ApplyGuardrailCommandInput>, RegExp]> = [
        [{ guardrailIdentifier: "Not An Id" }, /guardrail identifier is invalid/],
        [{ guardrailVersion: "0" }, /'guardrailVersion'.*regular expression pattern/],
        [{ source: undefined }, /'source'.*not be null/],
        [{ source: "BOTH" as "INPUT" }, /'source'.*enum value set: \[INPUT, OUTPUT\]/],
        [{ content: undefined }, /'content'.*not be null/],
        [{ content: [{ text: { text: undefined } }] }, /'content\.1\.member\.text\.text'.*not be null/],
        [{ outputScope: "ALL" as "FULL" }, /'outputScope'.*enum value set/],
        [{ source: undefined, content: undefined }, /^2 validation errors detected: /]
      ]
      for (const [input, message] of wrong) {
        const refused = yield* refusal(apply(input))
        assert.strictEqual(refused.name, "ValidationException")
        assert.match(refused.message, message)
      }
    }))
})

describe("ApplyGuardrail", () => {
  it.effect("has all guardrails where none are named, and they block nothing", () =>
    Effect.gen(function*() {
      const { apply } = yield* start()
      assert.strictEqual((yield* apply({ guardrailIdentifier: "anything1", guardrailVersion: "77" })).action, "NONE")
      const image = { image: { format: "png" as const, source: { bytes: new Uint8Array([1]) } } }
      const { guardrailCoverage } = yield* apply({ content: [image] })
      assert.deepStrictEqual(guardrailCoverage?.images, { guarded: 0, total: 1 })
    }))

  it.effect("fails as a fault, or its own text, wants it", () =>
    Effect.gen(function*() {
      const { apply, emulator } = yield* start()
      yield* emulator.inject(Fault.error("ServiceQuotaExceededException"), { operation: "InvokeGuardrailChecks" })
      yield* emulator.inject(Fault.error("ServiceUnavailableException"), { operation: "ApplyGuardrail" })
      assert.strictEqual((yield* refusal(apply({}))).name, "ServiceUnavailableException")
      const steered = texts("[[emulate error=AccessDeniedException]]")
      assert.strictEqual((yield* refusal(apply({ content: steered }))).name, "AccessDeniedException")
      assert.deepStrictEqual((yield* emulator.stats).errors, {
        ServiceUnavailableException: 1,
        AccessDeniedException: 1
      })
    }))
})

describe.each<Transport>(["h1", "h2"])("InvokeGuardrailChecks over %s", (transport) => {
  it.effect("gives a score for each category that was asked for, and units for each check", () =>
    Effect.gen(function*() {
      const { check } = yield* start({}, transport)
      const checks = {
        contentFilter: { categories: [{ category: "HATE" as const }, { category: "INSULTS" as const }] },
        promptAttack: { categories: [{ category: "JAILBREAK" as const }] }
      }
      const { results, usage } = yield* check({ checks })
      assert.deepStrictEqual(results?.contentFilter?.results, [
        { category: "HATE", severityScore: 0 },
        { category: "INSULTS", severityScore: 0 }
      ])
      assert.isUndefined(results?.sensitiveInformation)
      assert.deepStrictEqual(usage, { contentFilter: { textUnits: 1 }, promptAttack: { textUnits: 1 } })
      const bad = yield* check({ messages: [{ role: "user", content: [{ text: "[[emulate severity=0.9]] so" }] }] })
      assert.deepStrictEqual(bad.results?.promptAttack?.results, [{ category: "JAILBREAK", severityScore: 0.9 }])
    }))

  it.effect("finds addresses of e-mail where it was asked for them, and where they stand", () =>
    Effect.gen(function*() {
      const { check } = yield* start({}, transport)
      const messages = [
        { role: "system" as const, content: [{ text: "Be kind." }] },
        { role: "user" as const, content: [{ text: "Hello" }, { text: "I am a.b@example.com, or c@example.org." }] }
      ]
      const found = (type: "EMAIL" | "PHONE") =>
        Effect.map(
          check({ messages, checks: { sensitiveInformation: { entities: [{ type }] } } }),
          ({ results }) => results?.sensitiveInformation?.results
        )
      assert.deepStrictEqual(yield* found("PHONE"), [])
      assert.deepStrictEqual(
        (yield* found("EMAIL"))?.map((entity) => [
          entity.messageIndex,
          entity.contentIndex,
          entity.beginOffset,
          entity.endOffset
        ]),
        [[1, 1, 5, 20], [1, 1, 25, 38]]
      )
    }))

  it.effect("refuses what is no such request", () =>
    Effect.gen(function*() {
      const { check } = yield* start({}, transport)
      const wrong: ReadonlyArray<readonly [Partial<InvokeGuardrailChecksCommandInput>, RegExp]> = [
        [{ messages: undefined }, /'messages'.*not be null/],
        [{ messages: [] }, /'messages'.*length greater than or equal to 1/],
        [{ messages: [{ role: "nobody" as "user", content: [{ text: "Hi" }] }] }, /'messages\.1\.member\.role'.*enum/],
        [{ messages: [{ role: "user", content: [] }] }, /'messages\.1\.member\.content'.*length greater/],
        [{ messages: [{ role: "user", content: [{ text: "" }] }] }, /content\.1\.member\.text'.*length greater/],
        [{ checks: undefined }, /'checks'.*not be null/],
        [{ checks: { promptAttack: { categories: [] } } }, /'checks\.promptAttack\.categories'.*length greater/],
        [
          { checks: { contentFilter: { categories: [{ category: "BOREDOM" as "HATE" }] } } },
          /'checks\.contentFilter\.categories\.1\.member\.category'.*enum value set/
        ]
      ]
      for (const [input, message] of wrong) {
        const refused = yield* refusal(check(input))
        assert.strictEqual(refused.name, "ValidationException")
        assert.match(refused.message, message)
      }
    }))
})
