import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { caprock } from "./command.ts"

const file = {
  targets: {
    bought: { model: "arn:aws:bedrock:eu-west-1:111122223333:provisioned-model/abcdefghijkl" },
    ireland: { model: "acme.sage-v1:0", region: "eu-west-1" },
    frankfurt: { model: "acme.sage-v1:0", region: "eu-central-1", able: { images: false, input: 5_000 } },
    twig: { model: "eu.acme.twig-v1:0" }
  },
  routes: {
    chat: { policy: { ordered: ["bought", { headroom: ["ireland", "frankfurt"] }], patience: 0 }, fence: ["eu-*"] },
    canary: {
      policy: {
        weighted: [{ to: "ireland", weight: 3 }, {
          to: "twig",
          weight: 1,
          ramp: { from: "2026-12-01T00:00:00Z", over: "1 day" }
        }]
      }
    },
    judged: {
      policy: {
        difficulty: [
          { level: "easy", to: "twig" },
          { level: "hard", to: { choose: ["ireland", "frankfurt"], by: "pick" } }
        ],
        by: "judge"
      }
    }
  }
}

/** Runs it on files of these contents: the routes, and the state where there is one. */
const explain = Effect.fnUntraced(function*(routes: unknown, args: ReadonlyArray<string>, state?: unknown) {
  const fs = yield* FileSystem.FileSystem
  const folder = yield* fs.makeTempDirectoryScoped()
  const write = (name: string, content: unknown) =>
    fs.writeFileString(`${folder}/${name}`, typeof content === "string" ? content : JSON.stringify(content))
  yield* write("routes.json", routes)
  if (state !== undefined) yield* write("state.json", state)
  const ended = yield* caprock([
    "route",
    "explain",
    `${folder}/routes.json`,
    ...args,
    ...(state === undefined ? [] : ["--state", `${folder}/state.json`])
  ])
  const lines = (text: string) => text.replaceAll(`${folder}/`, "").split("\n").filter((line) => line !== "")
  return { code: ended.code, out: lines(ended.stdout), problem: lines(ended.stderr).join("\n") }
})

