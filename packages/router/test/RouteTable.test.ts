import { Decision, type Fence, type Route, RouteTable } from "@caprock/router"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, Schema } from "effect"
import { ask, Dice, facts, file, functions, now, routeOf, tableOf, tried } from "./world.ts"

const target = { model: "m" }

const problemsOf = (
  policy: Route.Policy,
  route: Partial<Route.Route> = {},
  functions?: RouteTable.Functions,
  targets: Route.RouteFile["targets"] = { a: target, b: { ...target, residency: ["us-east-1"] } }
): ReadonlyArray<RouteTable.Problem> => {
  const table = RouteTable.make({ targets, routes: { r: { policy, ...route } } }, functions)
  return Result.isFailure(table) ? table.failure.problems : []
}

const reasonsOf = (...args: Parameters<typeof problemsOf>) => problemsOf(...args).map(({ reason }) => reason)

describe("RouteTable", () => {
  it("has each target under its name, and of a route those that it names, each once", () => {
    const table = tableOf({
      targets: { a: target, b: target, c: target },
      routes: { r: { policy: { ordered: ["c", { headroom: ["a", "c"] }] } }, s: { policy: "b" } }
    })
    assert.deepStrictEqual(table.targets.map(({ index, name }) => [index, name]), [[0, "a"], [1, "b"], [2, "c"]])
    assert.deepStrictEqual(routeOf(table).targets.map(({ name }) => name), ["c", "a"])
    assert.deepStrictEqual(table.routes.map(({ name }) => name), ["r", "s"])
    assert.isUndefined(table.route("t"))
    assert.isUndefined(table.route("constructor"))
  })

  it("has what a route does not say", () => {
    const table = tableOf({
      targets: { a: { model: "m", residency: ["eu-west-1"] } },
      routes: {
        r: { policy: "a" },
        s: { policy: "a", fence: ["eu-*"], hedge: {}, affinity: {} },
        t: { policy: "a", hedge: { percentile: 0.5, share: 0.1 }, affinity: { patience: "2 seconds" } }
      }
    })
    const [r, s, t] = table.routes
    assert.deepStrictEqual([r?.fence, r?.hedge, r?.affinityMillis], [undefined, undefined, 5_000])
    assert.deepStrictEqual([s?.fence, s?.hedge, s?.affinityMillis], [
      ["eu-*"],
      { percentile: 0.95, share: 0.05 },
      5_000
    ])
    assert.deepStrictEqual([t?.hedge, t?.affinityMillis], [{ percentile: 0.5, share: 0.1 }, 2_000])
  })

  it("tells of a name that is not there where it stands, and which there are", () => {
    const [problem, ...others] = problemsOf({ ordered: ["a", { weighted: [{ to: "x", weight: 1 }] }] })
    assert.deepStrictEqual(problem, {
      reason: "unknown-target",
      route: "r",
      target: "x",
      message: "Route \"r\": policy.ordered[1].weighted[0].to: there is no target \"x\". The targets are \"a\", \"b\""
    })
    assert.deepStrictEqual(others, [])
    assert.deepStrictEqual(problemsOf("x", {}, undefined, {}).map(({ message }) => message), [
      "Route \"r\": policy: there is no target \"x\". There are no targets"
    ])
  })

  it("tells of a function that is not there, by what it would be for", () => {
    const classify = { level: () => "l" }
    const choose = { pick: () => [] }
    for (const by of ["level", "constructor"]) {
      assert.deepStrictEqual(
        problemsOf({ choose: ["a"], by }, {}, { classify, choose }).map(({ message }) => message),
        [
          `Route "r": policy.by: there is no function "${by}". The functions are "pick"`
        ]
      )
    }
    assert.deepStrictEqual(reasonsOf({ difficulty: [{ level: "l", to: "a" }], by: "pick" }, {}, { classify, choose }), [
      "unknown-function"
    ])
    assert.deepStrictEqual(reasonsOf({ choose: ["a"], by: "pick" }), ["unknown-function"])
    assert.deepStrictEqual(reasonsOf({ choose: ["a"], by: "pick" }, {}, { choose }), [])
    assert.deepStrictEqual(reasonsOf({ difficulty: [{ level: "l", to: "a" }], by: "level" }, {}, { classify }), [])
  })

  it("tells of policies that pick from nothing", () => {
    const level = { classify: { by: () => "l" }, choose: { by: () => [] } }
    const empty: ReadonlyArray<Route.Policy> = [
      { ordered: [] },
      { headroom: [] },
      { weighted: [] },
      { cheapest: [] },
      { difficulty: [], by: "by" },
      { choose: [], by: "by" }
    ]
    for (const policy of empty) {
      assert.deepStrictEqual(reasonsOf(policy, {}, level), ["empty"], JSON.stringify(policy))
      const [key] = Object.keys(policy)
      assert.include(problemsOf({ ordered: ["a", policy] }, {}, level)[0]?.message, `policy.ordered[1].${key}: n`)
    }
  })

  it("tells of weights of which none is ever drawn", () => {
    const to = (...weights: ReadonlyArray<number>) => ({ weighted: weights.map((weight) => ({ to: "a", weight })) })
    assert.deepStrictEqual(problemsOf(to(0, 0)).map(({ message }) => message), [
      "Route \"r\": policy.weighted: every weight is 0, so none is ever drawn"
    ])
    assert.deepStrictEqual(reasonsOf(to(0, 0)), ["no-weight"])
    assert.deepStrictEqual(reasonsOf(to(0, 1)), [])
  })

  it("tells of a policy that is a part of itself, rather than never to end", () => {
    const parts: Array<Route.Policy> = ["a"]
    const circle = { ordered: parts }
    assert.deepStrictEqual(reasonsOf({ headroom: [circle, circle] }), [])
    parts.push({ headroom: [circle] })
    assert.deepStrictEqual(problemsOf({ headroom: ["a", circle] }), [
      { reason: "circle", message: "A policy is a part of itself" }
    ])
  })

  it("tells of targets whose prices have to be compared, at whatever depth", () => {
    const targets = { a: { model: "m", price: { input: 1, output: 1 } }, b: target }
    assert.deepStrictEqual(reasonsOf({ cheapest: ["a"] }, {}, undefined, targets), [])
    assert.deepStrictEqual(reasonsOf({ ordered: ["b"] }, {}, undefined, targets), [])
    const problems = problemsOf({ cheapest: ["a", { ordered: ["b", "b"] }] }, {}, undefined, targets)
    assert.deepStrictEqual(problems.map(({ reason, target }) => [reason, target]), [["no-price", "b"]])
    assert.match(problems[0]?.message ?? "", /policy\.cheapest: target "b" has no price: say it in US dollars/)
  })

  it("has one question of difficulty at most, and levels by different names", () => {
    const classify = { by: () => "l" }
    const levels = (...names: ReadonlyArray<string>): Route.Policy => ({
      difficulty: names.map((level) => ({ level, to: "a" })),
      by: "by"
    })
    assert.deepStrictEqual(reasonsOf(levels("l", "m", "n"), {}, { classify }), [])
    const twice = problemsOf(levels("l", "m", "m"), {}, { classify })
    assert.deepStrictEqual(twice.map(({ reason }) => reason), ["levels"])
    assert.include(twice[0]?.message, "policy.difficulty: two levels are called \"m\"")
    assert.deepStrictEqual(reasonsOf({ ordered: ["b", levels("l")] }, {}, { classify }), [])
    for (
      const policy of [
        { ordered: [levels("l"), levels("m")] },
        { difficulty: [{ level: "l", to: levels("m") }], by: "by" },
        { weighted: [{ to: levels("l"), weight: 1 }, { to: levels("l"), weight: 1 }] }
      ]
    ) {
      const problems = problemsOf(policy, {}, { classify })
      assert.deepStrictEqual(problems.map(({ reason }) => reason), ["levels"], JSON.stringify(policy))
      assert.include(problems[0]?.message, "it has difficulty twice, and a call has one level: keep one of them")
    }
    const within = problemsOf({ difficulty: [{ level: "l", to: "x" }], by: "by" }, {}, { classify })
    assert.include(within[0]?.message, "policy.difficulty[0].to: there is no target \"x\"")
  })

  it("tells of routes that are called as a model may be", () => {
    for (const name of ["", "acme.sage", "a:b", "a/b"]) {
      const table = RouteTable.make({ targets: { a: target }, routes: { [name]: { policy: "a" } } })
      assert.isTrue(Result.isFailure(table), name)
      if (Result.isFailure(table)) {
        assert.deepStrictEqual(table.failure.problems.map(({ reason }) => reason), ["name"])
        assert.include(table.failure.message, "its name may be that of a model: use one without . : and /")
      }
    }
    tableOf({ targets: { "a.b:c/d": target }, routes: { "the-chat_2": { policy: "a.b:c/d" } } })
  })

  it("tells what is outside of a fence, and what may be for all that is known", () => {
    const fence: Fence.Fence = ["eu-*", "ap-south-1"]
    assert.deepStrictEqual(problemsOf({ ordered: ["a", "b"] }, { fence }), [
      {
        reason: "residency-unknown",
        route: "r",
        target: "a",
        message:
          "Route \"r\": target \"a\" does not say where it may process requests, and the route has the fence eu-*, ap-south-1: " +
          "list every place as its residency"
      },
      {
        reason: "outside-fence",
        route: "r",
        target: "b",
        message:
          "Route \"r\": target \"b\" may process requests at us-east-1, outside of its fence eu-*, ap-south-1: " +
          "take it out of the route, or widen the fence"
      }
    ])
    assert.deepStrictEqual(reasonsOf("b", { fence: ["us-*"] }), [])
    assert.include(
      problemsOf("a", { fence }, undefined, { a: { model: "m", residency: ["*"] } })[0]?.message,
      "any place"
    )
  })

  it("checks what was not read from a file as well", () => {
    assert.deepStrictEqual(reasonsOf({ ordered: ["a"], patience: -1 }), ["shape"])
    assert.deepStrictEqual(reasonsOf("a", { hedge: { share: 2 } }), ["shape"])
    for (
      const file of [null, {}, { targets: {}, routes: null }, {
        targets: {},
        routes: { r: { policy: { ordered: [null] } } }
      }]
    ) {
      // As it may come from a program without types.
      const table = RouteTable.make(JSON.parse(JSON.stringify(file)))
      assert.deepStrictEqual(Result.isFailure(table) ? table.failure.problems.map(({ reason }) => reason) : [], [
        "shape"
      ])
    }
  })

  it("tells all that is wrong at once, in a message and as data", () => {
    const table = RouteTable.make({
      targets: { a: target },
      routes: { r: { policy: { ordered: ["x", "y"] } }, s: { policy: "a", fence: ["eu-*"] }, t: { policy: "a" } }
    })
    assert.isTrue(Result.isFailure(table))
    if (Result.isSuccess(table)) return
    assert.deepStrictEqual(table.failure.problems.map(({ reason, route }) => [route, reason]), [
      ["r", "unknown-target"],
      ["r", "unknown-target"],
      ["s", "residency-unknown"]
    ])
    assert.strictEqual(table.failure._tag, "RouteTableError")
    const sent = JSON.parse(JSON.stringify(Schema.encodeSync(RouteTable.RouteTableError)(table.failure)))
    assert.deepStrictEqual(Schema.decodeSync(RouteTable.RouteTableError)(sent).problems, table.failure.problems)
    assert.strictEqual(table.failure.message, table.failure.problems.map(({ message }) => message).join("\n"))
  })
})

