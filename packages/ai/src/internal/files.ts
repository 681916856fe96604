// Files of a prompt as blocks of Converse: what a media type is called there, and where the bytes are.
import type * as Prompt from "effect/ai/Prompt"
import * as Base64 from "effect/encoding/Base64"
import * as Result from "effect/Result"
import { refuse } from "./refusal.ts"
import type { Block, Document, ResultBlock } from "./sdk.ts"

type Image = NonNullable<NonNullable<Block["image"]>["format"]>
type Video = NonNullable<NonNullable<Block["video"]>["format"]>
type Audio = NonNullable<NonNullable<Block["audio"]>["format"]>

// The formats are those of the service model (3.1162.0); the media types are those of the IANA registry, and what is written in their place.
const images: Readonly<Record<string, Image>> = {
  "image/png": "png",
  "image/jpeg": "jpeg",
  "image/jpg": "jpeg",
  "image/gif": "gif",
  "image/webp": "webp"
}
const documents: Readonly<Record<string, NonNullable<Document["format"]>>> = {
  "application/pdf": "pdf",
  "text/csv": "csv",
  "application/msword": "doc",
  "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
  "application/vnd.ms-excel": "xls",
  "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
  "text/html": "html",
  "text/plain": "txt",
  "text/markdown": "md"
}
const videos: Readonly<Record<string, Video>> = {
  "video/x-matroska": "mkv",
  "video/quicktime": "mov",
  "video/mp4": "mp4",
  "video/webm": "webm",
  "video/x-flv": "flv",
  "video/mpeg": "mpeg",
  "video/x-ms-wmv": "wmv",
  "video/3gpp": "three_gp"
}
const audios: Readonly<Record<string, Audio>> = {
  "audio/mpeg": "mp3",
  "audio/wav": "wav",
  "audio/x-wav": "wav",
  "audio/flac": "flac",
  "audio/aac": "aac",
  "audio/ogg": "ogg",
  "audio/opus": "opus",
  "audio/mp4": "m4a",
  "audio/webm": "webm"
}

/** Names of the documents of one request: Bedrock wants each to be another. */
export type Names = Set<string>

type Source = { readonly bytes: Uint8Array<ArrayBuffer> } | {
  readonly s3Location: { readonly uri: string; readonly bucketOwner?: string }
}

/** A file, as a block of a message. */
export const block = (part: Prompt.FilePart, names: Names): Block => {
  const { audio, document, image, video } = blocks(part, names)
  if (image !== undefined) return { image }
  if (document !== undefined) return { document }
  if (video !== undefined) return { video }
  if (audio !== undefined) return { audio }
  return refuseType(part, "")
}

/** A file, as a block of a tool's result, where there is no sound. */
export const resultBlock = (part: Prompt.FilePart, names: Names): ResultBlock => {
  const { document, image, video } = blocks(part, names)
  if (image !== undefined) return { image }
  if (document !== undefined) return { document }
  if (video !== undefined) return { video }
  return refuseType(part, " in the result of a tool")
}

/** An image for the guardrail to look at, which takes bytes of two formats. */
export const guardedImage = (part: Prompt.FilePart): NonNullable<Block["guardContent"]> => {
  const source = sourceOf(part)
  const format = own(images, typeOf(part))
  if ((format !== "png" && format !== "jpeg") || !("bytes" in source)) {
    return refuse("prompt", `A guardrail looks at images in PNG and JPEG, given as bytes, and not at ${part.mediaType}`)
  }
  return { image: { format, source } }
}

/** The media type of a document, if a file is one: what is cited is told by its number among them. */
export const documentType = (part: Prompt.FilePart): string | undefined => {
  const mediaType = typeOf(part)
  return own(documents, mediaType) === undefined ? undefined : mediaType
}

/** The media type of an image's format. */
export const imageType = (format: string): string => `image/${format}`

const own = <A>(table: Readonly<Record<string, A>>, mediaType: string): A | undefined =>
  Object.hasOwn(table, mediaType) ? table[mediaType] : undefined

// "text/plain; charset=utf-8" is text/plain.
const typeOf = ({ mediaType }: Prompt.FilePart): string => (mediaType.split(";", 1)[0] ?? "").trim().toLowerCase()

const blocks = (
  part: Prompt.FilePart,
  names: Names
): Pick<Block, "audio" | "document" | "image" | "video"> => {
  const mediaType = typeOf(part)
  const image = own(images, mediaType)
  if (image !== undefined) return { image: { format: image, source: sourceOf(part) } }
  const document = own(documents, mediaType)
  if (document !== undefined) return { document: documentOf(part, document, names) }
  const video = own(videos, mediaType)
  if (video !== undefined) return { video: { format: video, source: sourceOf(part) } }
  const audio = own(audios, mediaType)
  return audio === undefined ? {} : { audio: { format: audio, source: sourceOf(part) } }
}

const documentOf = (
  part: Prompt.FilePart,
  format: NonNullable<Document["format"]>,
  names: Names
): Document => {
  const { citations, context } = part.options.bedrock ?? {}
  return {
    format,
    name: nameOf(part.fileName, names),
    source: sourceOf(part),
    ...(context === undefined ? {} : { context }),
    ...(citations === undefined ? {} : { citations: { enabled: citations } })
  }
}

/** The longest name of a document (DocumentBlock, service model 3.1162.0), less what makes one another. */
const longestName = 190

// Letters, digits, single spaces, hyphens, parentheses and brackets are allowed, and nothing else: not the point of an extension.
const nameOf = (fileName: string | undefined, names: Names): string => {
  const allowed = (fileName ?? "").replace(/\.\w+$/, "").replace(/[^a-zA-Z0-9 ()[\]-]+/g, "-").replace(/\s+/g, " ")
    .trim()
  const base = allowed === "" || /^-+$/.test(allowed) ? "document" : allowed.slice(0, longestName).trim()
  let name = base
  for (let n = 2; names.has(name); n++) name = `${base} (${n})`
  names.add(name)
  return name
}

const sourceOf = ({ data, options }: Prompt.FilePart): Source => {
  if (data instanceof Uint8Array) return { bytes: new Uint8Array(data) }
  const text = data instanceof URL ? data.href : data
  if (text.startsWith("s3://")) {
    const { bucketOwner } = options.bedrock ?? {}
    return { s3Location: { uri: text, ...(bucketOwner === undefined ? {} : { bucketOwner }) } }
  }
  const [, protocol] = /^([a-z][a-z0-9+.-]*:)\/\//i.exec(text) ?? []
  if (protocol !== undefined) {
    return refuse(
      "prompt",
      `Bedrock fetches no ${protocol} URLs: give the bytes of the file, or its s3:// URL`
    )
  }
  const inline = /^data:[^,]*;base64,/i.exec(text)
  const bytes = Base64.decode(inline === null ? text : text.slice(inline[0].length))
  return Result.isSuccess(bytes)
    ? { bytes: new Uint8Array(bytes.success) }
    : refuse("prompt", "The data of a file has to be bytes, base64 text, or an s3:// URL")
}

const refuseType = ({ mediaType }: Prompt.FilePart, where: string): never =>
  refuse(
    "prompt",
    `Bedrock takes no file of type ${mediaType}${where}. It takes images (png, jpeg, gif, webp), documents (pdf, csv, doc, docx, ` +
      "xls, xlsx, html, txt, md), videos and sound; what is text may be given as text/plain"
  )
