/**
 * Bedrock's own words in `effect/ai`: what may be said under `options.bedrock` of a prompt, and what stands under `metadata.bedrock` of answers
 * and errors, typed.
 *
 * Nothing has to be imported for it: who imports any module of this package has the types.
 *
 * **Example** (A system prompt that is cached)
 *
 * ```ts
 * import "@caprock/ai/BedrockOptions"
 * import { Prompt } from "effect/ai"
 *
 * const prompt = Prompt.make([
 *   { role: "system", content: "A long text ...", options: { bedrock: { cachePoint: { ttl: "1h" } } } },
 *   { role: "user", content: "Why is the sky blue?" }
 * ])
 * console.log(prompt.content[0]?.options) // => { bedrock: { cachePoint: { ttl: '1h' } } }
 * ```
 *
 * @since 0.1.0
 */
import type { BedrockError } from "@caprock/errors/BedrockError"
import type { Reason } from "@caprock/errors/Reason"
import type { MutableJson } from "effect/Schema"

// -----------------------------------------------------------------------------
// What a prompt may say
// -----------------------------------------------------------------------------

/**
 * A cache point after what it is said of: all before it may be read from the cache next time. `ttl` where the model has several.
 *
 * @category models
 * @since 0.1.0
 */
export type CachePoint = true | { readonly ttl: "5m" | "1h" }

/**
 * What the guardrail of the call is to look at, and as what. Where nothing is marked it looks at everything.
 *
 * @category models
 * @since 0.1.0
 */
export type Guard = true | { readonly qualifiers: ReadonlyArray<"grounding_source" | "query" | "guard_content"> }

/**
 * Where in its source something stands that was cited, as Bedrock has it.
 *
 * @category models
 * @since 0.1.0
 */
export type CitationLocation = {
  readonly web?: { readonly url?: string; readonly domain?: string }
  readonly documentChar?: { readonly documentIndex?: number; readonly start?: number; readonly end?: number }
  readonly documentPage?: { readonly documentIndex?: number; readonly start?: number; readonly end?: number }
  readonly documentChunk?: { readonly documentIndex?: number; readonly start?: number; readonly end?: number }
  readonly searchResultLocation?: {
    readonly searchResultIndex?: number
    readonly start?: number
    readonly end?: number
  }
}

/**
 * One citation of a text.
 *
 * @category models
 * @since 0.1.0
 */
export type Citation = {
  readonly title?: string
  readonly source?: string
  readonly sourceContent?: Array<{ readonly text?: string }>
  readonly location?: CitationLocation
}

type Cached = { readonly cachePoint?: CachePoint }

declare module "effect/ai/Prompt" {
  export interface SystemMessageOptions {
    readonly bedrock?: { readonly cachePoint?: CachePoint; readonly guard?: Guard } | null
  }
  export interface UserMessageOptions {
    readonly bedrock?: Cached | null
  }
  export interface AssistantMessageOptions {
    readonly bedrock?: Cached | null
  }
  export interface ToolMessageOptions {
    readonly bedrock?: Cached | null
  }
  export interface TextPartOptions {
    /** `citations`: of an answer's text, as its metadata had them. */
    readonly bedrock?:
      | { readonly cachePoint?: CachePoint; readonly guard?: Guard; readonly citations?: ReadonlyArray<Citation> }
      | null
  }
  export interface ReasoningPartOptions {
    /** As its metadata had it: reasoning is sent back with its signature, or encrypted (`redacted`, base64), or not at all. */
    readonly bedrock?: { readonly signature?: string; readonly redacted?: string } | null
  }
  export interface FilePartOptions {
    /** `context`, `citations`: of documents. `bucketOwner`: the account of an `s3://` URL that is not one's own. */
    readonly bedrock?:
      | {
        readonly cachePoint?: CachePoint
        readonly guard?: Guard
        readonly context?: string
        readonly citations?: boolean
        readonly bucketOwner?: string
      }
      | null
  }
  export interface ToolCallPartOptions {
    readonly bedrock?: Cached | null
  }
  export interface ToolResultPartOptions {
    /** `type`: of the result of a tool that Bedrock ran itself, as its metadata had it. */
    readonly bedrock?: { readonly cachePoint?: CachePoint; readonly type?: string } | null
  }
}

