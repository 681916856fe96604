/** What is said of a value that was measured several times. */
const sorted = (values: ReadonlyArray<number>): ReadonlyArray<number> => [...values].sort((a, b) => a - b)

const at = (values: ReadonlyArray<number>, part: number): number =>
  sorted(values)[Math.min(values.length - 1, Math.floor(values.length * part))] ?? Number.NaN

export const median = (values: ReadonlyArray<number>): number => at(values, 0.5)

/** Half of the distance between the quartiles, as a part of the median. */
export const spread = (values: ReadonlyArray<number>): number =>
  (at(values, 0.75) - at(values, 0.25)) / 2 / median(values)
