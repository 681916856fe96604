// `pnpm version-packages`: makes the changesets that are waiting into versions and changelogs, and writes the version
// where the program says it. Needs no network. What it wrote is to be read, and committed.
import { spawnSync } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"

const run = (command: string, ...args: ReadonlyArray<string>): void => {
  const { status } = spawnSync(command, args, { stdio: "inherit" })
  if (status !== 0) process.exit(status ?? 1)
}

run("changeset", "version")

const { version }: { readonly version: string } = JSON.parse(readFileSync("packages/cli/package.json", "utf8"))
const path = "packages/cli/src/Cli.ts"
const source = readFileSync(path, "utf8")
const written = source.replace(/^(export const version = )".*"$/m, `$1"${version}"`)
if (!written.includes(`= "${version}"`)) throw new Error(`${path} names no version`)
writeFileSync(path, written)

run("dprint", "fmt")
