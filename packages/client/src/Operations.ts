/**
 * What Bedrock's runtime can be asked: each operation of the SDK's client, under the name that the SDK gives it.
 *
 * `BedrockClient` has them as they are, one request each; `Bedrock` has the same with quotas and retries. Inputs and outputs are
 * the SDK's own types, and all fail with `BedrockError`.
 *
 * @since 0.1.0
 */
import type {
  ApplyGuardrailCommandInput,
  ApplyGuardrailCommandOutput,
  AsyncInvokeSummary,
  ConverseCommandInput,
  ConverseCommandOutput,
  ConverseStreamCommandInput,
  ConverseStreamOutput,
  CountTokensCommandInput,
  CountTokensCommandOutput,
  GetAsyncInvokeCommandInput,
  GetAsyncInvokeCommandOutput,
  InvokeGuardrailChecksCommandInput,
  InvokeGuardrailChecksCommandOutput,
  InvokeModelCommandInput,
  InvokeModelCommandOutput,
  InvokeModelWithResponseStreamCommandInput,
  ListAsyncInvokesCommandInput,
  ListAsyncInvokesCommandOutput,
  ResponseStream,
  StartAsyncInvokeCommandInput,
  StartAsyncInvokeCommandOutput
} from "@aws-sdk/client-bedrock-runtime"
import type { BedrockError } from "@caprock/errors/BedrockError"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"

/**
 * The operations of Bedrock's runtime (API version 2023-09-30, `@aws-sdk/client-bedrock-runtime` 3.1162, read 2026-11).
 *
 * An output is given only when it says what it was asked for: an answer without it is a `TransportError` of kind `protocol`. So
 * an empty response of somebody in between is never taken for a guardrail that found nothing.
 *
 * @category models
 * @since 0.1.0
 */
export interface Operations {
  /** One answer of a model. */
  readonly converse: (input: ConverseCommandInput) => Effect.Effect<ConverseCommandOutput, BedrockError>
  /** The same as it is written. Ends in success only after `messageStop` and `metadata`. */
  readonly converseStream: (input: ConverseStreamCommandInput) => Stream.Stream<ConverseStreamOutput, BedrockError>
  /** One answer in the model's own format, in bytes. */
  readonly invokeModel: (input: InvokeModelCommandInput) => Effect.Effect<InvokeModelCommandOutput, BedrockError>
  /** The same as it is written. Ends in success only after the family's own last word. */
  readonly invokeModelWithResponseStream: (
    input: InvokeModelWithResponseStreamCommandInput
  ) => Stream.Stream<ResponseStream, BedrockError>
  /** How many tokens a request would have. Free of charge. */
  readonly countTokens: (input: CountTokensCommandInput) => Effect.Effect<CountTokensCommandOutput, BedrockError>
  /** What a guardrail of the account says of a content. Charged by text units of 1,000 characters, for each policy. */
  readonly applyGuardrail: (
    input: ApplyGuardrailCommandInput
  ) => Effect.Effect<ApplyGuardrailCommandOutput, BedrockError>
  /** What the checks that are named in the request itself say of messages; no guardrail has to be made before. */
  readonly invokeGuardrailChecks: (
    input: InvokeGuardrailChecksCommandInput
  ) => Effect.Effect<InvokeGuardrailChecksCommandOutput, BedrockError>
  /**
   * Starts a job whose answer is written to S3. Requests with one `clientRequestToken` make one job; where the input has none,
   * the SDK makes a new one for each request.
   */
  readonly startAsyncInvoke: (
    input: StartAsyncInvokeCommandInput
  ) => Effect.Effect<StartAsyncInvokeCommandOutput, BedrockError>
  /** How a job stands. */
  readonly getAsyncInvoke: (
    input: GetAsyncInvokeCommandInput
  ) => Effect.Effect<GetAsyncInvokeCommandOutput, BedrockError>
  /** One page of the account's jobs. {@link listAsyncInvokesAll} has all of them. */
  readonly listAsyncInvokes: (
    input: ListAsyncInvokesCommandInput
  ) => Effect.Effect<ListAsyncInvokesCommandOutput, BedrockError>
}

/**
 * The jobs of all pages as a stream, from the first page of the input on: one request for a page, when the consumer wants it.
 *
 * **Example** (What has failed)
 *
 * ```ts
 * import { BedrockClient, Operations } from "@caprock/client"
 * import { Console, Effect, Stream } from "effect"
 *
 * export const main = Effect.gen(function*() {
 *   const client = yield* BedrockClient.BedrockClient
 *   const failed = yield* Operations.listAsyncInvokesAll(client)({ statusEquals: "Failed" }).pipe(Stream.runCollect)
 *   yield* Console.log(failed.length) // => 0
 * }).pipe(Effect.provide(BedrockClient.layer({ region: "us-east-1" })))
 * ```
 *
 * @category accessors
 * @since 0.1.0
 */
export const listAsyncInvokesAll =
  ({ listAsyncInvokes }: Pick<Operations, "listAsyncInvokes">) =>
  (input: ListAsyncInvokesCommandInput = {}): Stream.Stream<AsyncInvokeSummary, BedrockError> =>
    Stream.paginate(input, (page: ListAsyncInvokesCommandInput) =>
      listAsyncInvokes(page).pipe(
        Effect.map(({ asyncInvokeSummaries = [], nextToken }) => [
          asyncInvokeSummaries,
          nextToken === undefined ? Option.none() : Option.some({ ...input, nextToken })
        ])
      ))
