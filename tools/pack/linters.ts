// The two linters of packages that others use too. Both read the files as packed; neither needs TypeScript 7.
import { checkPackage, Package } from "@arethetypeswrong/core"
import { publint } from "publint"
import { formatMessage } from "publint/utils"
import { entries } from "./checks.ts"
import type { Problem } from "./problem.ts"
import type { Tarball } from "./tarball.ts"

/** What publint says, its suggestions too. */
const publintProblems = async ({ files, manifest }: Tarball): Promise<ReadonlyArray<Problem>> => {
  const packed = [...files].map(([path, text]) => ({ name: `package/${path}`, data: new TextEncoder().encode(text) }))
  const { messages, pkg } = await publint({ pkgDir: "package", pack: { files: packed } })
  return messages.map((message) => ({
    package: manifest.name,
    file: "package.json",
    message: `publint: ${formatMessage(message, pkg, { color: false }) ?? message.code}`,
    mend: `see https://publint.dev/rules#${message.code.toLowerCase()}`
  }))
}

// Types for `require` of ES modules differ by TypeScript's version, and Node's resolution before `exports` is none of ours.
const modern: ReadonlySet<string> = new Set(["node16-esm", "bundler"])

/** What are-the-types-wrong says of every entry point; it can't write out wildcards by itself. */
const typesProblems = async (tarball: Tarball): Promise<ReadonlyArray<Problem>> => {
  const { files, manifest } = tarball
  const all = entries(tarball).entries
  const packed = Object.fromEntries([...files].map(([path, text]) => [`/node_modules/${manifest.name}/${path}`, text]))
  const result = await checkPackage(new Package(packed, manifest.name, manifest.version), {
    entrypoints: all.map(({ subpath }) => subpath)
  })
  const wrong = (file: string, message: string): Problem => ({
    package: manifest.name,
    file,
    message: `are-the-types-wrong: ${message}`,
    mend: "make the `types` of that entry the declarations that `tsc` wrote beside its `default`"
  })
  if (result.types === false) return [wrong("package.json", "there are no types")]
  return result.problems.flatMap((problem) => {
    if ("resolutionKind" in problem) {
      return modern.has(problem.resolutionKind)
        ? [wrong(problem.entrypoint, `${problem.kind}, resolved as ${problem.resolutionKind}`)]
        : []
    }
    const file = "typesFileName" in problem ? problem.typesFileName : problem.fileName
    return [wrong(file.replace(`/node_modules/${manifest.name}/`, ""), problem.kind)]
  })
}

/** What publint and are-the-types-wrong have against a package. */
export const lintProblems = async (tarball: Tarball): Promise<ReadonlyArray<Problem>> => [
  ...await publintProblems(tarball),
  ...await typesProblems(tarball)
]
