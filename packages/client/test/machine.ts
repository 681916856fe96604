// The environment of the process and the home of its user, as a test wants them.
import { Effect } from "effect"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"

/** A machine with these variables, and these files in its home; every other variable of AWS is gone. */
export const machine = (variables: Record<string, string>, files: Record<string, string> = {}) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const before = { ...process.env }
      const home = mkdtempSync(join(tmpdir(), "caprock-"))
      for (const [name, text] of Object.entries(files)) {
        mkdirSync(dirname(join(home, name)), { recursive: true })
        writeFileSync(join(home, name), text)
      }
      for (const name of Object.keys(process.env)) if (name.startsWith("AWS_")) delete process.env[name]
      Object.assign(process.env, {
        HOME: home,
        AWS_CONFIG_FILE: join(home, ".aws/config"),
        AWS_SHARED_CREDENTIALS_FILE: join(home, ".aws/credentials"),
        ...variables
      })
      return { before, home }
    }),
    ({ before, home }) =>
      Effect.sync(() => {
        for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name]
        Object.assign(process.env, before)
        rmSync(home, { recursive: true })
      })
  )

/** The files of one who takes on a role, for which STS is asked. */
export const assumed = {
  ".aws/config": "[default]\nrole_arn = arn:aws:iam::111122223333:role/r\nsource_profile = base\n" +
    "[profile base]\naws_access_key_id = a\naws_secret_access_key = b\n"
}
