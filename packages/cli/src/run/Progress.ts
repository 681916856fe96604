/**
 * How a run shows that it moves: a panel on a terminal, a line now and then anywhere else.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Screen from "../terminal/Screen.ts"
import * as Panel from "./Panel.ts"
import * as Tally from "./Tally.ts"
import { Target } from "./Target.ts"

/**
 * @category services
 * @since 0.1.0
 */
export class Progress extends Context.Service<Progress, {
  readonly tally: Tally.Tally
  /** Milliseconds of the monotonic clock. */
  readonly now: () => number
  /** What becomes known on the way. */
  readonly tell: (news: News) => void
  /** Everything that is known now. */
  readonly view: Effect.Effect<Panel.View>
  /** Writes a line that stays. */
  readonly note: (text: string) => Effect.Effect<void>
  /** Shows, again and again, until it is interrupted. */
  readonly display: Effect.Effect<never>
}>()("@caprock/cli/run/Progress") {
  /**
   * @since 0.1.0
   */
  static readonly layer = (options: {
    readonly maxConnections: number
  }): Layer.Layer<Progress, never, Screen.Screen | Target> => Layer.effect(Progress, make(options))
}

/**
 * @category models
 * @since 0.1.0
 */
export interface News {
  /** Bytes of the input. */
  readonly size?: number
  /** The model whose pool is shown. */
  readonly model?: string
  readonly stopping?: boolean
}

const make = Effect.fnUntraced(function*(options: { readonly maxConnections: number }) {
  const screen = yield* Screen.Screen
  const target = yield* Target
  const clock = yield* Clock.Clock
  const now = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
  const startedAt = now()
  const tally = Tally.make({ maxConnections: options.maxConnections, now: startedAt })
  let news: News = {}

  const view = Effect.gen(function*() {
    const pool = news.model === undefined ? undefined : yield* target.snapshot(news.model)
    const at = now()
    // Brings the shares of time up to date.
    tally.move(undefined, undefined, at)
    const view: Panel.View = {
      counts: tally.counts,
      size: news.size,
      elapsedMillis: at - startedAt,
      pool,
      lastMinute: tally.lastMinute(at),
      stopping: news.stopping === true
    }
    return view
  })

  return Progress.of({
    tally,
    now,
    tell: (more) => {
      news = { ...news, ...more }
    },
    view,
    note: screen.say,
    display: Screen.display(screen, {
      panel: Effect.map(view, Panel.render),
      line: Effect.map(view, Panel.renderLine)
    })
  })
})
