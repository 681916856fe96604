/**
 * What is known of a batch, as it stands in the bucket beside the data: enough for any machine to go on with it.
 *
 * Only who holds the batch's lease writes it, and each write carries the lease's generation and is made on the condition that nobody wrote since. What was
 * answered is not in it: that is in the outputs.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { BatchLimits } from "./BatchLimits.ts"
import { RecordError } from "./BatchRecord.ts"
import { Settled } from "./BatchSettings.ts"

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
const Millis = Schema.Finite

/**
 * A file of records in the bucket.
 *
 * @category models
 * @since 0.1.0
 */
export const File = Schema.Struct({ key: Schema.NonEmptyString, bytes: Count, records: Count })

/**
 * The records of one job, as they were uploaded: round 0 has all records, each later one those that failed in the round before.
 *
 * - `round`, `part`, `generation`: its name; parts of a round are numbered from 0. The generation is that of the lease it was uploaded under: who has lost
 *   the lease can't write over the files of who has it.
 * - `first`, `last`: the lowest and the highest place in the input. In round 0 it has all between them.
 * - `records`: how many are in the files; `refused`: how many more were never sent.
 * - `digest`: of the bytes of its files, and of the names of its records, in hexadecimal.
 *
 * @category models
 * @since 0.1.0
 */
export const Upload = Schema.Struct({
  round: Count,
  part: Count,
  generation: Count,
  first: Count,
  last: Count,
  records: Count,
  refused: Count,
  bytes: Count,
  files: Schema.Array(File),
  digest: Schema.NonEmptyString
})

/**
 * The records of one job, as they were uploaded.
 *
 * @category models
 * @since 0.1.0
 */
export type Upload = typeof Upload.Type

/**
 * Counts of a job, as Bedrock reports them.
 *
 * @category models
 * @since 0.1.0
 */
export const Counts = Schema.Struct({ total: Count, processed: Count, succeeded: Count, failed: Count })

/**
 * A job for a part. It stands in the journal before it is created: `arn` comes with the answer. `status` is Bedrock's own word. `missedAt` is since when Bedrock
 * shows no such job, in milliseconds since 1970.
 *
 * @category models
 * @since 0.1.0
 */
export const Job = Schema.Struct({
  name: Schema.NonEmptyString,
  token: Schema.NonEmptyString,
  arn: Schema.optionalKey(Schema.NonEmptyString),
  status: Schema.optionalKey(Schema.String),
  message: Schema.optionalKey(Schema.String),
  missedAt: Schema.optionalKey(Millis)
})

/**
 * A job for a part.
 *
 * @category models
 * @since 0.1.0
 */
export type Job = typeof Job.Type

/**
 * What the outputs of a part had. `again` is worth another round: the service failed, or no output has the record.
 *
 * - `succeeded`: records with an answer.
 * - `rejected`: the model refused them, and would again.
 * - `failed`: the service or the model failed.
 * - `missing`: in no output.
 * - `foreign`, `repeated`: lines that belong to no record of the part, or to one that had a line already.
 * - `inputTokens`, `outputTokens`: of all answers that say so.
 *
 * @category models
 * @since 0.1.0
 */
export const Tally = Schema.Struct({
  succeeded: Count,
  rejected: Count,
  failed: Count,
  missing: Count,
  foreign: Count,
  repeated: Count,
  inputTokens: Count,
  outputTokens: Count
})

/**
 * What the outputs of a part had.
 *
 * @category models
 * @since 0.1.0
 */
export type Tally = typeof Tally.Type

/**
 * Where a part stands.
 *
 * - `uploaded`: its files are complete.
 * - `submitting`: a job with this name and token may have been created.
 * - `running`: it was, and its ARN is known.
 * - `ended`: the job is in its last state.
 * - `collected`: its outputs were read, and counted in `tally`.
 *
 * `hours` is what its job may take, where that is not what the settings say. `rest` is what its records without an answer end in, unless a later round takes them up.
 *
 * @category models
 * @since 0.1.0
 */
