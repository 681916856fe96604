import { execFileSync } from "node:child_process"
import { existsSync, globSync, readFileSync, statSync } from "node:fs"
import { dirname, join } from "node:path"
import { assert, describe, it } from "vitest"
import { read, tables } from "../tables.ts"

describe("the guide", () => {
  it.each(tables())("has the table of $name as the code has it", ({ name, page, rows }) => {
    assert.deepStrictEqual(read(name, readFileSync(page, "utf8")), rows, "`node tools/tables.ts` writes it anew")
  })

  it.each([["run", "docs/guide/run.md"], ["emulate", "docs/guide/emulator.md"]])(
    "has the flags of caprock %s as the program has them",
    (command, page) => {
      const help = execFileSync(process.execPath, ["packages/cli/src/bin.ts", command, "--help"], {
        encoding: "utf8",
        env: { ...process.env, NO_COLOR: "1" }
      })
      const section = /\nFLAGS\n(.*?)\n\n/s.exec(help)?.[1] ?? ""
      const flags = [...section.matchAll(/^\s+(--[a-z-]+)/gm)].map(([, flag]) => flag)
      const rows = readFileSync(page, "utf8").split("\n").filter((line) => line.startsWith("| `--"))
      const told = rows.flatMap((row) => row.split("|")[1]?.match(/--[a-z-]+/g) ?? [])
      assert.isAbove(flags.length, 10)
      assert.deepStrictEqual(told.toSorted(), flags.toSorted())
    }
  )
})

describe("the index", () => {
  it.each(globSync(["docs/decisions/*.md", "docs/guide/*.md"]).toSorted())("has %s", (page) => {
    assert.include(readFileSync("docs/README.md", "utf8"), `](${page.slice("docs/".length)})`)
  })
})

describe("the links", () => {
  const pages = ["*.md", "docs/**/*.md", "packages/*/README.md"].flatMap((pattern) => globSync(pattern)).toSorted()

  /** As the headings of a page are named in links. */
  const anchors = (text: string): ReadonlyArray<string> =>
    [...text.replace(/^```.*?^```$/gms, "").matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
      heading.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "").trim().replace(/\s/g, "-")
    )

  it.each(pages)("of %s lead somewhere", (page) => {
    const text = readFileSync(page, "utf8")
    for (const [, target = ""] of text.replace(/^```.*?^```$/gms, "").matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue
      const [path = "", anchor] = target.split("#")
      const file = path === "" ? page : join(dirname(page), path)
      assert.isTrue(existsSync(file), `${page}: ${target}`)
      if (anchor === undefined || statSync(file).isDirectory()) continue
      assert.include(anchors(readFileSync(file, "utf8")), anchor, `${page}: ${target}`)
    }
  })
})
