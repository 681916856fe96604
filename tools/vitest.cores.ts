// The tests of the pure core that `pnpm mutation` breaks: its own tests have to notice, not those of the packages that stand on it.
import workspace from "../vitest.workspace.ts"

const core = process.env["MUTATED_CORE"]

export default {
  ...workspace,
  test: {
    ...workspace.test,
    projects: workspace.test?.projects?.filter((project) =>
      typeof project === "object" && "test" in project && project.test?.name === core
    )
  }
}
