/** A record's id on the wire: its place in the input. So two records never meet there, whatever their callers call them. */

/** AWS's examples have eleven letters and digits. Ten digits of base 36 hold 3.6e15, and are in the order of their numbers. */
const digits = 10

export const of = (index: number): string => `r${index.toString(36).padStart(digits, "0")}`

/** The place that an id tells; `undefined` where it is none of ours. */
export const indexOf = (id: unknown): number | undefined =>
  typeof id === "string" && /^r[0-9a-z]{10}$/.test(id) ? Number.parseInt(id.slice(1), 36) : undefined

/** How a line of ours begins, and one of the service where it puts the id first. */
const head = Buffer.from("{\"recordId\":\"r")

const digitOf = (byte: number | undefined): number =>
  byte === undefined ? -1 : byte >= 48 && byte <= 57 ? byte - 48 : byte >= 97 && byte <= 122 ? byte - 87 : -1

/** The same of a line that begins with its id, without parsing it. */
export const indexOfLine = (line: Uint8Array): number | undefined => {
  for (let i = 0; i < head.length; i++) if (line[i] !== head[i]) return undefined
  let index = 0
  for (let i = head.length; i < head.length + digits; i++) {
    const digit = digitOf(line[i])
    if (digit < 0) return undefined
    index = index * 36 + digit
  }
  return line[head.length + digits] === 34 ? index : undefined
}
