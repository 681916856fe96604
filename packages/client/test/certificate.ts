// A self-signed certificate for 127.0.0.1, made when the tests run: no key lies in the repository. X.509 in DER (RFC 5280).
import { generateKeyPairSync, sign } from "node:crypto"

const der = (tag: number, ...parts: ReadonlyArray<Uint8Array>): Buffer => {
  const body = Buffer.concat(parts)
  const length = body.length < 128
    ? [body.length]
    : body.length < 256
    ? [0x81, body.length]
    : [0x82, body.length >> 8, body.length & 255]
  return Buffer.concat([Buffer.from([tag, ...length]), body])
}
const sequence = (...parts: ReadonlyArray<Uint8Array>) => der(0x30, ...parts)
const bytes = (...values: ReadonlyArray<number>) => Buffer.from(values)
const time = (text: string) => der(0x18, Buffer.from(text))

const commonName = der(0x06, bytes(0x55, 0x04, 0x03))
const basicConstraints = der(0x06, bytes(0x55, 0x1d, 0x13))
const subjectAltName = der(0x06, bytes(0x55, 0x1d, 0x11))
const ecdsaWithSha256 = sequence(der(0x06, bytes(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02)))

export const selfSigned = () => {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
  const name = sequence(der(0x31, sequence(commonName, der(0x0c, Buffer.from("caprock test")))))
  const extensions = sequence(
    sequence(basicConstraints, der(0x01, bytes(0xff)), der(0x04, sequence(der(0x01, bytes(0xff))))),
    sequence(subjectAltName, der(0x04, sequence(der(0x87, bytes(127, 0, 0, 1)))))
  )
  const certificate = sequence(
    der(0xa0, der(0x02, bytes(2))),
    der(0x02, bytes(1)),
    ecdsaWithSha256,
    name,
    sequence(time("20200101000000Z"), time("21000101000000Z")),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, extensions)
  )
  const signature = sign("sha256", certificate, privateKey)
  const base64 = sequence(certificate, ecdsaWithSha256, der(0x03, bytes(0), signature)).toString("base64")
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString()
  }
}
