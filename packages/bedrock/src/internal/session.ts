// A conversation: one attempt once it was sent, and a failure of its input that is its caller's own.
import type { Input, Operation } from "@caprock/client/BidirectionalStream"
import { BedrockError } from "@caprock/errors/BedrockError"
import * as Reason from "@caprock/errors/Reason"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as calls from "./calls.ts"
import * as questions from "./questions.ts"
import * as readings from "./readings.ts"

/** @internal */
export const converse = <E, R>(
  desk: calls.Desk,
  client: { readonly invokeModelWithBidirectionalStream: Operation },
  input: Input<E, R>
): ReturnType<typeof client.invokeModelWithBidirectionalStream<E, R>> =>
  Stream.unwrap(Effect.map(Effect.context<R>(), (context) => {
    let failure: Cause.Cause<E> | undefined
    const question = questions.session(input.modelId)
    // For the attempt its caller has given up. It must not be taken for what Bedrock says, not even where it is a `BedrockError`.
    const body = input.body.pipe(
      Stream.provideContext(context),
      Stream.catchCause((cause) => {
        failure = cause
        return Stream.fail(givenUp(calls.subjectOf(desk, question)))
      })
    )
    return calls.streamed(
      desk,
      () => question,
      () => client.invokeModelWithBidirectionalStream({ ...input, body }),
      () => readings.session,
      true
    ).pipe(
      Stream.catchCause((cause) => Stream.failCause<BedrockError | E>(failure ?? cause))
    )
  }))

const givenUp = ({ modelId, operation, region }: ReturnType<typeof calls.subjectOf>): BedrockError =>
  new BedrockError({
    operation,
    modelId,
    ...(region === undefined ? {} : { region }),
    attempts: 1,
    reason: new Reason.UnknownError({ originalName: "AbortError", message: "The input of the conversation failed." })
  })
