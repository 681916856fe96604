// A plugin of Stryker that lets only those mutants through that are drawn. Stryker asks it as it would ask a compiler which mutants are worth
// a run; what is not let through is not in the score.
import { type Checker, CheckStatus } from "@stryker-mutator/api/check"
import { declareFactoryPlugin, PluginKind } from "@stryker-mutator/api/plugin"
import { relative } from "node:path"
import { draw } from "./draw.ts"

const sample = (): Checker => ({
  init: async () => {},
  // All mutants of a core at once.
  group: async (mutants) => [mutants.map(({ id }) => id)],
  check: async (mutants) => {
    const all = mutants.map((mutant) => ({ ...mutant, file: relative(process.cwd(), mutant.fileName) }))
    const drawn = new Set(draw(process.env["MUTATION_SEED"] ?? "", Number(process.env["MUTATION_SAMPLE"]), all))
    return Object.fromEntries(all.map((mutant) => [
      mutant.id,
      drawn.has(mutant) ? { status: CheckStatus.Passed } : { status: CheckStatus.CompileError, reason: "not drawn" }
    ]))
  }
})

export const strykerPlugins = [declareFactoryPlugin(PluginKind.Checker, "sample", sample)]
