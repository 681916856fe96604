// The search for credentials, told apart from the request that they are for: what goes wrong in it is nothing that Bedrock said.
import type { AwsCredentialIdentity, AwsCredentialIdentityProvider, Logger } from "@smithy/types"

/** Whatever the search for credentials ended with, as its `cause`. */
export class NoCredentials extends Error {
  constructor(cause: unknown) {
    super("No credentials.", { cause })
  }
}

// What the links of the SDK's chain say to its log (credential-provider-node 3.972 and those that it asks).
const link = "@smithy/property-provider -> "
// Where the variables of a container name an endpoint of credentials; what it answers is not said.
const container = "remoteProvider::fromHttp"
// A link for which nothing is configured.
const notConfigured =
  /^Not found in |environment variable credentials|^Skipping SSO|skipping fromEnv|^Could not resolve credentials using profile|^Profile default (could not be found|did not contain)|^Web identity configuration not specified|access disabled$|not set in env/
// More links than the chain has.
const most = 8

type Credentials = AwsCredentialIdentity | AwsCredentialIdentityProvider

const isKey = (key: unknown): boolean => typeof key === "string" && key !== ""

const isIdentity = (found: Partial<AwsCredentialIdentity> | undefined): found is AwsCredentialIdentity =>
  isKey(found?.accessKeyId) && isKey(found?.secretAccessKey)

/**
 * A program's own provider, held to what it is to give. What else it gives the SDK trips over, or signs with no key at all.
 */
export const providerOf = (credentials: Credentials): Credentials =>
  typeof credentials !== "function" ?
    credentials :
    (options) =>
      Promise.resolve().then(() => credentials(options)).then((found) =>
        isIdentity(found) ? found : Promise.reject(
          new Error(
            "The program's own provider of credentials gave no { accessKeyId, secretAccessKey }, each a text that is not empty"
          )
        )
      )

/** What of a client of the SDK finds its credentials. */
interface Finder {
  readonly config: { credentials: (options?: Record<string, unknown>) => Promise<AwsCredentialIdentity> }
}

/**
 * What was said while the SDK looked for credentials. Its chain goes on when a source fails, and ends in "Could not load credentials from
 * any providers": that a process was started and failed is in its log alone.
 */
export class Search {
  readonly #said = new Set<string>()
  readonly logger: Logger

  constructor(warn: (message: string) => void) {
    this.logger = {
      trace: () => {},
      debug: (line: unknown) => typeof line === "string" && this.#note(line),
      info: () => {},
      warn: (line: unknown) => warn(String(line)),
      error: () => {}
    }
  }

  /** Has the client fail with `NoCredentials` where it finds none. */
  watch({ config }: Finder): void {
    const find = config.credentials
    // The SDK leaves what has these names as it is: it remembers what it found, and knows for whom.
    config.credentials = Object.assign(
      (options?: Record<string, unknown>) =>
        find(options).then(
          (found) => {
            this.#said.clear()
            return found
          },
          (cause: unknown) => Promise.reject(new NoCredentials(this.#explained(cause)))
        ),
      { memoized: true, configBound: true, attributed: true }
    )
  }

  #note(line: string): void {
    if (line.includes(container)) this.#add("The container's endpoint gave none.")
    else if (line.startsWith(link) && !notConfigured.test(line.slice(link.length))) this.#add(line.slice(link.length))
  }

  #add(said: string): void {
    if (this.#said.size < most) this.#said.add(said)
  }

  #explained(cause: unknown): unknown {
    if (this.#said.size === 0 || !(cause instanceof Error) || !cause.message.endsWith("from any providers")) {
      return cause
    }
    return Object.assign(new Error(`${cause.message}: ${[...this.#said].join(" ")}`, { cause }), { name: cause.name })
  }
}