describe("caprock route explain", () => {
  it.layer(NodeServices.layer)("on files", (it) => {
    it.effect("says where a call would go, in which order, and why", () =>
      Effect.gen(function*() {
        const { code, out, problem } = yield* explain(file, ["chat", "--needs", "images"], {
          bought: { wait: "7 seconds", free: 0 }
        })
        assert.deepStrictEqual(out, [
          "1. bought     at once  the policy prefers it; its wait is 7s",
          "2. ireland    at once  for what bought can't take, where it is 7s",
          " - frankfurt  not      it can't do images"
        ])
        assert.deepStrictEqual([code, problem], [0, ""])
      }))

    it.effect("asks with what it is given: tokens, deadline, fence", () =>
      Effect.gen(function*() {
        const at = (...args: ReadonlyArray<string>) =>
          Effect.map(explain(file, ["chat", ...args]), ({ out }) => out.join("\n"))
        assert.notInclude(yield* at("--input", "5000"), "takes 5000")
        assert.include(
          yield* at("--input", "5001"),
          "frankfurt  not      the request has 5001 tokens, and it takes 5000"
        )
        assert.include(yield* at("--fence", "eu-central-1,us-*"), "ireland    not      outside of the call's fence")
        assert.include(yield* at("--fence", "us-*"), "No target can take this call.")
        const late = yield* explain(file, ["chat", "--deadline", "2s"], {
          bought: { wait: 1_000, latency: "1500 millis" }
        })
        assert.include(
          late.out.join("\n"),
          " - bought     not      its answer would be there in 2s 500ms, and 2s are left"
        )
      }))

    it.effect("takes what is known of targets from a file", () =>
      Effect.gen(function*() {
        const { out } = yield* explain(file, ["chat"], {
          bought: { sick: "3 seconds" },
          ireland: { refused: "Parked" },
          frankfurt: { share: 0 }
        })
        assert.deepStrictEqual(out, [
          "1. frankfurt  at once  it comes back and takes 0 % of calls, but nobody else can take this one",
          " - bought     not      sick for another 3s",
          " - ireland    not      its pool refuses the call: Parked"
        ])
        const warm = yield* explain(file, ["chat"], {
          bought: { refused: "Parked" },
          frankfurt: { warm: true, free: 0.1 }
        })
        assert.strictEqual(warm.out[0], "1. frankfurt  at once   its cache has the prompt")
      }))

    it.effect("counts who comes first where chance has a part in it, at that time", () =>
      Effect.gen(function*() {
        const shares = Effect.fnUntraced(function*(...args: ReadonlyArray<string>) {
          const { out } = yield* explain(file, ["canary", ...args])
          return /^Of 2,000 calls, first goes to: ireland ([\d.]+) %, twig ([\d.]+) %$/.exec(out.at(-1) ?? "")?.slice(1)
            .map(Number)
        })
        const full = yield* shares("--at", "2026-12-02T00:00:00Z", "--draws", "2000")
        assert.closeTo(full?.[1] ?? 0, 25, 5)
        assert.isUndefined(yield* shares("--at", "2026-11-30T00:00:00Z", "--draws", "2000"))
      }))

    it.effect("lets be said what the functions of a program would", () =>
      Effect.gen(function*() {
        const missing = yield* explain(file, ["judged"])
        assert.strictEqual(missing.code, 2)
        assert.include(
          missing.problem,
          "The function \"judge\" tells how difficult a call is, and only your program has it."
        )
        assert.include(missing.problem, "--level with one of easy, hard")
        assert.deepStrictEqual((yield* explain(file, ["judged", "--level", "hard"])).out, [
          "difficulty: hard, level 2 of 2",
          "1. ireland    at once   the function chose it",
          "2. frankfurt  after 1s  the function chose it",
          " - twig       not       for work that is easy, and the call is harder"
        ])
        assert.deepStrictEqual(
          (yield* explain(file, ["judged", "--level", "hard", "--choose", "frankfurt"])).out.slice(1),
          [
            "1. frankfurt  at once  the function chose it",
            " - twig       not      for work that is easy, and the call is harder",
            " - ireland    not      the policy leaves it out"
          ]
        )
      }))

    it.effect("prints JSON for programs", () =>
      Effect.gen(function*() {
        const { out } = yield* explain(file, ["chat", "--json", "--needs", "images,tools"])
        assert.deepStrictEqual(JSON.parse(out.join("")), {
          candidates: [
            { target: "bought", afterMillis: 0, waitMillis: 0, why: { _tag: "Preferred" } },
            { target: "ireland", afterMillis: 0, waitMillis: 0, why: { _tag: "Overflow", of: "bought", waitMillis: 0 } }
          ],
          excluded: [{ target: "frankfurt", why: { _tag: "Lacks", needs: ["images"] } }],
          first: [{ target: "bought", share: 1 }]
        })
      }))

    it.effect("says what is wrong, where, and what to do", () =>
      Effect.gen(function*() {
        const problem = Effect.fnUntraced(function*(routes: unknown, args: ReadonlyArray<string>, state?: unknown) {
          const { code, out, problem } = yield* explain(routes, args, state)
          assert.deepStrictEqual([code, out], [2, []])
          return problem
        })
        assert.match(
          yield* problem(file, ["chatt"]),
          /routes\.json has no route "chatt"\.\n.*It has chat, canary, judged\./
        )
        assert.match(yield* problem({ targets: {}, routes: {} }, ["chat"]), /It has no routes at all/)
        assert.match(yield* problem("{", ["chat"]), /The route file routes\.json can't be used\. Not JSON/)
        assert.match(yield* problem({ ...file, rotes: {} }, ["chat"]), /no excess property\n {2}at \["rotes"\]/)
        const fenced = { ...file, routes: { chat: { policy: { ordered: ["ireland", "twig"] }, fence: ["us-*"] } } }
        const told = yield* problem(fenced, ["chat"])
        assert.match(told, /target "ireland" may process requests at eu-west-1, outside of its fence us-\*/)
        assert.match(told, /target "twig" does not say where it may process requests/)
        assert.match(told, /aws bedrock get-inference-profile --inference-profile-identifier eu\.acme\.twig-v1:0/)
        const lying = { ...file.targets, twig: { model: "global.acme.twig-v1:0", residency: ["eu-west-1"] } }
        assert.match(
          yield* problem({ targets: lying, routes: { chat: { policy: "twig", fence: ["eu-*"] } } }, ["chat"]),
          /target "twig" may process requests at any place/
        )
        assert.match(
          yield* problem(file, ["chat"], { irland: {} }),
          /The state is of irland, and there is no such target\.\n.*bought, ireland/
        )
        assert.match(
          yield* problem(file, ["chat"], { ireland: { wait: "soon" } }),
          /Expected a duration, such as "2 seconds"/
        )
        assert.match(yield* problem(file, ["chat"], { ireland: { waits: 1 } }), /no excess property/)
        assert.match(
          yield* problem(file, ["chat", "--needs", "wings"]),
          /any of tools, images, documents, streaming, caching/
        )
        assert.match(yield* problem(file, ["chat", "--fence", "eu-*-1"]), /places such as eu-central-1/)
        assert.match(yield* problem(file, ["chat", "--at", "noon"]), /an instant, such as/)
      }))

    it.effect("says that there is no such file", () =>
      Effect.gen(function*() {
        const { code, stderr } = yield* caprock(["route", "explain", "/nowhere/routes.json", "chat"])
        assert.strictEqual(code, 2)
        assert.match(stderr, /Can't read the route file \/nowhere\/routes\.json: there is no such file/)
      }))
  })
})
