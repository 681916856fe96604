import { Family, TokenEstimator } from "@caprock/quota"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Lru from "../src/internal/lru.ts"
import * as Media from "../src/internal/media.ts"
import * as Statistics from "../src/internal/statistics.ts"
import * as Text from "../src/internal/text.ts"
import { seeded } from "./random.ts"

describe("statistics", () => {
  it.each([
    [0.5, 0],
    [0.8413447460685429, 1],
    [0.95, 1.6448536269514722],
    [0.99, 2.3263478740408408],
    [0.999, 3.090232306167813],
    [0.01, -2.3263478740408408],
    [0.0001, -3.719016485455709]
  ])("the normal quantile of %d", (p, z) => {
    assert.closeTo(Statistics.normalQuantile(p), z, 1e-8)
  })

  it("widens as Student's t does", () => {
    // t quantiles at 0.95 for 10 and 30 degrees of freedom.
    assert.closeTo(Statistics.widened(1.6449, 10), 1.8125, 0.02)
    assert.closeTo(Statistics.widened(1.6449, 30), 1.6973, 0.005)
    assert.closeTo(Statistics.widened(2, 1e9), 2, 1e-6)
  })

  it("takes the k-th largest where there are enough values", () => {
    const values = () => Float64Array.from({ length: 99 }, (_, index) => 99 - index)
    assert.strictEqual(Statistics.upperQuantile(values(), 0.99), 99)
    assert.strictEqual(Statistics.upperQuantile(values(), 0.9), 90)
    assert.strictEqual(Statistics.upperQuantile(values(), 0.5), 50)
    assert.strictEqual(Statistics.upperQuantile(values(), 0), 1)
    // Of 150, the next exceeds the largest less often than 1 in 100, and the second largest more often.
    assert.strictEqual(Statistics.upperQuantile(Float64Array.from({ length: 150 }, (_, index) => index), 0.99), 149)
  })

  it("finds them wherever they stand, and leaves them there", () => {
    const random = seeded(7)
    for (let n = 2; n < 60; n++) {
      const values = Float64Array.from({ length: n }, () => Math.floor(random.next() * 40))
      const sorted = values.toSorted()
      const before = [...values]
      for (let k = 1; k <= n; k++) {
        assert.strictEqual(Statistics.upperQuantile(values, 1 - k / (n + 1)), sorted[n - k])
      }
      assert.deepStrictEqual([...values], before)
    }
  })

  it("goes beyond the largest by its lead where there are too few", () => {
    const values = () => Float64Array.from([1, 2, 10, 7])
    // The largest of 4 is exceeded 1 in 5 times: two leads halve that, six quarter it.
    assert.closeTo(Statistics.upperQuantile(values(), 0.9), 10 + 2 * 3, 1e-9)
    assert.closeTo(Statistics.upperQuantile(values(), 0.95), 10 + 6 * 3, 1e-9)
    assert.strictEqual(Statistics.upperQuantile(Float64Array.from([4]), 0.99), 4)
    assert.strictEqual(Statistics.upperQuantile(Float64Array.from([4, 4]), 0.99), 4)
  })

  it("is exceeded as often as it says, few values or many", { tags: "statistics" }, () => {
    for (const [seed, n, level] of [[1, 9, 0.99], [2, 30, 0.99], [3, 200, 0.99], [4, 50, 0.9]] as const) {
      const random = seeded(seed)
      let exceeded = 0
      const rounds = 20_000
      for (let round = 0; round < rounds; round++) {
        const upper = Statistics.upperQuantile(
          Float64Array.from({ length: n }, () => -Math.log(1 - random.next())),
          level
        )
        if (-Math.log(1 - random.next()) > upper) exceeded++
      }
      const share = exceeded / rounds
      // Exactly 1 - level for exponential values: within 4 standard errors, from both sides.
      const error = 4 * Math.sqrt(level * (1 - level) / rounds)
      assert.isAtMost(share, 1 - level + error, `seed ${seed}`)
      assert.isAtLeast(share, (1 - level) * 0.7 - error, `seed ${seed}`)
    }
  })
})

