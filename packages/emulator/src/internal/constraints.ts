/** What the service's model asks of an input, checked in the words of the service. */
import * as Json from "./json.ts"

export interface Rules {
  readonly min?: number
  readonly max?: number
  readonly pattern?: RegExp
  readonly values?: ReadonlyArray<string>
}

/** The checks of one input. Each leaves out what is not there; that something has to be there is `given`. */
export class Constraints {
  readonly #problems: Array<string> = []

  #broken(path: string, must: string): void {
    this.#problems.push(`Value at '${path}' failed to satisfy constraint: Member must ${must}`)
  }

  given(path: string, value: unknown): boolean {
    const given = value !== undefined && value !== null
    if (!given) this.#broken(path, "not be null")
    return given
  }

  text(path: string, value: unknown, { max, min, pattern, values }: Rules = {}): void {
    if (value === undefined || value === null) return
    if (typeof value !== "string") this.#broken(path, "be a string")
    else if (values !== undefined && !values.includes(value)) {
      this.#broken(path, `satisfy enum value set: [${values.join(", ")}]`)
    } else if (min !== undefined && value.length < min) {
      this.#broken(path, `have length greater than or equal to ${min}`)
    } else if (max !== undefined && value.length > max) {
      this.#broken(path, `have length less than or equal to ${max}`)
    } else if (pattern !== undefined && !pattern.test(value)) {
      this.#broken(path, `satisfy regular expression pattern: ${pattern.source.replace(/^\^|\$$/g, "")}`)
    }
  }

  number(path: string, value: unknown, min: number, max: number): void {
    if (value === undefined) return
    if (typeof value !== "number" || !Number.isInteger(value)) this.#broken(path, "be a whole number")
    else if (value < min) this.#broken(path, `have value greater than or equal to ${min}`)
    else if (value > max) this.#broken(path, `have value less than or equal to ${max}`)
  }

  /** The items with their paths. */
  list(
    path: string,
    value: unknown,
    { max = Infinity, min = 0 }: { readonly min?: number; readonly max?: number } = {}
  ): ReadonlyArray<readonly [path: string, item: Json.Json]> {
    if (!Array.isArray(value)) {
      if (value !== undefined && value !== null) this.#broken(path, "be a list")
      return []
    }
    if (value.length < min) this.#broken(path, `have length greater than or equal to ${min}`)
    if (value.length > max) this.#broken(path, `have length less than or equal to ${max}`)
    return value.map((item, i) => [`${path}.${i + 1}.member`, Json.record(item)])
  }

  tags(value: unknown, rules: Rules = {}): void {
    for (const [path, tag] of this.list("tags", value, { max: 200 })) {
      if (this.given(`${path}.key`, tag["key"])) this.text(`${path}.key`, tag["key"], { ...rules, min: 1, max: 128 })
      if (this.given(`${path}.value`, tag["value"])) this.text(`${path}.value`, tag["value"], { ...rules, max: 256 })
    }
  }

  wrong(path: string, must: string): void {
    this.#broken(path, must)
  }

  /** What is wrong; `undefined` where nothing is. */
  get message(): string | undefined {
    const { length } = this.#problems
    return length === 0
      ? undefined
      : `${length} validation error${length === 1 ? "" : "s"} detected: ${this.#problems.join("; ")}`
  }
}
