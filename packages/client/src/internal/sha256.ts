// SHA-256 and its HMAC, as the SDK's signer asks for them.
import type { Checksum, SourceData } from "@smithy/types"
import { createHash, createHmac, createSecretKey } from "node:crypto"

/**
 * Node's own, as the SDK's class is. That hands a key over as bytes, and Node 24 takes 10 µs to find out that bytes are no key
 * object, twice for each request: as much as all the rest of the signature.
 */
export class Sha256 implements Checksum {
  readonly digestLength = 32
  readonly #secret: SourceData | undefined
  #hash: ReturnType<typeof begun>

  constructor(secret?: SourceData) {
    this.#secret = secret
    this.#hash = begun(secret)
  }

  update(data: Uint8Array): void {
    this.#hash.update(data)
  }

  digest(): Promise<Uint8Array> {
    return Promise.resolve(this.#hash.digest())
  }

  reset(): void {
    this.#hash = begun(this.#secret)
  }
}

const begun = (secret: SourceData | undefined): ReturnType<typeof createHash> | ReturnType<typeof createHmac> =>
  secret === undefined
    ? createHash("sha256")
    : createHmac("sha256", typeof secret === "string" ? secret : createSecretKey(bytesOf(secret)))

const bytesOf = (data: ArrayBuffer | ArrayBufferView): Uint8Array =>
  ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data)
