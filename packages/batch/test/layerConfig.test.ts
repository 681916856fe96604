import * as BatchOffload from "@caprock/batch/BatchOffload"
import * as JobControl from "@caprock/batch/JobControl"
import * as ObjectStore from "@caprock/batch/ObjectStore"
import * as Bedrock from "@caprock/bedrock/Bedrock"
import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Layer, Stream } from "effect"
import { make } from "./offloadLab.ts"
import { credentials, records, settings } from "./work.ts"

const from = (env: Record<string, string>) => Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env })))

const messages = <A, E extends { readonly message: string }>(effect: Effect.Effect<A, E>) =>
  Effect.map(Effect.flip(effect), ({ message }) => message.split("\n"))

/** What each variable of a layer makes of the text that it is shown with. */
const examples = (variables: typeof ObjectStore.variables) =>
  Object.fromEntries(variables.map(({ example, name }) => [name, example]))

describe("batches that are configured by the environment", () => {
  it.effect("have each option from its variable, ours before those of AWS, and what is given before both", () =>
    Effect.gen(function*() {
      const endpoint = "http://127.0.0.1:8080"
      assert.deepStrictEqual(yield* ObjectStore.config().pipe(from(examples(ObjectStore.variables))), {
        bucket: "nightly",
        region: "us-east-1",
        endpoint
      })
      const aws = { AWS_REGION: "eu-west-1", AWS_ENDPOINT_URL_S3: "http://s3", AWS_ENDPOINT_URL_BEDROCK: "http://jobs" }
      assert.deepStrictEqual(yield* ObjectStore.config({ bucket: "own" }).pipe(from(aws)), {
        bucket: "own",
        region: "eu-west-1",
        endpoint: "http://s3"
      })
      assert.deepStrictEqual(
        yield* JobControl.config().pipe(from({ ...aws, CAPROCK_REGION: "us-west-2" })),
        { region: "us-west-2", endpoint: "http://jobs" }
      )
      assert.deepStrictEqual(
        yield* JobControl.config().pipe(from({ ...aws, AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: "true" })),
        { region: "eu-west-1" }
      )
      assert.deepStrictEqual(yield* BatchOffload.config({ lease: 1000 }).pipe(from(examples(BatchOffload.variables))), {
        prefix: "caprock/",
        limits: { jobs: 20 },
        lease: 1000,
        patient: true,
        poll: { min: "30 seconds", max: "5 minutes" }
      })
    }))

  it.effect("say what makes no sense, by its variable, and what is missing", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* messages(ObjectStore.config().pipe(from({}))), [
        "bucket: there is none. Give it, or set CAPROCK_BUCKET."
      ])
      assert.deepStrictEqual(yield* messages(ObjectStore.config().pipe(from({ CAPROCK_BUCKT: "nightly" }))), [
        "CAPROCK_BUCKT is not known. CAPROCK_BUCKET is."
      ])
      assert.match(
        (yield* messages(JobControl.config().pipe(from({ CAPROCK_JOBS_ENDPOINT: "nowhere" })))).join(),
        /^CAPROCK_JOBS_ENDPOINT is "nowhere", and must be a URL/
      )
      const wrong = {
        CAPROCK_BATCH_LEASE: "0 seconds",
        CAPROCK_BATCH_PREFIX: "no-slash",
        CAPROCK_BATCH_LIMITS: "{\"jobs\":0,\"job\":1}",
        CAPROCK_BATCH_PATIENT: "maybe",
        CAPROCK_BATCH_POLL_MIN: "soon"
      }
      const said = (yield* messages(BatchOffload.config().pipe(from(wrong)))).toSorted()
      for (const [i, name] of ["LEASE", "LIMITS", "LIMITS", "PATIENT", "POLL_MIN", "PREFIX"].entries()) {
        assert.include(said[i], `CAPROCK_BATCH_${name}`, said.join("\n"))
      }
    }))

  it.effect("take no variable of one layer for a slip in another's", () =>
    Effect.gen(function*() {
      const layers = [ObjectStore, JobControl, BatchOffload, Bedrock]
      const all = from(Object.assign({}, ...layers.map(({ variables }) => examples(variables))))
      yield* ObjectStore.config().pipe(all)
      yield* JobControl.config().pipe(all)
      yield* BatchOffload.config().pipe(all)
      yield* Bedrock.config().pipe(all)
    }))

  it.live("are whole, by their bucket, their endpoints and their prefix", () =>
    Effect.gen(function*() {
      const { emulator, s3 } = yield* make()
      const layer = BatchOffload.layerConfig().pipe(
        Layer.provide([
          ObjectStore.layerConfig({ credentials }),
          JobControl.layerConfig({ credentials }),
          Bedrock.layerConfig({ credentials }),
          NodeFileSystem.layer
        ])
      )
      const results = yield* Effect.flatMap(
        BatchOffload.BatchOffload,
        ({ run }) => Stream.runCollect(run("nightly", settings, records(30)))
      ).pipe(
        Effect.provide(layer),
        from({
          CAPROCK_BUCKET: s3.bucket,
          CAPROCK_BUCKET_ENDPOINT: s3.url,
          CAPROCK_JOBS_ENDPOINT: emulator.url,
          CAPROCK_ENDPOINT: emulator.url,
          AWS_REGION: "us-east-1",
          CAPROCK_BATCH_PREFIX: "bulk/",
          CAPROCK_BATCH_LIMITS: "{\"minimumRecords\":10,\"recordsPerJob\":20}",
          CAPROCK_BATCH_POLL_MIN: "50 millis"
        })
      )
      assert.lengthOf(results, 30)
      assert.strictEqual((yield* emulator.stats).jobs.accepted, 2)
      assert.isTrue(s3.requests.some((line) => line.includes("/bulk/nightly/journal.json")))
      assert.isFalse(s3.requests.some((line) => line.includes("/caprock/")))
    }))
})
