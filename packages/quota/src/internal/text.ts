/**
 * Tokens of text, from its characters alone.
 *
 * Byte-pair tokenizers differ, but alike: a word of Latin letters is one token up to about six letters, numbers go by
 * three digits, marks by one or two, and scripts that are rare in training text cost up to two tokens a character. The weights
 * below are round figures that keep the *ratio* of actual to estimated alike from text to text; its level is learned.
 */
const lower = 1
const upper = 2
const digit = 3
const space = 4
const newline = 5
const mark = 6
const other = 7

/** Classes of the ASCII characters. */
const ascii = Uint8Array.from({ length: 128 }, (_, code) => {
  if (code >= 97 && code <= 122) return lower
  if (code >= 65 && code <= 90) return upper
  if (code >= 48 && code <= 57) return digit
  if (code === 32) return space
  if (code === 10 || code === 13 || code === 9) return newline
  return mark
})

/** Tokens per UTF-16 unit of what is not ASCII. */
const weightOf = (code: number): number => {
  if (code < 0x100) return 0.5 // accented Latin: breaks a word in two
  if (code < 0x250) return 0.85 // the rarer accents
  if (code < 0x370) return 0.7 // phonetic signs, combining accents
  if (code < 0x400) return 0.75 // Greek
  if (code < 0x530) return 0.42 // Cyrillic
  if (code < 0x590) return 0.9 // Armenian
  if (code < 0x600) return 0.9 // Hebrew
  if (code < 0x780) return 0.65 // Arabic
  if (code < 0x1200) return 1 // Indic scripts, Thai, Georgian, Hangul Jamo
  if (code < 0x2000) return 1.2 // Ethiopic, Khmer and the like
  if (code < 0x2e80) return 1 // typographic marks and symbols
  if (code < 0x3100) return 0.85 // Kana, CJK marks
  if (code < 0xac00) return 1.05 // Han
  if (code < 0xd800) return 1 // Hangul
  if (code < 0xe000) return 1.25 // half of a pair: emoji, rare Han
  return 1
}

/** Letters up to which most words are one token, and from which a run is no word any more. */
const shortWord = 6
const longWord = 14

/**
 * Estimated tokens of a text, a fraction. One pass over its UTF-16 units, without allocation.
 */
export const tokensOf = (text: string): number => {
  let tokens = 0
  let previous = 0
  let run = 0
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code >= 128) {
      tokens += weightOf(code)
      previous = other
      continue
    }
    const kind = ascii[code] ?? mark
    run = kind === previous ? run + 1 : 0
    switch (kind) {
      case lower:
        if (previous === lower) tokens += run < shortWord ? 0.06 : run < longWord ? 0.18 : 0.3
        // A capital and what follows are one word.
        else tokens += previous === upper ? 0.2 : 0.75
        break
      case upper:
        tokens += previous === upper ? 0.4 : 0.75
        break
      case digit:
        tokens += previous === digit ? 0.4 : 0.75
        break
      case space:
        // One space goes with the word after it; further ones make tokens of several.
        if (previous === space) tokens += 0.1
        break
      case newline:
        tokens += previous === newline ? 0.25 : 0.55
        break
      default:
        // A mark after another often joins it.
        tokens += previous === mark ? 0.4 : 0.75
    }
    previous = kind
  }
  return tokens
}
