/**
 * How a run shows that it moves: a panel on a terminal, a line now and then anywhere else.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Screen } from "../terminal/Screen.ts"
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
  }): Layer.Layer<Progress, never, Screen | Target> => Layer.effect(Progress, make(options))
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

/** Often enough to look alive, seldom enough to cost nothing. */
const panelInterval = "250 millis"
const logInterval = "10 seconds"

const make = Effect.fnUntraced(function*(options: { readonly maxConnections: number }) {
  const screen = yield* Screen
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

  const show = screen.live
    ? Effect.flatMap(view, (view) => screen.panel(Panel.render(view)))
    : Effect.flatMap(view, (view) => screen.say(Panel.renderLine(view)))

  return Progress.of({
    tally,
    now,
    tell: (more) => {
      news = { ...news, ...more }
    },
    view,
    note: screen.say,
    display: Effect.forever(
      screen.live
        ? Effect.andThen(show, Effect.sleep(panelInterval))
        : Effect.andThen(Effect.sleep(logInterval), show)
    ).pipe(Effect.ensuring(screen.panel([])))
  })
})
