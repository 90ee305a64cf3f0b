// Percentiles by the nearest-rank method, and the result line every bench ends with.

export function percentile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const value = sorted[Math.max(0, Math.ceil((p / 100) * sorted.length) - 1)];
  if (value === undefined) throw new Error("no values were measured");
  return value;
}

export const round = (value: number, digits = 1): number => Number(value.toFixed(digits));

export const spread = (values: readonly number[]) => ({
  p50_ms: round(percentile(values, 50)),
  p95_ms: round(percentile(values, 95)),
  p99_ms: round(percentile(values, 99)),
});

/** Last line of every bench. */
export const report = (result: Record<string, unknown>): void => console.log(JSON.stringify(result));
