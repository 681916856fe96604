// What the status of a job means, by Bedrock's words (API reference, ModelInvocationJobStatus, read 2026-11).
import type { Job } from "../BatchJournal.ts"
import { isOver } from "./jobStates.ts"

/** A job that Bedrock does not know any more. */
export const gone = "Gone"

const underWay = new Set(["Submitted", "Validating", "Scheduled", "InProgress", "Stopping"])

/** Whether it will not change any more. A word that we don't know is none of those. */
export const isLast = (status: string): boolean => status === gone || isOver(status)

export const isKnown = (status: string): boolean => isLast(status) || underWay.has(status)

// AWS has no list of the messages of failed jobs. What its API reference names as the lasting refusals of a job (access, a model or a role that is not there, what
// is no request), and its quota page as bounds of an input, none of which goes away by itself (read 2026-11). All other messages are tried once more.
const lasting =
  /access ?denied|not authorized|resource ?not ?found|does not exist|validation ?exception|\b(?:minimum|maximum)\b/i

/** Whether a job that failed would surely fail again. */
export const isLasting = ({ message = "" }: Job): boolean => lasting.test(message)
