// What a run of many seeds prints: the faults that struck, by kind, and each broken rule with how to see it again.
import { type FaultKind, faultKinds } from "./faults.js";
import type { SeedResult } from "./run-seed.js";

export function faultTable(results: readonly SeedResult[]): string {
  const rows: (string | number)[][] = faultKinds.map((kind) => {
    const counts = results.map(({ faults }) => faults[kind]);
    return [kind, sum(counts), Math.min(...counts), Math.max(...counts), counts.filter((count) => count === 0).length];
  });
  const perSeed = results.map(faultsOf);
  rows.push(["all", sum(perSeed), Math.min(...perSeed), Math.max(...perSeed), 0]);
  const lines = [["fault", "sum", "least", "most", "seeds without"], ...rows].map((row) =>
    row.map((cell, i) => (i === 0 ? String(cell).padEnd(24) : String(cell).padStart(i === 4 ? 14 : 9))).join(""),
  );
  return lines.join("\n");
}

/** Kinds that struck in no seed. */
export const idleFaults = (results: readonly SeedResult[]): FaultKind[] =>
  faultKinds.filter((kind) => results.every(({ faults }) => faults[kind] === 0));

export function story({ seed, broken }: SeedResult, command: string): string {
  if (broken === null) return "";
  return [
    `seed ${seed} broke a rule at ${(broken.atMs / 1000).toFixed(3)} s of virtual time`,
    ...broken.trace.map((line) => `  ${line}`),
    `  ${broken.what}`,
    `again: ${command}`,
  ].join("\n");
}

/** What a seed is to have at least in two virtual hours: with less it shows little. */
const leastPerTwoHours = { VMs: 30, sessions: 500, faults: 50 };
const twoHoursMs = 2 * 3_600_000;

/** Of which there was too little, in words; null: it was busy enough, or ended early. */
export function tooQuiet(result: SeedResult, lastsMs: number): string | null {
  if (result.broken !== null || lastsMs < twoHoursMs) return null;
  const had = { VMs: result.vms, sessions: result.sessions, faults: faultsOf(result) };
  const short = Object.entries(leastPerTwoHours).filter(
    ([what, least]) => had[what as keyof typeof had] < (least * lastsMs) / twoHoursMs,
  );
  if (short.length === 0) return null;
  return `seed ${result.seed} was too quiet: ${short.map(([what]) => `${had[what as keyof typeof had]} ${what}`).join(", ")}`;
}

const faultsOf = ({ faults }: SeedResult): number => sum(Object.values(faults));

export const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0);
