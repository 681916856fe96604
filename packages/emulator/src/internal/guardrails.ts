/**
 * Guardrails: those of the account, which know words that they block, and the checks that a request brings along.
 *
 * Patterns and lengths are those of the service model (API version 2023-09-30, botocore of 2026-08).
 */
import { Constraints } from "./constraints.ts"
import * as Json from "./json.ts"
import * as Routes from "./routes.ts"
import * as Steering from "./steering.ts"
import type { Gone, House, Visit } from "./visit.ts"

export interface Guardrails {
  readonly apply: (visit: Visit) => Gone
  readonly check: (visit: Visit) => Gone
}

/** Guardrails are metered in text units of 1,000 characters (Amazon Bedrock pricing, read 2026-11). */
const unit = 1_000

const identifier = /^(|([a-z0-9]+)|(arn:aws(-[^:]+)?:bedrock:[a-z0-9-]{1,20}:[0-9]{12}:guardrail\/[a-z0-9]+))$/
const version = /^(|([1-9][0-9]{0,7})|(DRAFT))$/

const categories = {
  contentFilter: ["VIOLENCE", "HATE", "SEXUAL", "MISCONDUCT", "INSULTS"],
  promptAttack: ["JAILBREAK", "PROMPT_INJECTION", "PROMPT_LEAKAGE"]
} as const

const email = /[\w.+-]+@[\w-]+(?:\.[\w-]+)+/g

const unitsOf = (texts: ReadonlyArray<string>): number =>
  texts.reduce((sum, text) => sum + Math.ceil(text.length / unit), 0)

/** A word by itself, in whatever case. */
const finder = (word: string): RegExp =>
  new RegExp(`(?<![\\p{L}\\p{N}])${word.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")}(?![\\p{L}\\p{N}])`, "iu")

