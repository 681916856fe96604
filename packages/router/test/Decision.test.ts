import { Decision, type Route, type RouteTable, type Target } from "@caprock/router"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { ask, Dice, facts, file, functions, now, routeOf, routeTo, tableOf, tried } from "./world.ts"

const idle: Decision.Facts = { waitMillis: 0, free: 1, standing: { _tag: "Closed", share: 1 }, warm: 0 }

const anything: Decision.Ask = { input: 1_000, output: 100, needs: [], leftMillis: Infinity }

interface Told {
  readonly targets: Readonly<Record<string, Partial<Target.Target>>>
  /** What is known of a target, by its name. */
  readonly facts?: Readonly<Record<string, Partial<Decision.Facts>>>
  readonly tried?: Readonly<Record<string, Partial<Decision.Trace>>>
  readonly ask?: Partial<Decision.Ask>
  readonly chance?: number
  readonly route?: Partial<Omit<Route.Route, "policy">> & { readonly functions?: RouteTable.Functions }
}

const decide = (policy: Route.Policy, { chance = 0, facts = {}, route, targets, ...told }: Told): Decision.Decision => {
  const names = Object.keys(targets)
  return Decision.decide(
    routeTo(policy, targets, route),
    { ...anything, ...told.ask },
    names.map((name) => ({ ...idle, ...facts[name] })),
    {
      at: (index) => {
        const trace = told.tried?.[names[index] ?? ""]
        return trace && { notBeforeMillis: 0, sick: false, why: "Throttled", ...trace }
      }
    },
    chance,
    now
  )
}

/** `name+after` of each candidate. */
const orderOf = ({ candidates }: Decision.Decision): string =>
  candidates.map(({ afterMillis, target }) => `${target.name}+${afterMillis}`).join(" ")

const whysOf = ({ candidates }: Decision.Decision) =>
  Object.fromEntries(candidates.map(({ target, why }) => [target.name, why]))

const exclusionsOf = ({ excluded }: Decision.Decision) =>
  Object.fromEntries(excluded.map(({ target, why }) => [target.name, why]))

const abc = { a: {}, b: {}, c: {} }

describe("a single target", () => {
  it("is preferred, at once", () => {
    const decision = decide("a", { targets: { a: {} } })
    assert.strictEqual(orderOf(decision), "a+0")
    assert.deepStrictEqual(decision.excluded, [])
    assert.deepStrictEqual(whysOf(decision), { a: { _tag: "Preferred" } })
    assert.isUndefined(decision.level)
  })

  it("is taken to be idle and well where nothing is known of it", () => {
    const route = routeTo("a", { a: {} })
    const { candidates } = Decision.decide(route, anything, [], Decision.untried, 0, now)
    assert.deepStrictEqual(candidates.map(({ afterMillis, waitMillis }) => [afterMillis, waitMillis]), [[0, 0]])
    assert.deepStrictEqual(candidates[0]?.why, { _tag: "Preferred" })
  })

  it("has the wait that is predicted for it", () => {
    const { candidates } = decide("a", { targets: { a: {} }, facts: { a: { waitMillis: 1_234 } } })
    assert.deepStrictEqual(candidates.map(({ afterMillis, waitMillis }) => [afterMillis, waitMillis]), [[0, 1_234]])
  })
})

describe("ordered", () => {
  it("waits for the first as long as its patience, and for the others at once where it takes longer", () => {
    const at = (waitMillis: number, patience?: Route.Ordered["patience"]) =>
      orderOf(decide(patience === undefined ? { ordered: ["a", "b"] } : { ordered: ["a", "b"], patience }, {
        targets: abc,
        facts: { a: { waitMillis }, b: { waitMillis: 100 } }
      }))
    assert.strictEqual(at(0), "a+0 b+1000")
    assert.strictEqual(at(1_100), "a+0 b+1000")
    assert.strictEqual(at(1_101), "a+0 b+0")
    assert.strictEqual(at(5_100, "5 seconds"), "a+0 b+5000")
    assert.strictEqual(at(5_101, "5 seconds"), "a+0 b+0")
    assert.strictEqual(at(0, 0), "a+0 b+0")
    assert.strictEqual(at(1e9, "Infinity"), "a+0 b+Infinity")
  })

  it("compares each with the readiest of those before it", () => {
    const at = (a: number, b: number, c: number) =>
      orderOf(decide({ ordered: ["a", "b", "c"] }, {
        targets: abc,
        facts: { a: { waitMillis: a }, b: { waitMillis: b }, c: { waitMillis: c } }
      }))
    assert.strictEqual(at(10_000, 10_000, 0), "a+0 b+1000 c+0")
    assert.strictEqual(at(10_000, 500, 0), "a+0 b+0 c+1000")
    assert.strictEqual(at(10_000, 5_000, 0), "a+0 b+0 c+0")
    assert.strictEqual(at(0, 0, 0), "a+0 b+1000 c+1000")
  })

  it("says which one another takes the overflow of", () => {
    const decision = decide({ ordered: ["a", "b", "c"] }, {
      targets: abc,
      facts: { a: { waitMillis: 7_000 }, b: { waitMillis: 5_000 } }
    })
    assert.deepStrictEqual(whysOf(decision), {
      a: { _tag: "Preferred" },
      b: { _tag: "Overflow", of: "a", waitMillis: 7_000 },
      c: { _tag: "Overflow", of: "b", waitMillis: 5_000 }
    })
  })

  it("names the first where several before it are as ready", () => {
    const decision = decide({ ordered: [{ headroom: ["a", "b"] }, "c"] }, {
      targets: abc,
      facts: { a: { waitMillis: 7_000 }, b: { waitMillis: 7_000 } }
    })
    assert.deepStrictEqual(whysOf(decision)["c"], { _tag: "Overflow", of: "a", waitMillis: 7_000 })
  })

  it("is patient for a whole policy, and for that as for what is within it", () => {
    const policy: Route.Policy = {
      ordered: [{ ordered: ["a", "b"], patience: 200 }, { ordered: ["c", "d"], patience: 300 }],
      patience: 5_000
    }
    const at = (waits: Readonly<Record<string, number>>) =>
      orderOf(decide(policy, {
        targets: { ...abc, d: {} },
        facts: Object.fromEntries(Object.entries(waits).map(([name, waitMillis]) => [name, { waitMillis }]))
      }))
    assert.strictEqual(at({}), "a+0 b+200 c+5000 d+5300")
    assert.strictEqual(at({ a: 9_000, b: 9_000 }), "a+0 b+200 c+0 d+300")
    assert.strictEqual(at({ a: 9_000, b: 4_800 }), "a+0 b+0 c+5000 d+5300")
    assert.strictEqual(at({ a: 9_000, b: 9_000, c: 9_000 }), "a+0 b+200 c+0 d+0")
  })
})

