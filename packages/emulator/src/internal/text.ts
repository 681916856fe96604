/** Pseudo-text of a wanted number of tokens. */
import { fromSeed, type Random, type Seed } from "./random.ts"

/** Every word is one token to `TokenCounter` (at most seven letters), so that the length of a text is exact. */
const words = (
  "a able about after again air all also an and answer any are as at back base be been before begin between big both but " +
  "by call can case change city close come could country cover day did do does down each early earth end even every eye " +
  "face fact far few find first follow food for form found four from full gave get give go good great ground group grow " +
  "had hand hard has have he head hear help her here high him his home house how hundred i if in into is it just keep kind " +
  "know land large last late layer learn leave left less let letter life light like line list little live long look low made " +
  "main make many map mark may me mean measure men might mile mind money more most mother mountain move much must my name near " +
  "need never new next night no north not note now number of off often old on once one only open or order other our out " +
  "over own page paper part pass pattern people place plain plan plant play point power press problem product pull put " +
  "quick rain ran reach read real rest right river road rock room round rule run said same saw say school sea second see " +
  "sentence set shall she ship short should show side simple since sing sit slow small so some song soon sound south space " +
  "stand star start state stay step still stood stop story street strong study such sun sure system table take talk tell " +
  "ten test than that the their them then there these they thing think this those thought three through time to told too " +
  "took top town travel tree true try turn two under unit until up upon us use very voice vowel walk want war warm was " +
  "watch water way we week well went were west what wheel when where which while white who whole why will wind with wonder " +
  "wood word work world would write year yes you young your"
).split(" ").filter((word) => word.length <= 7)

export interface PseudoText {
  /** `tokens` words, beginning anywhere. */
  readonly take: (random: Random, tokens: number) => string
}

const length = 8192

/** One long text, drawn once from the seed; each answer is a piece of it, so that an answer costs next to nothing. */
export const make = (seed: Seed): PseudoText => {
  const random = fromSeed(seed)
  const drawn = Array.from({ length }, () => words[Math.floor(random() * words.length)] ?? "word")
  const text = `${drawn.join(" ")} `
  const starts: Array<number> = [0]
  for (const word of drawn) starts.push((starts.at(-1) ?? 0) + word.length + 1)
  const piece = (from: number, to: number): string => text.slice(starts[from], starts[to])
  return {
    take: (random, tokens) => {
      let at = Math.floor(random() * length)
      let left = tokens
      let out = ""
      while (left > 0) {
        const n = Math.min(left, length - at)
        out += piece(at, at + n)
        at = 0
        left -= n
      }
      return out.trimEnd()
    }
  }
}

/** Splits a text into `n` pieces (or as many as there are characters): evenly by words where there are enough. */
export const split = (text: string, n: number): ReadonlyArray<string> => {
  const words = text.split(/(?= )/)
  const units = words.length >= n ? words : Array.from(text)
  const pieces = Math.min(n, units.length)
  if (pieces <= 1) return [text]
  const end = (piece: number): number => Math.round(units.length * piece / pieces)
  return Array.from({ length: pieces }, (_, piece) => units.slice(end(piece), end(piece + 1)).join(""))
}
