/**
 * Tokens of text, from its characters alone.
 *
 * Byte-pair tokenizers differ, but alike: a word of Latin letters is one token up to about six letters, numbers go by
 * three digits, marks by one or two, and scripts that are rare in training text cost up to two tokens a character. The weights
 * below are round figures that keep the *ratio* of actual to estimated alike from text to text; its level is learned.
 */
const kinds = 8
const start = 0
const lower = 1
const upper = 2
const digit = 3
const space = 4
const newline = 5
const mark = 6
const other = 7

/** Kinds of the ASCII characters. */
const kindOf = Uint8Array.from({ length: 128 }, (_, code) => {
  if (code >= 97 && code <= 122) return lower
  if (code >= 65 && code <= 90) return upper
  if (code >= 48 && code <= 57) return digit
  if (code === 32) return space
  if (code === 10 || code === 13 || code === 9) return newline
  return mark
})

/** Tokens that a character begins after one of another kind, and after one of its own. */
const alone = [[lower, 0.75], [upper, 0.75], [digit, 0.75], [space, 0], [newline, 0.55], [mark, 0.75]] as const
const repeated = [[lower, 0.06], [upper, 0.4], [digit, 0.4], [space, 0.1], [newline, 0.25], [mark, 0.4]] as const

/** Tokens of a character, by its kind and by the kind before it. One space goes with the word after it. */
const after = (() => {
  const table = new Float64Array(kinds * kinds)
  for (const [kind, tokens] of alone) {
    for (let previous = start; previous <= other; previous++) table[previous * kinds + kind] = tokens
  }
  for (const [kind, tokens] of repeated) table[kind * kinds + kind] = tokens
  // A capital and what follows it are one word.
  table[upper * kinds + lower] = 0.2
  // Letters after digits are of a code or a key, whose letters are rarely a word.
  table[digit * kinds + lower] = 1.2
  return table
})()

/** Letters in a row after which most words take a second token, and after which a row is no word; what each costs more. */
const shortWord = 6
const longWord = 14
const perLetter = 0.12
const perStray = 0.3

/** Tokens per UTF-16 unit of what is not ASCII, by blocks that end before the first number. */
const blocks = [
  [0x100, 0.5], // accented Latin: breaks a word in two
  [0x250, 0.85], // the rarer accents
  [0x370, 0.7], // phonetic signs, combining accents
  [0x400, 0.75], // Greek
  [0x530, 0.42], // Cyrillic
  [0x600, 0.9], // Armenian, Hebrew
  [0x780, 0.65], // Arabic
  [0x1200, 1], // Indic scripts, Thai, Georgian, Hangul Jamo
  [0x2000, 1.2], // Ethiopic, Khmer and the like
  [0x2e80, 1], // typographic marks and symbols
  [0x3100, 0.85], // Kana, CJK marks
  [0xac00, 1.05], // Han
  [0xd800, 1], // Hangul
  [0xe000, 1.25], // half of a pair: emoji, rare Han
  [0x10000, 1]
] as const

/** The same by the unit, less its last four bits. */
const weights = (() => {
  const table = new Float64Array(0x1000)
  let filled = 0
  for (const [end, tokens] of blocks) {
    table.fill(tokens, filled, end >> 4)
    filled = end >> 4
  }
  return table
})()

/**
 * Estimated tokens of a text, a fraction. One pass over its UTF-16 units, without allocation.
 */
export const tokensOf = (text: string): number => {
  let tokens = 0
  let previous = start
  let run = 0
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    const kind = kindOf[code]
    if (kind === undefined) {
      tokens += weights[code >> 4] ?? 1
      previous = other
      continue
    }
    tokens += after[previous * kinds + kind] ?? 0
    if (kind !== lower || previous !== lower) run = 1
    else if (++run > shortWord) tokens += run > longWord ? perStray : perLetter
    previous = kind
  }
  return tokens
}