describe("headroom", () => {
  it("prefers the least wait, then the most room, and lets one wait for all at once", () => {
    const decision = decide({ headroom: ["a", "b", "c"] }, {
      targets: abc,
      facts: { a: { waitMillis: 300 }, b: { free: 0.4 }, c: { free: 0.5 } }
    })
    assert.strictEqual(orderOf(decision), "c+0 b+0 a+0")
    assert.deepStrictEqual(whysOf(decision), {
      a: { _tag: "LeastWait" },
      b: { _tag: "MostFree" },
      c: { _tag: "MostFree" }
    })
  })

  it("keeps the file's order between equals, of which two may never be ready", () => {
    assert.strictEqual(orderOf(decide({ headroom: ["b", "a", "c"] }, { targets: abc })), "b+0 a+0 c+0")
    const never = { waitMillis: Infinity }
    const decision = decide({ headroom: ["a", "b", "c"] }, {
      targets: abc,
      facts: { a: { ...never, free: 0 }, c: never }
    })
    assert.strictEqual(orderOf(decision), "b+0 a+0 c+0")
  })

  it("counts a policy as ready as the readiest within it", () => {
    const decision = decide({ headroom: ["a", { ordered: ["b", "c"] }] }, {
      targets: abc,
      facts: { a: { waitMillis: 50 }, b: { waitMillis: 5_000 }, c: { waitMillis: 20 } }
    })
    assert.strictEqual(orderOf(decision), "b+0 c+0 a+0")
    assert.deepStrictEqual(whysOf(decision), {
      a: { _tag: "LeastWait" },
      b: { _tag: "MostFree" },
      c: { _tag: "Overflow", of: "b", waitMillis: 5_000 }
    })
    assert.deepStrictEqual(whysOf(decide({ headroom: ["a"] }, { targets: abc })), { a: { _tag: "Preferred" } })
  })

  it("stays with a warm cache as long as that is acceptable, and lets the others wait as long", () => {
    const at = (waitMillis: number, route: Partial<Route.Route> = {}) =>
      orderOf(decide({ headroom: ["a", "b", "c"] }, {
        targets: abc,
        route,
        facts: { b: { waitMillis: 100 + waitMillis, warm: 1 }, a: { waitMillis: 100 }, c: { waitMillis: 200 } }
      }))
    assert.strictEqual(at(5_000), "b+0 a+5000 c+5000")
    assert.strictEqual(at(5_001), "a+0 c+0 b+0")
    assert.strictEqual(at(300, { affinity: { patience: 300 } }), "b+0 a+300 c+300")
    assert.strictEqual(at(301, { affinity: { patience: 300 } }), "a+0 c+0 b+0")
    assert.strictEqual(at(0, { affinity: { patience: 0 } }), "b+0 a+0 c+0")
  })

  it("tells who is warm, and has nothing to wait for where all are", () => {
    const some = decide({ headroom: ["a", "b"] }, { targets: abc, facts: { b: { warm: 1 } } })
    assert.deepStrictEqual(whysOf(some), { a: { _tag: "MostFree" }, b: { _tag: "Warm" } })
    const all = decide({ headroom: ["a", "b"] }, {
      targets: abc,
      facts: { a: { warm: 1 }, b: { warm: 1, free: 0.5 } }
    })
    assert.strictEqual(orderOf(all), "a+0 b+0")
  })

  it("stays with who has more of the prompt before who has less of it, and with that before who has none", () => {
    const at = (waitMillis: number) =>
      orderOf(decide({ headroom: ["a", "b", "c", "d"] }, {
        targets: { ...abc, d: {} },
        facts: { c: { waitMillis, warm: 3 }, b: { warm: 1 }, d: { warm: 1, free: 0.5 } }
      }))
    assert.strictEqual(at(5_000), "c+0 b+5000 d+5000 a+5000")
    assert.strictEqual(at(5_001), "b+0 d+0 a+5000 c+5000")
  })

  it("follows the cache of what a policy prefers, and not of its overflow", () => {
    const policy: Route.Policy = { headroom: ["a", { ordered: ["b", "c"] }] }
    assert.strictEqual(
      orderOf(decide(policy, { targets: abc, facts: { c: { warm: 1 } } })),
      "a+0 b+0 c+1000"
    )
    assert.strictEqual(
      orderOf(decide(policy, { targets: abc, facts: { b: { warm: 1 } } })),
      "b+0 c+1000 a+5000"
    )
  })
})

