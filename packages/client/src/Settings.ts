/**
 * Options, wherever they come from: what is given in code and what is found in variables is held against one Schema, and what
 * is wrong with it is one typed error, that names each option, what it was, and what is allowed.
 *
 * @since 0.1.0
 */
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as near from "./internal/nearest.ts"

// -----------------------------------------------------------------------------
// Models and errors
// -----------------------------------------------------------------------------

/**
 * Options that can't be used: all that is wrong with them, at once.
 *
 * Each problem has the `name` under which it was set, of the option (`timeouts.call`) or of the variable, and says what it was
 * and what is allowed. Of a secret it says nothing.
 *
 * @category errors
 * @since 0.1.0
 */
export class OptionsError extends Schema.TaggedError<OptionsError>()("OptionsError", {
  problems: Schema.NonEmptyArray(Schema.Struct({ name: Schema.String, message: Schema.String }))
}) {
  /** @since 0.1.0 */
  override get message(): string {
    return this.problems.map(({ message }) => message).join("\n")
  }
}

/**
 * A variable that sets an option.
 *
 * - `option`: as a path, `timeouts.call`. Of several variables for one option the first that is set counts.
 * - `read`: from its text to the option's value. What makes no sense may stay as it is: the Schema finds it.
 * - `example`: a text that is allowed.
 * - `unless`: options that, given in code, leave it nothing to say.
 * - `ignoredIf`: a variable that, where it is `true`, has this one ignored.
 *
 * @category models
 * @since 0.1.0
 */
export interface Variable {
  readonly name: string
  readonly option: string
  readonly read: (text: string) => unknown
  readonly example: string
  readonly unless?: ReadonlyArray<string>
  readonly ignoredIf?: string
}

/** A Schema whose fields are the options, all of which may be left out. */
type Fields = Schema.ConstraintDecoder<unknown> & { readonly fields: Readonly<Record<string, unknown>> }

// -----------------------------------------------------------------------------
// Kinds of values
// -----------------------------------------------------------------------------

const isText = (value: unknown): boolean => typeof value === "string" && value !== ""

const kind = <A>(expected: string, is: (value: unknown) => boolean): Schema.declare<A> =>
  Schema.declare<A>((value): value is A => is(value), { expected })

/**
 * Names that there are, those first that take the fewest slips to write the one that there is not.
 *
 * @category conversions
 * @since 0.1.0
 */
export const nearestFirst: (name: string, names: Iterable<string>) => ReadonlyArray<string> = near.nearestFirst

/**
 * The milliseconds of a duration; NaN of what is none, and of a negative one. (`Duration` itself takes NaN for nothing.)
 *
 * @category conversions
 * @since 0.1.0
 */
export const millisOf = (value: unknown): number => {
  if (typeof value === "number") return value >= 0 ? value : Number.NaN
  const duration = Option.getOrUndefined(Duration.fromInput(value as Duration.Input))
  const millis = duration === undefined ? Number.NaN : Duration.toMillis(duration)
  return millis >= 0 ? millis : Number.NaN
}

/**
 * How long something waits: 0 or more, and `Infinity` for no end.
 *
 * @category schemas
 * @since 0.1.0
 */
export const wait: Schema.declare<Duration.Input> = kind(
  "a duration, such as \"30 seconds\" or \"Infinity\"",
  (value) => millisOf(value) >= 0
)

/**
 * How long something may take: more than 0, and `Infinity` for no limit.
 *
 * @category schemas
 * @since 0.1.0
 */
export const timeLimit: Schema.declare<Duration.Input> = kind(
  "a duration of more than 0, such as \"30 seconds\" or \"Infinity\"",
  (value) => millisOf(value) > 0
)

/**
 * How long something takes: more than 0, and not for ever.
 *
 * @category schemas
 * @since 0.1.0
 */
export const span: Schema.declare<Duration.Input> = kind(
  "a duration of more than 0, such as \"1 minute\"",
  (value) => millisOf(value) > 0 && millisOf(value) < Infinity
)

/**
 * How many: a whole number of at least 1.
 *
 * @category schemas
 * @since 0.1.0
 */
export const count: Schema.declare<number> = kind(
  "a whole number of at least 1",
  (value) => Number.isSafeInteger(value) && Number(value) >= 1
)

/**
 * A factor, a rate, a ratio: a number of at least 0.
 *
 * @category schemas
 * @since 0.1.0
 */
