/**
 * The little statistics that the two learners share.
 */

/**
 * The standard normal quantile, by Acklam's rational approximation (relative error below 1.2e-9): `p` in (0, 1).
 */
export const normalQuantile = (p: number): number => {
  if (p > 0.5) return -normalQuantile(1 - p)
  // Stryker disable next-line EqualityOperator: the two approximations meet here
  if (p < 0.02425) {
    const q = Math.sqrt(-2 * Math.log(p))
    return (((((-7.784894002430293e-3 * q - 3.223964580411365e-1) * q - 2.400758277161838) * q - 2.549732539343734) * q
          + 4.374664141464968) * q + 2.938163982698783)
      / ((((7.784695709041462e-3 * q + 3.224671290700398e-1) * q + 2.445134137142996) * q + 3.754408661907416) * q + 1)
  }
  const q = p - 0.5
  const r = q * q
  return (((((-3.969683028665376e1 * r + 2.209460984245205e2) * r - 2.759285104469687e2) * r + 1.383577518672690e2) * r
        - 3.066479806614716e1) * r + 2.506628277459239) *
    q
    / (((((-5.447609879822406e1 * r + 1.615858368580409e2) * r - 1.556989798598866e2) * r + 6.680131188771972e1) * r
          - 1.328068155288572e1) * r + 1)
}

/**
 * `z` widened for a spread that was itself estimated from `samples` values: Student's t to first order.
 */
export const widened = (z: number, samples: number): number => z * (1 + (z * z + 1) / (4 * samples))

/** So many of the largest of the first `n` values, the largest first. One pass; for a few of many, far less than sorting them. */
const largestOf = (values: Float64Array, n: number, count: number): Float64Array => {
  const largest = new Float64Array(count).fill(Number.NEGATIVE_INFINITY)
  for (let index = 0; index < n; index++) {
    const value = values[index] ?? 0
    // Stryker disable next-line EqualityOperator: of equal values any may be left out
    if (value <= (largest[count - 1] ?? 0)) continue
    let place = count - 1
    // Stryker disable next-line EqualityOperator: of equal values any may come first
    for (; place > 0 && value > (largest[place - 1] ?? 0); place--) largest[place] = largest[place - 1] ?? 0
    largest[place] = value
  }
  return largest
}

/**
 * An upper quantile of the next value, from the first `n` values seen.
 *
 * The k-th largest of n is exceeded by the next with probability k/(n+1), whatever the distribution. Where n is too small
 * for the level, the largest is extended by a multiple of its lead over the second: under an exponential tail, c leads bring
 * the probability down to 2/((n+1)(2+c)), because the lead is exponential and independent of the second largest (Rényi). Lighter
 * tails are covered better, heavier ones worse.
 */
export const upperQuantile = (values: Float64Array, level: number, n: number = values.length): number => {
  const expected = (1 - level) * (n + 1)
  // Rounding must not turn 1 into 0.
  const k = Math.min(n, Math.floor(expected + 1e-9))
  const top = largestOf(values, n, Math.min(n, Math.max(2, k)))
  const [largest = 0, second = largest] = top
  return k >= 1 ? top[k - 1] ?? largest : largest + (largest - second) * 2 * (1 / expected - 1)
}
