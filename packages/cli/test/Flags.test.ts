import * as Flags from "@caprock/cli/commands/Flags"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Option, Result } from "effect"

describe("Flags", () => {
  it("reads lengths of time", () => {
    const millis = (text: string) => Option.getOrUndefined(Option.map(Flags.readDuration(text), Duration.toMillis))
    assert.deepEqual(["6", "6s", "500ms", "0.5s", "2m", "1 minute", "90 seconds", "1H"].map(millis), [
      6000,
      6000,
      500,
      500,
      120_000,
      60_000,
      90_000,
      3_600_000
    ])
    for (const text of ["", "0", "0s", "-1s", "6y", "six", "1 2"]) assert.isUndefined(millis(text), text)
  })

  it("reads faults with their rates", () => {
    assert.deepEqual(
      Result.getOrThrow(Flags.readFaults("internalserverexception=0.02, reset=0.01,Cut=1")),
      [
        { fault: { _tag: "Error", name: "InternalServerException" }, rate: 0.02 },
        { fault: { _tag: "Reset" }, rate: 0.01 },
        { fault: { _tag: "Cut", at: 0.5 }, rate: 1 }
      ]
    )
    for (const text of ["", "bogus=0.1", "reset", "reset=", "reset=2", "reset=-1", "reset=x", "reset=0.1,"]) {
      assert.isTrue(Result.isFailure(Flags.readFaults(text)), text)
    }
  })

  it("reads latencies and lengths of answers", () => {
    assert.deepEqual(["200", "100-900", "400+10"].map((text) => Option.getOrUndefined(Flags.readLatency(text))), [
      { _tag: "Fixed", millis: 200 },
      { _tag: "Uniform", minMillis: 100, maxMillis: 900 },
      { _tag: "PerToken", firstTokenMillis: 400, perTokenMillis: 10 }
    ])
    assert.deepEqual(["300", "0.1-0.5", ".1-1"].map((text) => Option.getOrUndefined(Flags.readOutput(text))), [
      { _tag: "Fixed", tokens: 300 },
      { _tag: "Fraction", min: 0.1, max: 0.5 },
      { _tag: "Fraction", min: 0.1, max: 1 }
    ])
    for (const text of ["", "x", "900-100", "1-2-3", "-5"]) assert.isTrue(Option.isNone(Flags.readLatency(text)), text)
    for (const text of ["", "x", "0.5-0.1", "1-101"]) assert.isTrue(Option.isNone(Flags.readOutput(text)), text)
  })
})
