/** A door before a server, through which traffic goes piece by piece: what happens to somebody is told by how far it is, and not by a clock. */
import { Effect, type Scope } from "effect"
import { type AddressInfo, connect, createServer, type Socket } from "node:net"

export interface Door {
  readonly url: string
  /** Is told of each piece before it goes on: whether it may. Where it may not, its connection is cut. */
  passes: (way: "there" | "back") => boolean
}

const relay = (door: Door, way: "there" | "back", from: Socket, to: Socket): void => {
  from.on("data", (piece) => {
    if (!door.passes(way)) {
      from.destroy()
      to.destroy()
    } else if (!to.write(piece)) {
      from.pause()
      to.once("drain", () => from.resume())
    }
  })
  from.on("end", () => to.end())
  // What became of one side becomes of the other; a failure is always followed by this.
  from.on("error", () => {})
  from.on("close", () => to.destroy())
}

/** To the server at that URL. */
export const open = (server: string): Effect.Effect<Door, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { hostname, port } = new URL(server)
    const sockets = new Set<Socket>()
    const listener = yield* Effect.acquireRelease(
      Effect.sync(() => createServer({ allowHalfOpen: true, noDelay: true })),
      (listener) =>
        Effect.promise(() =>
          new Promise<void>((resolve) => {
            listener.close(() => resolve())
            for (const socket of sockets) socket.destroy()
          })
        )
    )
    yield* Effect.promise(() => new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve)))
    const address = listener.address() as AddressInfo
    const door: Door = { url: `http://127.0.0.1:${address.port}`, passes: () => true }
    listener.on("connection", (client) => {
      const upstream = connect({ host: hostname, port: Number(port), allowHalfOpen: true, noDelay: true })
      sockets.add(client)
      client.once("close", () => sockets.delete(client))
      relay(door, "there", client, upstream)
      relay(door, "back", upstream, client)
    })
    return door
  })
