// `node tools/tables.ts` writes the tables of the guide that say what the code says, each between its two comments, and
// formats the page. A test fails while they differ.
import * as Duration from "effect/Duration"
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as BatchOffload from "../packages/batch/src/BatchOffload.ts"
import * as JobControl from "../packages/batch/src/JobControl.ts"
import * as ObjectStore from "../packages/batch/src/ObjectStore.ts"
import * as Bedrock from "../packages/bedrock/src/Bedrock.ts"
import * as Refund from "../packages/bedrock/src/Refund.ts"
import * as BedrockClient from "../packages/client/src/BedrockClient.ts"
import type * as Settings from "../packages/client/src/Settings.ts"
import { ErrorName } from "../packages/emulator/src/Fault.ts"
import * as WireError from "../packages/emulator/src/internal/wireError.ts"
import * as Classification from "../packages/errors/src/Classification.ts"
import * as Reason from "../packages/errors/src/Reason.ts"
import * as Verdict from "../packages/errors/src/Verdict.ts"
import * as Family from "../packages/quota/src/Family.ts"
import { clients, exceptions, rooms } from "./house.ts"

const root = join(import.meta.dirname, "..")

type Cells = ReadonlyArray<ReadonlyArray<string>>

/** A table of the guide: its page, the name in its comment, and what has to stand in it. */
export interface Table {
  readonly page: string
  readonly name: string
  readonly rows: Cells
}

const verdictRows = (): Cells =>
  Object.entries<Verdict.Verdict>(Verdict.table).map(([row, verdict]) => {
    const [reason = "", kind] = row.split("/")
    const { elsewhere, notBefore, retryable } = verdict
    return [
      `\`${reason}\``,
      kind === undefined ? "" : `\`${kind}\``,
      retryable ? "yes" : "no",
      elsewhere === "target" ? "yes" : elsewhere === "none" ? "no" : elsewhere,
      notBefore === undefined ? "" : Duration.format(notBefore)
    ]
  })

const givesBack: Readonly<Record<Refund.GivesBack, readonly [requests: string, tokens: string]>> = {
  everything: ["returned", "returned"],
  tokens: ["kept", "returned"],
  output: ["kept", "those of the output returned"],
  nothing: ["kept", "kept"]
}

const refundRows = (): Cells =>
  Object.entries(Refund.table).map(([reason, back]) => [`\`${reason}\``, ...givesBack[back]])

/** Each error of the emulator, as it is on the wire and as `Classification` reads it there. */
const wireRows = (): Cells =>
  ErrorName.literals.map((name) => {
    const { body, headers, status } = WireError.encode({ name })
    const { error, message }: { readonly error?: { readonly message: string }; readonly message?: string } = JSON.parse(
      body
    )
    // What has no name on the wire, the SDK calls so.
    const named = headers.includes("x-amzn-errortype") ? name : "UnknownError"
    const thrown = Object.assign(new Error(message ?? error?.message), {
      name: named,
      $metadata: { httpStatusCode: status }
    })
    const { reason } = Classification.fromUnknown(thrown, { operation: "Converse" })
    return [`\`${name}\``, String(status), `\`${Reason.rowOf(reason)}\``]
  })

const code = (words: ReadonlyArray<string>): string => words.map((word) => `\`${word}\``).join(", ")

/** Where a family's counts stand, each by the first of its places. */
const countsOf = (forms: ReadonlyArray<Family.Counts>): string =>
  code([...new Set(forms.flatMap(({ input, output }) => [...input.slice(0, 1), ...(output ?? []).slice(0, 1)]))])

/** Whether another row says the same of all its models: they differ in what the table leaves out. */
const isCovered = ({ models, name, source }: Family.Family): boolean =>
  models.length > 0 && Family.all.some((other) =>
    other.name !== name && other.source === source
    && models.every((model) => other.models.some((beginning) => model.startsWith(beginning)))
  )

const familyRows = (): Cells =>
  Family.all.filter((family) => !isCovered(family)).map(({ chunks, generates, limits, models, name, usage }) => [
    name,
    code(models.map((beginning) => `${beginning}…`)) || "told by its keys",
    generates ? code(limits) : "generates nothing",
    countsOf(usage) || "nothing",
    generates ? countsOf(chunks) || "nothing" : ""
  ])