describe("lru", () => {
  it("forgets what was used longest ago", () => {
    let made = 0
    const lru = Lru.make(2, () => ({ id: ++made }))
    const a = lru.get("a")
    lru.get("b")
    assert.strictEqual(lru.get("a"), a)
    lru.get("c")
    assert.strictEqual(lru.peek("a"), a)
    assert.isUndefined(lru.peek("b"))
    assert.strictEqual(lru.get("b").id, 4)
    assert.isUndefined(lru.peek("a"))
  })

  it("peeking neither makes nor uses", () => {
    const lru = Lru.make(1, () => ({}))
    assert.isUndefined(lru.peek("a"))
    assert.isUndefined(lru.peek("a"))
  })
})

describe("text", () => {
  // Tokens by cl100k, o200k, Llama 3 and Claude 2 lie between the two numbers (gpt-tokenizer, llama3-tokenizer-js and
  // @anthropic-ai/tokenizer, November 2026).
  it.each([
    ["a sentence", "The committee met on Thursday to discuss the proposed changes to the annual budget.", 15, 15],
    ["code", "export const add = (left: number, right: number): number => left + right\n", 16, 18],
    ["JSON", `{"id":12345,"name":"Widget","tags":["a","b"],"active":true}`, 20, 23],
    ["numbers", "1048576 65536 3.14159 2026-11-21", 18, 22],
    ["Chinese", "委员会于星期四开会讨论年度预算的拟议修改。", 14, 23],
    ["German", "Der Ausschuss traf sich am Donnerstag, um die Änderungen am Haushalt zu besprechen.", 18, 26]
  ])("%s", (_, text, low, high) => {
    const tokens = Text.tokensOf(text)
    assert.isAtLeast(tokens, low * 0.7)
    assert.isAtMost(tokens, high * 1.3)
  })

  it.each([
    ["no text", "", 0],
    ["a word", "word", 0.75 + 3 * 0.06],
    ["a long word", "internationalisation", 0.75 + 5 * 0.06 + 8 * 0.18 + 6 * 0.36],
    ["a capitalised word", "Word", 0.75 + 0.2 + 2 * 0.06],
    ["an acronym", "HTTP", 0.75 + 3 * 0.4],
    ["a number", "2026", 0.75 + 3 * 0.4],
    ["a code", "a1b2", 0.75 + 0.75 + 1.2 + 0.75],
    ["single spaces", "a b", 2 * 0.75],
    ["indentation", "    a", 3 * 0.1 + 0.75],
    ["empty lines", "a\n\n\nb", 2 * 0.75 + 0.55 + 2 * 0.25],
    ["a tab", "\t", 0.55],
    ["marks", "a();", 0.75 + 0.75 + 2 * 0.4],
    ["braces", "{~}", 0.75 + 2 * 0.4],
    ["a bracket and a line", "A[a_", 4 * 0.75],
    ["words, each counted anew", "abcdef ghijkl", 2 * (0.75 + 5 * 0.06)],
    ["the last letters", "zzZzZZ", 0.75 + 0.06 + 0.75 + 0.2 + 0.75 + 0.4],
    ["a line's end as Windows writes it", "\r\n", 0.55 + 0.25],
    ["an umlaut", "für", 0.75 + 0.5 + 0.75],
    ["Polish", "ł", 0.85],
    ["combining", "\u0301", 0.7],
    ["Greek", "α", 0.75],
    ["Cyrillic", "ж", 0.42],
    ["Armenian", "ա", 0.9],
    ["Hebrew", "א", 0.9],
    ["Arabic", "ع", 0.65],
    ["Thai", "ก", 1],
    ["Khmer", "ក", 1.2],
    ["a dash", "–", 1],
    ["kana", "か", 0.85],
    ["Han", "会", 1.05],
    ["Hangul", "한", 1],
    ["emoji", "🎉", 2.5],
    ["full width", "Ａ", 1],
    // The first and the last of what is written with each.
    ["accents", "ÀÿĀɏ", 2 * 0.5 + 2 * 0.85],
    ["all of Greek and Cyrillic", "ͰϿЀԯ", 2 * 0.75 + 2 * 0.42],
    ["all of Armenian, Hebrew and Arabic", "Աװݿ", 2 * 0.9 + 0.65],
    ["all of Hangul", "가힣", 2],
    ["all of Han", "㐀鿿", 2 * 1.05],
    ["not in any block of its own", "ﬀ", 1]
  ])("%s", (_, text, tokens) => {
    assert.closeTo(Text.tokensOf(text), tokens, 1e-9)
  })

  // The least and the most of the same four tokenizers, for 2,000 characters drawn with seed 1.
  it.each([
    ["hexadecimal", "0123456789abcdef", 1140, 1174],
    ["base64", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", 1360, 1430],
    ["base32", "abcdefghijklmnopqrstuvwxyz234567", 1208, 1232],
    ["base36", "0123456789abcdefghijklmnopqrstuvwxyz", 1265, 1293],
    ["genes", "GATC", 849, 1026],
    ["genes in small letters", "gatc", 900, 958],
    ["a protein", "ACDEFGHIKLMNPQRSTVWY", 1098, 1121],
    ["letters", "abcdefghijklmnopqrstuvwxyz", 1030, 1078],
    ["digits", "0123456789", 667, 838]
  ])("an unbroken text without words is not booked for less than it takes: %s", (_, alphabet, low, high) => {
    const random = seeded(1)
    const letters = Array.from({ length: 2000 }, () => alphabet.charAt(Math.floor(random.next() * alphabet.length)))
    const tokens = Text.tokensOf(letters.join(""))
    assert.isAtLeast(tokens * TokenEstimator.caution, 1.05 * high)
    assert.isAtMost(tokens, 1.25 * low)
  })

  it.effect.prop(
    "more text is no fewer tokens, and each character at most 1.25",
    [Schema.String, Schema.String],
    ([a, b]) =>
      Effect.sync(() => {
        const both = Text.tokensOf(a + b)
        assert.isAtLeast(both, Text.tokensOf(a))
        assert.isAtMost(both, 1.25 * (a + b).length)
      })
  )
})

describe("media", () => {
  const tokensOf = (...args: Parameters<typeof Media.tokensOf> extends [unknown, ...infer Rest] ? Rest : never) =>
    Media.tokensOf(Family.of("anthropic.claude-sonnet-4-5", undefined).image, ...args)
  const bytes = (...values: ReadonlyArray<number>) => Media.fromArray(Uint8Array.from(values))
  const padded = (values: ReadonlyArray<number>, length = 64) =>
    Media.fromArray(Uint8Array.from({ length }, (_, index) => values[index] ?? 0))
  const png = (width: number, height: number) =>
    padded([
      0x89,
      0x50,
      0x4e,
      0x47,
      0x0d,
      0x0a,
      0x1a,
      0x0a,
      0,
      0,
      0,
      13,
      0x49,
      0x48,
      0x44,
      0x52,
      0,
      0,
      width >> 8,
      width & 255,
      0,
      0,
      height >> 8,
      height & 255
    ])

  it("reads the size of a PNG", () => {
    assert.deepStrictEqual(Media.sizeOf(png(1025, 300)), { width: 1025, height: 300 })
  })

  it("reads the size of a GIF", () => {
    const gif = padded([0x47, 0x49, 0x46, 0x38, 0x39, 0x61, 0x01, 0x02, 0x03, 0x04])
    assert.deepStrictEqual(Media.sizeOf(gif), { width: 0x0201, height: 0x0403 })
  })

  it("reads the size of a JPEG behind other segments", () => {
    const jpeg = padded([
      0xff,
      0xd8, //
      0xff,
      0xe0,
      0,
      4,
      9,
      9, // APP0
      0xff,
      0xc4,
      0,
      5,
      1,
      2,
      3, // a Huffman table, no frame
      0xff,
      0xc2,
      0,
      17,
      8,
      0x01,
      0x2c,
      0x02,
      0x58,
      3
    ])
    assert.deepStrictEqual(Media.sizeOf(jpeg), { width: 600, height: 300 })
  })

  it.each([0xc0, 0xc1, 0xc2, 0xc3, 0xc5, 0xc9, 0xcf])("JPEG frame %i", (marker) => {
    const jpeg = padded([0xff, 0xd8, 0xff, marker, 0, 17, 8, 0, 7, 0, 9])
    assert.deepStrictEqual(Media.sizeOf(jpeg), { width: 9, height: 7 })
  })

  it.each([0x01, 0xbf, 0xc4, 0xc8, 0xcc, 0xd9, 0xe0])("JPEG marker %i is no frame", (marker) => {
    assert.isUndefined(Media.sizeOf(padded([0xff, 0xd8, 0xff, marker, 0, 60, 8, 0, 7, 0, 9])))
  })

  it("reads the sizes of WebP's three kinds", () => {
    const webp = (kind: number, ...rest: ReadonlyArray<number>) =>
      padded([0x52, 0x49, 0x46, 0x46, 0, 0, 0, 0, 0x57, 0x45, 0x42, 0x50, 0x56, 0x50, 0x38, kind, ...rest])
    // 0x58 "X": canvas of 24 bits less 1, from byte 24.
    assert.deepStrictEqual(
      Media.sizeOf(webp(0x58, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0x03, 0, 0xff, 0x01, 0)),
      { width: 1024, height: 512 }
    )
    // 0x20 " ": two numbers of 14 bits from byte 26.
    assert.deepStrictEqual(
      Media.sizeOf(webp(0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0xc2, 0x40, 0x41)),
      { width: 640, height: 320 }
    )
    // 0x4c "L": 14 bits and 14 bits, less 1, from byte 21.
    const packed = (640 - 1) | ((320 - 1) << 14)
    assert.deepStrictEqual(
      Media.sizeOf(
        webp(0x4c, 0, 0, 0, 0, 0x2f, packed & 255, (packed >> 8) & 255, (packed >> 16) & 255, (packed >> 24) & 255)
      ),
      { width: 640, height: 320 }
    )
  })

  it("has no size for what is no image, too short, empty, or endless", () => {
    assert.isUndefined(Media.sizeOf(padded([1, 2, 3, 4])))
    assert.isUndefined(Media.sizeOf(bytes(0x89, 0x50)))
    assert.isUndefined(Media.sizeOf(png(0, 10)))
    assert.isUndefined(Media.sizeOf(png(10, 0)))
    assert.isUndefined(Media.sizeOf(padded([0xff, 0xd8, 1, 2])))
    assert.isUndefined(Media.sizeOf(padded([0x52, 0x49, 0x46, 0x46, 0, 0, 0, 0, 1, 2])))
    // A sound begins as WebP does: RIFF, but then WAVE.
    assert.isUndefined(Media.sizeOf(padded([...Buffer.from("RIFF0000WAVEfmt 0000"), 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9])))
    // Segments of no length lead nowhere.
    const circular = Uint8Array.from({ length: 100_000 }, (_, i) => i % 4 === 0 ? 0xff : i % 4 === 1 ? 0xd8 : 0)
    circular[3] = 0
    assert.isUndefined(Media.sizeOf(Media.fromArray(circular)))
  })

  it("a header alone is enough, and less is none, in base64 too", () => {
    const header = Buffer.alloc(30)
    Buffer.from("89504e470d0a1a0a0000000d49484452000000090000000700", "hex").copy(header)
    const inBase64 = (bytes: Buffer) => Media.fromBase64(bytes.toString("base64"))
    assert.deepStrictEqual(Media.sizeOf(Media.fromArray(header)), { width: 9, height: 7 })
    assert.deepStrictEqual(Media.sizeOf(inBase64(header)), { width: 9, height: 7 })
    assert.isUndefined(Media.sizeOf(inBase64(header.subarray(0, 18))))
    assert.isUndefined(Media.sizeOf(inBase64(header.subarray(0, 21))))
  })

  it("an image costs its pixels, scaled and capped", () => {
    const tokens = (width: number, height: number) => tokensOf("image", undefined, png(width, height))
    assert.closeTo(tokens(750, 500), 500, 1e-9)
    assert.closeTo(tokens(3136, 300), 1568 * 150 / 750, 1e-9)
    assert.closeTo(tokens(300, 3136), 1568 * 150 / 750, 1e-9)
    assert.strictEqual(tokens(1568, 1568), 1600)
    assert.strictEqual(tokens(1, 1), 1)
    assert.strictEqual(tokensOf("image", undefined, padded([1])), 1600)
    assert.strictEqual(tokensOf("image", undefined, undefined), 1600)
  })

  it("documents cost their text, their pages or their bytes", () => {
    const of = (text: string) => Media.fromArray(new TextEncoder().encode(text))
    const text = "Grüße aus 東京, und so weiter. ".repeat(1000)
    for (const format of ["txt", "md", "html", "csv", "text/plain", "text/markdown"]) {
      assert.closeTo(tokensOf("document", format, of(text)), Text.tokensOf(text), 1e-6)
      const inBase64 = Media.fromBase64(Buffer.from(text).toString("base64"))
      assert.closeTo(tokensOf("document", format, inBase64), Text.tokensOf(text), 2)
    }
    const pdf = `%PDF-1.4\n${"<< /Type /Page >> /Pages /PageLabels\n".repeat(3)}`
    assert.strictEqual(tokensOf("document", "pdf", of(pdf)), 3 * 2500)
    assert.strictEqual(tokensOf("document", "application/pdf", of(pdf)), 3 * 2500)
    assert.strictEqual(tokensOf("document", undefined, of(pdf)), 3 * 2500)
    assert.strictEqual(tokensOf("document", "pdf", of("%PDF")), 2500)
    const scan = Media.fromArray(new Uint8Array(600_000))
    assert.strictEqual(tokensOf("document", "pdf", scan), 10 * 2500)
    assert.strictEqual(tokensOf("document", "docx", Media.fromArray(new Uint8Array(4000))), 1000)
    assert.strictEqual(tokensOf("document", undefined, Media.fromArray(new Uint8Array(4000))), 1000)
    assert.strictEqual(tokensOf("document", "pdf", undefined), 30_000)
  })

  it("counts the pages of a large PDF from its first megabyte", () => {
    const page = "<< /Type /Page >>".padEnd(1000, " ")
    const large = new TextEncoder().encode(page.repeat(2000))
    assert.closeTo(tokensOf("document", "pdf", Media.fromArray(large)), 2000 * 2500, 2500 * 20)
  })

  it("video and audio cost their bytes", () => {
    const data = Media.fromArray(new Uint8Array(40_000))
    assert.strictEqual(tokensOf("video", "mp4", data), 100)
    assert.strictEqual(tokensOf("audio", "mp3", data), 80)
    assert.strictEqual(tokensOf("video", "mp4", undefined), 30_000)
  })

  it.effect.prop("base64 reads as the bytes that it stands for", [
    Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 })))
  ], ([values]) =>
    Effect.sync(() => {
      const buffer = Buffer.from(values)
      for (const text of [buffer.toString("base64"), buffer.toString("base64url")]) {
        const read = Media.fromBase64(text)
        values.forEach((value, index) => assert.strictEqual(read.at(index), value))
        assert.closeTo(read.length, values.length, 2)
      }
    }))
})