describe("weighted", () => {
  const weights = (...weights: ReadonlyArray<number>): Route.Weighted => ({
    weighted: weights.map((weight, i) => ({ to: ["a", "b", "c"][i] ?? "", weight }))
  })
  /** How often each comes first. */
  const firstOf = (policy: Route.Policy, told: Partial<Told> = {}, runs = 4_000) => {
    const dice = new Dice(7)
    const route = routeTo(policy, abc)
    const known = Object.keys(abc).map((name) => ({ ...idle, ...told.facts?.[name] }))
    const count: Record<string, number> = { a: 0, b: 0, c: 0 }
    for (let run = 0; run < runs; run++) {
      const name =
        Decision.decide(route, anything, known, Decision.untried, dice.next(), now).candidates[0]?.target.name ?? ""
      count[name] = (count[name] ?? 0) + 1 / runs
    }
    return count
  }

  it("draws each as often as its weight says", () => {
    const { a, b, c } = firstOf(weights(5, 3, 2))
    assert.closeTo(a ?? 0, 0.5, 0.03)
    assert.closeTo(b ?? 0, 0.3, 0.03)
    assert.closeTo(c ?? 0, 0.2, 0.03)
  })

  it("draws among those that can take it", () => {
    const { a, b, c } = firstOf(weights(5, 3, 2), { facts: { a: { refused: "Parked" } } })
    assert.strictEqual(a, 0)
    assert.closeTo(b ?? 0, 0.6, 0.03)
    assert.closeTo(c ?? 0, 0.4, 0.03)
  })

  it("draws the others in the same way, and tells the shares of all", () => {
    const dice = new Dice(3)
    const seconds: Record<string, number> = {}
    for (let run = 0; run < 4_000; run++) {
      const { candidates } = decide(weights(5, 3, 2), { targets: abc, chance: dice.next() })
      const [first, second, third] = candidates
      if (third?.target.name === "c") assert.deepStrictEqual(third.why, { _tag: "Drawn", share: 0.2 })
      if (first?.target.name !== "a") continue
      assert.deepStrictEqual(first.why, { _tag: "Drawn", share: 0.5 })
      seconds[second?.target.name ?? ""] = (seconds[second?.target.name ?? ""] ?? 0) + 1
    }
    assert.closeTo((seconds["b"] ?? 0) / ((seconds["b"] ?? 0) + (seconds["c"] ?? 0)), 0.6, 0.04)
  })

  it("waits for who was drawn as for who comes first", () => {
    const policy: Route.Policy = { weighted: [{ to: "a", weight: 1 }, { to: "b", weight: 1e-9 }] }
    const at = (waitMillis: number) => orderOf(decide(policy, { targets: abc, facts: { a: { waitMillis } } }))
    assert.strictEqual(at(1_000), "a+0 b+1000")
    assert.strictEqual(at(1_001), "a+0 b+0")
  })

  it("draws nothing with a weight of 0", () => {
    const decision = decide(weights(1, 0), { targets: abc })
    assert.strictEqual(orderOf(decision), "a+0")
    assert.deepStrictEqual(exclusionsOf(decision), { b: { _tag: "NotChosen" } })
  })

  it("lets a weight grow evenly, from nothing", () => {
    const ramp = (from: number): Route.Weighted => ({
      weighted: [
        { to: "a", weight: 1 },
        { to: "b", weight: 3, ramp: { from: new Date(from).toISOString(), over: "1 second" } }
      ]
    })
    assert.strictEqual(orderOf(decide(ramp(now), { targets: abc })), "a+0")
    assert.closeTo(firstOf(ramp(now - 333))["b"] ?? 0, 0.5, 0.03)
    assert.closeTo(firstOf(ramp(now - 1_000))["b"] ?? 0, 0.75, 0.03)
    assert.closeTo(firstOf(ramp(now - 10_000))["b"] ?? 0, 0.75, 0.03)
  })

  it("draws each time anew where one policy is within another", () => {
    const within: Route.Policy = {
      weighted: [{ to: { weighted: [{ to: "a", weight: 1 }, { to: "b", weight: 1 }] }, weight: 1 }, {
        to: "c",
        weight: 1
      }]
    }
    const { a, b, c } = firstOf(within)
    assert.closeTo(a ?? 0, 0.25, 0.03)
    assert.closeTo(b ?? 0, 0.25, 0.03)
    assert.closeTo(c ?? 0, 0.5, 0.03)
    const beside: Route.Policy = {
      ordered: [
        { weighted: [{ to: "a", weight: 1 }, { to: "b", weight: 1 }] },
        { weighted: [{ to: "c", weight: 1 }, { to: "d", weight: 1 }] }
      ]
    }
    const dice = new Dice(5)
    let both = 0
    for (let run = 0; run < 2_000; run++) {
      const names = decide(beside, { targets: { ...abc, d: {} }, chance: dice.next() }).candidates.map(({ target }) =>
        target.name
      )
      if (names[0] === "a" && names[2] === "c") both++
    }
    assert.closeTo(both / 2_000, 0.25, 0.04)
  })
})