export const factor: Schema.declare<number> = kind(
  "a number of at least 0",
  (value) => Number.isFinite(value) && Number(value) >= 0
)

/**
 * A part of a whole: more than 0, and at most 1.
 *
 * @category schemas
 * @since 0.1.0
 */
export const share: Schema.declare<number> = kind(
  "a number above 0 and up to 1",
  (value) => Number.isFinite(value) && Number(value) > 0 && Number(value) <= 1
)

/**
 * Yes or no.
 *
 * @category schemas
 * @since 0.1.0
 */
export const flag: Schema.declare<boolean> = kind("true or false", (value) => typeof value === "boolean")

/**
 * A name: a text that has something in it, and no space around it.
 *
 * @category schemas
 * @since 0.1.0
 */
export const name: Schema.declare<string> = kind(
  "a text without space around it, and not an empty one",
  (value) => typeof value === "string" && value !== "" && value.trim() === value
)

/**
 * A Region by its form; which there are changes by the year.
 *
 * @category schemas
 * @since 0.1.0
 */
export const region: Schema.declare<string> = kind(
  "a Region, such as \"us-east-1\"",
  // us-east-1, ap-southeast-2, us-gov-west-1, us-isob-east-1, eusc-de-east-1
  (value) => typeof value === "string" && /^[a-z]{2,5}(-[a-z]{2,12}){1,2}-\d{1,2}$/.test(value)
)

/**
 * Where requests go.
 *
 * @category schemas
 * @since 0.1.0
 */
export const endpoint: Schema.declare<string> = kind(
  "a URL, such as \"https://bedrock-runtime.us-east-1.amazonaws.com\" or \"http://127.0.0.1:8080\"",
  (value) => typeof value === "string" && /^https?:$/.test(URL.parse(value)?.protocol ?? "")
)

/**
 * A secret that can be sent in a header, as a `Redacted`.
 *
 * @category schemas
 * @since 0.1.0
 */
export const secret: Schema.declare<Redacted.Redacted> = kind(
  "a Redacted text of visible characters, without space or line break",
  (value) => Redacted.isRedacted(value) && /^[\x21-\x7e]+$/.test(String(Redacted.value(value)))
)

/**
 * What signs requests, or a function that gives a `Promise` of it.
 *
 * @category schemas
 * @since 0.1.0
 */
export const credentials: Schema.declare<object> = kind(
  "{ accessKeyId, secretAccessKey, sessionToken? }, each a text that is not empty, or a function that gives a Promise of them",
  (value) =>
    typeof value === "function" || (
      typeof value === "object" && value !== null &&
      ["accessKeyId", "secretAccessKey"].every((key) => isText(Reflect.get(value, key))) &&
      (Reflect.get(value, "sessionToken") === undefined || isText(Reflect.get(value, "sessionToken")))
    )
)

/**
 * One of a few words.
 *
 * @category schemas
 * @since 0.1.0
 */
export const oneOf = <const A extends string>(...words: ReadonlyArray<A>): Schema.declare<A> =>
  kind(
    `one of ${words.map((word) => JSON.stringify(word)).join(", ")}`,
    (value) => words.some((word) => word === value)
  )

// -----------------------------------------------------------------------------
// From code
// -----------------------------------------------------------------------------

/**
 * Holds options against their Schema; what is `undefined` is not set. `origin` says which variable an option was read from.
 *
 * @category checking
 * @since 0.1.0
 */
export const check = <A extends object>(
  schema: Fields,
  options: A,
  origin: ReadonlyMap<string, string> = new Map()
): Effect.Effect<A, OptionsError> => {
  const set = withoutUndefined(options)
  const checked = Schema.decodeResult(schema, { errors: "all", onExcessProperty: "error" })(set)
  if (Result.isSuccess(checked)) return Effect.succeed(options)
  const problems = new Map<string, Named>()
  for (const { message, path = [] } of format(checked.failure.issue).issues) {
    const keys = path.map((part) => String(typeof part === "object" ? part.key : part))
    const name = nameOf(keys, origin)
    // Of several that one option breaks, the last: it is the narrowest.
    problems.set(name, { name, message: sentence(name, message, keys, set, origin) })
  }
  return wrong(...problems.values())
}

/**
 * The failure that names an option, or the variable that it was read from, with a sentence about it.
 *
 * @category checking
 * @since 0.1.0
 */
export const fail = (option: string, message: string): Effect.Effect<never, OptionsError> =>
  wrong({ name: option, message: `${option}: ${message}` })

