/** Numbers as people read them: always the same, whatever the machine's locale. */

export const count = (n: number): string => {
  const whole = Math.round(n)
  return String(Math.abs(whole)).replace(/\B(?=(\d{3})+$)/g, ",").replace(/^/, whole < 0 ? "-" : "")
}

/** One digit after the point below 10, none above. */
export const ratio = (n: number): string => n < 9.95 ? n.toFixed(1) : String(Math.round(n))

export const percent = (share: number): string => {
  const value = share * 100
  if (value > 0 && value < 0.95) return `${value.toFixed(1)} %`
  return `${value > 99 && value < 100 ? 99 : Math.round(value)} %`
}

export const duration = (millis: number): string => {
  if (millis < 1000) return `${Math.round(millis)} ms`
  const seconds = millis / 1000
  if (seconds < 59.95) return `${seconds < 9.95 ? seconds.toFixed(1) : Math.round(seconds)} s`
  const minutes = Math.round(seconds / 60)
  if (seconds < 600) return `${Math.floor(Math.round(seconds) / 60)} min ${Math.round(seconds) % 60} s`
  if (minutes < 60) return `${minutes} min`
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

export const bytes = (n: number): string =>
  n < 1024 ? `${n} bytes` : n < 1024 * 1024 ? `${Math.round(n / 1024)} KiB` : `${Math.round(n / 1024 / 1024)} MiB`

export const plural = (n: number, one: string, many = `${one}s`): string => `${count(n)} ${n === 1 ? one : many}`

export const bar = (share: number, width: number): string => {
  const full = Math.round(Math.min(1, Math.max(0, share)) * width)
  return "█".repeat(full) + "░".repeat(width - full)
}

/** In whatever currency the prices were. */
export const money = (amount: number): string =>
  amount === 0 ? "0" : amount < 1 ? amount.toPrecision(2) : amount.toFixed(2)
