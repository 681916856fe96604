// What `pnpm pack` made, read without unpacking it.
import { gunzipSync } from "node:zlib"

/** A package.json, as far as it is looked at. */
export interface Manifest {
  readonly name: string
  readonly version: string
  readonly description?: string
  readonly license?: string
  readonly type?: string
  readonly sideEffects?: boolean | ReadonlyArray<string>
  readonly engines?: Readonly<Record<string, string>>
  readonly bin?: Readonly<Record<string, string>>
  readonly imports?: Readonly<Record<string, unknown>>
  readonly exports?: Readonly<Record<string, unknown>>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>
}

/** A packed package. */
export interface Tarball {
  readonly manifest: Manifest
  /** By path inside the package, such as `dist/index.js`. */
  readonly files: ReadonlyMap<string, string>
  /** Bytes to download. */
  readonly packed: number
  /** Bytes on the disk. */
  readonly unpacked: number
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

/** A field of a header, which ends at the first zero byte. */
const field = (block: Uint8Array, from: number, length: number): string => {
  const bytes = block.subarray(from, from + length)
  const end = bytes.indexOf(0)
  return text(end === -1 ? bytes : bytes.subarray(0, end))
}

/** Reads a `.tgz` as npm packs it: every path begins with `package/`. */
export const read = (bytes: Uint8Array): Tarball => {
  const archive = gunzipSync(bytes)
  const files = new Map<string, string>()
  let unpacked = 0
  let longName: string | undefined
  for (let at = 0; at + 512 <= archive.length;) {
    const header = archive.subarray(at, at + 512)
    const prefix = field(header, 345, 155)
    const name = longName ?? (prefix === "" ? "" : `${prefix}/`) + field(header, 0, 100)
    if (name === "") break
    const size = Number.parseInt(field(header, 124, 12).trim() || "0", 8)
    const content = archive.subarray(at + 512, at + 512 + size)
    const kind = field(header, 156, 1)
    longName = kind === "x" ? /^\d+ path=(.*)$/m.exec(text(content))?.[1] : undefined
    if (kind === "0" || kind === "") {
      files.set(name.replace(/^package\//, ""), text(content))
      unpacked += size
    }
    at += 512 + Math.ceil(size / 512) * 512
  }
  const source = files.get("package.json")
  if (source === undefined) throw new Error("there is no package.json in this tarball")
  const manifest: Manifest = JSON.parse(source)
  return { manifest, files, packed: bytes.length, unpacked }
}
