/**
 * A file of targets and routes.
 *
 * @since 0.1.0
 */
import { nearestFirst } from "@caprock/client/Settings"
import * as Route from "@caprock/router/Route"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Result from "effect/Result"
import { cannotRead } from "../internal/platformErrors.ts"
import { CliFailure } from "../terminal/CliFailure.ts"

/**
 * Reads the text of a file that stands at `where`; fails with what is wrong with it.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parse = (text: string, where: string): Result.Result<Route.RouteFile, CliFailure> =>
  Result.mapError(Route.fromJson(text), ({ message }) =>
    new CliFailure({
      problem: `The route file ${where} can't be used. ${message}`,
      remedy: `Write it like {"targets":{"sage":{"model":"acme.sage-v1:0"}},"routes":{"chat":{"policy":"sage"}}}`
    }))

/**
 * Reads a file. What its routes mean is checked where they are used.
 *
 * @category parsing
 * @since 0.1.0
 */
export const read = Effect.fnUntraced(function*(path: string) {
  const fs = yield* FileSystem.FileSystem
  const text = yield* Effect.mapError(fs.readFileString(path), (error) => cannotRead(`the route file ${path}`, error))
  return yield* Effect.fromResult(parse(text, path))
})

/**
 * What to say of a name that is none of its routes.
 *
 * @category rendering
 * @since 0.1.0
 */
export const instead = (name: string, path: string, routes: ReadonlyArray<string>): string =>
  routes.length === 0
    ? `${path} has no routes at all.`
    : `${name} is no route of ${path}, which has ${nearestFirst(name, routes).join(", ")}.`

/**
 * What its routes mean makes no sense.
 *
 * @category errors
 * @since 0.1.0
 */
export const wrong = (path: string, message: string): CliFailure =>
  new CliFailure({
    problem: `The routes of ${path} don't make sense. ${message.replaceAll("\n", "\n  ")}`,
    remedy: "Correct the file, and look at a route of it with caprock route explain."
  })
