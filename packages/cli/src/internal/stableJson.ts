/** JSON with the keys of each object in order, so that two spellings of one value give one text. */
export const stableJson = (value: unknown): string => {
  if (Array.isArray(value)) return `[${value.map(stableJson).join(",")}]`
  if (typeof value === "object" && value !== null) {
    const fields = Object.entries(value).filter(([, field]) => field !== undefined)
    fields.sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0)
    return `{${fields.map(([key, field]) => `${JSON.stringify(key)}:${stableJson(field)}`).join(",")}}`
  }
  return JSON.stringify(value) ?? "null"
}
