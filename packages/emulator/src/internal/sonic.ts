/**
 * A conversation as Nova Sonic holds it (Nova User Guide, "Handling input events" and "Handling output events with the bidirectional
 * API", read 2026-11): what its events say, and those that answer them.
 *
 * What is not documented is decided here, as simply as it goes. The model takes its turn when a content of the user's ends: there is
 * nobody who could hear that a user has stopped speaking. A second of speech is 25 tokens. What is heard is written down as
 * `(speech of … ms)`.
 */
import * as TokenCounter from "../TokenCounter.ts"
import * as Json from "./json.ts"

/** Ours: AWS does not say how many tokens a second of speech is. */
const speechTokensPerSecond = 25

/** 16 kHz and 24 kHz of 16 bit are what the guide's examples have; other rates are what the events say. */
const bytesPerSample = 2
const inputRate = 16_000
const outputRate = 24_000

interface Tokens {
  speech: number
  text: number
}

/** What the model has to say now. */
export interface Turn {
  readonly promptName: string
  /** What the user wrote, or an account of what was heard. */
  readonly prompt: string
  /** What the user said, where it was speech. */
  readonly transcript: string | undefined
  /** What had been said to the model by then. */
  readonly input: Readonly<Tokens>
  /** Bytes of speech for each token; absent where the prompt asks for text alone. */
  readonly bytesPerToken: number | undefined
}

export type Heard =
  | { readonly _tag: "Nothing" }
  | { readonly _tag: "Turn"; readonly turn: Turn }
  | { readonly _tag: "PromptEnd"; readonly promptName: string }
  | { readonly _tag: "SessionEnd" }
  | { readonly _tag: "Wrong"; readonly message: string }

const nothing: Heard = { _tag: "Nothing" }
const wrong = (message: string): Heard => ({ _tag: "Wrong", message })

interface Content {
  readonly role: string
  readonly type: string
  readonly rate: number
  text: string
  bytes: number
}

/** The bytes that are written in base64, without decoding them. */
const bytesIn = (base64: string): number => Math.floor(base64.replace(/=+$/, "").length * 3 / 4)

const speech = (bytes: number, rate: number): { readonly tokens: number; readonly millis: number } => {
  const seconds = bytes / (rate * bytesPerSample)
  return { tokens: Math.ceil(seconds * speechTokensPerSecond), millis: Math.round(seconds * 1000) }
}

/** What a client has said so far. */
export class Listener {
  readonly input: Tokens = { speech: 0, text: 0 }
  /** As `sessionStart` set it. */
  maxTokens: number | undefined
  #started = false
  readonly #prompts = new Map<string, number | undefined>()
  readonly #contents = new Map<string, Content>()

  hear(json: unknown): Heard {
    const [name, value] = Object.entries(Json.record(Json.record(json)["event"]))[0] ?? []
    const event = Json.record(value)
    if (name === undefined) return wrong("An event of the input has no name.")
    if (name === "sessionStart") {
      this.#started = true
      this.maxTokens = Json.count(Json.record(event["inferenceConfiguration"])["maxTokens"])
      return nothing
    }
    if (!this.#started) return wrong("The first event of the input must be sessionStart.")
    if (name === "sessionEnd") return { _tag: "SessionEnd" }
    const promptName = Json.text(event["promptName"])
    if (name === "promptStart") {
      this.#prompts.set(promptName, bytesPerToken(event["audioOutputConfiguration"]))
      return nothing
    }
    if (!this.#prompts.has(promptName)) return wrong(`There is no prompt "${promptName}".`)
    if (name === "promptEnd") return { _tag: "PromptEnd", promptName }
    return this.#content(name, promptName, event)
  }

  #content(name: string, promptName: string, event: Json.Json): Heard {
    const key = `${promptName}\u0000${Json.text(event["contentName"])}`
    if (name === "contentStart") {
      const { sampleRateHertz } = Json.record(event["audioInputConfiguration"])
      this.#contents.set(key, {
        role: Json.text(event["role"]),
        type: Json.text(event["type"]),
        rate: Json.count(sampleRateHertz) ?? inputRate,
        text: "",
        bytes: 0
      })
      return nothing
    }
    const content = this.#contents.get(key)
    if (content === undefined) return wrong(`There is no content "${Json.text(event["contentName"])}".`)
    const said = Json.text(event["content"])
    switch (name) {
      case "textInput":
      case "toolResult":
        content.text += said
        this.input.text += TokenCounter.count(said)
        return nothing
      case "audioInput": {
        const before = speech(content.bytes, content.rate).tokens
        content.bytes += bytesIn(said)
        this.input.speech += speech(content.bytes, content.rate).tokens - before
        return nothing
      }
      case "contentEnd":
        this.#contents.delete(key)
        return this.#turn(promptName, content)
      default:
        return wrong(`There is no event "${name}".`)
    }
  }

  #turn(promptName: string, { bytes, rate, role, text, type }: Content): Heard {
    // A tool's result is answered like a question.
    if (role !== "USER" && role !== "TOOL") return nothing
    const transcript = type === "AUDIO" ? `(speech of ${speech(bytes, rate).millis} ms)` : undefined
    const prompt = transcript ?? text
    const bytesPerToken = this.#prompts.get(promptName)
    return { _tag: "Turn", turn: { promptName, prompt, transcript, input: { ...this.input }, bytesPerToken } }
  }
}

