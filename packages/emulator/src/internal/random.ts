/** Randomness that depends on what is asked, not on when it arrives. */
import { hash } from "node:crypto"

/** A source of numbers in [0, 1). */
export type Random = () => number

/** The four words of state that a generator starts from. */
export type Seed = readonly [number, number, number, number]

const toSeed = (digest: Buffer): Seed => [
  digest.readUInt32LE(0),
  digest.readUInt32LE(4),
  digest.readUInt32LE(8),
  digest.readUInt32LE(12)
]

/** A seed from any text. */
export const seedOf = (text: string): Seed => toSeed(hash("sha1", text, "buffer"))

/** The digest of a request's body: its identity, whoever sends it and when. */
export const digestOf = (body: Uint8Array): Seed => toSeed(hash("sha1", body, "buffer"))

/** sfc32: small, fast, and good enough for lengths and delays. */
export const fromSeed = (seed: Seed): Random => {
  let [a, b, c, d] = seed
  const step = (): number => {
    const t = (a + b + d) | 0
    d = (d + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (c << 21) | (c >>> 11)
    c = (c + t) | 0
    return t >>> 0
  }
  for (let i = 0; i < 12; i++) step()
  return () => step() / 4294967296
}

/** A generator for one purpose (`label`) of one occurrence of one body. */
export const forRequest = (seed: Seed, digest: Seed, occurrence: number, label: number): Random =>
  fromSeed([
    seed[0] ^ digest[0],
    seed[1] ^ digest[1],
    seed[2] ^ digest[2] ^ Math.imul(occurrence + 1, 0x9e3779b1),
    seed[3] ^ digest[3] ^ Math.imul(label + 1, 0x85ebca6b)
  ])

/** As many numbers between -1 and 1, to a millionth: the same for the same text. */
export const vector = (seed: Seed, text: string, length: number): ReadonlyArray<number> => {
  const random = forRequest(seed, seedOf(text), 0, 0)
  return Array.from({ length }, () => Math.round((random() * 2 - 1) * 1e6) / 1e6)
}

/** A draw from the standard normal distribution (Box and Muller). */
export const normal = (random: Random): number =>
  Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
