// A program that needs only this package and its peers. `pnpm packages` runs it in an empty project.
import { Accounting, Catalogue, ModelId, Pool, Quotas } from "@caprock/quota"
import * as TokenEstimator from "@caprock/quota/TokenEstimator"
import { Result } from "effect"

const id = Result.getOrThrow(ModelId.parse("us.anthropic.claude-sonnet-4-6"))
const { burndown } = Catalogue.lookup(Catalogue.builtIn, ModelId.modelOf(id) ?? "")
const charged = Accounting.settlement({ inputTokens: 3000, outputTokens: 600 }, burndown)
const quotas = Quotas.uniform({ requestsPerMinute: 50, tokensPerMinute: 100_000 })
const meters = Quotas.metersOf(Quotas.lookup(quotas, Result.getOrThrow(Pool.of(id, { region: "us-east-1" }))))

if (charged !== 6000 || meters.length !== 2 || typeof TokenEstimator !== "object") {
  throw new Error(JSON.stringify({ charged, meters }))
}
