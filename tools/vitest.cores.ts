// The tests of the pure core that `pnpm mutation` breaks: its own tests have to notice, not those of the packages that stand on it.
import { statSync } from "node:fs"
import type { Plugin } from "vite"
import { BaseSequencer, type TestSpecification } from "vitest/node"
import workspace from "../vitest.workspace.ts"
import { kept } from "./mutation/pool.ts"

const core = process.env["MUTATED_CORE"]

// Stryker knows the pools of vitest by name and sets one of them, which this takes back.
const pool: Plugin = {
  name: "kept-threads",
  configureVitest: ({ vitest }) => {
    for (const project of vitest.projects) {
      project.config.pool = kept.name
      project.config.poolRunner = kept
    }
  }
}

/** Small files first: a run ends with the first test that notices. */
class SmallestFirst extends BaseSequencer {
  override async sort(files: Array<TestSpecification>) {
    const sizes = new Map(files.map(({ moduleId }) => [moduleId, statSync(moduleId).size]))
    return files.sort((a, b) => (sizes.get(a.moduleId) ?? 0) - (sizes.get(b.moduleId) ?? 0))
  }
}

export default {
  ...workspace,
  plugins: [pool],
  test: {
    ...workspace.test,
    // They would take more than all others, and leaving them out can only let more mutants survive.
    tagsFilter: ["!statistics"],
    sequence: { sequencer: SmallestFirst },
    projects: workspace.test?.projects?.filter((project) =>
      typeof project === "object" && "test" in project && project.test?.name === core
    )
  }
}
