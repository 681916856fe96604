/** All of it: S3, an emulator with jobs, and batches over both, in real time that is a thousand times shorter. */
import * as BatchOffload from "@caprock/batch/BatchOffload"
import type { BatchRecord } from "@caprock/batch/BatchRecord"
import type * as BatchSettings from "@caprock/batch/BatchSettings"
import * as JobControl from "@caprock/batch/JobControl"
import * as ObjectStore from "@caprock/batch/ObjectStore"
import * as Bedrock from "@caprock/bedrock/Bedrock"
import * as Emulator from "@caprock/emulator/Emulator"
import * as LatencyModel from "@caprock/emulator/LatencyModel"
import type * as Options from "@caprock/emulator/Options"
import { NodeFileSystem } from "@effect/platform-node"
import { Effect, Layer, Stream } from "effect"
import { start } from "./s3Server.ts"

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

const short = LatencyModel.fixed(20)

export const make = (
  { batches = {}, emulator: more = {} }: {
    readonly batches?: BatchOffload.Options
    readonly emulator?: Options.Options
  } = {}
) =>
  Effect.gen(function*() {
    const s3 = yield* start
    const emulator = yield* Emulator.make({
      ...more,
      batch: {
        s3: { endpoint: s3.careless },
        delays: {
          submitted: short,
          validating: short,
          scheduled: short,
          inProgress: LatencyModel.fixed(100),
          stopping: short
        },
        // A job that has 24 of them to begin in does not expire because this process stood still for a moment.
        hour: "60 millis",
        limits: { minimumRecords: 1 }
      }
    })
    const services = yield* Layer.build(Layer.mergeAll(
      ObjectStore.layer({ bucket: s3.bucket, endpoint: s3.url, region: "us-east-1", credentials }),
      JobControl.layer({ endpoint: emulator.url, region: "us-east-1", credentials }),
      Bedrock.layer({ endpoint: emulator.url, region: "us-east-1", credentials }),
      NodeFileSystem.layer
    ))
    /** As a process of its own has it. */
    const process = (own: BatchOffload.Options = {}) =>
      BatchOffload.make({
        lease: "2 seconds",
        poll: { min: "50 millis", max: "200 millis" },
        ...batches,
        ...own,
        limits: { minimumRecords: 10, recordsPerJob: 400, ...batches.limits, ...own.limits }
      }).pipe(Effect.provideContext(services))
    return { emulator, process, s3, batches: yield* process() }
  })
