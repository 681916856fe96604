// The tests of the pure cores alone, for `pnpm mutation`: a core's own tests have to notice what is broken in it.
import workspace from "../vitest.workspace.ts"

const cores: ReadonlySet<unknown> = new Set(["errors", "quota", "rate-limiter", "backoff"])

export default {
  ...workspace,
  test: {
    ...workspace.test,
    projects: workspace.test?.projects?.filter((project) =>
      typeof project === "object" && "test" in project && cores.has(project.test?.name)
    )
  }
}
