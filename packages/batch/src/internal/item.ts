/** What the input of a part is made of. */

/** A record that is sent. */
export interface Line {
  readonly index: number
  readonly id: string
  /** Without the end of the line. */
  readonly text: string
  /** Of the text and the end of the line. */
  readonly bytes: number
}

/** One that is not: it has its place in the input, and no line in a file. */
interface Refused {
  readonly index: number
  readonly id: string
  readonly refused: string
}

export type Item = Line | Refused

export const bytesOf = (item: Item): number => "text" in item ? item.bytes : 0
