/**
 * S3 for tests, in this process: fauxqs behind a door that keeps the conditions which fauxqs ignores, lists the uploads that it does not list, and can lose
 * requests and answers.
 */
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3"
import { Effect, type Scope } from "effect"
import { buildApp } from "fauxqs"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"

/** What happens to a request: it does not arrive, its answer does not, it is refused for now, or its body breaks off. */
type Mishap = "lost" | "unanswered" | "busy" | "cut"

export interface Server {
  readonly url: string
  readonly bucket: string
  /** Where the conditions are ignored. */
  readonly careless: string
  /** Asked of each request. */
  mishap: (request: { readonly method: string; readonly path: string }) => Mishap | undefined
  /** All that arrived at the door. */
  readonly requests: Array<string>
}

const refuse = (response: Http.ServerResponse, status: number, code: string) => {
  response.writeHead(status, { "content-type": "application/xml" })
  response.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>told so by the door</Message></Error>`)
}

export const start: Effect.Effect<Server, never, Scope.Scope> = Effect.gen(function*() {
  const app = yield* Effect.acquireRelease(
    Effect.sync(() => buildApp({ logger: false })),
    (app) => Effect.promise(() => app.close())
  )
  const careless = yield* Effect.promise(() => app.listen({ port: 0, host: "127.0.0.1" }))
  const { port } = new URL(careless)
  const agent = new Http.Agent({ keepAlive: true, maxSockets: 64 })
  const upstream = (request: Http.IncomingMessage, method = request.method) =>
    Http.request({ agent, host: "127.0.0.1", port, method, path: request.url, headers: request.headers })

  /** The version that is there. */
  const etagOf = (request: Http.IncomingMessage) =>
    new Promise<string | undefined>((resolve, reject) => {
      const path = request.url?.split("?")[0]
      Http.get({ agent, host: "127.0.0.1", port, method: "HEAD", path }, (response) => {
        response.resume()
        resolve(response.statusCode === 200 ? response.headers.etag : undefined)
      }).on("error", reject)
    })

  const turns = new Map<string, Promise<void>>()
  const server: Server = { url: "", bucket: "caprock-batch", careless, mishap: () => undefined, requests: [] }

  /** Uploads that are under way: their keys, by their ids. */
  const uploads = new Map<string, string>()
  const note = ({ method, url = "" }: Http.IncomingMessage, status: number | undefined, body: string) => {
    const { pathname, searchParams } = new URL(url, careless)
    const begun = /<UploadId>([^<]+)/.exec(body)?.[1]
    if (method === "POST" && searchParams.has("uploads") && begun !== undefined) {
      uploads.set(begun, decodeURIComponent(pathname).split("/").slice(2).join("/"))
    }
    const ended = searchParams.get("uploadId")
    if (ended !== null && (method === "DELETE" || method === "POST") && (status ?? 500) < 300) uploads.delete(ended)
  }
  const listed = (prefix: string) =>
    [...uploads].filter(([, key]) => key.startsWith(prefix))
      .map(([id, key]) => `<Upload><Key>${key}</Key><UploadId>${id}</UploadId></Upload>`).join("")

  const passed = (request: Http.IncomingMessage, response: Http.ServerResponse, mishap: Mishap | undefined) =>
    new Promise<void>((done) => {
      const out = upstream(request)
      out.on("error", () => response.destroy())
      out.on("close", done)
      out.on("response", (answer) => {
        if (request.method === "POST" || request.method === "DELETE") {
          const body: Array<Buffer> = []
          answer.on("data", (bytes: Buffer) => body.push(bytes))
          answer.on("end", () => note(request, answer.statusCode, Buffer.concat(body).toString()))
        }
        if (mishap === "unanswered") {
          answer.resume()
          answer.on("end", () => response.destroy())
          return
        }
        response.writeHead(answer.statusCode ?? 500, answer.headers)
        if (mishap !== "cut") {
          answer.pipe(response)
          return
        }
        answer.once("data", (bytes: Buffer) => {
          response.write(bytes.subarray(0, bytes.length / 2), () => response.destroy())
          answer.resume()
        })
      })
      // Whoever is gone in the middle of its body ends it there, and lets the next one have its turn.
      const gone = () => {
        if (!out.writableEnded) out.destroy()
      }
      request.on("close", gone)
      if (request.destroyed) gone()
      else request.pipe(out)
    })

  const answer = async (request: Http.IncomingMessage, response: Http.ServerResponse) => {
    const { method = "", url: path = "" } = request
    server.requests.push(`${method} ${path}`)
    const mishap = server.mishap({ method, path })
    if (mishap === "lost") return request.destroy()
    if (mishap === "busy") {
      request.resume()
      return refuse(response, 503, "SlowDown")
    }
    const query = new URL(path, careless).searchParams
    if (method === "GET" && query.has("uploads")) {
      response.writeHead(200, { "content-type": "application/xml" })
      response.end(`<ListMultipartUploadsResult>${listed(query.get("prefix") ?? "")}</ListMultipartUploadsResult>`)
      return
    }
    const absent = request.headers["if-none-match"]
    const match = request.headers["if-match"]
    if (method !== "PUT" || (absent === undefined && match === undefined)) {
      await passed(request, response, mishap)
      return
    }
    // One after the other, as S3 decides them.
    const turn = (turns.get(path) ?? Promise.resolve()).then(async () => {
      const etag = await etagOf(request)
      if (match !== undefined && etag === undefined) refuse(response, 404, "NoSuchKey")
      else if (absent === undefined ? match !== etag : etag !== undefined) refuse(response, 412, "PreconditionFailed")
      else return passed(request, response, mishap)
      request.resume()
    })
    turns.set(path, turn)
    await turn
  }

  const door = yield* Effect.acquireRelease(
    Effect.sync(() =>
      Http.createServer((request, response) => {
        answer(request, response).catch(() => response.destroy())
      })
    ),
    (door) =>
      Effect.promise(() =>
        new Promise<void>((resolve) => {
          door.close(() => resolve())
          door.closeAllConnections()
          agent.destroy()
        })
      )
  )
  yield* Effect.promise(() => new Promise<void>((resolve) => door.listen(0, "127.0.0.1", resolve)))
  const address = door.address() as AddressInfo
  yield* createBucket(careless, server.bucket)
  return Object.assign(server, { url: `http://127.0.0.1:${address.port}` })
})

/** Makes a bucket on any server that speaks S3. */
export const createBucket = (endpoint: string, bucket: string, keys = { accessKeyId: "any", secretAccessKey: "any" }) =>
  Effect.promise(async () => {
    const client = new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true, credentials: keys })
    await client.send(new CreateBucketCommand({ Bucket: bucket }))
    client.destroy()
  })
