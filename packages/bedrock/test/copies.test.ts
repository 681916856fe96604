// Two copies of Effect in one program.
import { Bedrock } from "@caprock/bedrock"
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Logger } from "effect"
import { pathToFileURL } from "node:url"

const building = (said: Array<unknown>) =>
  Layer.build(Bedrock.layerTest({})).pipe(
    Effect.scoped,
    Effect.provide(Logger.layer([Logger.make(({ message }) => said.push(message))]))
  )

it("are told of, where a program runs another than this package has", async () => {
  const said: Array<unknown> = []
  await Effect.runPromise(building(said))
  assert.lengthOf(said, 0)

  // The same file by another name: a second copy of the module that makes fibers.
  const file = import.meta.resolve("effect/Effect").replace(/Effect\.js$/, "internal/effect.js")
  const another: Pick<typeof Effect, "runPromise"> = await import(
    `${pathToFileURL(new URL(file).pathname).href}?another`
  )
  await another.runPromise(building(said))
  assert.lengthOf(said, 1)
  assert.match(String(said), /installed with another/)
})