describe("cheapest", () => {
  const priced = {
    a: { price: { input: 3, output: 15 } },
    b: { price: { input: 0, output: 0 } },
    c: { price: { input: 1, output: 1 } }
  }

  it("prefers the lowest price of this call, and what is paid already to any", () => {
    const decision = decide({ cheapest: ["a", "b", "c"] }, { targets: priced })
    assert.strictEqual(orderOf(decision), "b+0 c+20000 a+20000")
    assert.deepStrictEqual(whysOf(decision), {
      a: { _tag: "Cheapest", usd: 0.0045 },
      b: { _tag: "Cheapest", usd: 0 },
      c: { _tag: "Cheapest", usd: 0.0011 }
    })
    // Much input and little output, and the other way round.
    const two = { a: { price: { input: 1, output: 5 } }, b: { price: { input: 2, output: 1 } } }
    const at = (input: number, output: number) =>
      orderOf(decide({ cheapest: ["a", "b"] }, { targets: two, ask: { input, output } }))
    assert.strictEqual(at(1_000, 10), "a+0 b+20000")
    assert.strictEqual(at(10, 1_000), "b+0 a+20000")
  })

  it("prefers of two for the same price who makes wait less", () => {
    const same = { a: priced.c, b: priced.c }
    assert.strictEqual(
      orderOf(decide({ cheapest: ["a", "b"] }, { targets: same, facts: { a: { waitMillis: 1 } } })),
      "b+0 a+20000"
    )
  })

  it("waits to pay less as long as it is told, else as the deadline leaves, else 20 seconds", () => {
    const at = (waitMillis: number, ask: Partial<Decision.Ask>, patience?: number) =>
      orderOf(decide(patience === undefined ? { cheapest: ["a", "c"] } : { cheapest: ["a", "c"], patience }, {
        targets: priced,
        ask,
        facts: { c: { waitMillis }, a: { waitMillis: 500, latencyMillis: 2_000 } }
      }))
    assert.strictEqual(at(0, {}, 300), "c+0 a+300")
    assert.strictEqual(at(801, {}, 300), "c+0 a+0")
    assert.strictEqual(at(20_500, {}), "c+0 a+20000")
    assert.strictEqual(at(20_501, {}), "c+0 a+0")
    assert.strictEqual(at(0, { leftMillis: 10_000 }), "c+0 a+7500")
    assert.strictEqual(at(8_001, { leftMillis: 10_000 }), "c+0 a+0")
  })

  it("pays more where what is cheaper would be too late, and tells so", () => {
    const decision = decide({ cheapest: ["a", "c"] }, {
      targets: priced,
      ask: { leftMillis: 3_000 },
      facts: { c: { waitMillis: 1_500, latencyMillis: 2_000 }, a: { latencyMillis: 3_000 } }
    })
    assert.strictEqual(orderOf(decision), "a+0")
    assert.deepStrictEqual(exclusionsOf(decision)["c"], { _tag: "TooLate", predictedMillis: 3_500, leftMillis: 3_000 })
  })

  it("does not wait for a time that is over", () => {
    const decision = decide({ cheapest: ["c", "a"] }, {
      targets: priced,
      ask: { leftMillis: 1_000 },
      facts: { c: { latencyMillis: 5_000 }, a: { latencyMillis: 2_000 } }
    })
    assert.strictEqual(orderOf(decision), "c+0 a+0")
  })

  it("compares policies by what they prefer", () => {
    const decision = decide({ cheapest: ["c", { ordered: ["b", "a"] }] }, { targets: priced })
    assert.strictEqual(orderOf(decision), "b+0 a+1000 c+20000")
    assert.deepStrictEqual(whysOf(decision)["a"], { _tag: "Overflow", of: "b", waitMillis: 0 })
  })
})

