// The tests of the pure core that `pnpm mutation` breaks: its own tests have to notice, not those of the packages that stand on it.
import { basename } from "node:path"
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

/** A run ends with the first test that notices. So first comes the file that is named after what is broken, then what noticed the last time. */
class LikeliestFirst extends BaseSequencer {
  override async sort(files: Array<TestSpecification>) {
    const broken = this.ctx.config.related?.map((file) => basename(file, ".ts"))
    const own = ({ moduleId }: TestSpecification) => broken?.includes(basename(moduleId, ".test.ts")) === true
    const sorted = await super.sort(files)
    return [...sorted.filter(own), ...sorted.filter((file) => !own(file))]
  }
}

export default {
  ...workspace,
  plugins: [pool],
  test: {
    ...workspace.test,
    // They would take more than all others, and leaving them out can only let more mutants survive.
    tagsFilter: ["!statistics"],
    sequence: { sequencer: LikeliestFirst },
    projects: workspace.test?.projects?.filter((project) =>
      typeof project === "object" && "test" in project && project.test?.name === core
    )
  }
}
