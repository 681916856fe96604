import { type Decision, Describe, type Target } from "@caprock/router"
import { assert, describe, it } from "@effect/vitest"

const target = (name: string): Target.BuiltTarget => ({ model: "m", name, index: 0 })

const lines = (
  candidates: Readonly<Record<string, Partial<Decision.Candidate> & { readonly why: Decision.Why }>>,
  excluded: Readonly<Record<string, Decision.WhyNot>> = {},
  level?: Decision.Level
) =>
  Describe.toLines({
    candidates: Object.entries(candidates).map(([name, candidate]) => ({
      target: target(name),
      afterMillis: 0,
      waitMillis: 0,
      ...candidate
    })),
    excluded: Object.entries(excluded).map(([name, why]) => ({ target: target(name), why })),
    level
  })

/** What stands after the columns. */
const why = (why: Decision.Why, waitMillis = 0) => lines({ a: { why, waitMillis } })[0]?.slice("1. a  at once  ".length)
const whyNot = (why: Decision.WhyNot) => lines({}, { a: why })[0]?.slice(" - a  not  ".length)

describe("Describe", () => {
  it("has a line for each target, in columns: the candidates by number, then the others", () => {
    assert.deepStrictEqual(
      lines({
        provisioned: { why: { _tag: "Preferred" }, waitMillis: 7_000 },
        b: { why: { _tag: "Overflow", of: "provisioned", waitMillis: 7_000 }, afterMillis: 1_500 },
        c: { why: { _tag: "Overflow", of: "b", waitMillis: 0 }, afterMillis: Infinity }
      }, { d: { _tag: "Probing" } }),
      [
        "1. provisioned  at once                 the policy prefers it; its wait is 7s",
        "2. b            after 1s 500ms          for what provisioned can't take, where it is 7s",
        "3. c            only where others fail  for what b can't take",
        " - d            not                     it was sick, and another call shows whether it is back"
      ]
    )
    assert.deepStrictEqual(lines({}), [])
  })

  it("says at which level the call is", () => {
    const level = { index: 1, of: 3, name: "middling" }
    assert.deepStrictEqual(lines({}, {}, level), ["difficulty: middling, level 2 of 3"])
    assert.deepStrictEqual(lines({}, {}, { ...level, unknown: "dunno" }), [
      "difficulty: middling, level 2 of 3, since no level is called \"dunno\""
    ])
  })

  it("says why", () => {
    assert.strictEqual(why({ _tag: "Drawn", share: 0.125 }), "drawn by weight: 12.5 %")
    assert.strictEqual(why({ _tag: "LeastWait" }, 1_200.4), "by its wait; its wait is 1s 200ms")
    assert.strictEqual(why({ _tag: "MostFree" }), "nobody has a shorter wait; by its room")
    assert.strictEqual(why({ _tag: "Cheapest", usd: 0.0012345 }), "by its price: $0.00123")
    assert.strictEqual(why({ _tag: "Warm" }, Infinity), "its cache has the prompt; nobody can tell when it has room")
    assert.strictEqual(why({ _tag: "Level", name: "hard" }), "for work that is hard")
    assert.strictEqual(why({ _tag: "Chosen" }), "the function chose it")
    assert.strictEqual(why({ _tag: "Probe" }), "it was sick: this call shows whether it is back")
    assert.strictEqual(
      why({ _tag: "Recovering", share: 0.1 }),
      "it comes back and takes 10 % of calls, but nobody else can take this one"
    )
    assert.strictEqual(why({ _tag: "LastTry", after: "ServerError" }), "once more, though it failed: ServerError")
  })

  it("says why not", () => {
    assert.strictEqual(
      whyNot({ _tag: "Outside", place: "us-east-1" }),
      "outside of the call's fence: it may process requests at us-east-1"
    )
    assert.strictEqual(
      whyNot({ _tag: "Outside", place: "*" }),
      "outside of the call's fence: it may process requests at any place"
    )
    assert.strictEqual(
      whyNot({ _tag: "Outside", place: undefined }),
      "it does not say where it processes requests, and the call has a fence"
    )
    assert.strictEqual(whyNot({ _tag: "Lacks", needs: ["tools", "images"] }), "it can't do tools, images")
    assert.strictEqual(whyNot({ _tag: "TooLong", tokens: 7, most: 5 }), "the request has 7 tokens, and it takes 5")
    assert.strictEqual(whyNot({ _tag: "Failed", why: "NotFound" }), "it failed for this call: NotFound")
    assert.strictEqual(whyNot({ _tag: "Refused", tag: "Parked" }), "its pool refuses the call: Parked")
    assert.strictEqual(whyNot({ _tag: "Open", forMillis: 2_000 }), "sick for another 2s")
    assert.strictEqual(
      whyNot({ _tag: "Recovering", share: 0.1 }),
      "it comes back, and takes 10 % of calls: not this one"
    )
    assert.strictEqual(
      whyNot({ _tag: "Recovering", share: 0.1, forMillis: 4_000 }),
      "it comes back, and takes 10 % of calls: not this one for another 4s"
    )
    assert.strictEqual(
      whyNot({ _tag: "TooLate", predictedMillis: 3_000, leftMillis: -1 }),
      "its answer would be there in 3s, and 0 are left"
    )
    assert.strictEqual(whyNot({ _tag: "Level", name: "easy" }), "for work that is easy, and the call is harder")
    assert.strictEqual(whyNot({ _tag: "NotChosen" }), "the policy leaves it out")
  })
})
