/**
 * Whether an event of a stream is a part of the answer.
 *
 * Until the first one was handed on, nobody has seen anything of an answer, and another request may be made in its place. Afterwards the
 * caller has a part of one answer, and a second one would be another. The streams of `BedrockClient` go by the same rules when they
 * fail: with an `InterruptedStreamError` of `content: true` only after such an event.
 *
 * @since 0.1.0
 */
import type { ConverseStreamOutput, ResponseStream } from "@aws-sdk/client-bedrock-runtime"
import * as chunks from "./internal/chunks.ts"
import * as progress from "./internal/progress.ts"

/**
 * An event of ConverseStream: a delta, or the start of a block that says something, such as the tool that is called. O(1).
 *
 * **Example** (The first event says nothing yet)
 *
 * ```ts
 * import { AnswerContent } from "@caprock/client"
 *
 * console.log(AnswerContent.inConverse({ messageStart: { role: "assistant" } })) // => false
 * console.log(AnswerContent.inConverse({ contentBlockDelta: { delta: { text: "The" }, contentBlockIndex: 0 } })) // => true
 * ```
 *
 * @category accessors
 * @since 0.1.0
 */
export const inConverse = (event: ConverseStreamOutput): boolean => progress.isContent(event)

/**
 * A chunk of InvokeModelWithResponseStream, in the format of any family. What is in none that is known counts as a part of the answer.
 * Costs one parse.
 *
 * @category accessors
 * @since 0.1.0
 */
export const inChunk = (event: ResponseStream): boolean => chunks.isContent(event)