/**
 * The options that a Schema knows, of some that are more.
 *
 * @category checking
 * @since 0.1.0
 */
export const pick = <A extends object>(schema: Fields, options: A): A =>
  Object.fromEntries(Object.entries(options).filter(([key]) => Object.hasOwn(schema.fields, key))) as A

// -----------------------------------------------------------------------------
// From variables
// -----------------------------------------------------------------------------

/**
 * What is given in code, completed from variables by the current `ConfigProvider`, and held against the Schema.
 *
 * A variable whose name begins with `CAPROCK_` and is nearly one of these fails, too: a limit that was misspelt would be no
 * limit, and nobody would know. (A name that is like none of them is left alone: Kubernetes makes such for a service.)
 *
 * @category checking
 * @since 0.1.0
 */
export const load = <A extends object>(
  schema: Fields,
  variables: ReadonlyArray<Variable>,
  given: A
): Effect.Effect<A, OptionsError> =>
  Effect.gen(function*() {
    const provider = yield* ConfigProvider.ConfigProvider
    const read = (name: string) =>
      provider.load([name]).pipe(
        Effect.map((node) => node?.value),
        Effect.catch((cause) => fail(name, `it can't be read. ${cause.message}`))
      )
    const options = withoutUndefined(given)
    const origin = new Map<string, string>()
    for (const variable of variables) {
      const keys = variable.option.split(".")
      const { ignoredIf, unless = [] } = variable
      if (at(options, keys) !== undefined || unless.some((option) => at(given, [option]) !== undefined)) continue
      if (ignoredIf !== undefined && (yield* read(ignoredIf))?.trim().toLowerCase() === "true") continue
      const text = (yield* read(variable.name))?.trim()
      if (text === undefined || text === "") continue
      put(options, keys, variable.read(text))
      origin.set(variable.option, variable.name)
    }
    const ours = variables.flatMap(({ name }) => name.startsWith(prefix) ? [name.slice(prefix.length)] : [])
    const misspelt: Array<Named> = []
    for (const name of yield* namesIn(provider)) {
      const own = name.slice(prefix.length)
      const meant = ours.includes(own)
        ? undefined
        : near.nearest(own, ours) ?? ours.find((known) => areSameWords(own, known))
      if (meant !== undefined) misspelt.push({ name, message: `${name} is not known. ${prefix}${meant} is.` })
    }
    if (misspelt.length > 0) return yield* wrong(...misspelt)
    return yield* check(schema, options as A, origin)
  })

/**
 * How a variable's text is read: as it is, as a number, as a secret, or as JSON. What is none is left as it is, for the Schema to find.
 *
 * @category readers
 * @since 0.1.0
 */
export const readers = {
  text: (text: string): unknown => text,
  number: (text: string): unknown => Number.isNaN(Number(text)) ? text : Number(text),
  secret: (text: string): unknown => Redacted.make(text),
  json: (text: string): unknown => Result.getOrElse(Result.try((): unknown => JSON.parse(text)), () => text)
} as const

/**
 * The variables of a Region, ours before those of AWS.
 *
 * @category readers
 * @since 0.1.0
 */
export const regionVariables: ReadonlyArray<Variable> = [
  "CAPROCK_REGION",
  "AWS_REGION",
  // Of the AWS CLI and of boto3; the SDK for JavaScript does not know it.
  "AWS_DEFAULT_REGION"
].map((name) => ({ name, option: "region", read: readers.text, example: "us-east-1" }))

/**
 * The variables of an endpoint, ours before those that AWS has for the service and for all.
 *
 * @category readers
 * @since 0.1.0
 */
export const endpointVariables = (own: string, service: string): ReadonlyArray<Variable> =>
  [own, `AWS_ENDPOINT_URL_${service}`, "AWS_ENDPOINT_URL"].map((name) => ({
    name,
    option: "endpoint",
    read: readers.text,
    example: "http://127.0.0.1:8080",
    ...(name === own ? {} : { ignoredIf: "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS" })
  }))

// -----------------------------------------------------------------------------
// Mechanics
// -----------------------------------------------------------------------------

const prefix = "CAPROCK_"

type Named = OptionsError["problems"][number]
type Values = { [key: string]: unknown }

const wrong = (...problems: ReadonlyArray<Named>): Effect.Effect<never, OptionsError> => {
  const [first = { name: "", message: "" }, ...rest] = problems
  return Effect.fail(new OptionsError({ problems: [first, ...rest] }))
}

