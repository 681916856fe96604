/**
 * What the demo asks, and of what server: ten times faster than life, the same for everyone who asks.
 *
 * @since 0.1.0
 */
import type { ConverseCommandInput } from "@aws-sdk/client-bedrock-runtime"
import * as LatencyModel from "@caprock/emulator/LatencyModel"
import type * as Options from "@caprock/emulator/Options"
import * as OutputModel from "@caprock/emulator/OutputModel"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"

/**
 * A model with a burndown of 5, like most of Claude (user guide, "Token burndown", read 2026-11).
 *
 * @category constants
 * @since 0.1.0
 */
export const model = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"

/**
 * @category constants
 * @since 0.1.0
 */
export const region = "us-east-1"

/**
 * The emulator signs nothing and checks nothing, but the SDK wants something to sign with.
 *
 * @category constants
 * @since 0.1.0
 */
export const credentials = { accessKeyId: "AKIDEMULATED", secretAccessKey: "emulated" }

/**
 * What stands for a minute.
 *
 * @category constants
 * @since 0.1.0
 */
export const windowMillis = 6000

/**
 * Prompts in the burst.
 *
 * @category constants
 * @since 0.1.0
 */
export const size = 300

/**
 * Per "minute": tokens for a fifth of the burst, and requests for somewhat more, as most accounts have them.
 *
 * @category constants
 * @since 0.1.0
 */
export const quota = { requests: 90, tokens: 80_000 }

/**
 * The server, alike for both: the seed and a prompt decide how long its answer is and takes.
 *
 * @category models
 * @since 0.1.0
 */
export const server: Options.Options = {
  seed: "demo",
  window: windowMillis,
  quota,
  burndown: 5,
  // Two seconds to the first token and 12 ms for each further one, ten times faster.
  latency: LatencyModel.perToken(200, 1.2, { jitter: 0.3 }),
  // People set `maxTokens` so that it is enough, and most answers are much shorter.
  output: OutputModel.fraction(1 / 8, 1 / 2),
  log: 10_000
}

interface Kind {
  readonly share: number
  readonly ask: string
  readonly words: readonly [min: number, max: number]
  readonly maxTokens: number
}

/** Questions, tickets and reports, by how many of a hundred they are. */
const kinds: ReadonlyArray<Kind> = [
  { share: 60, ask: "Answer the customer's question:", words: [20, 120], maxTokens: 300 },
  { share: 30, ask: "Summarise this ticket and say what to do next:", words: [200, 700], maxTokens: 800 },
  { share: 10, ask: "Name the risks in this report, each with its evidence:", words: [1000, 2400], maxTokens: 2000 }
]

const words = (
  "the a of and to in is was for on that with as it by at from be have not are this but had his they were her which one we " +
  "order price account number invoice shipped late damaged refund customer asked again support answer system report value " +
  "increase quarter region market cost contract supplier delivery risk margin forecast team project delayed review open"
).split(" ")

/**
 * A burst of prompts in mixed order. The same count gives the same prompts; each text occurs once.
 *
 * @category constructors
 * @since 0.1.0
 */
export const prompts = (count: number): Effect.Effect<ReadonlyArray<ConverseCommandInput>> =>
  Effect.forEach(
    Array.from({ length: count }, (_, index) => index),
    Effect.fnUntraced(function*(index) {
      let drawn = yield* Random.nextIntBetween(0, 100)
      const kind = kinds.find(({ share }) => (drawn -= share) < 0) ?? kinds[0]
      const { ask = "", maxTokens = 300, words: [least, most] = [20, 120] } = kind ?? {}
      const length = yield* Random.nextIntBetween(least, most + 1)
      const text = yield* Effect.replicateEffect(
        Effect.map(Random.nextIntBetween(0, words.length), (word) => words[word]),
        length
      )
      return {
        modelId: model,
        messages: [{ role: "user" as const, content: [{ text: `${ask} (case ${index + 1}) ${text.join(" ")}` }] }],
        inferenceConfig: { maxTokens }
      }
    })
  ).pipe(Random.withSeed("demo"))
