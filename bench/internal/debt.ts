import type * as Stats from "@caprock/emulator/Stats"

/**
 * Throttles for which debt is to blame: without what charges had grown by since arrival, the request would have fitted
 * into the last window. The log is of one pool.
 */
export const byDebt = (log: ReadonlyArray<Stats.RequestRecord>, limit: number, window: number): number => {
  const admitted = log.filter(({ outcome, reserved }) => reserved > 0 && !outcome.startsWith("Throttled"))
  return log.filter(({ outcome }) => outcome === "ThrottledTokens").filter((refused) => {
    const now = refused.arrivedAt
    const asked = refused.inputTokens + refused.cacheWriteTokens + refused.maxTokens
    const counted = admitted
      .filter(({ arrivedAt }) => arrivedAt > now - window && arrivedAt <= now)
      .reduce(
        (sum, { endedAt, reserved, settled }) => sum + (endedAt <= now ? Math.min(reserved, settled) : reserved),
        0
      )
    return counted + asked <= limit
  }).length
}