/** Only what there is: the rules have rows for packages that are not written yet. */
const here = (path: string): boolean => existsSync(join(root, "packages", path.split("/")[0] ?? ""))

const importRows = (): Cells =>
  Object.entries(rooms).filter(([name]) => here(name)).map(([name, { effect, imports }]) => {
    const at = (path: string) => path.startsWith(`packages/${name}/`)
    const excused = new Set(exceptions.filter(({ path }) => at(path)).flatMap(({ uses }) => uses))
    const sdk = Object.entries(clients).flatMap(([client, path]) => at(path) || excused.has(client) ? [client] : [])
    return [
      `\`${name}\``,
      code(imports.filter(here)) || "nothing of ours",
      effect === "core" ? "core" : code(effect) || "nothing",
      code(sdk) || "nothing"
    ]
  })

/** Each option once, with its variables in the order in which they count. */
const variableRows = (variables: ReadonlyArray<Settings.Variable>): Cells =>
  [...Map.groupBy(variables, ({ option }) => option)].map(([option, variables]) => [
    variables.map(({ name }) => `\`${name}\``).join(", else "),
    `\`${option}\``,
    `\`${variables[0]?.example}\``
  ])

/** All that are generated. */
export const tables = (): ReadonlyArray<Table> => [
  {
    page: "ARCHITECTURE.md",
    name: "imports",
    rows: [["package", "imports of ours", "of Effect, beyond stable modules", "of the AWS SDK"], ...importRows()]
  },
  {
    page: "docs/guide/errors.md",
    name: "verdicts",
    rows: [["reason", "kind", "again", "elsewhere", "not before"], ...verdictRows()]
  },
  {
    page: "docs/guide/quota.md",
    name: "families",
    rows: [["family", "model ids", "limit on output", "usage in an answer", "in its stream"], ...familyRows()]
  },
  {
    page: "docs/guide/bedrock.md",
    name: "refunds",
    rows: [["failed with", "its request is", "its tokens are"], ...refundRows()]
  },
  {
    page: "docs/guide/bedrock.md",
    name: "variables",
    rows: [
      ["variable", "option", "such as"],
      ...variableRows(Bedrock.variables.filter((variable) => !BedrockClient.variables.includes(variable)))
    ]
  },
  {
    page: "docs/guide/client.md",
    name: "variables",
    rows: [["variable", "option", "such as"], ...variableRows(BedrockClient.variables)]
  },
  {
    page: "docs/guide/batch.md",
    name: "variables",
    rows: [
      ["of", "variable", "option", "such as"],
      ...Object.entries({ ObjectStore, JobControl, BatchOffload }).flatMap(([name, { variables }]) =>
        variableRows(variables).map((row) => [`\`${name}\``, ...row])
      )
    ]
  },
  {
    page: "docs/guide/emulator.md",
    name: "wire-errors",
    rows: [["name", "status", "read by Caprock as"], ...wireRows()]
  }
]

const place = (name: string) =>
  new RegExp(`(<!-- ${name}: written by tools/tables.ts -->\n\n)(.*?)(\n?<!-- end -->)`, "s")

/** The cells of a table as they stand in a text, without the line under the headings. */
export const read = (name: string, text: string): Cells =>
  (place(name).exec(text)?.[2] ?? "").split("\n").filter((line) => line.startsWith("|") && !/^[|\s-]+$/.test(line)).map(
    (line) => line.split("|").slice(1, -1).map((cell) => cell.trim())
  )

if (import.meta.main) {
  for (const { name, page, rows } of tables()) {
    const path = join(root, page)
    const [headings = [], ...rest] = rows
    const lines = [headings, headings.map(() => "---"), ...rest].map((cells) => `| ${cells.join(" | ")} |\n`)
    writeFileSync(path, readFileSync(path, "utf8").replace(place(name), `$1${lines.join("")}$3`))
    spawnSync("dprint", ["fmt", page], { cwd: root, stdio: "inherit" })
  }
}
