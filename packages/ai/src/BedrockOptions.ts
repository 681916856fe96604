/**
 * Bedrock's own words in `effect/ai`: what stands under `metadata.bedrock` of errors, typed.
 *
 * Nothing has to be imported for it: who imports any module of this package has the types.
 *
 * @since 0.1.0
 */
import type { BedrockError } from "@caprock/errors/BedrockError"
import type { Reason } from "@caprock/errors/Reason"

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
