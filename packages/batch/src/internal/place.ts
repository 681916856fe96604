// Where a batch is: the keys of what belongs to it.
import type { Upload } from "../BatchJournal.ts"
import type { ObjectStore } from "../ObjectStore.ts"

/** `prefix` ends in the batch's name and a slash. */
export interface Place {
  readonly store: ObjectStore["Service"]
  readonly prefix: string
}

type Named = Pick<Upload, "generation" | "part" | "round">

export const leaseKey = ({ prefix }: Place): string => `${prefix}lease.json`
export const journalKey = ({ prefix }: Place): string => `${prefix}journal.json`

const nameOf = ({ generation, part, round }: Named): string => `${round}-${part}-${generation}`

/** A file of records. A job reads the folder that it is in, and nothing else may be there. */
export const fileKey = ({ prefix }: Place, part: Named, file: number): string =>
  `${prefix}in/${nameOf(part)}/records-${file}.jsonl`

/** Which records a part has, and what their callers call them. */
export const idsKey = ({ prefix }: Place, part: Named): string => `${prefix}ids/${nameOf(part)}.jsonl`

/** What a job writes is below this. */
export const outputsOf = ({ prefix }: Place, arn: string): string =>
  `${prefix}out/${arn.slice(arn.lastIndexOf("/") + 1)}/`

/** What was answered on demand is below this. */
export const late = ({ prefix }: Place): string => `${prefix}late/`
