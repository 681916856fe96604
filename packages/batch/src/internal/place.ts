// Where a batch is: the keys of what belongs to it.
import type { ObjectStore } from "../ObjectStore.ts"

/** `prefix` ends in the batch's name and a slash. */
export interface Place {
  readonly store: ObjectStore["Service"]
  readonly prefix: string
}

export const leaseKey = ({ prefix }: Place): string => `${prefix}lease.json`
export const journalKey = ({ prefix }: Place): string => `${prefix}journal.json`
