// What a failed file operation means for the one who runs the command, and what to do about it.
import type { PlatformError } from "effect/PlatformError"
import { CliFailure } from "../terminal/CliFailure.ts"

/** The system's own code of a failed file operation, such as `ENOSPC`. */
export const codeOf = (error: PlatformError): string => {
  const { reason } = error
  const cause = "cause" in reason ? reason.cause : undefined
  return cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : reason._tag
}

const meanings: Readonly<Record<string, readonly [problem: string, remedy: string]>> = {
  ENOSPC: ["the disk is full", "Free some space on it"],
  EDQUOT: ["your disk quota is used up", "Free some space"],
  EFBIG: ["the file may not grow any further (a file size limit, see `ulimit -f`)", "Raise the limit"],
  EROFS: ["the disk is mounted read-only", "Choose an --out on a disk that can be written"],
  EACCES: ["permission denied", "Give yourself write permission on it and on its folder, or choose another --out"],
  EPERM: ["operation not permitted", "Give yourself write permission on it and on its folder, or choose another --out"],
  EIO: ["the disk reports an input/output error", "Check the disk, and choose an --out on another one"],
  ENOENT: ["there is no such file or folder", "Check the path"],
  EISDIR: ["it is a folder", "Name a file in it"],
  ENOTDIR: ["a part of its path is a file, not a folder", "Check the path"],
  EPIPE: ["whoever read the output has closed it", "Write to a file with --out"],
  EMFILE: ["too many files are open", "Raise the limit, see `ulimit -n`"]
}

export const explain = (
  error: PlatformError
): { readonly code: string; readonly what: string; readonly remedy: string } => {
  const code = codeOf(error)
  const [what, remedy] = meanings[code] ?? [error.message, "Check the path and the disk"]
  return { code, what, remedy }
}

export const cannotWrite = (what: string, error: PlatformError): CliFailure => {
  const { code, remedy, what: why } = explain(error)
  return new CliFailure({ problem: `Can't write ${what}: ${why} (${code}).`, remedy: `${remedy}.` })
}

export const cannotRead = (what: string, error: PlatformError): CliFailure => {
  const { code, remedy, what: why } = explain(error)
  return new CliFailure({
    problem: `Can't read ${what}: ${why} (${code}).`,
    remedy: code === "EACCES" || code === "EPERM" ? "Give yourself read permission on it." : `${remedy}.`
  })
}
