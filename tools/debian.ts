/**
 * Servers that tests and benches need, and that may not be installed: then Debian's own packages are fetched into the user's cache and run from
 * there. Nothing of the system changes, and nobody has to be root.
 *
 * Run as a program it fetches what its arguments say, if it is not there yet: `node tools/debian.ts <name> <package> …`.
 */
import { execFileSync } from "node:child_process"
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { homedir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

export interface Wanted {
  /** Of its place in the cache. */
  readonly name: string
  /** What has to run: each tells its version when it is asked. */
  readonly programs: ReadonlyArray<string>
  /** What has them, and brings along what they need. */
  readonly packages: ReadonlyArray<string>
}

export interface Found {
  /** A folder that they were unpacked into, or nothing where they are the system's. */
  readonly root: string
  /** To run them with. */
  readonly env: NodeJS.ProcessEnv
}

const cache = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "caprock-servers")

const works = (program: string, env: NodeJS.ProcessEnv): boolean => {
  try {
    execFileSync(program, ["--version"], { env, stdio: "ignore" })
    return true
  } catch {
    return false
  }
}

/** Ends with whoever started it, however that ends, where the system knows how: what a command begins with. */
export const leash: ReadonlyArray<string> = works("setpriv", process.env) ? ["setpriv", "--pdeathsig", "KILL"] : []

const foldersIn = (folder: string): ReadonlyArray<string> =>
  existsSync(folder)
    ? readdirSync(folder, { withFileTypes: true }).flatMap((one) => one.isDirectory() ? [join(folder, one.name)] : [])
    : []

const at = (root: string): Found => {
  const libraries = ["usr/lib", "lib"].flatMap((folder) => foldersIn(join(root, folder)))
    .filter((folder) => folder.endsWith("-linux-gnu"))
  // What only one package may see is a folder deeper.
  const own = libraries.flatMap(foldersIn)
  const path = [join(root, "usr/bin"), process.env["PATH"]].join(":")
  return { root, env: { ...process.env, PATH: path, LD_LIBRARY_PATH: [...libraries, ...own].join(":") } }
}

/** Where it is, if it is here. */
export const find = ({ name, programs }: Wanted): Found | undefined =>
  [{ root: "", env: process.env }, at(join(cache, name))].find(({ env }) => programs.every((one) => works(one, env)))

const run = (command: string, args: ReadonlyArray<string>, timeout = 240_000): string =>
  execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], timeout })

/** Debian's packages of it and of what it needs that is not here, unpacked beside the system. */
const fetchInto = (target: string, packages: ReadonlyArray<string>): void => {
  const own = mkdtempSync(`${target}-`)
  try {
    for (const folder of ["lists/partial", "cache/archives/partial", "root"]) {
      mkdirSync(join(own, folder), { recursive: true })
    }
    const system = existsSync("/etc/apt/sources.list") ? readFileSync("/etc/apt/sources.list", "utf8") : ""
    writeFileSync(join(own, "sources.list"), system)
    // The system's own sources, and beside them those in a list of ours; what is there is written down in folders of ours.
    const options = [
      `Dir::Etc::sourcelist=${join(own, "sources.list")}`,
      `Dir::State::lists=${join(own, "lists")}`,
      `Dir::Cache=${join(own, "cache")}`,
      "Debug::NoLocking=1",
      "APT::Sandbox::User=root"
    ].flatMap((option) => ["-o", option])
    run("apt-get", [...options, "update"])
    const [, codename = ""] = /^VERSION_CODENAME=(\w+)$/m.exec(readFileSync("/etc/os-release", "utf8")) ?? []
    const targets = run("apt-get", [...options, "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)"])
    const mirror = targets.split("\n").find((line) => line.endsWith(` ${codename} main`))?.split(" ")[0]
    if (mirror !== undefined) {
      // Some of it is in what was made for the release later.
      const key = "/usr/share/keyrings/debian-archive-keyring.gpg"
      const more = `\ndeb [signed-by=${key}] ${mirror} ${codename}-backports main\n`
      if (!targets.includes(` ${codename}-backports main`)) writeFileSync(join(own, "sources.list"), system + more)
      run("apt-get", [...options, "update"])
    }
    run("apt-get", [...options, "install", "--download-only", "--yes", "--no-install-recommends", ...packages])
    for (const file of readdirSync(join(own, "cache/archives"))) {
      if (file.endsWith(".deb")) run("dpkg-deb", ["-x", join(own, "cache/archives", file), join(own, "root")])
    }
    rmSync(target, { recursive: true, force: true })
    renameSync(join(own, "root"), target)
  } finally {
    rmSync(own, { recursive: true, force: true })
  }
}

/** Where it is, fetched if need be. Where it can't be had, it is said loudly what is not tested, and where `CI` is set that is a failure. */
export const obtain = (wanted: Wanted): Found | undefined => {
  const here = find(wanted)
  if (here !== undefined) return here
  const { name, packages, programs } = wanted
  let problem = "it was fetched, and does not run"
  try {
    mkdirSync(cache, { recursive: true })
    // One fetches, and the others wait for it: the system lets go of the lock however its holder ends.
    const program = fileURLToPath(import.meta.url)
    const lock = join(cache, `${name}.lock`)
    run("flock", [lock, process.execPath, program, name, programs.join(","), ...packages], 600_000)
    const fetched = find(wanted)
    if (fetched !== undefined) return fetched
  } catch (cause) {
    problem = String(cause)
  }
  const message = `NOT TESTED: no ${name} here, and none to be fetched: ${problem}`
  if (process.env["CI"] !== undefined) throw new Error(message)
  console.error(`\n${"!".repeat(100)}\n${message}\n${"!".repeat(100)}\n`)
  return undefined
}

if (import.meta.main) {
  const [name = "", programs = "", ...packages] = process.argv.slice(2)
  if (find({ name, programs: programs.split(","), packages }) === undefined) fetchInto(join(cache, name), packages)
}
