/** Where the objects of a batch are. */
import type { Upload } from "../BatchJournal.ts"
import type { ObjectStore } from "../ObjectStore.ts"

export interface Place {
  readonly store: ObjectStore["Service"]
  /** Of every key of the batch, up to a slash. */
  readonly prefix: string
}

type Named = Pick<Upload, "generation" | "part" | "round">

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