describe("difficulty", () => {
  const policy: Route.Difficulty = {
    difficulty: [{ level: "easy", to: "a" }, { level: "middling", to: { ordered: ["b", "a"] } }, {
      level: "hard",
      to: "c"
    }],
    by: "by"
  }
  const at = (said: string, ask: Partial<Decision.Ask> = {}, facts: Told["facts"] = {}) =>
    decide(policy, { targets: abc, ask, facts, route: { functions: { classify: { by: () => said } } } })

  it("begins at the call's level, and has harder ones to fall back on", () => {
    const easy = at("easy")
    assert.strictEqual(orderOf(easy), "a+0 b+20000 c+20000")
    assert.deepStrictEqual(easy.level, { index: 0, of: 3, name: "easy", unknown: undefined })
    assert.deepStrictEqual(whysOf(easy), {
      a: { _tag: "Level", name: "easy" },
      b: { _tag: "Level", name: "middling" },
      c: { _tag: "Level", name: "hard" }
    })
    const hard = at("hard")
    assert.strictEqual(orderOf(hard), "c+0")
    assert.deepStrictEqual(exclusionsOf(hard), {
      a: { _tag: "Level", name: "middling" },
      b: { _tag: "Level", name: "middling" }
    })
  })

  it("tells of what is for easier work that it is", () => {
    const middling = at("middling")
    assert.strictEqual(orderOf(middling), "b+0 a+1000 c+20000")
    assert.deepStrictEqual(middling.excluded, [])
    assert.deepStrictEqual(exclusionsOf(at("middling", {}, { a: { refused: "Parked" } })), {
      a: { _tag: "Refused", tag: "Parked" }
    })
  })

  it("goes harder where nobody can take it at its level", () => {
    assert.strictEqual(orderOf(at("easy", {}, { a: { refused: "Parked" }, b: { waitMillis: 30_000 } })), "b+0 c+0")
  })

  it("begins where it is told to, whatever the function says, and no higher than there are levels", () => {
    assert.strictEqual(orderOf(at("easy", { level: 1 })), "b+0 a+1000 c+20000")
    assert.deepStrictEqual(at("easy", { level: 1 }).level, { index: 1, of: 3, name: "middling", unknown: undefined })
    assert.deepStrictEqual(at("easy", { level: 7 }).level, { index: 2, of: 3, name: "hard", unknown: undefined })
  })

  it("does not ask the function where the level is told", () => {
    let asked = 0
    const classify = { by: () => `asked ${++asked} times` }
    decide(policy, { targets: abc, ask: { level: 0 }, route: { functions: { classify } } })
    assert.strictEqual(asked, 0)
  })

  it("has what its own level leaves out left out by the policy", () => {
    const decision = decide({
      difficulty: [{ level: "easy", to: "a" }, {
        level: "hard",
        to: { weighted: [{ to: "b", weight: 1 }, { to: "c", weight: 0 }] }
      }],
      by: "by"
    }, { targets: abc, route: { functions: { classify: { by: () => "hard" } } } })
    assert.deepStrictEqual(exclusionsOf(decision), { a: { _tag: "Level", name: "easy" }, c: { _tag: "NotChosen" } })
  })

  it("takes work of an unknown level for the hardest, and tells so", () => {
    const decision = at("dunno")
    assert.strictEqual(orderOf(decision), "c+0")
    assert.deepStrictEqual(decision.level, { index: 2, of: 3, name: "hard", unknown: "dunno" })
  })

  it("asks the function with what it was asked", () => {
    let seen: Decision.Ask | undefined
    const classify = { by: (ask: Decision.Ask) => String(seen = ask) }
    decide(policy, { targets: abc, ask: { request: "why?" }, route: { functions: { classify } } })
    assert.deepStrictEqual(seen, { ...anything, request: "why?" })
  })
})

describe("choose", () => {
  const at = (
    chosen: ReadonlyArray<string>,
    told: Partial<Told> = {},
    policy: Route.Policy = { choose: ["a", "b", "c"], by: "by" }
  ) => decide(policy, { targets: abc, ...told, route: { functions: { choose: { by: () => chosen } } } })

  it("uses those that the function names, in its order", () => {
    const decision = at(["c", "a"])
    assert.strictEqual(orderOf(decision), "c+0 a+1000")
    assert.deepStrictEqual(whysOf(decision), { a: { _tag: "Chosen" }, c: { _tag: "Chosen" } })
    assert.deepStrictEqual(exclusionsOf(decision), { b: { _tag: "NotChosen" } })
  })

  it("waits for the first as anybody would", () => {
    assert.strictEqual(orderOf(at(["c", "a"], { facts: { c: { waitMillis: 1_001 } } })), "c+0 a+0")
  })

  it("passes over names that it was not given, and such that were there before", () => {
    assert.strictEqual(orderOf(at(["x", "b", "b", "constructor", "a"], { facts: { a: { refused: "Parked" } } })), "b+0")
    assert.strictEqual(orderOf(at([])), "")
  })

  it("shows the function what is known of those that are able", () => {
    let seen: ReadonlyArray<Decision.Choosable> = []
    const functions = {
      choose: {
        by: (_: Decision.Ask, able: ReadonlyArray<Decision.Choosable>) => {
          seen = able
          return []
        }
      }
    }
    decide({ choose: ["b", { headroom: ["a", "c", "b"] }], by: "by" }, {
      targets: { a: { price: { input: 1, output: 0 } }, b: {}, c: { able: { input: 10 } } },
      facts: { a: { waitMillis: 7 } },
      route: { functions }
    })
    assert.deepStrictEqual(seen.map(({ target, usd, waitMillis }) => [target.name, usd, waitMillis]), [
      ["b", undefined, 0],
      ["a", 0.001, 7]
    ])
  })

  it("is told who is able by policies, and not in which order", () => {
    assert.strictEqual(
      orderOf(at(["b", "a"], {}, { choose: [{ ordered: ["a", "b"], patience: 300 }, "c"], by: "by" })),
      "b+0 a+1000"
    )
  })

  it("has left out whom it leaves out, well or not", () => {
    const standing = { _tag: "Closed", share: 0 } as const
    const decision = at([], {
      facts: { a: { standing }, b: { standing }, c: { latencyMillis: 9 } },
      ask: { leftMillis: 8 }
    })
    assert.deepStrictEqual(exclusionsOf(decision), {
      a: { _tag: "NotChosen" },
      b: { _tag: "NotChosen" },
      c: { _tag: "NotChosen" }
    })
    const back = at(["a"], { facts: { a: { standing }, b: { standing }, c: { refused: "Parked" } } })
    assert.deepStrictEqual(exclusionsOf(back), { b: { _tag: "NotChosen" }, c: { _tag: "Refused", tag: "Parked" } })
  })
})

