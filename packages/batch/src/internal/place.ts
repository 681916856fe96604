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
/** Where there is something, somebody wants the batch to end. */
export const cancelKey = ({ prefix }: Place): string => `${prefix}cancel.json`

/** A part, as its keys have it: no other upload has the same. */
export const nameOf = ({ generation, part, round }: Named): string => `${round}-${part}-${generation}`

/** What we upload: what is begun below these and not ended, was begun by us. Bedrock writes elsewhere. */
export const uploadsOf = ({ prefix }: Place): ReadonlyArray<string> => [`${prefix}in/`, `${prefix}ids/`]

/** Where a part's files are, and nothing else: a job reads all that is there. */
export const folderOf = ({ prefix }: Place, part: Named): string => `${prefix}in/${nameOf(part)}/`

/** A file of records. */
export const fileKey = (place: Place, part: Named, file: number): string =>
  `${folderOf(place, part)}records-${file}.jsonl`

/** Which records a part has, and what their callers call them. */
export const idsKey = ({ prefix }: Place, part: Named): string => `${prefix}ids/${nameOf(part)}.jsonl`

/** The part that a key is of; `undefined` where it is none of ours. */
export const partOf = (place: Place, key: string): Named | undefined => {
  const path = uploadsOf(place).find((uploads) => key.startsWith(uploads))
  const [, round, part, generation] = /^(\d+)-(\d+)-(\d+)[/.]/.exec(key.slice(path?.length)) ?? []
  return path === undefined || generation === undefined
    ? undefined
    : { round: Number(round), part: Number(part), generation: Number(generation) }
}

/** What a job writes is below this. */
export const outputsOf = ({ prefix }: Place, arn: string): string =>
  `${prefix}out/${arn.slice(arn.lastIndexOf("/") + 1)}/`

/** What was answered on demand is below this. */
export const late = ({ prefix }: Place): string => `${prefix}late/`
