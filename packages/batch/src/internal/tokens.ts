// The names and tokens of jobs: functions of what a job is asked, so that the same job asked for twice is one job.
import { hash } from "node:crypto"
import type { BatchJournal, Part } from "../BatchJournal.ts"
import type { NewJob } from "../JobControl.ts"
import { folderOf, type Place } from "./place.ts"

/** Of a batch: no other batch of the account has it, and its jobs are found by it. */
export const jobPrefix = ({ prefix, store }: Place): string =>
  `caprock-${hash("sha256", JSON.stringify([store.bucket, prefix])).slice(0, 12)}-`

/** What the job for a part, as it stands now, is asked. */
export const requestOf = (place: Place, { settings }: BatchJournal, part: Part): NewJob => {
  const { attempt, digest, part: number, round } = part
  const asked = {
    model: settings.model,
    roleArn: settings.roleArn,
    invocationType: settings.invocationType,
    hours: part.hours ?? settings.timeoutHours,
    input: `s3://${place.store.bucket}/${folderOf(place, part)}`,
    output: `s3://${place.store.bucket}/${place.prefix}out/`
  }
  return {
    ...asked,
    name: `${jobPrefix(place)}${round}-${number}-${attempt}`,
    token: hash("sha256", JSON.stringify([asked, digest, round, number, attempt])),
    ...(settings.tags === undefined ? {} : { tags: settings.tags }),
    ...(settings.kmsKeyId === undefined ? {} : { kmsKeyId: settings.kmsKeyId }),
    ...(settings.bucketOwner === undefined ? {} : { bucketOwner: settings.bucketOwner })
  }
}
