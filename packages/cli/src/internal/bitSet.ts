/** A set of small whole numbers at one bit each. */
export interface BitSet {
  readonly add: (n: number) => void
  readonly has: (n: number) => boolean
}

export const make = (): BitSet => {
  let bits = new Uint8Array(1024)
  return {
    add: (n) => {
      const at = n >>> 3
      if (at >= bits.length) {
        const more = new Uint8Array(Math.max(at + 1, bits.length * 2))
        more.set(bits)
        bits = more
      }
      bits[at] = (bits[at] ?? 0) | (1 << (n & 7))
    },
    has: (n) => ((bits[n >>> 3] ?? 0) & (1 << (n & 7))) !== 0
  }
}
