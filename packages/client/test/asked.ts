// The smallest input that each operation takes, and the smallest answer that is one. An operation without a line here is an error of
// the compiler.
import type { BedrockClient, Operations } from "@caprock/client"
import type { BedrockError } from "@caprock/errors/BedrockError"
import { Effect, Stream } from "effect"
import { answer, request } from "./server.ts"

type Name = keyof Operations.Operations

interface Asked<Operation extends (input: never) => unknown> {
  readonly input: Parameters<Operation>[0]
  readonly path: string
  /** Absent where the answer is a stream. */
  readonly answer?: object
}

const { modelId } = request
const model = `/model/${modelId}`
const invocationArn = "arn:aws:bedrock:us-east-1:111122223333:async-invoke/abcdef123456"
const outputDataConfig = { s3OutputDataConfig: { s3Uri: "s3://bucket/answers" } }

export const asked: { readonly [N in Name]: Asked<Operations.Operations[N]> } = {
  converse: { input: request, path: `${model}/converse`, answer },
  converseStream: { input: request, path: `${model}/converse-stream` },
  invokeModel: { input: { modelId, body: "{}" }, path: `${model}/invoke`, answer: {} },
  invokeModelWithResponseStream: { input: { modelId, body: "{}" }, path: `${model}/invoke-with-response-stream` },
  countTokens: {
    input: { modelId, input: { converse: { messages: request.messages } } },
    path: `${model}/count-tokens`,
    answer: { inputTokens: 9 }
  },
  applyGuardrail: {
    input: {
      guardrailIdentifier: "abc123",
      guardrailVersion: "1",
      source: "INPUT",
      content: [{ text: { text: "Hi" } }]
    },
    path: "/guardrail/abc123/version/1/apply",
    answer: { action: "NONE", outputs: [], assessments: [], usage: {} }
  },
  invokeGuardrailChecks: {
    input: {
      messages: [{ role: "user", content: [{ text: "Hi" }] }],
      checks: { promptAttack: { categories: [{ category: "JAILBREAK" }] } }
    },
    path: "/guardrail-checks/invoke",
    answer: { results: { promptAttack: { results: [] } }, usage: { promptAttack: { textUnits: 1 } } }
  },
  startAsyncInvoke: {
    input: { modelId, modelInput: { text: "Hi" }, outputDataConfig, clientRequestToken: "token-1" },
    path: "/async-invoke",
    answer: { invocationArn }
  },
  getAsyncInvoke: {
    input: { invocationArn },
    path: `/async-invoke/${invocationArn}`,
    answer: {
      invocationArn,
      modelArn: `arn:aws:bedrock:us-east-1::foundation-model/${modelId}`,
      status: "InProgress",
      submitTime: "2026-11-21T10:00:00.000Z",
      outputDataConfig
    }
  },
  listAsyncInvokes: {
    input: { statusEquals: "Failed", maxResults: 2 },
    path: "/async-invoke?maxResults=2&statusEquals=Failed",
    answer: { asyncInvokeSummaries: [] }
  }
}

export const names = Object.keys(asked) as ReadonlyArray<Name>

/** Asks a client for one of its operations, whichever it is, and reads its answer to the end. */
export const ask = (client: BedrockClient.Service, name: Name) => {
  const operation: (input: never) => Effect.Effect<unknown, BedrockError> | Stream.Stream<unknown, BedrockError> =
    client[name]
  const outcome = operation(asked[name].input as never)
  return Stream.isStream(outcome) ? Effect.asVoid(Stream.runCollect(outcome)) : Effect.asVoid(outcome)
}
