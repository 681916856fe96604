import type { KnipConfig } from "knip"

// A package's entry points are those of its `exports`; knip reads them by itself.
const packages = {
  entry: ["test/**/*.test.ts", "test/{alone,beside*,*Process}.ts"],
  project: ["src/**/*.ts!", "test/**/*.ts"]
}

const config = ({ strict = false }: { readonly strict?: boolean }): KnipConfig => ({
  // Without the tests, an export that only they use is dead, unless its own module needs it too.
  ignoreExportsUsedInFile: strict,
  workspaces: {
    ".": {
      entry: ["tools/*.ts!", "tools/test/*.test.ts"],
      project: ["*.ts!", "tools/**/*.ts!"],
      stryker: { config: "tools/stryker.config.json" },
      // Named in dprint.json as paths.
      ignoreDependencies: ["@dprint/json", "@dprint/markdown", "@dprint/typescript"]
    },
    bench: { entry: ["*.ts!"], project: ["**/*.ts!"] },
    examples: {
      entry: ["*.ts!", "test/*.test.ts"],
      project: ["*.ts!", "test/**/*.ts"],
      // The examples of the docs run in this package, too.
      ignoreDependencies: [
        "@aws-sdk/client-bedrock",
        "@aws-sdk/client-s3",
        "@caprock/batch",
        "@caprock/quota",
        "@caprock/router",
        "fauxqs"
      ]
    },
    "packages/*": packages,
    // A peer that may be missing counts as declared only where a `try` stands around the import itself.
    "packages/emulator": { ...packages, ignoreDependencies: strict ? ["@aws-sdk/client-s3"] : [] }
  },
  // A name that @effect/tsgo reads from the plugins of a tsconfig. There is no such package to install.
  ignoreDependencies: ["@effect/language-service"]
})

export default config
