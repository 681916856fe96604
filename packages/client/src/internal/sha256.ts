// SHA-256 and its HMAC, as the SDK's signer asks for them.
import type { Checksum, SourceData } from "@smithy/types"
import { hash } from "node:crypto"

/** Bytes that SHA-256 reads at once: an HMAC fills as many with its key. */
const blockBytes = 64
/** What RFC 2104 sets a key off with, within and without. */
const innerPad = 0x36
const outerPad = 0x5c

/**
 * By Node's one-shot hash. What makes an object for each, as the SDK's own class does, takes three times as long for an HMAC, of which each
 * request needs two: the key has to become a key object first, and all of it is a stream of Node's.
 */
export class Sha256 implements Checksum {
  readonly digestLength = 32
  readonly #key: Uint8Array | undefined
  #parts: Array<Uint8Array> = []

  constructor(secret?: SourceData) {
    this.#key = secret === undefined ? undefined : keyOf(bytesOf(secret))
  }

  update(data: Uint8Array): void {
    this.#parts.push(data)
  }

  digest(): Promise<Uint8Array> {
    return Promise.resolve(
      this.#key === undefined
        ? digestOf(this.#parts)
        : digestOf([padded(this.#key, outerPad), digestOf([padded(this.#key, innerPad), ...this.#parts])])
    )
  }

  reset(): void {
    this.#parts = []
  }
}

const digestOf = (parts: ReadonlyArray<Uint8Array>): Uint8Array => {
  const [first] = parts
  return hash("sha256", parts.length === 1 && first !== undefined ? first : Buffer.concat(parts), "buffer")
}

/** A key that is longer than a block is as good as its hash. */
const keyOf = (secret: Uint8Array): Uint8Array => secret.length > blockBytes ? digestOf([secret]) : secret

const padded = (key: Uint8Array, pad: number): Uint8Array => {
  const block = new Uint8Array(blockBytes).fill(pad)
  for (let index = 0; index < key.length; index++) block[index] = (key[index] ?? 0) ^ pad
  return block
}

const bytesOf = (data: SourceData): Uint8Array =>
  typeof data === "string"
    ? Buffer.from(data)
    : ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(data)
