// What Bedrock itself says of a target: where it may process a request, and how much it writes at most. It goes before what a file says.
import * as Settings from "@caprock/client/Settings"
import * as Catalogue from "@caprock/quota/Catalogue"
import * as ModelId from "@caprock/quota/ModelId"
import { anywhere } from "@caprock/router/Fence"
import * as Route from "@caprock/router/Route"
import * as RouteTable from "@caprock/router/RouteTable"
import type { Target } from "@caprock/router/Target"
import * as Result from "effect/Result"

/** What a layer knows of all targets. */
export interface Known {
  /** Where requests go whose target names no Region. */
  readonly region: string | undefined
  readonly resolve: ReadonlyMap<string, string> | undefined
  readonly catalogue: Catalogue.Catalogue
}

type Problem = Settings.OptionsError["problems"][number]

/**
 * A table of the routes of a file, whose targets say what Bedrock says of them. A fence that is built on what a file claims, such as that a global
 * profile stays in Europe, would be none.
 *
 * @internal
 */
export const table = (
  given: Route.RouteFile,
  known: Known,
  functions?: RouteTable.Functions
): Result.Result<RouteTable.RouteTable, Settings.OptionsError> => {
  // From a variable it is whatever stands there.
  const decoded = Route.fromUnknown(given)
  if (Result.isFailure(decoded)) {
    return Result.fail(
      new Settings.OptionsError({ problems: [{ name: "routes", message: `routes: ${decoded.failure.message}` }] })
    )
  }
  const file = decoded.success
  const problems: Array<Problem> = []
  const targets: Record<string, Target> = {}
  for (const [name, target] of Object.entries(file.targets)) {
    const completed = complete(target, known)
    if (Result.isSuccess(completed)) targets[name] = completed.success
    else {problems.push({
        name: `routes.targets.${name}`,
        message: `Target ${JSON.stringify(name)}: ${completed.failure}`
      })}
  }
  problems.push(...contradictions(targets))
  const [first, ...others] = problems
  if (first !== undefined) return Result.fail(new Settings.OptionsError({ problems: [first, ...others] }))
  return Result.mapError(RouteTable.make({ ...file, targets }, functions), ({ problems: [first, ...others] }) => {
    const said = ({ message, reason, route, target }: RouteTable.Problem): Problem => ({
      name: route === undefined ? "routes" : `routes.routes.${route}`,
      message: reason === "residency-unknown" && target !== undefined && targets[target] !== undefined
        ? `${message}. ${advice(targets[target])}`
        : message
    })
    return new Settings.OptionsError({ problems: [said(first), ...others.map(said)] })
  })
}

/** What a profile may use nobody knows but AWS, and it changes. */
const advice = ({ model, region }: Target): string =>
  `AWS tells them: aws bedrock get-inference-profile --inference-profile-identifier ${model}${
    region === undefined ? "" : ` --region ${region}`
  }`

/** Targets of one model in one Region are one place to send to: two of them can't be processed at different places, and a fence would hold for the one alone. */
const contradictions = (targets: Readonly<Record<string, Target>>): ReadonlyArray<Problem> => {
  const told = Object.entries(targets).flatMap(([name, { model, region, residency }]) =>
    residency === undefined ? [] : [{ name, of: JSON.stringify([model, region]), residency }]
  )
  const firsts = new Map<string, typeof told[number]>()
  const problems: Array<Problem> = []
  for (const target of told) {
    const first = firsts.get(target.of)
    if (first === undefined) firsts.set(target.of, target)
    else if (!hasSame(first.residency, target.residency)) {
      problems.push({
        name: `routes.targets.${target.name}`,
        message: `Target ${JSON.stringify(target.name)}: its residency (${
          target.residency.join(", ")
        }) is not that of target ${JSON.stringify(first.name)} (${
          first.residency.join(", ")
        }), which is the same model in the same Region: say the same of both`
      })
    }
  }
  return problems
}

const hasSame = (one: ReadonlyArray<string>, other: ReadonlyArray<string>): boolean =>
  one.every((place) => other.includes(place)) && other.every((place) => one.includes(place))

const complete = (target: Target, { catalogue, region: own, resolve }: Known): Result.Result<Target, string> => {
  const parsed = ModelId.parse(target.model)
  if (Result.isFailure(parsed)) return Result.fail(parsed.failure.message)
  const id = parsed.success
  const inArn = "arn" in id && id.arn !== undefined && id.arn.region !== "" ? id.arn.region : undefined
  if (inArn !== undefined && target.region !== undefined && inArn !== target.region) {
    return Result.fail(
      `its ARN is of ${inArn} and its region is ${target.region}: a request has to be sent to the Region of its ARN`
    )
  }
  const region = target.region ?? inArn ?? own
  const model = ModelId.modelOf(id) ?? modelBehind(resolve?.get(target.model))
  const entry = model === undefined ? undefined : Catalogue.lookup(catalogue, model)
  // What a profile of one's own stands for may be a global one.
  const behind = ModelId.parse(resolve?.get(target.model) ?? "")
  const residency = residencyOf(id, region) ?? (Result.isSuccess(behind) && isGlobal(behind.success)
    ? [anywhere] as const
    : target.residency)
  // Wherever a profile may send it on to, there it is received.
  if (region !== undefined && residency?.includes(region) === false && !residency.includes(anywhere)) {
    return Result.fail(
      `its requests are sent to ${region}, which is not among its residency (${residency.join(", ")}): add ${region}`
    )
  }
  return Result.succeed({
    ...target,
    ...(region === undefined ? {} : { region }),
    ...(residency === undefined ? {} : { residency }),
    // What writes nothing, and embeds, has no most.
    ...(entry?.maxOutputKnown === true && entry.maxOutputTokens > 0
      ? { able: { output: entry.maxOutputTokens, ...target.able } }
      : {})
  })
}

/** What a resource of the account stands for may be the id of a profile as well. */
const modelBehind = (id: string | undefined): string | undefined =>
  id === undefined ? undefined : Result.match(ModelId.parse(id), { onFailure: () => id, onSuccess: ModelId.modelOf })

const isGlobal = (id: ModelId.ModelId): boolean => id._tag === "InferenceProfile" && id.scope === "global"

/** Where a request is processed, where that follows from the id; `undefined` where only AWS can tell. */
export const residencyOf = (id: ModelId.ModelId, region: string | undefined): Target["residency"] => {
  switch (id._tag) {
    case "InferenceProfile":
      return isGlobal(id) ? [anywhere] : undefined
    case "FoundationModel":
    case "ProvisionedModel":
    case "CustomModel":
    case "CustomModelDeployment":
    case "ImportedModel":
      return region === undefined ? undefined : [region]
    default:
      return undefined
  }
}
