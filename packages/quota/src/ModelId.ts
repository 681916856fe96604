/**
 * What a caller may put into `modelId`: read once, into what it names.
 *
 * **Details**
 *
 * Bedrock takes bare model ids, system inference profiles (a geographic prefix or `global.`), ARNs of a dozen resource
 * types in every partition, and plain names. The forms are those of the `modelId` pattern in the Bedrock Runtime service
 * model (botocore 1.43.67, August 2026) and of the inference profile pages of the Bedrock user guide (2026). A region-less foundation-model ARN is
 * what a global profile lists as its destination.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

/**
 * The parts of an ARN. `region` is empty in a region-less foundation-model ARN, `account` in any foundation-model ARN.
 *
 * @category models
 * @since 0.1.0
 */
export interface Arn {
  readonly partition: string
  readonly service: string
  readonly region: string
  readonly account: string
  readonly resourceType: string
  readonly resource: string
}

/**
 * A model by its own id, bare or as a foundation-model ARN: the on-demand path.
 *
 * @category models
 * @since 0.1.0
 */
export interface FoundationModel {
  readonly _tag: "FoundationModel"
  /** The id as it was given. */
  readonly id: string
  /** The bare model id, without a context suffix: `anthropic.claude-3-haiku-20240307-v1:0`. */
  readonly model: string
  /** What stands before the first dot: `anthropic`. */
  readonly provider: string
  /** The context suffix that only provisioned variants carry, such as `200k` in `...-v1:0:200k`. */
  readonly context?: string
  readonly arn?: Arn
}

/**
 * A system-defined inference profile: a model behind a geographic prefix or behind `global.`.
 *
 * @category models
 * @since 0.1.0
 */
export interface InferenceProfile {
  readonly _tag: "InferenceProfile"
  readonly id: string
  readonly model: string
  readonly provider: string
  /** The prefix without its dot: `us`, `eu`, `us-gov`, `global`. */
  readonly prefix: string
  /** `global` draws on a quota of its own; all geographic prefixes of one source Region share another. */
  readonly scope: "geographic" | "global"
  readonly arn?: Arn
}

/**
 * The resources of an account: their ids say nothing of the model behind them.
 *
 * @category models
 * @since 0.1.0
 */
export interface AccountResource {
  readonly _tag:
    | "ApplicationInferenceProfile"
    | "ProvisionedModel"
    | "CustomModel"
    | "CustomModelDeployment"
    | "ImportedModel"
    | "Prompt"
    | "PromptRouter"
    | "MarketplaceEndpoint"
  readonly id: string
  readonly arn: Arn
}

/**
 * A plain name without a dot: a provisioned model's name or the id of an application inference profile. Which of the two
 * can't be told from its form.
 *
 * @category models
 * @since 0.1.0
 */
export interface Name {
  readonly _tag: "Name"
  readonly id: string
}

/**
 * Any id that Bedrock takes.
 *
 * @category models
 * @since 0.1.0
 */
export type ModelId = FoundationModel | InferenceProfile | AccountResource | Name

/**
 * The string can't be a model id. `reason` says what is wrong with it and `message` what to write instead.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidModelId extends Schema.TaggedError<InvalidModelId>()("InvalidModelId", {
  input: Schema.String,
  reason: Schema.Literals(["empty", "too-long", "characters", "arn-parts", "arn-service", "arn-resource", "no-model"])
}) {
  override get message(): string {
    return `${JSON.stringify(shorten(this.input))} is not a model id: ${remedies[this.reason]}`
  }
}

const remedies: Record<InvalidModelId["reason"], string> = {
  "empty": "it is empty. Give a model id such as amazon.nova-lite-v1:0, an inference profile such as "
    + "us.anthropic.claude-sonnet-4-6, or an ARN",
  "too-long": "it is longer than the 2,048 characters that Bedrock takes",
  "characters":
    "it has a space or another character that no id has (letters, digits, and . : - _ are allowed, / in ARNs)",
  "arn-parts":
    "an ARN has six parts, arn:partition:service:region:account:type/resource, and one is missing or malformed",
  "arn-service": "only bedrock resources and SageMaker endpoints can be invoked",
  "arn-resource": "resources of this type can't be invoked. Those that can: foundation-model, inference-profile, "
    + "application-inference-profile, provisioned-model, custom-model, custom-model-deployment, imported-model, prompt, "
    + "prompt-router, default-prompt-router",
  "no-model": "a prefix such as us. or global. must be followed by a whole model id, provider included"
}

/** Enough of a bad id to recognise it in a message. */
const shorten = (input: string): string => input.length > 120 ? `${input.slice(0, 117)}...` : input

/**
 * The prefixes of system inference profiles that are known (from the profiles' metadata, and
 * aws-samples/sample-bedrock-quota-checker, 2026-10). Others are recognised by what follows: `xx.anthropic.…`.
 *
 * @category constants
 * @since 0.1.0
 */
export const geographicPrefixes: ReadonlySet<string> = new Set(
  ["us", "eu", "apac", "jp", "au", "ca", "us-gov", "sa", "kr", "in", "il", "mx"]
)

