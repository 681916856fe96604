import { defineConfig } from "vitest/config"

// One project per room, so that a run can be narrowed with `--project rate-limiter`.
const project = (name: string, root: string) => ({
  test: {
    name,
    root,
    include: ["test/**/*.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000
  }
})

const packages = ["errors", "quota", "rate-limiter", "backoff", "client", "bedrock", "emulator", "cli"]

export default defineConfig({
  test: {
    projects: [
      ...packages.map((name) => project(name, `packages/${name}`)),
      project("examples", "examples"),
      project("tools", "tools")
    ]
  }
})