const bytesPerToken = (configuration: unknown): number | undefined => {
  if (!Json.isRecord(configuration)) return undefined
  const rate = Json.count(configuration["sampleRateHertz"]) ?? outputRate
  return Math.round(rate * bytesPerSample / speechTokensPerSecond)
}

/** An event of the output. */
export type Said = readonly [name: string, value: Json.Json]

/** Says what the model says, with the names and totals that belong to it. */
export class Speaker {
  readonly output: Tokens = { speech: 0, text: 0 }
  readonly #sessionId: string
  #reported = { input: { speech: 0, text: 0 }, output: { speech: 0, text: 0 } }
  #contents = 0
  #completions = 0
  /** The prompt whose completion is under way. */
  #prompt: string | undefined

  constructor(sessionId: string) {
    this.#sessionId = sessionId
  }

  /** Before the first piece of a turn. */
  begin({ promptName, transcript }: Turn): ReadonlyArray<Said> {
    const start: Array<Said> = []
    if (this.#prompt !== promptName) {
      start.push(...this.end(this.#prompt))
      this.#prompt = promptName
      this.#completions++
      start.push(this.#event("completionStart"))
    }
    return transcript === undefined ? start : [...start, ...this.#block("USER", "FINAL", transcript)]
  }

  /** A piece of what the model says, of so many tokens: first as text, then as speech. */
  piece({ bytesPerToken }: Turn, text: string, tokens: number): ReadonlyArray<Said> {
    this.output.text += tokens
    const announced = this.#block("ASSISTANT", "SPECULATIVE", text)
    if (bytesPerToken === undefined) return announced
    this.output.speech += tokens
    const contentId = this.#contentId()
    return [
      ...announced,
      this.#event("contentStart", { contentId, role: "ASSISTANT", type: "AUDIO" }),
      this.#event("audioOutput", {
        contentId,
        role: "ASSISTANT",
        // Silence, as loud as it can be told apart from nothing.
        content: Buffer.alloc(bytesPerToken * tokens, 1).toString("base64")
      }),
      this.#event("contentEnd", { contentId, type: "AUDIO", stopReason: "PARTIAL_TURN" })
    ]
  }

  /** After the last piece of a turn, of which `text` is the whole. */
  finish({ input }: Turn, text: string): ReadonlyArray<Said> {
    return [...this.#block("ASSISTANT", "FINAL", text, "END_TURN"), this.#usage(input)]
  }

  /** The prompt has ended. */
  end(promptName: string | undefined): ReadonlyArray<Said> {
    if (promptName === undefined || promptName !== this.#prompt) return []
    const end = this.#event("completionEnd", { stopReason: "END_TURN" })
    this.#prompt = undefined
    return [end]
  }

  /** The session is over, and so much was said to the model in all. */
  close(input: Readonly<Tokens>): ReadonlyArray<Said> {
    const { input: { speech, text } } = this.#reported
    const more = speech === input.speech && text === input.text ? [] : [this.#usage(input)]
    return [...more, ...this.end(this.#prompt)]
  }

  #block(role: string, stage: string, text: string, stopReason = "PARTIAL_TURN"): ReadonlyArray<Said> {
    const contentId = this.#contentId()
    return [
      this.#event("contentStart", {
        contentId,
        role,
        type: "TEXT",
        additionalModelFields: JSON.stringify({ generationStage: stage })
      }),
      this.#event("textOutput", { contentId, role, content: text }),
      this.#event("contentEnd", { contentId, type: "TEXT", stopReason })
    ]
  }

  #usage(said: Readonly<Tokens>): Said {
    const total = { input: { ...said }, output: { ...this.output } }
    const { input, output } = this.#reported
    this.#reported = total
    const part = (now: Tokens, before: Tokens) => ({
      speechTokens: now.speech - before.speech,
      textTokens: now.text - before.text
    })
    const none = { speech: 0, text: 0 }
    const totalInputTokens = total.input.speech + total.input.text
    const totalOutputTokens = total.output.speech + total.output.text
    return this.#event("usageEvent", {
      details: {
        delta: { input: part(total.input, input), output: part(total.output, output) },
        total: { input: part(total.input, none), output: part(total.output, none) }
      },
      totalInputTokens,
      totalOutputTokens,
      totalTokens: totalInputTokens + totalOutputTokens
    })
  }

  #contentId(): string {
    this.#contents++
    return `content-${this.#contents}`
  }

  #event(name: string, value: Json.Json = {}): Said {
    return [name, {
      completionId: `completion-${this.#completions}`,
      promptName: this.#prompt ?? "",
      sessionId: this.#sessionId,
      ...value
    }]
  }
}
