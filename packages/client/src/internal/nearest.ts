// Which of the known names was meant.

/** Letters that have to be put in, left out, changed or swapped with their neighbour to make one word of the other. */
const distance = (a: string, b: string): number => {
  let before: Array<number> = []
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let least = Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        least = Math.min(least, (before[j - 2] ?? 0) + 1)
      }
      next.push(least)
    }
    before = row
    row = next
  }
  return row[b.length] ?? 0
}

/**
 * The nearest of the names, whatever their case; `undefined` where none is nearer than a third of its letters, which is
 * another word and no slip.
 */
export const nearest = (name: string, names: Iterable<string>): string | undefined => {
  let best: string | undefined
  let least = Infinity
  for (const known of names) {
    const far = distance(name.toLowerCase(), known.toLowerCase())
    if (far < least && far <= Math.max(1, Math.floor(known.length / 3))) {
      best = known
      least = far
    }
  }
  return best
}

/** All of the names, those first that take the fewest slips. */
export const nearestFirst = (name: string, names: Iterable<string>): ReadonlyArray<string> =>
  [...names]
    .map((known) => ({ known, far: distance(name.toLowerCase(), known.toLowerCase()) }))
    .toSorted((a, b) => a.far - b.far)
    .map(({ known }) => known)
