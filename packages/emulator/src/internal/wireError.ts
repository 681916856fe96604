/** Errors as they look on the wire. */
import type { ErrorName } from "../Fault.ts"

export interface WireError {
  readonly name: ErrorName
  readonly message?: string | undefined
  readonly retryAfter?: number | undefined
  readonly originalStatusCode?: number | undefined
  readonly resourceName?: string | undefined
}

/** Status and usual text of each error. Statuses: the service model; texts: AWS's blog, docs and public reports. */
const table: Record<ErrorName, readonly [status: number, message: string]> = {
  ThrottlingException: [429, "Too many requests, please wait before trying again."],
  ModelNotReadyException: [429, "The model is not ready to serve inference requests. Please try again later."],
  ServiceUnavailableException: [503, "Bedrock is unable to process your request."],
  InternalServerException: [
    500,
    "The system encountered an unexpected error during processing. Try your request again."
  ],
  ModelTimeoutException: [408, "Model has timed out in processing the request. Try your request again."],
  ModelErrorException: [424, "The model encountered an unexpected error that it could not recover from."],
  ModelStreamErrorException: [424, "The model stream encountered an error. Retry your request."],
  ServiceQuotaExceededException: [
    400,
    "Your request exceeds the service quota for your account. You can resubmit your request later."
  ],
  ValidationException: [400, "The input fails to satisfy the constraints specified by Amazon Bedrock."],
  AccessDeniedException: [403, "You don't have access to the model with the specified model ID."],
  ResourceNotFoundException: [404, "Could not resolve the foundation model from the provided model identifier."],
  ConflictException: [400, "Error occurred because of a conflict while performing an operation."],
  ExpiredTokenException: [403, "The security token included in the request is expired"],
  UnrecognizedClientException: [403, "The security token included in the request is invalid."],
  InvalidSignatureException: [
    403,
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key " +
    "and signing method. Consult the service documentation for details."
  ],
  MissingAuthenticationTokenException: [403, "Missing Authentication Token"],
  IncompleteSignature: [400, "The request signature does not conform to AWS standards."],
  RequestExpired: [400, "The request is no longer valid due to expired timestamps."],
  InternalFailure: [500, "The request processing has failed because of an unknown error, exception or failure."],
  FTUFormNotFilled: [
    404,
    "Model use case details have not been submitted for this account. Fill out the Anthropic use case details form " +
    "before using the model. If you have already filled out the form, try again in 15 minutes."
  ],
  MPAgreementBeingCreated: [
    403,
    "The AWS Marketplace subscription for this model cannot be completed yet. Please try again after 15 minutes."
  ],
  UnknownOperationException: [404, "The operation is not known to this endpoint."],
  BadGateway: [502, "Bad Gateway"],
  GatewayTimeout: [504, "Gateway Timeout"],
  Overloaded: [529, "Overloaded"]
}

/** These come from in front of the service, or in the Anthropic style: no error type header. */
const untyped: ReadonlySet<ErrorName> = new Set(["BadGateway", "GatewayTimeout", "Overloaded"])

export const throttled = {
  requests: "Too many requests, please wait before trying again.",
  tokens: "Too many tokens, please wait before trying again.",
  day: "Too many tokens per day, please wait before trying again."
} as const

export const statusOf = (name: ErrorName): number => table[name][0]

/** What it says. */
export const messageOf = (error: WireError): string => error.message ?? table[error.name][1]

/** Header names and values besides date and length, and the body. */
export const encode = (
  error: WireError
): { readonly status: number; readonly headers: Array<string>; readonly body: string } => {
  const message = messageOf(error)
  const headers = ["content-type", "application/json"]
  if (!untyped.has(error.name)) {
    headers.push("x-amzn-errortype", `${error.name}:http://internal.amazon.com/coral/com.amazon.bedrock/`)
  }
  if (error.retryAfter !== undefined) headers.push("retry-after", String(error.retryAfter))
  const body = error.name === "Overloaded"
    ? { type: "error", error: { type: "overloaded_error", message } }
    : {
      message,
      ...(error.originalStatusCode === undefined ? {} : { originalStatusCode: error.originalStatusCode }),
      ...(error.resourceName === undefined ? {} : { resourceName: error.resourceName })
    }
  return { status: statusOf(error.name), headers, body: JSON.stringify(body) }
}