describe("able, and in time", () => {
  const policy: Route.Policy = { ordered: ["a", "b"] }
  const both = { a: {}, b: {} }

  it("is who has what the call needs, as far as is known", () => {
    const targets = { a: { able: { tools: false, images: true, streaming: false } }, b: { able: { images: true } } }
    const decision = decide(policy, { targets, ask: { needs: ["tools", "images", "caching"] } })
    assert.strictEqual(orderOf(decision), "b+0")
    assert.deepStrictEqual(exclusionsOf(decision), { a: { _tag: "Lacks", needs: ["tools"] } })
  })

  it("is who takes as many tokens", () => {
    const at = (input: number) =>
      decide(policy, { targets: { a: { able: { input: 500 } }, b: { able: {} } }, ask: { input } })
    assert.strictEqual(orderOf(at(500)), "a+0 b+1000")
    assert.deepStrictEqual(exclusionsOf(at(501)), { a: { _tag: "TooLong", tokens: 501, most: 500 } })
  })

  it("is who is inside of the fence that the call has to stay in", () => {
    const targets = {
      a: { residency: ["eu-west-1", "us-east-1"] as const },
      b: { residency: ["eu-west-1"] as const },
      c: {}
    }
    const decision = decide({ ordered: ["a", "b", "c"] }, { targets, ask: { fence: ["eu-*"] } })
    assert.strictEqual(orderOf(decision), "b+0")
    assert.deepStrictEqual(exclusionsOf(decision), {
      a: { _tag: "Outside", place: "us-east-1" },
      c: { _tag: "Outside", place: undefined }
    })
  })

  it("is who is admitted before the deadline", () => {
    const at = (waitMillis: number, leftMillis = 1_000) =>
      decide(policy, {
        targets: both,
        ask: { leftMillis },
        facts: { a: { waitMillis, latencyMillis: 1 }, b: { waitMillis: 500 } }
      })
    assert.strictEqual(orderOf(at(998)), "a+0 b+1000")
    assert.deepStrictEqual(exclusionsOf(at(1_000)), {
      a: { _tag: "TooLate", predictedMillis: 1_001, leftMillis: 1_000 }
    })
    assert.strictEqual(orderOf(at(0, 0)), "")
    assert.strictEqual(orderOf(at(Infinity, 0)), "")
  })

  it("is who is predicted to answer before it, unless nobody is", () => {
    const at = (a: number, b: number) =>
      decide(policy, {
        targets: both,
        ask: { leftMillis: 1_000 },
        facts: { a: { latencyMillis: a }, b: { latencyMillis: b } }
      })
    assert.strictEqual(orderOf(at(1_000, 1_000)), "a+0 b+1000")
    assert.strictEqual(orderOf(at(1_001, 1_000)), "b+0")
    assert.strictEqual(orderOf(at(1_001, 2_000)), "a+0 b+1000")
  })

  it("may be who nobody can tell of when it admits", () => {
    const at = (leftMillis: number, b: number) =>
      orderOf(
        decide(policy, {
          targets: both,
          ask: { leftMillis },
          facts: { a: { waitMillis: Infinity }, b: { waitMillis: b } }
        })
      )
    assert.strictEqual(at(Infinity, 0), "a+0 b+0")
    assert.strictEqual(at(1_000, 0), "b+0")
    assert.strictEqual(at(1_000, Infinity), "a+0 b+1000")
  })

  it("is who its pool does not refuse", () => {
    const decision = decide(policy, { targets: both, facts: { a: { refused: "PoolClosed" } } })
    assert.strictEqual(orderOf(decision), "b+0")
    assert.deepStrictEqual(exclusionsOf(decision), { a: { _tag: "Refused", tag: "PoolClosed" } })
  })
})

