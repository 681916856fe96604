import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

// A landing must not depend on luck: the fuzz takes the same streams in each run, unless it is told what to draw from.
process.env["FUZZ_SEED"] = process.env["PROPERTY_SEED"] ?? "1"

// What property runs draw from, in this process and its workers; `tools/properties.ts` says how to draw the same again.
if (process.env["PROPERTY_SEED"] === undefined) {
  process.env["PROPERTY_SEED"] = String(Math.floor(Math.random() * 2 ** 32))
  console.log(`PROPERTY_SEED=${process.env["PROPERTY_SEED"]}`)
}

// One project per room, so that a run can be narrowed with `--project rate-limiter`.
const project = (name: string, root: string) => ({
  test: {
    name,
    root,
    include: ["test/**/*.test.ts"],
    setupFiles: [fileURLToPath(new URL("tools/properties.ts", import.meta.url))],
    // Not a bound on how slow a test may be, since nobody knows how busy a machine is: only a test that hangs takes this long.
    testTimeout: 300_000,
    hookTimeout: 300_000
  }
})

const packages = [
  "errors",
  "quota",
  "rate-limiter",
  "backoff",
  "router",
  "client",
  "bedrock",
  "ai",
  "batch",
  "emulator",
  "cli"
]

export default defineConfig({
  test: {
    // Much of the time tests wait for sockets and processes; by default one core is left out.
    maxWorkers: "100%",
    tags: [{
      name: "statistics",
      description: "draws so much that a mutation run leaves it out; the other tests must notice alone"
    }],
    projects: [
      ...packages.map((name) => project(name, `packages/${name}`)),
      project("examples", "examples"),
      project("tools", "tools")
    ]
  }
})
