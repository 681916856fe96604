// Where a batch is: the keys of what belongs to it.
import type { Upload } from "../BatchJournal.ts"
import type { ObjectStore } from "../ObjectStore.ts"

/** `prefix` ends in the batch's name and a slash. */
export interface Place {
  readonly store: ObjectStore["Service"]
  readonly prefix: string
}

export const leaseKey = ({ prefix }: Place): string => `${prefix}lease.json`
export const journalKey = ({ prefix }: Place): string => `${prefix}journal.json`
/** Where there is something, somebody wants the batch to end. */
export const cancelKey = ({ prefix }: Place): string => `${prefix}cancel.json`
/** Where a part's files are, and nothing else. */
export const folderOf = ({ prefix }: Place, { generation, part, round }: Upload): string =>
  `${prefix}in/${round}-${part}-${generation}/`
