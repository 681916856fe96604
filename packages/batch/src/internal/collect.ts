/** Counts what the outputs of a part have. */
import * as Effect from "effect/Effect"
import type { Corrupt, StoreFailed } from "../BatchError.ts"
import type { BatchJournal, Part, Tally } from "../BatchJournal.ts"
import type { Place } from "./place.ts"
import * as Survey from "./survey.ts"

/** Reads them once. */
export const collect = (
  place: Place,
  journal: Pick<BatchJournal, "settings">,
  part: Part
): Effect.Effect<Tally, StoreFailed | Corrupt> => Effect.map(Survey.survey(place, journal, part), ({ tally }) => tally)