export const make = ({ config }: House): Guardrails => {
  const { guardrails } = config
  const finders = new Map<string, RegExp>()
  const finds = (word: string, text: string): boolean => {
    const known = finders.get(word) ?? finder(word)
    finders.set(word, known)
    return known.test(text)
  }

  const respond = (visit: Visit, texts: ReadonlyArray<string>, answer: unknown): Gone => {
    const steered = config.steering ? Steering.read(texts.join("\n")) : Steering.none
    const body = JSON.stringify(answer)
    return visit.answer(() => body, steered.fault ?? visit.fault(undefined))
  }

  const apply = (visit: Visit): Gone => {
    const [id = "", number = ""] = visit.route.params.map((segment) => Routes.decode(segment) ?? segment)
    const body = Json.parse(visit.exchange.body)
    if (body === undefined) return visit.invalid(Json.malformed)
    if (id.length > 2048 || !identifier.test(id)) return visit.invalid("The provided guardrail identifier is invalid.")
    const constraints = new Constraints()
    constraints.text("guardrailVersion", number, { pattern: version })
    if (constraints.given("source", body["source"])) {
      constraints.text("source", body["source"], { values: ["INPUT", "OUTPUT"] })
    }
    constraints.text("outputScope", body["outputScope"], { values: ["INTERVENTIONS", "FULL"] })
    constraints.given("content", body["content"])
    const texts: Array<string> = []
    let images = 0
    for (const [path, { image, text }] of constraints.list("content", body["content"])) {
      if (image !== undefined) {
        images++
        constraints.text(`${path}.image.format`, Json.record(image)["format"], { values: ["png", "jpeg"] })
      } else if (constraints.given(`${path}.text.text`, Json.record(text)["text"])) {
        constraints.text(`${path}.text.text`, Json.record(text)["text"])
        texts.push(Json.text(Json.record(text)["text"]))
      }
    }
    const wrong = constraints.message
    if (wrong !== undefined) return visit.invalid(wrong)
    const name = id.slice(id.lastIndexOf("/") + 1)
    const guardrail = guardrails?.[name] ?? (guardrails === undefined ? {} : undefined)
    if (guardrail === undefined || guardrail.versions?.includes(number) === false) {
      return visit.refuse({
        name: "ResourceNotFoundException",
        message: "The guardrail identifier or version provided in the request does not exist."
      })
    }

    const found = (guardrail.blockedWords ?? []).filter((word) => texts.some((text) => finds(word, text)))
    const blocked = found.length > 0
    const characters = texts.reduce((sum, text) => sum + text.length, 0)
    const usage = {
      topicPolicyUnits: 0,
      contentPolicyUnits: 0,
      wordPolicyUnits: unitsOf(texts),
      sensitiveInformationPolicyUnits: 0,
      sensitiveInformationPolicyFreeUnits: 0,
      contextualGroundingPolicyUnits: 0
    }
    const guardrailCoverage = {
      textCharacters: { guarded: characters, total: characters },
      ...(images === 0 ? {} : { images: { guarded: 0, total: images } })
    }
    return respond(visit, texts, {
      usage,
      action: blocked ? "GUARDRAIL_INTERVENED" : "NONE",
      actionReason: blocked ? "Guardrail blocked." : "No action.",
      outputs: blocked ? [{ text: guardrail.message ?? "Sorry, the model cannot answer this question." }] : [],
      assessments: [{
        ...(blocked
          ? {
            wordPolicy: {
              customWords: found.map((match) => ({ match, action: "BLOCKED", detected: true })),
              managedWordLists: []
            }
          }
          : {}),
        invocationMetrics: { guardrailProcessingLatency: 0, usage, guardrailCoverage },
        appliedGuardrailDetails: {
          guardrailId: name,
          guardrailVersion: number,
          guardrailArn: `arn:aws:bedrock:${visit.caller.region}:${visit.accountId}:guardrail/${name}`,
          guardrailOrigin: ["REQUEST"],
          guardrailOwnership: "SELF"
        }
      }],
      guardrailCoverage
    })
  }

  const check = (visit: Visit): Gone => {
    const body = Json.parse(visit.exchange.body)
    if (body === undefined) return visit.invalid(Json.malformed)
    const constraints = new Constraints()
    constraints.given("messages", body["messages"])
    constraints.given("checks", body["checks"])
    const blocks: Array<{ readonly messageIndex: number; readonly contentIndex: number; readonly text: string }> = []
    for (
      const [messageIndex, [path, message]] of constraints.list("messages", body["messages"], { min: 1 }).entries()
    ) {
      if (constraints.given(`${path}.role`, message["role"])) {
        constraints.text(`${path}.role`, message["role"], { values: ["user", "assistant", "system"] })
      }
      constraints.given(`${path}.content`, message["content"])
      const contents = constraints.list(`${path}.content`, message["content"], { min: 1 })
      for (const [contentIndex, [path, { text }]] of contents.entries()) {
        if (constraints.given(`${path}.text`, text)) constraints.text(`${path}.text`, text, { min: 1 })
        blocks.push({ messageIndex, contentIndex, text: Json.text(text) })
      }
    }
    const checks = Json.record(body["checks"])
    const asked = (check: string, list: string, most: number, member: string, values?: ReadonlyArray<string>) => {
      if (checks[check] === undefined || checks[check] === null) return undefined
      const items = Json.record(checks[check])[list]
      const path = `checks.${check}.${list}`
      constraints.given(path, items)
      return constraints.list(path, items, { min: 1, max: most }).map(([path, item]) => {
        if (constraints.given(`${path}.${member}`, item[member])) {
          constraints.text(`${path}.${member}`, item[member], values === undefined ? {} : { values })
        }
        return Json.text(item[member])
      })
    }
    const contentFilter = asked("contentFilter", "categories", 5, "category", categories.contentFilter)
    const promptAttack = asked("promptAttack", "categories", 3, "category", categories.promptAttack)
    const entities = asked("sensitiveInformation", "entities", 31, "type")
    const wrong = constraints.message
    if (wrong !== undefined) return visit.invalid(wrong)

    const texts = blocks.map(({ text }) => text)
    const { severity = 0 } = config.steering ? Steering.read(texts.join("\n")) : Steering.none
    const scores = (names: ReadonlyArray<string>) => ({
      results: names.map((category) => ({ category, severityScore: severity }))
    })
    const emails = () =>
      blocks.flatMap(({ contentIndex, messageIndex, text }) =>
        [...text.matchAll(email)].map(({ 0: { length }, index }) => ({
          type: "EMAIL",
          confidenceScore: 1,
          beginOffset: index,
          endOffset: index + length,
          messageIndex,
          contentIndex
        }))
      )
    const used = { textUnits: unitsOf(texts) }
    return respond(visit, texts, {
      results: {
        ...(contentFilter === undefined ? {} : { contentFilter: scores(contentFilter) }),
        ...(promptAttack === undefined ? {} : { promptAttack: scores(promptAttack) }),
        ...(entities === undefined
          ? {}
          : { sensitiveInformation: { results: entities.includes("EMAIL") ? emails() : [], truncated: false } })
      },
      usage: {
        ...(contentFilter === undefined ? {} : { contentFilter: used }),
        ...(promptAttack === undefined ? {} : { promptAttack: used }),
        ...(entities === undefined ? {} : { sensitiveInformation: used })
      }
    })
  }

  return { apply, check }
}
