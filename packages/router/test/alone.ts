// A program that needs only this package and its peers. `pnpm packages` runs it in an empty project.
import { Decision, Describe, RouteTable } from "@caprock/router"
import * as Health from "@caprock/router/Health"
import { Result } from "effect"

const table = Result.getOrThrow(RouteTable.make({
  targets: { ireland: { model: "sage" }, frankfurt: { model: "sage" } },
  routes: { chat: { policy: { ordered: ["ireland", "frankfurt"] } } }
}))
const route = table.route("chat")
if (route === undefined) throw new Error("there is no route")

// The first is closed to calls, so they go to the second.
const closed: Decision.Facts = { waitMillis: 0, free: 1, standing: { _tag: "Open", untilMillis: 2_000 }, warm: 0 }
const decision = Decision.decide(
  route,
  { input: 100, output: 100, needs: [], leftMillis: Infinity },
  [closed],
  Decision.untried,
  0,
  0
)
const names = decision.candidates.map(({ target }) => target.name)

if (names.join() !== "frankfurt" || Describe.toLines(decision).length < 2 || typeof Health.layer !== "function") {
  throw new Error(JSON.stringify({ names, lines: Describe.toLines(decision) }))
}
