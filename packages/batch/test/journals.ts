import type * as BatchJournal from "@caprock/batch/BatchJournal"
import type * as BatchLimits from "@caprock/batch/BatchLimits"
import type { BatchSettings } from "@caprock/batch/BatchSettings"
import { limited, settled } from "./settled.ts"

/** A journal of a batch that was just made, but for what is given. */
export const journalOf = (
  given: Partial<Omit<BatchJournal.BatchJournal, "limits" | "settings">> & {
    readonly limits?: Partial<BatchLimits.BatchLimits>
    readonly settings?: Partial<BatchSettings>
  } = {}
): BatchJournal.BatchJournal => ({
  format: 1,
  name: "nightly",
  generation: 1,
  revision: 1,
  createdAt: 0,
  input: { sealed: false, records: 0, refused: 0, bytes: 0, chain: "" },
  round: 0,
  parts: [],
  state: "open",
  ...given,
  limits: limited(given.limits),
  settings: settled(given.settings)
})

/** A part as it stands in the journal after its upload. */
export const uploaded = (upload: BatchJournal.Upload): BatchJournal.Part => ({
  ...upload,
  attempt: 0,
  phase: "uploaded"
})
