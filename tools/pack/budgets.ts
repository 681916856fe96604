/** What a package may weigh and pull in, and why. */
export interface Budget {
  /** Bytes of the tarball. */
  readonly packed: number
  /** Bytes that it unpacks to. */
  readonly unpacked: number
  /** Packages in an empty project after installing it with its peers, itself included. */
  readonly pulls: number
  /** May packages of AWS be among them? */
  readonly aws: boolean
  readonly reason: string
}

/** Packages that serve without AWS, whatever their row says: the design's promise to whoever picks only one of them. */
export const withoutAws: ReadonlySet<string> = new Set([
  "@caprock/errors",
  "@caprock/backoff",
  "@caprock/rate-limiter",
  "@caprock/router",
  "@caprock/quota"
])

/**
 * Packages with an entry point for programs that have no Effect, or an older one: they bring their own along, and are tried beside
 * each of these. docs/decisions/0011-effect-comes-with-bedrock.md
 */
export const neighbours: Readonly<Record<string, ReadonlyArray<Neighbour>>> = {
  "@caprock/bedrock": [
    { effect: ">=4.1.0 <4.2.0", program: "besideEffect4", copies: 1 },
    { effect: "3.22.4", program: "besideEffect3", copies: 2 }
  ]
}

/**
 * What a project has to tell the compiler, beside `strict`, where it has the declarations of all its packages checked (`skipLibCheck: false`).
 *
 * `effect/ai` is typed for providers by interfaces that they add an optional field to, beside an index signature of JSON: without the flag such a field may
 * be `undefined`, which is no JSON. Effect's own providers do the same.
 */
export const compilerOptions: Readonly<Record<string, Readonly<Record<string, boolean>>>> = {
  "@caprock/ai": { exactOptionalPropertyTypes: true }
}

/** Who else is in a project. */
export interface Neighbour {
  /** The range of the project's own. */
  readonly effect: string
  /** In the `test` folder of the package. */
  readonly program: string
  /** How many copies of Effect there are then. */
  readonly copies: number
}

/**
 * One row for every package: a tenth to a quarter above what it was on 2026-11-21, so that what is fed by mistake (a fixture, a
 * build state, a dependency) is over it at once, and an ordinary change is not. Half of the unpacked bytes are sources and their
 * maps, which let a debugger and "go to definition" end in the code as it was written.
 */
export const budgets: Readonly<Record<string, Budget>> = {
  "@caprock/errors": {
    packed: 66_000,
    unpacked: 255_000,
    pulls: 2,
    aws: false,
    reason: "itself and effect: the taxonomy classifies what any SDK throws, and needs none"
  },
  "@caprock/backoff": {
    packed: 28_000,
    unpacked: 120_000,
    pulls: 2,
    aws: false,
    reason: "itself and effect: schedules serve any API"
  },
  "@caprock/rate-limiter": {
    packed: 265_000,
    unpacked: 1_150_000,
    pulls: 2,
    aws: false,
    reason:
      "itself and effect: the limiter serves any API that meters requests and tokens; half of it is the stores of " +
      "shared quotas, which are loaded only where they are asked for"
  },
  "@caprock/router": {
    packed: 160_000,
    unpacked: 685_000,
    pulls: 4,
    aws: false,
    reason:
      "itself, effect, and the limiter and the backoff that it stands on: which target a call goes to is a matter of any API; who waits hears of room elsewhere, a circuit of its own count of outcomes, and a call goes on beside a request that hangs"
  },
  "@caprock/quota": {
    packed: 135_000,
    unpacked: 563_000,
    pulls: 3,
    aws: false,
    reason: "itself, effect, and the rate-limiter whose Cost and Meter it speaks; carries the catalogue of models"
  },
  "@caprock/emulator": {
    packed: 280_000,
    unpacked: 1_210_000,
    pulls: 2,
    aws: false,
    reason:
      "itself and effect: an independent judge speaks the wire protocol without the SDK that it judges, and takes the client of S3 of " +
      "whoever wants batch jobs; the control plane of those is an eighth of it"
  },
  "@caprock/client": {
    packed: 152_000,
    unpacked: 605_000,
    pulls: 36,
    aws: true,
    reason:
      "the one package with the runtime's SDK, which brings its credential providers; all operations, a transport of HTTP/1.1, and one of HTTP/2"
  },
  "@caprock/bedrock": {
    packed: 186_000,
    unpacked: 805_000,
    pulls: 41,
    aws: true,
    reason:
      "the client and the packages that it is assembled with; what routes leave out of a conversation for another model; a third of it are the entry points without Effect, and for a plain client of the SDK"
  },
  "@caprock/ai": {
    packed: 110_000,
    unpacked: 470_000,
    pulls: 42,
    aws: true,
    reason:
      "itself on bedrock: it adds no package, for effect/ai is a part of effect; language models, embeddings, and limits under other providers' models"
  },
  "@caprock/batch": {
    packed: 225_000,
    unpacked: 970_000,
    pulls: 60,
    aws: true,
    reason:
      "itself, effect, the errors and the backoff, the client and the quota that records are checked by, and the SDK's client of S3, which " +
      "brings its credential providers"
  },
  "@caprock/cli": {
    packed: 255_000,
    unpacked: 1_060_000,
    pulls: 58,
    aws: true,
    reason:
      "a program: all of the above, Effect's Node platform, the redis that the platform asks for as a peer, and the client of S3 for " +
      "the batch jobs of `emulate`, that of SQS for what batches hear of theirs; a sixth of itself is `batch`, and how it is shown"
  }
}
