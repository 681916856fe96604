// What of a request is changed for the target that it goes to: what data says the target does not take, and nothing else.
import type { BedrockClient } from "@caprock/client/BedrockClient"
import * as ModelId from "@caprock/quota/ModelId"
import type { Adapted } from "@caprock/router/Account"
import type { BuiltTarget } from "@caprock/router/Target"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"

type ConverseInput = Parameters<BedrockClient["Service"]["converse"]>[0]

/** A request as it is sent to one target, and what is not as its caller has it. */
export interface Adaptation<I> {
  readonly input: I
  readonly adapted: ReadonlyArray<Adapted>
}

type Limits = Pick<BuiltTarget, "name" | "able" | "drop"> & Partial<Pick<BuiltTarget, "model">>

/** Without the fields that the target does not take. */
export const adapt = <I extends object>(input: I, { drop = [], name }: Limits): Adaptation<I> => {
  let left = input
  const adapted: Array<Adapted> = []
  for (const field of drop) {
    const from = at(left, field.split("."))
    if (from === undefined) continue
    left = without(left, field.split("."))
    adapted.push({ field, from, to: undefined, why: `target ${name} does not take it` })
  }
  return { input: left, adapted }
}

/**
 * The same of a conversation, with no more output than the target gives, no marks for a cache that it does not have, and no reasoning that can't be its own.
 * Models of Anthropic sign what they think, drop what they can't read of another's, and refuse a conversation of their own of which some is left out: so they get
 * all of it, in any Region.
 */
export const converse = <I extends ConverseInput>(input: I, target: Limits): Adaptation<I> => {
  const { able, name } = target
  const dropped = adapt(input, target)
  let left = dropped.input
  const adapted = [...dropped.adapted]
  const asked = left.inferenceConfig?.maxTokens
  if (asked !== undefined && able?.output !== undefined && asked > able.output) {
    left = { ...left, inferenceConfig: { ...left.inferenceConfig, maxTokens: able.output } }
    adapted.push({
      field: "inferenceConfig.maxTokens",
      from: asked,
      to: able.output,
      why: `target ${name} gives ${able.output} tokens at most`
    })
  }
  if (able?.caching === false) {
    const unmarked = withoutMarks(left)
    if (unmarked !== left) {
      left = unmarked
      adapted.push({ field: "cachePoint", from: "set", to: undefined, why: `target ${name} has no prompt cache` })
    }
  }
  const model = modelOf(target.model)
  if (model !== undefined && !model.startsWith("anthropic.")) {
    const unsigned = withoutSigned(left)
    if (unsigned !== left) {
      left = unsigned
      adapted.push({
        field: "reasoningContent",
        from: "signed",
        to: undefined,
        why: `target ${name} takes no reasoning of another model's`
      })
    }
  }
  return { input: left, adapted }
}

const modelOf = (model: string | undefined): string | undefined =>
  model === undefined
    ? undefined
    : Result.match(ModelId.parse(model), { onFailure: () => undefined, onSuccess: ModelId.modelOf })

const at = (value: unknown, [head, ...rest]: ReadonlyArray<string>): unknown =>
  head === undefined ? value : Predicate.hasProperty(value, head) ? at(value[head], rest) : undefined

/** Set to nothing, which the SDK does not send. Objects on the way are copied: they are the caller's. */
const without = <A extends object>(value: A, [head, ...rest]: ReadonlyArray<string>): A => {
  if (head === undefined || !Predicate.hasProperty(value, head)) return value
  const inner: unknown = value[head]
  return { ...value, [head]: rest.length > 0 && isRecord(inner) ? without(inner, rest) : undefined }
}

const isRecord = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const isMark = (block: object): boolean => Predicate.hasProperty(block, "cachePoint") && block.cachePoint !== undefined

const withoutMarks = <I extends ConverseInput>(input: I): I => {
  const { messages, system, toolConfig } = input
  const marked = [system, toolConfig?.tools, ...(messages ?? []).map(({ content }) => content)]
  if (!marked.some((blocks) => blocks?.some(isMark) === true)) return input
  const keep = <B extends object>(blocks: ReadonlyArray<B>): Array<B> => blocks.filter((block) => !isMark(block))
  return {
    ...input,
    ...(system === undefined ? {} : { system: keep(system) }),
    ...(toolConfig?.tools === undefined ? {} : { toolConfig: { ...toolConfig, tools: keep(toolConfig.tools) } }),
    ...(messages === undefined
      ? {}
      : { messages: messages.map((message) => ({ ...message, content: keep(message.content ?? []) })) })
  }
}

type Message = NonNullable<ConverseInput["messages"]>[number]

const isSigned = ({ reasoningContent: reasoning }: NonNullable<Message["content"]>[number]): boolean =>
  reasoning !== undefined &&
  (reasoning.redactedContent !== undefined || reasoning.reasoningText?.signature !== undefined)

/** A message of which nothing is left, or a cache point of nothing, goes, and those around it, which are of one side then, become one. */
const withoutSigned = <I extends ConverseInput>(input: I): I => {
  const { messages = [] } = input
  if (!messages.some(({ content }) => content?.some(isSigned) === true)) return input
  const left: Array<Message> = []
  for (const message of messages) {
    const content = (message.content ?? []).filter((block) => !isSigned(block))
    const last = left.at(-1)
    if (content.every(isMark)) continue
    if (last === undefined || last.role !== message.role) left.push({ ...message, content })
    else left[left.length - 1] = { ...last, content: [...last.content ?? [], ...content] }
  }
  return { ...input, messages: left }
}
