import { readdirSync } from "node:fs"
import { join } from "node:path"
import { defineConfig } from "oxlint"
import * as Effect from "./tools/gates/effect.ts"
import * as Rules from "./tools/gates/rules.ts"

export default defineConfig({
  plugins: ["typescript", "unicorn", "import", "oxc"],
  categories: { correctness: "error", suspicious: "error", perf: "error" },
  rules: {
    "import/no-cycle": "error",
    "typescript/no-explicit-any": "error",
    "typescript/consistent-type-imports": "error",
    "typescript/no-non-null-assertion": "error",
    "no-shadow": "off",
    "require-yield": "off",
    "no-await-in-loop": "off",
    "unicorn/no-array-callback-reference": "off",
    "unicorn/no-array-method-this-argument": "off",
    "import/no-unassigned-import": "off",
    "import/namespace": "off",
    "no-underscore-dangle": "off",
    "unicorn/consistent-function-scoping": "off",
    "unicorn/no-thenable": "off",
    "typescript/no-unsafe-declaration-merging": "off",
    "no-map-spread": "off",
    "oxc/no-map-spread": "off",
    "unicorn/no-array-sort": "off",
    "import/no-named-as-default": "off",
    "import/no-named-as-default-member": "off"
  },
  ignorePatterns: ["**/dist/**", "**/node_modules/**", ".worktrees/**"],
  overrides: Rules.overrides(readdirSync(join(import.meta.dirname, "packages")), Effect.read(import.meta.dirname))
})
