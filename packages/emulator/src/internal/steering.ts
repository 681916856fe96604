/**
 * A prompt that says how it wants to be answered: `[[emulate output=300 latency=50 error=ThrottlingException]]`. What checks are to
 * find in it is `severity=0.9`; how long a job takes is its latency, and why it fails its error.
 */
import * as Schema from "effect/Schema"
import * as Fault from "../Fault.ts"

export interface Steering {
  readonly output?: number
  readonly latency?: number
  readonly severity?: number
  readonly fault?: Fault.Fault
}

export const none: Steering = {}

const directive = /\[\[emulate ([^\]]*)\]\]/

const isErrorName = Schema.is(Fault.ErrorName)

export const read = (prompt: string): Steering => {
  if (!prompt.includes("[[emulate ")) return none
  const steering: { output?: number; latency?: number; severity?: number; fault?: Fault.Fault } = {}
  for (const pair of (directive.exec(prompt)?.[1] ?? "").split(" ")) {
    const [name, value = ""] = pair.split("=")
    const number = Number(value)
    if (name === "output" && value !== "" && number >= 0) steering.output = number
    if (name === "latency" && value !== "" && number >= 0) steering.latency = number
    if (name === "severity" && value !== "" && number >= 0 && number <= 1) steering.severity = number
    if (name === "error" && isErrorName(value)) steering.fault = Fault.error(value)
  }
  return steering
}
