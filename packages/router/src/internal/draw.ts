// Many lots of one: a call draws once, and all that is decided by chance for it is worked out from that.

/**
 * The lot of a number, from 0 to 1 and neither of them. The same for the same chance and number; of different numbers (or chances) it is as if each had been
 * drawn by itself.
 */
export const lotOf = (chance: number, number: number): number =>
  (mix(mix(chance * 2 ** 32 >>> 0) ^ number) + 0.5) / 2 ** 32

/** Every bit of a word changes about half of the others (the finaliser of MurmurHash3, by Austin Appleby; public domain), which 0 must not escape. */
const mix = (word: number): number => {
  let bits = word + 0x9e3779b9 | 0
  bits = Math.imul(bits ^ bits >>> 16, 0x85ebca6b)
  bits = Math.imul(bits ^ bits >>> 13, 0xc2b2ae35)
  return (bits ^ bits >>> 16) >>> 0
}
