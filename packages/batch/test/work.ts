/** What batches of tests are made of. */
import type { BatchRecord } from "@caprock/batch/BatchRecord"
import type * as BatchSettings from "@caprock/batch/BatchSettings"
import { Stream } from "effect"

const model = "amazon.nova-lite-v1:0"
export const credentials = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "secret" }

export const settings: BatchSettings.BatchSettings = {
  model,
  invocationType: "Converse",
  roleArn: "arn:aws:iam::111122223333:role/batch",
  timeoutHours: 24
}

export const records = (n: number, from = 0): Stream.Stream<BatchRecord> =>
  Stream.map(Stream.range(from, from + n - 1), (i) => ({
    id: `doc-${i}`,
    input: { messages: [{ role: "user", content: [{ text: `Document ${i}.` }] }], inferenceConfig: { maxTokens: 10 } }
  }))
