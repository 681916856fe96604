// What an error of Redis, or of its client, means for the limiter, and what to do about it.

/** By what its text contains, the first that fits. Scripts' errors come with the place in the script behind or before them. */
const problems: ReadonlyArray<readonly [text: RegExp, problem: (prefix: string) => string]> = [
  [
    /\bNOPERM\b|user executing the script can't|no permissions? to/i,
    (prefix) =>
      "may not do what it needs: give its user the commands EVALSHA, SCRIPT|LOAD, TIME, HMGET, HGET, HSET, HDEL, PEXPIRE, PUBLISH, SUBSCRIBE and " +
      `INFO, the keys ~${prefix}* and the channels &${prefix}*`
  ],
  [/\b(NOAUTH|WRONGPASS)\b/, () => "was given no password, or a wrong one"],
  [
    /\bOOM\b/,
    () => "is out of memory: raise maxmemory, or give the limiter a Redis of its own, which needs some megabytes"
  ],
  [
    /\bREADONLY\b|read only replica/,
    () => "is a replica, which takes no writes: connect to the primary, by a name that follows it through a failover"
  ],
  [/\bMISCONF\b/, () => "takes no writes since Redis could not save to its disk"],
  [/\bNOREPLICAS\b/, () => "takes no writes since too few replicas are connected (min-replicas-to-write)"],
  [
    /\bCROSSSLOT\b/,
    () =>
      "is a cluster that finds two slots in one script, where the limiter uses one key: is there a proxy that renames keys?"
  ],
  [/\b(MOVED|ASK) \d+/, () => "is a node of a cluster, and the quota is on another: use a client for clusters"],
  [/\b(CLUSTERDOWN|TRYAGAIN|MASTERDOWN)\b/, () => "is a cluster of which the part is down that has the quota"],
  [/\bLOADING\b/, () => "is starting: Redis loads its data"],
  [/\bBUSY\b/, () => "is busy with a script of somebody else's"],
  [/\bCAPROCK\b/, () => "has books that another version of Caprock began: use one version, or another prefix"],
  [
    /ECONNREFUSED|ECONNRESET|EPIPE|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|SocketClosed|Socket closed|socket|[Cc]onnection|offline|[Cc]lient is closed/,
    () => "cannot be reached: is Redis running at the address that the client has, and not in the middle of a restart?"
  ],
  [
    /unknown command|[Uu]nknown Redis command/,
    () => "does not know a command that the limiter needs: Redis 6.2 and later do, and Valkey"
  ]
]

/** All that an error says of itself and of what caused it. */
const textOf = (cause: unknown, depth = 0): string => {
  if (typeof cause !== "object" || cause === null || depth > 4) return String(cause)
  const parts = [
    "message" in cause ? cause.message : "",
    "code" in cause ? cause.code : "",
    "cause" in cause && cause.cause !== undefined ? textOf(cause.cause, depth + 1) : ""
  ]
  return parts.filter((part) => part !== "" && part !== undefined).join(" ")
}

/** The rest of "the limiter's store ...". */
export const explain = (cause: unknown, prefix: string): string => {
  const text = textOf(cause)
  const known = problems.find(([pattern]) => pattern.test(text))
  return known === undefined ? `failed: ${text.slice(0, 300)}` : known[1](prefix)
}
