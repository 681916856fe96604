// Takes credentials out of texts that the service or the SDK wrote. AWS itself echoes the signed headers, session token
// included, in the message of a signature error; messages of agents and proxies may quote a whole request.
//
// The patterns also work on text that was escaped as JSON ("\n" and "\"" in two characters each), because errors carry
// such text. So none of them relies on a word's beginning.

const redacted = "<redacted>"

// What stands between a name and its value, and what ends the value.
const is = String.raw`[\\"']*\s*[:=]\s*[\\"']*`
const value = String.raw`[^\s\\"'&,;]+`

const patterns: ReadonlyArray<readonly [pattern: RegExp, replacement: string]> = [
  // The whole header: its value has spaces and commas.
  [new RegExp(String.raw`(authorization${is})[^\r\n\\"']+`, "gi"), `$1${redacted}`],
  // Name and password in a URL.
  [/(:\/\/)[^\s\\"'/]+@/g, `$1${redacted}@`],
  // SigV4's parts, as headers, in the query of a presigned URL, and inside an authorization value.
  [new RegExp(`(x-amz-security-token${is})${value}`, "gi"), `$1${redacted}`],
  [new RegExp(`((?:signature|credential)=)${value}`, "gi"), `$1${redacted}`],
  // As in the environment, in profiles, and in the SDK's credential objects.
  [
    new RegExp(`((?:secret_?access_?key|session_?token|bearer_?token(?:_bedrock)?)${is})${value}`, "gi"),
    `$1${redacted}`
  ],
  // Bearer tokens, and Bedrock's API keys: long-term ones begin with ABSK, short-term ones with bedrock-api-key-
  // (Bedrock user guide, api-keys, read 2026-11-21). Sixteen, so that a sentence about bearer tokens is left alone.
  [/(bearer(?:\s|\\[nrt])+)[A-Za-z0-9._~+/-]{16,}=*/gi, `$1${redacted}`],
  [/ABSK[A-Za-z0-9+/]{16,}=*/g, redacted],
  [/bedrock-api-key-[A-Za-z0-9+/_-]{8,}=*/g, redacted],
  // Access key ids: AKIA long-term, ASIA temporary (IAM user guide, reference_identifiers); 16 to 128 characters.
  [/(?:AKIA|ASIA)[A-Z0-9]{12,124}/g, redacted]
]

export const redact = (text: string): string =>
  patterns.reduce((result, [pattern, replacement]) => result.replace(pattern, replacement), text)