export const Part = Schema.Struct({
  ...Upload.fields,
  attempt: Count,
  hours: Schema.optionalKey(Count),
  phase: Schema.Literals(["uploaded", "submitting", "running", "ended", "collected"]),
  job: Schema.optionalKey(Job),
  tally: Schema.optionalKey(Tally),
  rest: Schema.optionalKey(RecordError)
})

/**
 * A part, and where it stands.
 *
 * @category models
 * @since 0.1.0
 */
export type Part = typeof Part.Type

/**
 * The input: `sealed` once it came to its end, and nothing may be added. `chain` is a digest over all parts of it so far.
 *
 * @category models
 * @since 0.1.0
 */
export const Input = Schema.Struct({
  sealed: Schema.Boolean,
  records: Count,
  refused: Count,
  bytes: Count,
  chain: Schema.String
})

/**
 * What is asked on demand, of what the last round left over: `why`, and whether all has been `done`. Its answers are in files of their own. `records` is how many
 * there are to ask: 0 after a deadline until the last job has been stopped, and it is known.
 *
 * @category models
 * @since 0.1.0
 */
export const Late = Schema.Struct({
  why: Schema.Literals(["small", "deadline"]),
  records: Count,
  done: Schema.Boolean
})

/**
 * What stands in a batch's way, until somebody mends it and resumes: what the service `refused`, a job that `failed` for a reason that another try won't
 * cure, or one that somebody `stopped` by other means.
 *
 * @category models
 * @since 0.1.0
 */
export const Problem = Schema.Struct({
  kind: Schema.Literals(["refused", "failed", "stopped"]),
  job: Schema.String,
  status: Schema.String,
  message: Schema.String
})

/**
 * What stands in a batch's way.
 *
 * @category models
 * @since 0.1.0
 */
export type Problem = typeof Problem.Type

/**
 * A batch.
 *
 * - `generation`: of the lease that it was last written under; `revision`: how often it was written.
 * - `round`: that the parts of are under way.
 * - `state`: `open` until the input is sealed, `running`, `cancelling`, and then `done`, `cancelled` or `failed`.
 * - `problem`: since when there is one, nothing new is begun, and what is under way is let end. Then the batch is `failed`, and whoever resumes it tries again.
 *
 * @category models
 * @since 0.1.0
 */
export const BatchJournal = Schema.Struct({
  format: Schema.Literal(1),
  name: Schema.NonEmptyString,
  generation: Count,
  revision: Count,
  createdAt: Millis,
  settings: Settled,
  limits: BatchLimits,
  input: Input,
  round: Count,
  parts: Schema.Array(Part),
  late: Schema.optionalKey(Late),
  state: Schema.Literals(["open", "running", "cancelling", "done", "failed", "cancelled"]),
  problem: Schema.optionalKey(Problem)
})

/**
 * A batch.
 *
 * @category models
 * @since 0.1.0
 */
export type BatchJournal = typeof BatchJournal.Type

/**
 * A batch, as its user reads it.
 *
 * - `succeeded`, `rejected`, `inputTokens`, `outputTokens`: in jobs that have ended. What was asked on demand is not in them.
 * - `parts`: each with its job. `status` is Bedrock's own word; `unanswered`, once its outputs were read, are those that another round may answer.
 *
 * @category models
 * @since 0.1.0
 */
export interface Status {
  readonly name: string
  readonly settings: Settled
  readonly state: BatchJournal["state"]
  /** Milliseconds since 1970. */
  readonly createdAt: number
  readonly sealed: boolean
  readonly records: number
  readonly refused: number
  readonly bytes: number
  readonly round: number
  readonly succeeded: number
  readonly rejected: number
  readonly inputTokens: number
  readonly outputTokens: number
  readonly parts: ReadonlyArray<{
    readonly round: number
    readonly part: number
    readonly attempt: number
    readonly records: number
    readonly phase: Part["phase"]
    readonly arn?: string
    readonly status?: string
    readonly message?: string
    readonly unanswered?: number
  }>
  readonly late?: typeof Late.Type
  readonly problem?: Problem
}
