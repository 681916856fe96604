// API reference, ModelInvocationJobStatus, read 2026-11.
const over: ReadonlySet<string> = new Set(["Completed", "PartiallyCompleted", "Failed", "Expired", "Stopped"])

/** Whether a job is in its last state. */
export const isOver = (status: string): boolean => over.has(status)
