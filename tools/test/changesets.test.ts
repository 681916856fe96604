import { globSync, readFileSync } from "node:fs"
import { assert, describe, it } from "vitest"
import { version } from "../../packages/cli/src/Cli.ts"

interface Manifest {
  readonly name: string
  readonly version: string
  readonly private?: boolean
}

const manifests = globSync("packages/*/package.json").toSorted().map(
  (path): Manifest => JSON.parse(readFileSync(path, "utf8"))
)
const published = manifests.filter((manifest) => manifest.private !== true).map(({ name }) => name)

describe("changesets", () => {
  it("move all packages together", () => {
    const { fixed }: { readonly fixed: ReadonlyArray<ReadonlyArray<string>> } = JSON.parse(
      readFileSync(".changeset/config.json", "utf8")
    )
    assert.lengthOf(fixed, 1)
    assert.sameMembers([...fixed[0] ?? []], published)
    assert.deepStrictEqual([...new Set(manifests.map(({ version }) => version))], [version])
  })

  it.each(globSync(".changeset/*.md").toSorted())("%s names packages that there are, and says something", (path) => {
    const [, head = "", summary = ""] = /^---\n(.*?)\n---\n(.*)$/s.exec(readFileSync(path, "utf8")) ?? []
    const named = [...head.matchAll(/^"(.+)": (?:major|minor|patch)$/gm)].map(([, name]) => name ?? "")
    assert.lengthOf(named, head.split("\n").length, head)
    assert.includeMembers(published, named)
    assert.notStrictEqual(summary.trim(), "")
  })
})