// What stands before the names that there are, in the message about one that is not.
const unexpected = "unexpected among "

// What a Schema's own message begins with, and its bare types.
const expected = "Expected "
const articles: Readonly<Record<string, string>> = { object: "an object", number: "a number" }

const format = SchemaIssue.makeFormatterStandardSchemaV1({
  leafHook: (issue) =>
    issue._tag === "UnexpectedKey" && issue.ast._tag === "Objects"
      ? unexpected + issue.ast.propertySignatures.map(({ name }) => String(name)).join(" ")
      : SchemaIssue.defaultLeafHook(issue)
})

const sentence = (
  name: string,
  message: string,
  keys: ReadonlyArray<string>,
  set: Values,
  origin: ReadonlyMap<string, string>
): string => {
  if (message.startsWith(unexpected)) {
    const known = message.slice(unexpected.length).split(" ")
    const meant = near.nearest(keys.at(-1) ?? "", known)
    return `${name} is not known. ${
      meant === undefined ? `There are ${known.join(", ")}.` : `${nameOf([...keys.slice(0, -1), meant], origin)} is.`
    }`
  }
  if (!message.startsWith(expected)) return `${name}: ${message}.`
  const allowed = message.slice(expected.length)
  return `${name} is ${shown(keys, at(set, keys))}, and must be ${articles[allowed] ?? allowed}.`
}

const isPlain = (value: unknown): value is Values =>
  typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype

/** A copy of what is plain: durations, maps and functions are values. */
const withoutUndefined = (options: object): Values => {
  const set: Values = {}
  for (const [key, value] of Object.entries(options)) {
    if (value !== undefined) set[key] = isPlain(value) ? withoutUndefined(value) : value
  }
  return set
}

/** CONNECT_TIMEOUT is TIMEOUT_CONNECT. */
const areSameWords = (a: string, b: string): boolean => a.split("_").sort().join() === b.split("_").sort().join()

const at = (value: unknown, keys: ReadonlyArray<string>): unknown =>
  keys.reduce<unknown>(
    (found, key) =>
      (isPlain(found) || Array.isArray(found)) && Object.hasOwn(found, key) ? Reflect.get(found, key) : undefined,
    value
  )

const put = (values: Values, [key = "", ...rest]: ReadonlyArray<string>, value: unknown): void => {
  if (rest.length === 0) values[key] = value
  else {
    const below = values[key] ??= {}
    // What is no place for it is wrong itself, and will be found.
    if (isPlain(below)) put(below, rest, value)
  }
}

/** The option, or the variable that it was read from, and what of it is meant. */
const nameOf = (keys: ReadonlyArray<string>, origin: ReadonlyMap<string, string>): string => {
  for (let length = keys.length; length > 0; length--) {
    const variable = origin.get(keys.slice(0, length).join("."))
    if (variable !== undefined) return [variable, ...keys.slice(length)].join(".")
  }
  return keys.join(".")
}

// The longest that is shown of a text: enough to know it again.
const longest = 60

const shown = ([option]: ReadonlyArray<string>, value: unknown): string => {
  // Of what may be a secret, nothing, whatever it is.
  if (option === "token" || option === "credentials") return "something else"
  if (typeof value === "string") {
    // A URL may have a password in it.
    const text = value.replace(/\/\/[^@/]*@/, "//...@")
    return JSON.stringify(text.length > longest ? `${text.slice(0, longest)}...` : text)
  }
  if (Duration.isDuration(value)) return Duration.format(value)
  if (typeof value === "function") return "a function"
  return typeof value === "object" && value !== null ? Array.isArray(value) ? "a list" : "an object" : String(value)
}

/** The variables of ours that a provider knows, if it can list them. */
const namesIn = (provider: ConfigProvider.ConfigProvider): Effect.Effect<ReadonlyArray<string>> => {
  const below = (path: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<string>, ConfigProvider.SourceError> =>
    Effect.flatMap(provider.load(path), (node) => {
      const own = node?.value === undefined ? [] : [path.join("_")]
      if (node?._tag !== "Record") return Effect.succeed(own)
      return Effect.map(
        Effect.forEach(
          node.keys,
          (key) =>
            path.length > 0 || key === "CAPROCK" || key.startsWith(prefix) ? below([...path, key]) : Effect.succeed([])
        ),
        (names) => [...own, ...names.flat()]
      )
    })
  return Effect.orElseSucceed(below([]), () => [])
}