describe("health", () => {
  const policy: Route.Policy = { ordered: ["a", "b"] }
  const at = (standing: Decision.Standing, told: Partial<Told> = {}) =>
    decide(policy, { targets: { a: {}, b: {} }, facts: { a: { standing } }, ...told })

  it("leaves out who is sick, until it is time for a probe", () => {
    const open = at({ _tag: "Open", untilMillis: now + 700 })
    assert.strictEqual(orderOf(open), "b+0")
    assert.deepStrictEqual(exclusionsOf(open), { a: { _tag: "Open", forMillis: 700 } })
    const over = at({ _tag: "Open", untilMillis: now })
    assert.strictEqual(orderOf(over), "a+0 b+1000")
    assert.deepStrictEqual(whysOf(over)["a"], { _tag: "Probe" })
  })

  it("sends one call to see whether it is back, and the others elsewhere", () => {
    const wanted = at({ _tag: "HalfOpen", probing: false })
    assert.strictEqual(orderOf(wanted), "a+0 b+1000")
    assert.deepStrictEqual(whysOf(wanted)["a"], { _tag: "Probe" })
    const probing = at({ _tag: "HalfOpen", probing: true })
    assert.strictEqual(orderOf(probing), "b+0")
    assert.deepStrictEqual(exclusionsOf(probing), { a: { _tag: "Probing" } })
  })

  it("gives who comes back its share of calls, whatever the others wait", () => {
    const dice = new Dice(11)
    let first = 0
    for (let run = 0; run < 2_000; run++) {
      const decision = at({ _tag: "Closed", share: 0.3 }, {
        chance: dice.next(),
        facts: { a: { standing: { _tag: "Closed", share: 0.3 } }, b: { waitMillis: 60_000 } }
      })
      if (decision.candidates[0]?.target.name === "a") {
        first++
        assert.deepStrictEqual(whysOf(decision)["a"], { _tag: "Preferred" })
      } else {
        assert.deepStrictEqual(exclusionsOf(decision), { a: { _tag: "Recovering", share: 0.3 } })
      }
    }
    assert.closeTo(first / 2_000, 0.3, 0.04)
    const none = at({ _tag: "Closed", share: 0 }, { facts: { a: { standing: { _tag: "Closed", share: 0 } } } })
    assert.strictEqual(orderOf(none), "b+0")
  })

  it("says when who comes back takes the call, where it is known until when it does", () => {
    const dice = new Dice(12)
    // A quarter now, and a quarter more each second.
    const standing = { _tag: "Closed", share: 0.25, untilMillis: now + 3_000 } as const
    const in_ = (chance: number, facts: Decision.Facts["standing"]) =>
      exclusionsOf(at(facts, { chance, facts: { a: { standing: facts } } }))["a"]
    for (let run = 0; run < 200; run++) {
      const chance = dice.next()
      const why = in_(chance, standing)
      if (why?._tag !== "Recovering") continue
      const forMillis = why.forMillis ?? Infinity
      assert.isTrue(forMillis >= 0 && forMillis < 3_000)
      const share = (millis: number) => 0.25 + 0.75 * millis / 3_000
      assert.isDefined(in_(chance, { ...standing, share: share(forMillis - 1) }))
      assert.isUndefined(in_(chance, { ...standing, share: share(forMillis + 1) }))
    }
  })

  it("draws for each that comes back by itself", () => {
    const standing = { _tag: "Closed", share: 0.5 } as const
    const dice = new Dice(13)
    let both = 0
    for (let run = 0; run < 2_000; run++) {
      const { candidates } = decide({ ordered: ["a", "b", "c"] }, {
        targets: abc,
        chance: dice.next(),
        facts: { a: { standing }, b: { standing } }
      })
      if (candidates.length === 3) both++
    }
    assert.closeTo(both / 2_000, 0.25, 0.04)
  })

  it("gives it all calls where nobody else can take them", () => {
    const standing = { _tag: "Closed", share: 0 } as const
    const decision = decide(policy, { targets: { a: {}, b: {} }, facts: { a: { standing }, b: { standing } } })
    assert.strictEqual(orderOf(decision), "a+0 b+1000")
    assert.deepStrictEqual(whysOf(decision), {
      a: { _tag: "Recovering", share: 0 },
      b: { _tag: "Recovering", share: 0 }
    })
  })

  it("rather than be late, waits for who comes back", () => {
    const standing = { _tag: "Closed", share: 0 } as const
    const decision = decide(policy, {
      targets: { a: {}, b: {} },
      ask: { leftMillis: 1_000 },
      facts: { a: { latencyMillis: 2_000 }, b: { standing } }
    })
    assert.strictEqual(orderOf(decision), "b+0")
    assert.strictEqual(exclusionsOf(decision)["a"]?._tag, "TooLate")
    const late = decide(policy, {
      targets: { a: {}, b: {} },
      ask: { leftMillis: 1_000 },
      facts: { a: { standing, latencyMillis: 2_000 }, b: { standing } }
    })
    assert.strictEqual(exclusionsOf(late)["a"]?._tag, "TooLate")
  })
})

describe("what was tried before", () => {
  const policy: Route.Policy = { ordered: ["a", "b"] }
  const at = (trace: Partial<Decision.Trace>, facts: Told["facts"] = {}) =>
    decide(policy, { targets: { a: {}, b: {} }, tried: { a: trace }, facts })

  it("waits again where it was throttled, or goes elsewhere, by which is sooner", () => {
    assert.strictEqual(orderOf(at({ notBeforeMillis: now + 800 })), "a+800 b+1000")
    assert.strictEqual(orderOf(at({ notBeforeMillis: now + 1_001 })), "a+1001 b+0")
    assert.strictEqual(orderOf(at({ notBeforeMillis: now + 2_000 }, { b: { waitMillis: 1_500 } })), "a+2000 b+1000")
    assert.strictEqual(orderOf(at({ notBeforeMillis: now + 100 }, { a: { waitMillis: 1_001 } })), "a+100 b+0")
    assert.deepStrictEqual(whysOf(at({ notBeforeMillis: now + 800 }))["a"], { _tag: "Preferred" })
  })

  it("goes to all others first where it failed", () => {
    const failed = at({ notBeforeMillis: now + 300, sick: true, why: "ServerError" })
    assert.strictEqual(orderOf(failed), "b+0 a+1300")
    assert.deepStrictEqual(whysOf(failed), { a: { _tag: "LastTry", after: "ServerError" }, b: { _tag: "Preferred" } })
    assert.strictEqual(orderOf(at({ sick: true }, { b: { waitMillis: 5_000 } })), "b+0 a+0")
    assert.strictEqual(orderOf(at({ notBeforeMillis: now + 300, sick: true }, { b: { refused: "Parked" } })), "a+300")
  })

  it("never goes again where that is of no use", () => {
    const decision = at({ notBeforeMillis: Infinity, sick: true, why: "NotFound" })
    assert.strictEqual(orderOf(decision), "b+0")
    assert.deepStrictEqual(exclusionsOf(decision), { a: { _tag: "Failed", why: "NotFound" } })
  })

  it("is too late where it may be tried again after the deadline", () => {
    const decision = decide(policy, {
      targets: { a: {}, b: {} },
      tried: { a: { notBeforeMillis: now + 1_000 } },
      ask: { leftMillis: 1_000 }
    })
    assert.deepStrictEqual(exclusionsOf(decision)["a"], { _tag: "TooLate", predictedMillis: 1_000, leftMillis: 1_000 })
  })
})

