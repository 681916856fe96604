// Takes credentials out of texts that the service or the SDK wrote. AWS itself echoes the signed headers, session token
// included, in the message of a signature error; agents' and proxies' messages may quote a whole request.

const redacted = "<redacted>"

const patterns: ReadonlyArray<readonly [pattern: RegExp, replacement: string]> = [
  // Header or query parameter and its value: the value goes, the name stays. Canonical requests have one per line.
  [/\b(authorization["']?\s*[:=]\s*["']?)[^\r\n"']+/gi, `$1${redacted}`],
  [/\b(x-amz-security-token["']?\s*[:=]\s*["']?)[^\s"'&]+/gi, `$1${redacted}`],
  [/\b(x-amz-(?:signature|credential)["']?\s*[:=]\s*["']?)[^\s"'&]+/gi, `$1${redacted}`],
  [/\b((?:signature|credential)=)[A-Za-z0-9/+=%_.-]+/gi, `$1${redacted}`],
  // Named secrets, as in environment dumps and profiles.
  [
    /\b((?:aws_?)?(?:secret_?access_?key|session_?token|bearer_?token(?:_bedrock)?)["']?\s*[:=]\s*["']?)[^\s"',;]+/gi,
    `$1${redacted}`
  ],
  // Bearer tokens, and Bedrock's API keys: long-term ones begin with ABSK, short-term ones with bedrock-api-key-
  // (Bedrock user guide, api-keys, read 2026-11-21).
  [/\b(bearer\s+)(?!token)[A-Za-z0-9._~+/-]{16,}=*/gi, `$1${redacted}`],
  [/\bABSK[A-Za-z0-9+/]{16,}=*/g, redacted],
  [/\bbedrock-api-key-[A-Za-z0-9+/_-]{8,}=*/g, redacted],
  // Access key ids (IAM user guide, reference_identifiers: AKIA long-term, ASIA temporary; 16 to 128 characters).
  [/\b(?:AKIA|ASIA)[A-Z0-9]{12,124}\b/g, redacted]
]

export const redact = (text: string): string =>
  patterns.reduce((result, [pattern, replacement]) => result.replace(pattern, replacement), text)
