// `pnpm packages [name ...]`: packs every package, and looks at each, or at those named, as a stranger does who installs only that
// one. `pnpm build` first.
import { globSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { budgets, neighbours } from "./pack/budgets.ts"
import * as Checks from "./pack/checks.ts"
import { lintProblems } from "./pack/linters.ts"
import { format, type Problem } from "./pack/problem.ts"
import * as Project from "./pack/project.ts"
import { type Manifest, read, type Tarball } from "./pack/tarball.ts"

const root = join(import.meta.dirname, "..")
const started = performance.now()
const problems: Array<Problem> = []
const work = mkdtempSync(join(tmpdir(), "caprock-packages-"))

interface Package {
  readonly name: string
  /** In the repository. */
  readonly folder: string
  /** The tarball's. */
  readonly path: string
  readonly tarball: Tarball
}

/** The time of the youngest file; -Infinity where there is none. */
const youngest = (pattern: string) =>
  Math.max(...globSync(pattern, { cwd: root }).map((path) => statSync(join(root, path)).mtimeMs))

const pack = (folder: string): Package => {
  const manifest: Manifest = JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8"))
  const path = join(work, `${manifest.name.replace("@", "").replace("/", "-")}-${manifest.version}.tgz`)
  problems.push(
    ...Checks.ageProblems(manifest, youngest(`${folder}/src/**/*.ts`), youngest(`${folder}/dist/**/*.js`))
  )
  return { name: manifest.name, folder, path, tarball: read(readFileSync(path)) }
}

const megabytes = (bytes: number) => (bytes / 1_000_000).toFixed(1)
const grouped = (count: number) => count.toLocaleString("en")

try {
  const packing = Project.pnpm(root, "--recursive", "--filter", "./packages/*", "pack", "--pack-destination", work)
  if (!packing.ok) throw new Error(`pnpm pack failed:\n${packing.output}`)
  const packages = globSync("packages/*/package.json", { cwd: root }).toSorted().map((path) => pack(dirname(path)))
  const versions = Project.locked(readFileSync(join(root, "pnpm-lock.yaml"), "utf8"))
  const tarballs = Object.fromEntries(packages.map(({ name, path }) => [name, `file:${path}`]))
  const weights = new Map<string, number>()
  const typescript = join(root, "node_modules", ".bin", "tsc")

  problems.push(...Checks.effectProblems(packages.map(({ tarball }) => tarball.manifest)))
  const named = process.argv.slice(2).map((name) => `@caprock/${name}`)
  for (const { folder, name, path, tarball } of packages) {
    if (named.length > 0 && !named.includes(name)) continue
    const since = performance.now()
    const budget = budgets[name]
    const { [name]: _, ...others } = tarballs
    const project: Project.Project = { folder: join(work, name.replace("/", "-")), tarball }
    const packed = [...Checks.problems(tarball, budget), ...await lintProblems(tarball)]
    problems.push(...packed)
    // What is wrong with the tarball comes up again in the project, under many names.
    if (packed.some(({ file }) => file !== Checks.table)) {
      console.log(`${name}: not installed, since its tarball is wrong`)
      continue
    }
    const refused = Project.install(project, path, others, versions)
    problems.push(...refused)
    if (refused.length > 0) continue
    const pulled = Project.pulled(project, weights)
    problems.push(
      ...Checks.pullProblems(tarball.manifest, pulled, budget),
      ...Project.load(project),
      ...await Project.bundle(project),
      ...Project.compile(project, join(root, folder), typescript),
      ...Project.start(project, join(root, folder))
    )
    for (const { copies, effect, program } of neighbours[name] ?? []) {
      const beside: Project.Project = {
        folder: join(work, `${name}-${program}`.replace("/", "-")),
        tarball,
        program,
        beside: { effect }
      }
      const refused = Project.install(beside, path, others, versions)
      problems.push(...refused)
      if (refused.length > 0) continue
      problems.push(
        ...Checks.copyProblems(tarball.manifest, Project.pulled(beside, weights), copies),
        ...Project.compile(beside, join(root, folder), typescript),
        ...Project.start(beside, join(root, folder))
      )
    }
    console.log(
      `${name} (${((performance.now() - since) / 1000).toFixed(1)} s): ${
        Checks.entries(tarball).entries.length
      } entry points, ` +
        `${grouped(tarball.packed)} bytes packed, ${
          grouped(tarball.unpacked)
        } unpacked; pulls in ${pulled.length} packages, ` +
        `${megabytes(pulled.reduce((sum, { bytes }) => sum + bytes, 0))} MB:\n  ` +
        pulled.toSorted((a, b) => b.bytes - a.bytes).map((one) => `${one.name} ${one.version}`).join(", ")
    )
  }
} finally {
  rmSync(work, { recursive: true, force: true })
}

// The declarations of one package are seen from all that stand on it.
const told = [...new Set(problems.map(format))].map((text) => text.replaceAll(`${root}/`, ""))
for (const text of told) console.error(`\n${text}`)
console.log(
  `\n${told.length === 0 ? "ok" : `${told.length} to mend`} (${((performance.now() - started) / 1000).toFixed(1)} s)`
)
if (told.length > 0) process.exitCode = 1