// -----------------------------------------------------------------------------
// What an answer says
// -----------------------------------------------------------------------------

/**
 * How an answer of a route came to be: `CallAccount` of `@caprock/bedrock`, as far as it is JSON.
 *
 * @category models
 * @since 0.1.0
 */
export type Account = {
  readonly route: string
  readonly target?: string
  readonly attempts: number
  readonly waitedMillis: number
  readonly usd?: number
  readonly hedged: boolean
  readonly rejected: boolean
  readonly lastResort: boolean
  readonly trials: Array<{
    readonly target: string
    readonly attempt: number
    readonly waitedMillis: number
    readonly tookMillis: number
    readonly outcome: string
    readonly message?: string
  }>
}

/**
 * What Bedrock says at the end of an answer.
 *
 * - `stopReason`: in Bedrock's word; the part's own `reason` is that of `effect/ai`.
 * - `latencyMillis`: the server's own time.
 * - `usage`: as Bedrock counts, where `inputTokens` leaves out what was read from or written to a cache.
 * - `trace`: of the guardrail; `serviceTier` and `latency` that were used; `fields`: what `additionalModelResponseFieldPaths` asked for.
 * - `account`: of a call by a route, who answered and what was tried.
 * - `skipped`: content that this version knows no part for.
 *
 * @category models
 * @since 0.1.0
 */
export type FinishMetadata = {
  readonly stopReason?: string
  readonly latencyMillis?: number
  readonly usage?: MutableJson
  readonly trace?: MutableJson
  readonly serviceTier?: string
  readonly latency?: string
  readonly fields?: MutableJson
  readonly account?: Account
  readonly skipped?: Array<string>
}

type Reasoned = { readonly signature?: string; readonly redacted?: string }

declare module "effect/ai/Response" {
  export interface TextPartMetadata {
    readonly bedrock?: { readonly citations: Array<Citation> } | null
  }
  export interface TextEndPartMetadata {
    readonly bedrock?: { readonly citations: Array<Citation> } | null
  }
  export interface ReasoningPartMetadata {
    readonly bedrock?: Reasoned | null
  }
  export interface ReasoningEndPartMetadata {
    readonly bedrock?: Reasoned | null
  }
  export interface DocumentSourcePartMetadata {
    readonly bedrock?: Citation | null
  }
  export interface UrlSourcePartMetadata {
    readonly bedrock?: Citation | null
  }
  export interface ToolResultPartMetadata {
    readonly bedrock?: { readonly type?: string } | null
  }
  export interface ResponseMetadataPartMetadata {
    readonly bedrock?: { readonly requestId: string } | null
  }
  export interface FinishPartMetadata {
    readonly bedrock?: FinishMetadata | null
  }
}

// -----------------------------------------------------------------------------
// What an error says
// -----------------------------------------------------------------------------

/**
 * The `BedrockError` that an error of `effect/ai` was made of, as JSON. Everything of it is there; the fields here are those that one looks
 * at by hand. `AiErrors.toBedrock` gives the error itself.
 *
 * @category models
 * @since 0.1.0
 */
export type EncodedError = {
  readonly operation: string
  readonly modelId?: string
  readonly region?: string
  readonly requestId?: string
  readonly attempts: number
  readonly httpStatus?: number
  readonly gaveUp?: NonNullable<BedrockError["gaveUp"]>
  readonly reason: { readonly _tag: Reason["_tag"]; readonly message: string }
}

declare module "effect/ai/AiError" {
  export interface RateLimitErrorMetadata {
    readonly bedrock?: EncodedError | null
  }
  export interface QuotaExhaustedErrorMetadata {
    readonly bedrock?: EncodedError | null
  }
  export interface AuthenticationErrorMetadata {
    readonly bedrock?: EncodedError | null
  }
  export interface ContentPolicyErrorMetadata {
    readonly bedrock?: EncodedError | null
  }
  export interface InvalidRequestErrorMetadata {
    readonly bedrock?: EncodedError | null
  }
  export interface InvalidResponseErrorMetadata {
    readonly bedrock?: EncodedError | null
  }
  export interface InternalProviderErrorMetadata {
    readonly bedrock?: EncodedError | null
  }
  export interface UnknownErrorMetadata {
    readonly bedrock?: EncodedError | null
  }
}
