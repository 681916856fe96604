import { Fence } from "@caprock/router"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, Schema } from "effect"

const decode = Schema.decodeUnknownResult(Fence.Fence)

describe("Fence", () => {
  it("admits a target when it admits all of its places", () => {
    assert.isUndefined(Fence.outside(["eu-*"], ["eu-central-1", "eu-west-3"]))
    assert.isUndefined(Fence.outside(["eu-west-1", "us-*"], ["us-east-1", "eu-west-1"]))
    assert.deepStrictEqual(Fence.outside(["eu-*"], ["eu-central-1", "us-east-1"]), {
      _tag: "Place",
      place: "us-east-1"
    })
  })

  it("takes a name without a star as the whole name", () => {
    assert.isDefined(Fence.outside(["eu-west"], ["eu-west-1"]))
    assert.isDefined(Fence.outside(["eu-west-1"], ["eu-west-10"]))
  })

  it("admits nobody who does not say where it processes requests", () => {
    const wrong = decode(["eu-*-1"])
    assert.match(
      Result.isFailure(wrong) ? wrong.failure.message : "",
      /Expected a place such as eu-central-1, or the beginning/
    )
    for (const fence of [["eu-*"], ["*"]]) {
      assert.deepStrictEqual(Fence.outside(fence, undefined), { _tag: "Unknown" })
      assert.deepStrictEqual(Fence.outside(fence, []), { _tag: "Unknown" })
    }
  })

  it("admits whoever may be anywhere only where anywhere is allowed", () => {
    assert.isDefined(Fence.outside(["eu-*", "us-*"], [Fence.anywhere]))
    assert.isDefined(Fence.outside(["eu-*"], ["eu-*"]))
    assert.isUndefined(Fence.outside(["*"], [Fence.anywhere]))
  })

  it("is not made of what would admit nothing, silently", () => {
    for (const fence of [[], [""], ["eu-*-1"], ["**"], ["eu west"]]) assert.isTrue(Result.isFailure(decode(fence)))
    const wrong = decode(["eu-*-1"])
    assert.match(
      Result.isFailure(wrong) ? wrong.failure.message : "",
      /Expected a place such as eu-central-1, or the beginning/
    )
    for (const fence of [["eu-*"], ["*"], ["eu-west-1", "us-*"]]) assert.isTrue(Result.isSuccess(decode(fence)))
  })

  const place = Schema.Literals(["eu-west-1", "eu-north-1", "us-east-1", "us-west-2", "ap-south-1", "*"])
  const part = Schema.Literals(["eu-*", "us-*", "eu-west-1", "us-east-1", "ap-south-1", "*", "a*"])

  it.effect.prop(
    "admits no more with fewer parts, and no more with more places",
    [Schema.Array(part), Schema.NonEmptyArray(place), part, place],
    ([fence, places, another, elsewhere]) =>
      Effect.sync(() => {
        const outside = Fence.outside(fence, places)
        if (outside === undefined) assert.isUndefined(Fence.outside([...fence, another], places))
        else assert.isDefined(Fence.outside(fence, [...places, elsewhere]))
        // Each place for itself: a target is inside when all of it is.
        assert.strictEqual(outside === undefined, places.every((one) => Fence.outside(fence, [one]) === undefined))
      })
  )
})
