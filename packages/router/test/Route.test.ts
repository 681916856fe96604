import { Route } from "@caprock/router"
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"

const fileOf = (policy: unknown, route: object = {}) => ({
  targets: { a: { model: "m" } },
  routes: { r: { policy, ...route } }
})

const wrong = (file: unknown): string => {
  const read = Route.fromUnknown(file)
  return Result.isFailure(read) ? read.failure.message : ""
}

describe("a file of routes", () => {
  it("has policies of policies, hedges, fences and patience", () => {
    const file = {
      targets: { a: { model: "m", residency: ["eu-west-1"] }, b: { model: "n" } },
      routes: {
        r: { policy: "a", fence: ["eu-*"], hedge: { percentile: 0.9, share: 0.1 }, affinity: { patience: 0 } },
        s: {
          policy: {
            ordered: [
              {
                headroom: ["a", {
                  weighted: [{ to: "b", weight: 0.5, ramp: { from: "2026-12-01T00:00:00Z", over: "3 days" } }]
                }]
              },
              { cheapest: ["a"], patience: "Infinity" },
              { choose: ["a"], by: "f" },
              { difficulty: [{ level: "easy", to: { ordered: ["a"] } }], by: "g" }
            ],
            patience: 250
          }
        }
      }
    }
    assert.deepStrictEqual<unknown>(Result.getOrThrow(Route.fromJson(JSON.stringify(file))), file)
  })

  it("tells that it is not JSON", () => {
    const read = Route.fromJson("{")
    assert.isTrue(
      Result.isFailure(read) && read.failure.reason === "json" && read.failure.message.startsWith("Not JSON: ")
    )
  })

  it("tells which policies there are, of an object that is none", () => {
    for (
      const policy of [
        {},
        { ordered: ["a"], headroom: ["a"] },
        { headroom: ["a"], patience: 1 },
        { weighted: [], by: "f" },
        { choose: ["a"] },
        { difficulty: [{ level: "l", to: "a" }] },
        { difficulty: [], by: "f", patience: 1 },
        { patience: 1 },
        { by: "f" }
      ]
    ) {
      assert.match(
        wrong(fileOf(policy)),
        /^Expected the name of a target, or one of \{ ordered, patience\? \}, .*\n {2}at \["routes"\]\["r"\]\["policy"\]/,
        JSON.stringify(policy)
      )
    }
  })

  it("tells where a word is that it does not know, and where a value makes no sense", () => {
    const at = (policy: unknown, where: string, expected: RegExp) => {
      const message = wrong(fileOf(policy))
      assert.include(message, `at ["routes"]["r"]["policy"]${where}`, JSON.stringify(policy))
      assert.match(message, expected)
      // And nothing of what it would miss if it were another policy.
      assert.notMatch(message, /Missing key/)
    }
    at({ ordred: ["a"] }, "[\"ordred\"]", /no excess property/)
    at({ ordered: ["a", { cheapest: ["a"], patince: 3 }] }, "[\"ordered\"][1][\"patince\"]", /no excess property/)
    at({ ordered: ["a"], patience: "soon" }, "[\"patience\"]", /a duration, such as "1 second"/)
    at({ ordered: ["a"], patience: -1 }, "[\"patience\"]", /a duration/)
    at({ ordered: ["a", ""] }, "[\"ordered\"][1]", /Expected/)
    at({ weighted: [{ to: "a", weight: -1 }] }, "[\"weighted\"][0][\"weight\"]", /between 0 and/)
    for (const from of ["soon", 3]) {
      at(
        { weighted: [{ to: "a", weight: 1, ramp: { from, over: 1 } }] },
        "[\"weighted\"][0][\"ramp\"][\"from\"]",
        /an instant, such as/
      )
    }
    for (const over of [0, "Infinity", "soon"]) {
      at(
        { weighted: [{ to: "a", weight: 1, ramp: { from: "2026-12-01", over } }] },
        "[\"weighted\"][0][\"ramp\"][\"over\"]",
        /more than 0/
      )
    }
    assert.match(wrong(fileOf("a", { hedge: { percentile: 1.5 } })), /between 0 and 1/)
    assert.match(wrong(fileOf("a", { hedge: { share: -0.5 } })), /between 0 and 1/)
    assert.match(wrong(fileOf("a", { fence: [] })), /fence/)
  })

  it("says what a policy is, whatever is wrong", () => {
    assert.match(
      wrong({ targets: {} }),
      /A policy is the name of a target, or one of \{ ordered, patience\? \}.*\{ choose, by \}$/
    )
  })
})
