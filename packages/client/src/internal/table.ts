// The operations as a table: a further one is a line here, and its type in `Operations`. The client, the scripted client and
// their records are made of it.
import {
  type $Command as Command,
  ApplyGuardrailCommand,
  type BedrockRuntimeClient,
  type BedrockRuntimeClientResolvedConfig,
  ConverseCommand,
  ConverseStreamCommand,
  CountTokensCommand,
  GetAsyncInvokeCommand,
  InvokeGuardrailChecksCommand,
  InvokeModelCommand,
  InvokeModelWithResponseStreamCommand,
  ListAsyncInvokesCommand,
  type ServiceInputTypes,
  type ServiceOutputTypes,
  StartAsyncInvokeCommand
} from "@aws-sdk/client-bedrock-runtime"
import type { BedrockError } from "@caprock/errors/BedrockError"
import type * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type * as Stream from "effect/Stream"
import type { Operations } from "../Operations.ts"
import type { CallOptions } from "./call.ts"
import { chunks } from "./chunks.ts"
import { converse, type Progress } from "./progress.ts"

/** What is known of an operation with one answer. */
export interface Unary<Input, Output> {
  /** The service's name of it. */
  readonly operation: string
  readonly send: (client: BedrockRuntimeClient, input: Input, options: CallOptions) => Promise<Output>
  /** Whether an output is an answer: the SDK takes an empty body, or one of somebody in between, for one without members. */
  readonly isWhole: (output: Output) => boolean
}

/** What is known of an operation whose answer is a stream of events. */
export interface Streaming<Input, Event> {
  /** The service's name of it. */
  readonly operation: string
  readonly send: (
    client: BedrockRuntimeClient,
    input: Input,
    options: CallOptions
  ) => Promise<AsyncIterable<Event> | undefined>
  readonly progress: () => Progress<Event>
}

/** How operations are made of what is known of them, all of a kind alike. `name` is the key in {@link Operations}. */
interface Maker {
  readonly unary: <Input, Output>(
    known: Unary<Input, Output>,
    name: keyof Operations
  ) => (input: Input) => Effect.Effect<Output, BedrockError>
  readonly streaming: <Input, Event>(
    known: Streaming<Input, Event>,
    name: keyof Operations
  ) => (input: Input) => Stream.Stream<Event, BedrockError>
}

type Row<Operation> = (name: keyof Operations, maker: Maker) => Operation

type CommandOf<Input extends ServiceInputTypes, Output extends ServiceOutputTypes> = new(
  input: Input
) => Command<Input, Output, BedrockRuntimeClientResolvedConfig, ServiceInputTypes, ServiceOutputTypes>

const whole = <Input extends ServiceInputTypes, Output extends ServiceOutputTypes>(
  Operation: CommandOf<Input, Output>,
  isWhole: (output: Output) => boolean
): Row<(input: Input) => Effect.Effect<Output, BedrockError>> =>
(name, maker) =>
  maker.unary({
    operation: operationOf(name),
    send: (client, input, options) => client.send(new Operation(input), options),
    isWhole
  }, name)

/** `required`: members that the service's model says every answer has, and without which it says nothing. */
const unary = <Input extends ServiceInputTypes, Output extends ServiceOutputTypes>(
  Operation: CommandOf<Input, Output>,
  ...required: ReadonlyArray<keyof Output>
): Row<(input: Input) => Effect.Effect<Output, BedrockError>> =>
  whole(Operation, (output) => required.every((member) => output[member] !== undefined))

const streaming = <Input extends ServiceInputTypes, Output extends ServiceOutputTypes, Event>(
  Operation: CommandOf<Input, Output>,
  events: (output: Output) => AsyncIterable<Event> | undefined,
  progress: () => Progress<Event>
): Row<(input: Input) => Stream.Stream<Event, BedrockError>> =>
(name, maker) =>
  maker.streaming({
    operation: operationOf(name),
    send: (client, input, options) => client.send(new Operation(input), options).then(events),
    progress
  }, name)

const table: { readonly [Name in keyof Operations]: Row<Operations[Name]> } = {
  converse: unary(ConverseCommand, "output", "stopReason"),
  converseStream: streaming(ConverseStreamCommand, ({ stream }) => stream, converse),
  // The bytes are the model's own. No model answers with nothing, or with a page of a network that wants its users to sign in.
  invokeModel: whole(
    InvokeModelCommand,
    ({ body, contentType }) =>
      Predicate.isUint8Array(body) && body.length > 0 && !/^text\/html\b/i.test(contentType ?? "")
  ),
  invokeModelWithResponseStream: streaming(InvokeModelWithResponseStreamCommand, ({ body }) => body, chunks),
  countTokens: unary(CountTokensCommand, "inputTokens"),
  applyGuardrail: unary(ApplyGuardrailCommand, "action", "assessments"),
  invokeGuardrailChecks: unary(InvokeGuardrailChecksCommand, "results"),
  startAsyncInvoke: unary(StartAsyncInvokeCommand, "invocationArn"),
  getAsyncInvoke: unary(GetAsyncInvokeCommand, "invocationArn", "status"),
  // An account without jobs has an answer without members.
  listAsyncInvokes: unary(ListAsyncInvokesCommand)
}

const names = Object.keys(table) as ReadonlyArray<keyof Operations>

/** Makes all the operations. @internal */
export const make = (maker: Maker): Operations =>
  // The table's type has held each row against its operation; what it can't say is that a record by name keeps that.
  Object.fromEntries(names.map((name) => [name, table[name](name, maker)])) as unknown as Operations

/** Most names of the service are those of the SDK's client, with a capital. */
const operationOf = (name: keyof Operations): string => `${name.charAt(0).toUpperCase()}${name.slice(1)}`

/** The model that an input names, where its operation has one. @internal */
export const modelIdOf = (input: unknown): string | undefined =>
  Predicate.hasProperty(input, "modelId") && typeof input.modelId === "string" ? input.modelId : undefined
