// A process that runs a batch, for tests with several of them. It is told which in an argument, begins when it is told so, and
// prints what became of it.
import * as BatchOffload from "@caprock/batch/BatchOffload"
import * as JobControl from "@caprock/batch/JobControl"
import * as ObjectStore from "@caprock/batch/ObjectStore"
import * as Bedrock from "@caprock/bedrock/Bedrock"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Effect, Layer, Logger, Stream } from "effect"
import { once } from "node:events"
import { credentials, records, settings } from "./work.ts"

export interface Order {
  readonly s3: string
  readonly bucket: string
  readonly emulator: string
  readonly name: string
  readonly count: number
  /** The first of its records. */
  readonly from: number
  readonly leaseMillis: number
  readonly patient: boolean
}

const { bucket, count, emulator, from, leaseMillis, name, patient, s3 }: Order = JSON.parse(process.argv[2] ?? "")

const services = Layer.mergeAll(
  ObjectStore.layer({ bucket, endpoint: s3, region: "us-east-1", credentials }),
  JobControl.layer({ endpoint: emulator, region: "us-east-1", credentials }),
  Bedrock.layer({ endpoint: emulator, region: "us-east-1", credentials }),
  NodeFileSystem.layer,
  Logger.layer([])
)

const main = Effect.gen(function*() {
  const batches = yield* BatchOffload.make({
    lease: leaseMillis,
    patient,
    poll: { min: "50 millis", max: "200 millis" },
    limits: { minimumRecords: 10, recordsPerJob: 100 }
  })
  const given = new Set<number>()
  const results = batches.run(name, settings, records(count, from), { input: false })
  yield* Stream.runForEach(results, ({ _tag, index }) =>
    Effect.sync(() => {
      if (given.has(index) || _tag !== "Success") throw new Error(`${_tag} of record ${index}`)
      given.add(index)
    }))
  return `done ${given.size}`
}).pipe(
  Effect.catchReasons("BatchError", {
    LeaseHeld: () => Effect.succeed("held"),
    LeaseLost: () => Effect.succeed("lost")
  })
)

process.stdout.write("ready\n")
await once(process.stdin, "data")
process.stdin.destroy()
process.stdout.write(`${await Effect.runPromise(Effect.scoped(Effect.provide(main, services)))}\n`)