/** The first segments of bare model ids in the user guide's model table (2026). They tell `xx.anthropic.y` from `anthropic.x.y`. */
const providers: ReadonlySet<string> = new Set([
  "ai21",
  "amazon",
  "anthropic",
  "cohere",
  "deepseek",
  "google",
  "luma",
  "meta",
  "minimax",
  "mistral",
  "moonshot",
  "moonshotai",
  "nvidia",
  "openai",
  "qwen",
  "stability",
  "twelvelabs",
  "writer",
  "xai",
  "zai"
])

const maxLength = 2048
const resourceTypes: ReadonlyMap<string, AccountResource["_tag"]> = new Map([
  ["application-inference-profile", "ApplicationInferenceProfile"],
  ["provisioned-model", "ProvisionedModel"],
  ["custom-model", "CustomModel"],
  ["custom-model-deployment", "CustomModelDeployment"],
  ["imported-model", "ImportedModel"],
  ["prompt", "Prompt"],
  ["prompt-router", "PromptRouter"],
  ["default-prompt-router", "PromptRouter"]
])

const fail = (input: string, reason: InvalidModelId["reason"]) => Result.fail(new InvalidModelId({ input, reason }))

/**
 * Reads a model id. About a microsecond; nothing is looked up, so an id of a model that does not exist is read as well.
 *
 * **Example** (Three ids of one model)
 *
 * ```ts
 * import { ModelId } from "@caprock/quota"
 * import { Result } from "effect"
 *
 * const bare = Result.getOrThrow(ModelId.parse("anthropic.claude-haiku-4-5-20251001-v1:0"))
 * const geographic = Result.getOrThrow(ModelId.parse("eu.anthropic.claude-haiku-4-5-20251001-v1:0"))
 * const global = Result.getOrThrow(ModelId.parse("global.anthropic.claude-haiku-4-5-20251001-v1:0"))
 * console.log(bare._tag, geographic._tag, global._tag) // => FoundationModel InferenceProfile InferenceProfile
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const parse = (input: string): Result.Result<ModelId, InvalidModelId> => {
  if (input.length === 0) return fail(input, "empty")
  if (input.length > maxLength) return fail(input, "too-long")
  if (input.startsWith("arn:")) return parseArn(input)
  if (!/^[A-Za-z0-9][A-Za-z0-9._:-]*$/.test(input)) return fail(input, "characters")
  return input.includes(".") ? parseDotted(input, input, undefined) : Result.succeed({ _tag: "Name", id: input })
}

const parseArn = (input: string): Result.Result<ModelId, InvalidModelId> => {
  const match = /^arn:(aws(?:-[a-z0-9]+)*):([a-z0-9-]+):([a-z0-9-]*):(\d{12})?:([a-z0-9-]+)\/(.+)$/.exec(input)
  if (match === null) return fail(input, "arn-parts")
  // Stryker disable next-line StringLiteral: only the account can be missing, and then it is empty for whoever reads it
  const [, partition = "", service = "", region = "", account = "", resourceType = "", resource = ""] = match
  const arn: Arn = { partition, service, region, account, resourceType, resource }
  if (!/^[A-Za-z0-9][A-Za-z0-9._:/-]*$/.test(resource)) return fail(input, "characters")
  if (service === "sagemaker") {
    return resourceType === "endpoint"
      ? Result.succeed({ _tag: "MarketplaceEndpoint", id: input, arn })
      : fail(input, "arn-resource")
  }
  if (service !== "bedrock") return fail(input, "arn-service")
  if (resourceType === "foundation-model" || resourceType === "inference-profile") {
    return parseDotted(input, resource, arn)
  }
  const tag = resourceTypes.get(resourceType)
  if (tag === undefined) return fail(input, "arn-resource")
  // Everything that belongs to an account lives in a Region of it; only foundation models may lack either.
  if (region === "" || account === "") return fail(input, "arn-parts")
  return Result.succeed({ _tag: tag, id: input, arn })
}

/** `provider.model…` or `prefix.provider.model…`, bare or as the last part of an ARN. */
const parseDotted = (id: string, name: string, arn: Arn | undefined): Result.Result<ModelId, InvalidModelId> => {
  // Stryker disable next-line StringLiteral: there is always a first, and no second is as good as an empty one
  const [first = "", second = "", ...rest] = name.split(".")
  const prefixed = first === "global" || geographicPrefixes.has(first)
    || (rest.length > 0 && !providers.has(first) && providers.has(second))
  if (!prefixed) {
    if (second === "") return fail(id, "no-model")
    const provisioned = /(.*:\d+):([a-z0-9]+)$/.exec(name)
    const context = provisioned?.[2]
    return Result.succeed({
      _tag: "FoundationModel",
      id,
      model: provisioned?.[1] ?? name,
      provider: first,
      ...(context === undefined ? {} : { context }),
      ...(arn === undefined ? {} : { arn })
    })
  }
  if (second === "" || rest.length === 0 || rest[0] === "") return fail(id, "no-model")
  return Result.succeed({
    _tag: "InferenceProfile",
    id,
    model: name.slice(first.length + 1),
    provider: second,
    prefix: first,
    scope: first === "global" ? "global" : "geographic",
    ...(arn === undefined ? {} : { arn })
  })
}

/**
 * The bare model id that an id names, or `undefined` where it names none (a resource of the account, a name).
 *
 * @category accessors
 * @since 0.1.0
 */
export const modelOf = (modelId: ModelId): string | undefined => "model" in modelId ? modelId.model : undefined
