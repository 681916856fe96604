// What the status of a job means, by Bedrock's words (API reference, ModelInvocationJobStatus, read 2026-11).
import type { Job } from "../BatchJournal.ts"
import { isOver } from "./jobStates.ts"

/** A job that Bedrock does not know any more. */
export const gone = "Gone"

const underWay = new Set(["Submitted", "Validating", "Scheduled", "InProgress", "Stopping"])

/** Whether it will not change any more. A word that we don't know is none of those. */
export const isLast = (status: string): boolean => status === gone || isOver(status)

export const isKnown = (status: string): boolean => isLast(status) || underWay.has(status)

// What public reports show of the messages of failed jobs, and what the User Guide has of their causes: the role, the bucket, the model, the shape or the
// size of the input. None of that goes away by itself. A message that has none of these is taken for a failure of the service.
const lasting =
  /access|authoriz|permission|denied|assume|role|trust|kms|bucket|s3|not found|does not exist|no such|invalid|malformed|valid|format|json|schema|exceed|limit|minimum|maximum|at least|too (?:many|few|large|small)|quota|unsupported|not supported|not available|legacy|end of life/i

/** Whether a job that failed would fail again. */
export const isLasting = ({ message = "" }: Job): boolean => lasting.test(message)
