export type Standing =
  | { readonly _tag: "Closed"; readonly share: number }
  | { readonly _tag: "Open"; readonly untilMillis: number }
  | { readonly _tag: "HalfOpen"; readonly probing: boolean }
