/** The emulator's own reading of model ids: what a request is metered under. */

type Path = "on-demand" | "cross-region" | "global" | "provisioned"

export interface ModelRef {
  /** What the request named. */
  readonly raw: string
  /** The id without an ARN around it, with its profile prefix: the key of a pool's own quota. */
  readonly id: string
  /** The model itself: no ARN, no profile prefix. */
  readonly model: string
  readonly path: Path
  /** From the ARN, where it names one. */
  readonly account: string | undefined
  readonly region: string | undefined
}

// Seen in metadata and accepted by AWS's own quota tools; `global` apart, each stands for a geography.
const geographies = new Set(["us", "eu", "apac", "jp", "au", "ca", "us-gov", "sa", "kr", "in", "il", "mx"])

const arn = /^arn:aws(?:-[a-z]+)*:(bedrock|sagemaker):([a-z0-9-]*):([0-9]{12})?:([a-z-]+)\/(.+)$/
const plain = /^[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){1,3}(?:[.:][A-Za-z0-9.-]{1,63})*$/
const resource = /^[A-Za-z0-9._:/-]{1,256}$/

const fromPlain = (raw: string, id: string, account?: string, region?: string): ModelRef | undefined => {
  if (!plain.test(id)) return undefined
  const dot = id.indexOf(".")
  const prefix = id.slice(0, dot)
  const rest = id.slice(dot + 1)
  const profiled = rest.includes(".")
  if (profiled && prefix === "global") return { raw, id, model: rest, path: "global", account, region }
  if (profiled && geographies.has(prefix)) return { raw, id, model: rest, path: "cross-region", account, region }
  return { raw, id, model: id, path: "on-demand", account, region }
}

/** Reads an id; `undefined` when nothing that Bedrock takes looks like this. */
export const parse = (raw: string): ModelRef | undefined => {
  if (raw.length > 2048) return undefined
  if (!raw.startsWith("arn:")) return fromPlain(raw, raw)
  const match = arn.exec(raw)
  if (match === null) return undefined
  const [, service, region = "", account, type, id = ""] = match
  if (!resource.test(id)) return undefined
  const where = region === "" ? undefined : region
  const named = (path: Path): ModelRef => ({ raw, id, model: id, path, account, region: where })
  if (service === "sagemaker") return type === "endpoint" ? named("provisioned") : undefined
  switch (type) {
    case "foundation-model":
    case "inference-profile":
      return fromPlain(raw, id, account, where)
    case "provisioned-model":
      return named("provisioned")
    // What stands behind these is known to the account's control plane only: each is metered by itself.
    case "application-inference-profile":
    case "default-prompt-router":
    case "prompt-router":
      return named("cross-region")
    case "custom-model":
    case "custom-model-deployment":
    case "imported-model":
    case "prompt":
      return named("on-demand")
    default:
      return undefined
  }
}
