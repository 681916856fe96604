// A program that needs only this package and its peers. `pnpm packages` runs it in an empty project.
import { ObjectStore } from "@caprock/batch"
import { Effect } from "effect"

const bytes = new TextEncoder().encode("mine")

const seen = await Effect.runPromise(
  Effect.gen(function*() {
    const store = yield* ObjectStore.ObjectStore
    const first = yield* store.put("nightly/owner", bytes, { absent: true })
    const second = yield* store.put("nightly/owner", bytes, { absent: true })
    return { first, second, length: (yield* store.read("nightly/owner"))?.bytes.length }
  }).pipe(Effect.provide(ObjectStore.layerMemory()))
)

if (seen.first === undefined || seen.second !== undefined || seen.length !== bytes.length) {
  throw new Error(JSON.stringify(seen))
}
