/**
 * Where sockets would be: every connection that Node's own HTTP client opens in this process is answered in this process, at once and
 * with the same bytes. What is left of a call's cost is what the programs above the kernel do for it.
 */
import * as Http from "node:http"
import { Duplex } from "node:stream"
import * as Canned from "./canned.ts"

/** What every contestant asks. */
export const question = {
  modelId: "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
  messages: [{ role: "user" as const, content: [{ text: "Why is the sky blue, and not violet? ".repeat(20) }] }],
  inferenceConfig: { maxTokens: 500 }
}

/** Where it asks: no such port has to be open. */
export const place = {
  region: "us-east-1",
  endpoint: "http://127.0.0.1:9",
  credentials: { accessKeyId: "bench", secretAccessKey: "bench" }
}

const head = (type: string, framing: string): string =>
  `HTTP/1.1 200 OK\r\nx-amzn-requestid: 0a1b2c3d-0000-4000-8000-000000000000\r\ncontent-type: ${type}\r\n${framing}\r\n\r\n`

const answers = (events: number) => {
  const json = Canned.answer(events)
  const stream = Canned.stream(events)
  return {
    whole: Buffer.concat([Buffer.from(head("application/json", `content-length: ${json.length}`)), json]),
    stream: Buffer.concat([
      Buffer.from(head("application/vnd.amazon.eventstream", "transfer-encoding: chunked")),
      ...stream.flatMap((bytes) => [Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from("\r\n")]),
      Buffer.from("0\r\n\r\n")
    ])
  }
}

class StubbedSocket extends Duplex {
  readonly #answers: ReturnType<typeof answers>
  #streaming = false
  /** Bytes of the request that are still to come; `undefined` where its head is the next. */
  #left: number | undefined

  constructor(given: ReturnType<typeof answers>) {
    super({ decodeStrings: true })
    this.#answers = given
    // Not before the request has it.
    setImmediate(() => this.emit("connect"))
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#take(chunk)
    done()
  }

  override _writev(chunks: ReadonlyArray<{ readonly chunk: Buffer }>, done: () => void): void {
    for (const { chunk } of chunks) this.#take(chunk)
    done()
  }

  #take(chunk: Buffer): void {
    if (chunk.length === 0) return
    if (this.#left === undefined) {
      // Node writes the head of a request in one piece.
      const text = chunk.toString("latin1")
      this.#streaming = text.slice(0, text.indexOf("\r\n")).includes("-stream ")
      this.#left = text.indexOf("\r\n\r\n") + 4 + Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0)
    }
    this.#left -= chunk.length
    if (this.#left > 0) return
    this.#left = undefined
    const bytes = this.#streaming ? this.#answers.stream : this.#answers.whole
    // Not in the same turn: no network does that.
    setImmediate(() => this.push(bytes))
  }

  setTimeout(): this {
    return this
  }
  setKeepAlive(): this {
    return this
  }
  setNoDelay(): this {
    return this
  }
  ref(): this {
    return this
  }
  unref(): this {
    return this
  }
  destroySoon(): void {
    this.destroy()
  }
}

/** From now on, for the rest of this process. `events`: those with text in a stream. */
export const install = (events: number): void => {
  const given = answers(events)
  Http.Agent.prototype.createConnection = () => new StubbedSocket(given)
}