describe("a fence", () => {
  // What it means, written down a second time and as plainly as can be.
  const isInside = (fence: Fence.Fence | undefined, residency: ReadonlyArray<string> | undefined): boolean =>
    fence === undefined ||
    (residency !== undefined &&
      residency.every((place) =>
        fence.some((part) =>
          part === "*" || part === place || (part.endsWith("*") && place !== "*" && place.startsWith(part.slice(0, -1)))
        )
      ))

  const Seed = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 31 }))

  /** Draws so many routes and asks one thing of each. */
  const check = (seed: number, count: number) =>
    Effect.sync(() => {
      const dice = new Dice(seed)
      let built = 0
      for (let run = 0; run < count; run++) {
        const drawn = file(dice)
        const table = RouteTable.make(drawn, functions(dice))
        const { fence } = drawn.routes["r"] ?? {}
        if (Result.isFailure(table)) {
          // Refused for its fence alone, and only where it has to be.
          for (const { reason, target } of table.failure.problems) {
            assert.oneOf(reason, ["outside-fence", "residency-unknown"])
            assert.isFalse(isInside(fence, drawn.targets[target ?? ""]?.residency))
          }
          continue
        }
        built++
        const route = routeOf(table.success)
        assert.isTrue(route.targets.every(({ residency }) => isInside(fence, residency)))
        const known = table.success.targets.map(() => facts(dice))
        const asked = ask(dice)
        const { candidates, excluded } = Decision.decide(
          route,
          asked,
          known,
          tried(dice, known.length),
          dice.next(),
          now
        )
        for (const { target } of candidates) {
          assert.isTrue(isInside(fence, target.residency) && isInside(asked.fence, target.residency))
        }
        for (const { target, why } of excluded) {
          assert.strictEqual(why._tag === "Outside", !isInside(asked.fence, target.residency))
        }
      }
      // Enough of them are there to be crossed.
      assert.isAbove(built, 0.25 * count)
    })

  it.effect.prop(
    "is crossed by no request, whichever its route, what is known, and what functions of the user's return: 100,000 routes",
    [Seed],
    ([seed]) => check(seed, 1_000),
    { arbitrary: { runs: 100 }, tags: "statistics" }
  )

  it.effect.prop("is crossed by none of 2,000, which takes a moment only", [Seed], ([seed]) => check(seed, 200), {
    arbitrary: { runs: 10 }
  })
})
