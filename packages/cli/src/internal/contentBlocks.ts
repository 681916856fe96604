/**
 * Converse content as it stands in JSON, where bytes are base64, and as the SDK takes and gives it, where they are bytes.
 */
import type { ContentBlock, ConverseCommandInput, Message, SystemContentBlock } from "@aws-sdk/client-bedrock-runtime"
import * as Base64 from "effect/encoding/Base64"
import * as Result from "effect/Result"

type Json = Readonly<Record<string, unknown>>

export interface ContentProblem {
  readonly path: string
  readonly problem: string
}

type Member<Union> = Union extends unknown ? Exclude<keyof Union, "$unknown"> : never

/** The members of the SDK's union; how a member's bytes are reached is below. */
const members: Readonly<Record<Member<ContentBlock>, true>> = {
  audio: true,
  cachePoint: true,
  citationsContent: true,
  document: true,
  guardContent: true,
  image: true,
  reasoningContent: true,
  searchResult: true,
  text: true,
  toolAddition: true,
  toolRemoval: true,
  toolResult: true,
  toolUse: true,
  video: true
}

class Refused extends Error {
  readonly detail: ContentProblem
  constructor(detail: ContentProblem) {
    super(detail.problem)
    this.detail = detail
  }
}

export const decodeContent = (request: {
  readonly messages?:
    | ReadonlyArray<{ readonly role: Message["role"]; readonly content: ReadonlyArray<Json> }>
    | undefined
  readonly system?: ReadonlyArray<Json> | undefined
}): Result.Result<Pick<ConverseCommandInput, "messages" | "system">, ContentProblem> =>
  Result.try({
    try: () => ({
      ...(request.messages === undefined ? {} : {
        messages: request.messages.map(({ content, role }, at) => ({
          role,
          // Bedrock validates what is inside a block better than we could, and says which.
          content: content.map((block, i) =>
            decodeBlock(block, `messages[${at}].content[${i}]`) as unknown as ContentBlock
          )
        }))
      }),
      ...(request.system === undefined ? {} : {
        system: request.system.map((block, i) => decodeBlock(block, `system[${i}]`) as unknown as SystemContentBlock)
      })
    }),
    catch: (error) => error instanceof Refused ? error.detail : { path: "messages", problem: String(error) }
  })

const decodeBlock = (block: Json, path: string): Json => {
  const names = Object.keys(block)
  const [name] = names
  if (name === undefined || names.length > 1) {
    throw new Refused({ path, problem: `must have exactly one member, such as {"text":"..."}` })
  }
  if (!Object.hasOwn(members, name)) {
    throw new Refused({
      path: `${path}.${name}`,
      problem: `is not a kind of content that Converse has. It has ${Object.keys(members).join(", ")}`
    })
  }
  if (name === "text" && typeof block[name] !== "string") {
    throw new Refused({ path: `${path}.text`, problem: "must be text" })
  }
  return mapBytes(block, path, decodeBytes)
}

/** The SDK's answer as JSON. */
export const encodeContent = (content: ReadonlyArray<ContentBlock>): ReadonlyArray<Json> =>
  content.map((block) =>
    mapBytes({ ...block }, "", (bytes) => bytes instanceof Uint8Array ? Base64.encode(bytes) : bytes)
  )

const decodeBytes = (value: unknown, path: string): unknown => {
  if (typeof value !== "string") throw new Refused({ path, problem: "must be base64 text" })
  const bytes = Base64.decode(value)
  if (Result.isFailure(bytes)) throw new Refused({ path, problem: `is not base64: ${bytes.failure.message}` })
  return bytes.success
}

type MapBytes = (value: unknown, path: string) => unknown

/** Applies `f` where the Converse shapes have bytes, and nowhere inside a tool's own JSON. */
const mapBytes = (block: Json, path: string, f: MapBytes): Json => {
  for (const name of ["image", "document", "video", "audio"]) {
    const media = block[name]
    if (isRecord(media)) return { ...block, [name]: mapSource(media, `${path}.${name}`, f) }
  }
  const { guardContent, reasoningContent, toolResult } = block
  if (isRecord(toolResult) && Array.isArray(toolResult["content"])) {
    const content = toolResult["content"].map((part: unknown, i) =>
      isRecord(part) ? mapBytes(part, `${path}.toolResult.content[${i}]`, f) : part
    )
    return { ...block, toolResult: { ...toolResult, content } }
  }
  if (isRecord(guardContent) && isRecord(guardContent["image"])) {
    const image = mapSource(guardContent["image"], `${path}.guardContent.image`, f)
    return { ...block, guardContent: { ...guardContent, image } }
  }
  if (isRecord(reasoningContent) && reasoningContent["redactedContent"] !== undefined) {
    const redactedContent = f(reasoningContent["redactedContent"], `${path}.reasoningContent.redactedContent`)
    return { ...block, reasoningContent: { ...reasoningContent, redactedContent } }
  }
  return block
}

const mapSource = (media: Json, path: string, f: MapBytes): Json => {
  const { source } = media
  if (!isRecord(source) || source["bytes"] === undefined) return media
  return { ...media, source: { ...source, bytes: f(source["bytes"], `${path}.source.bytes`) } }
}

const isRecord = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value)