describe("any decision", () => {
  const Seed = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 31 }))

  const drawn = (seed: number) => {
    const dice = new Dice(seed)
    const content = file(dice)
    // Where they are and what they cost is the subject of other tests.
    const { fence: _, ...route } = content.routes["r"] ?? { policy: "" }
    const table = tableOf({ ...content, routes: { r: route } }, functions(dice))
    const known = table.targets.map(() => facts(dice))
    return { route: routeOf(table), asked: ask(dice), known, past: tried(dice, known.length), chance: dice.next() }
  }

  it.effect.prop(
    "has each target of the route once, either as a candidate or with the reason why not",
    [Seed],
    ([seed]) =>
      Effect.sync(() => {
        const { asked, chance, known, past, route } = drawn(seed)
        const { candidates, excluded } = Decision.decide(route, asked, known, past, chance, now)
        const all = [...candidates, ...excluded].map(({ target }) => target.index)
        assert.deepStrictEqual(all.sort((a, b) => a - b), route.targets.map(({ index }) => index).sort((a, b) => a - b))
        for (const { afterMillis } of candidates) assert.isAtLeast(afterMillis, 0)
      }),
    { arbitrary: { runs: 500 } }
  )

  it.effect.prop(
    "is the same whenever the same is known, and changes nothing of that",
    [Seed],
    ([seed]) =>
      Effect.sync(() => {
        const { asked, chance, known, past, route } = drawn(seed)
        const before = JSON.stringify([asked, known])
        const decision = Decision.decide(route, asked, known, past, chance, now)
        assert.deepStrictEqual(Decision.decide(route, asked, known, past, chance, now), decision)
        assert.strictEqual(JSON.stringify([asked, known]), before)
      }),
    { arbitrary: { runs: 500 } }
  )

  it.effect.prop(
    "has only candidates that are able, that their pools take, that are not sick, and that failed for good in no other try",
    [Seed],
    ([seed]) =>
      Effect.sync(() => {
        const { asked, chance, known, past, route } = drawn(seed)
        const { candidates } = Decision.decide(route, asked, known, past, chance, now)
        let isLast = false
        for (const { afterMillis, target } of candidates) {
          const { refused, standing } = known[target.index] ?? idle
          const trace = past.at(target.index)
          assert.isTrue(asked.needs.every((need) => target.able?.[need] !== false))
          assert.isAtMost(asked.input, target.able?.input ?? Infinity)
          assert.isUndefined(refused)
          assert.isFalse(standing._tag === "Open" && standing.untilMillis > now)
          assert.isFalse(standing._tag === "HalfOpen" && standing.probing)
          assert.notStrictEqual(trace?.notBeforeMillis, Infinity)
          assert.isAtLeast(afterMillis, (trace?.notBeforeMillis ?? 0) - now)
          // Once sick for this call, behind all that are not.
          if (trace?.sick === true) isLast = true
          else assert.isFalse(isLast)
        }
      }),
    { arbitrary: { runs: 500 } }
  )

  it.effect.prop("leaves nobody out by a guess alone", [Seed], ([seed]) =>
    Effect.sync(() => {
      const { asked, chance, known, past, route } = drawn(seed)
      const { candidates, excluded } = Decision.decide(route, asked, known, past, chance, now)
      const isGuess = ({ target, why }: Decision.Exclusion) =>
        why._tag === "Recovering" ||
        (why._tag === "TooLate" && asked.leftMillis > 0 && why.predictedMillis > asked.leftMillis &&
          Math.max(known[target.index]?.waitMillis ?? 0, (past.at(target.index)?.notBeforeMillis ?? 0) - now) <
            asked.leftMillis)
      if (excluded.some(isGuess)) assert.isAbove(candidates.length, 0)
    }), { arbitrary: { runs: 500 } })

  it.effect.prop("begins with one that is due as soon as it may be tried", [Seed], ([seed]) =>
    Effect.sync(() => {
      const { asked, chance, known, past, route } = drawn(seed)
      const [first] = Decision.decide(route, asked, known, past, chance, now).candidates
      if (first === undefined) return
      const { notBeforeMillis } = past.at(first.target.index) ?? { notBeforeMillis: now }
      assert.strictEqual(first.afterMillis, Math.max(0, notBeforeMillis - now))
    }), { arbitrary: { runs: 500 } })

  it.effect.prop(
    "puts what depends on chance alone where all is well, of a weighted policy, in each order at some time",
    [Seed],
    ([seed]) =>
      Effect.sync(() => {
        const dice = new Dice(seed)
        const route = routeTo({ weighted: ["a", "b", "c"].map((to) => ({ to, weight: 1 })) }, abc)
        const orders = new Set(dice.times(200, () =>
          Decision.decide(route, anything, [], Decision.untried, dice.next(), now).candidates.map(({ target }) =>
            target.name
          ).join("")))
        assert.strictEqual(orders.size, 6)
      }),
    { arbitrary: { runs: 20 } }
  )
})
