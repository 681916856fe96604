// Set-up of every test file in a mutation run.
import { inject, vi } from "vitest"

declare module "vitest" {
  export interface ProvidedContext {
    /** Stryker's: whether it looks what the tests cover, or whether they notice a mutant. */
    readonly mode: "dry-run" | "mutant"
  }
}

// A test of the cores takes a second at most, also on a busy machine. One that hangs has noticed, and need not be waited for any longer. To
// look what they cover takes many times as long.
if (inject("mode") === "mutant") vi.setConfig({ testTimeout: 20_000 })
