// A process that runs a batch, for tests that kill it. Its place, its emulator, its name and its records come as arguments, and it prints `done`.
import * as BatchOffload from "@caprock/batch/BatchOffload"
import * as JobControl from "@caprock/batch/JobControl"
import * as ObjectStore from "@caprock/batch/ObjectStore"
import * as Bedrock from "@caprock/bedrock/Bedrock"
import { NodeFileSystem } from "@effect/platform-node"
import { Effect, Layer, Logger, Stream } from "effect"
import { credentials, records, settings } from "./offloadLab.ts"

const [s3 = "", bucket = "", emulator = "", name = "", count = "0", from = "0"] = process.argv.slice(2)

const services = Layer.mergeAll(
  ObjectStore.layer({ bucket, endpoint: s3, region: "us-east-1", credentials }),
  JobControl.layer({ endpoint: emulator, region: "us-east-1", credentials }),
  Bedrock.layer({ endpoint: emulator, region: "us-east-1", credentials }),
  NodeFileSystem.layer,
  Logger.layer([])
)

const main = Effect.gen(function*() {
  const batches = yield* BatchOffload.make({
    lease: "600 millis",
    patient: true,
    poll: { min: "50 millis", max: "200 millis" },
    limits: { minimumRecords: 10, recordsPerJob: 100 }
  })
  yield* Stream.runDrain(batches.run(name, settings, records(Number(count), Number(from)), { input: false }))
  process.stdout.write("done\n")
})

await Effect.runPromise(Effect.scoped(Effect.provide(main, services)))
