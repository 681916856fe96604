/**
 * The emulator's own tokenizer, as far as it counts.
 *
 * It is deterministic and cheap, and deliberately not "characters divided by four": like a real tokenizer it counts
 * words and punctuation, so that an estimator has to learn the ratio of its estimates to what the service charges.
 *
 * @since 0.1.0
 */

/**
 * What an image costs, whatever its size, in tokens. A real service charges by pixels; this one does not decode images.
 *
 * @category constants
 * @since 0.1.0
 */
export const imageTokens = 1600

/**
 * What one message costs besides its content, in tokens.
 *
 * @category constants
 * @since 0.1.0
 */
export const messageOverhead = 4

/**
 * Counts the tokens of a text.
 *
 * A word of ASCII letters is one token per started 7 letters, a run of digits one per started 3, any other printable
 * ASCII character one, a line break one, and a character beyond ASCII one. Other white space is free. Costs O(length),
 * a few nanoseconds per character.
 *
 * @category accessors
 * @since 0.1.0
 */
export const count = (text: string): number => {
  let tokens = 0
  let letters = 0
  let digits = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if ((code >= 97 && code <= 122) || (code >= 65 && code <= 90)) {
      digits = 0
      if (letters++ % 7 === 0) tokens++
    } else if (code >= 48 && code <= 57) {
      letters = 0
      if (digits++ % 3 === 0) tokens++
    } else {
      letters = 0
      digits = 0
      // The second half of a surrogate pair belongs to the first.
      if (code === 10 || (code > 32 && !(code >= 0xdc00 && code <= 0xdfff))) tokens++
    }
  }
  return tokens
}
