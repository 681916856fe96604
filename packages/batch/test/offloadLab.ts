/** All of it: S3, an emulator with jobs, and batches over both, in real time that is a thousand times shorter. */
import * as BatchOffload from "@caprock/batch/BatchOffload"
import * as JobControl from "@caprock/batch/JobControl"
import * as ObjectStore from "@caprock/batch/ObjectStore"
import * as Bedrock from "@caprock/bedrock/Bedrock"
import * as Emulator from "@caprock/emulator/Emulator"
import * as LatencyModel from "@caprock/emulator/LatencyModel"
import type * as Options from "@caprock/emulator/Options"
import { NodeFileSystem } from "@effect/platform-node"
import { type Duration, Effect, Layer } from "effect"
import { start } from "./s3Server.ts"
import { credentials } from "./work.ts"

export { records, settings } from "./work.ts"

const short = LatencyModel.fixed(20)

interface Given {
  readonly batches?: BatchOffload.Options
  readonly emulator?: Options.Options
  /** How long a job asks its model. */
  readonly inProgressMillis?: number
  /** An hour of a job's timeout: a job that has 24 of them to begin in does not expire because this process stood still for a moment. */
  readonly hour?: Duration.Input
}

/** Over that S3; the emulator may have a way to it of its own. */
export const over = (
  s3: { readonly url: string; readonly bucket: string; readonly careless?: string },
  { batches = {}, emulator: more = {}, hour = "60 millis", inProgressMillis = 100 }: Given = {}
) =>
  Effect.gen(function*() {
    const { accessKeyId, secretAccessKey } = credentials
    const emulator = yield* Emulator.make({
      ...more,
      batch: {
        s3: { endpoint: s3.careless ?? s3.url, accessKeyId, secretAccessKey },
        delays: {
          submitted: short,
          validating: short,
          scheduled: short,
          inProgress: LatencyModel.fixed(inProgressMillis),
          stopping: short
        },
        hour,
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
    return { emulator, process, batches: yield* process() }
  })

/** Over an S3 in this process. */
export const make = (given?: Given) =>
  Effect.flatMap(start, (s3) => Effect.map(over(s3, given), (lab) => ({ ...lab, s3 })))
