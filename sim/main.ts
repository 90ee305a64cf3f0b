// `npm run sim -- --seed N --days D [--seeds K]`. The last line says how many seeds ran and how many rules broke.
import { once } from "node:events";
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { CommanderError } from "commander";
import { type Arguments, parseArguments } from "./arguments.js";
import { faultTable, idleFaults, story, sum, tooQuiet } from "./report.js";
import { runSeed, type SeedResult } from "./run-seed.js";

const dayMs = 24 * 3_600_000;
/** Most of what a simulation makes is garbage at once. */
const resourceLimits = { maxYoungGenerationSizeMb: 64 };
const progressMs = 10_000;
/** Seeds after which a kind of fault that never struck is a fault of the simulation. */
const seedsForAllFaults = 50;

async function main(): Promise<number> {
  const args = parseArguments(process.argv.slice(2), availableParallelism());
  const startedAt = performance.now();
  const results: SeedResult[] = [];
  const failed: SeedResult[] = [];
  const progress = setInterval(() => {
    console.log(`${results.length} of ${args.seeds} seeds, ${failed.length} broken, ${elapsed(startedAt)}`);
  }, progressMs);
  const done = (result: SeedResult) => {
    results.push(result);
    if (result.broken === null) return;
    failed.push(result);
    console.log(story(result, commandFor(args, result.seed)));
  };
  if (args.seeds === 1) {
    const { seed } = args;
    done(await runSeed({ ...storyOf(args), seed, print: args.trace ? console.log : null }));
  } else await runAll(args, done);
  clearInterval(progress);

  console.log(faultTable(results));
  const quiet = args.faults ? results.flatMap((result) => tooQuiet(result, args.days * dayMs) ?? []) : [];
  for (const words of quiet) console.log(words);
  const idle = args.faults && results.length >= seedsForAllFaults ? idleFaults(results) : [];
  if (idle.length > 0) console.log(`in no seed: ${idle.join(", ")}`);
  if (args.seeds === 1) console.log(`trace hash ${results[0]!.hash}`);
  const total = (of: (result: SeedResult) => number) => sum(results.map(of));
  const [vms, sessions, events] = [total((all) => all.vms), total((all) => all.sessions), total((all) => all.events)];
  console.log(`${vms} VMs, ${sessions} sessions, ${events} events of the simulation in ${elapsed(startedAt)}`);
  console.log(`${results.length} seeds run, ${failed.length} invariants broken`);
  return failed.length + idle.length + quiet.length > 0 ? 1 : 0;
}

async function runAll(args: Arguments, done: (result: SeedResult) => void): Promise<void> {
  const { seed, seeds, workers } = args;
  const waiting = Array.from({ length: seeds }, (_, i) => seed + i).values();
  const work = async () => {
    const worker = new Worker(new URL("worker.js", import.meta.url), { resourceLimits });
    try {
      for (const next of waiting) {
        const answer = once(worker, "message"); // rejects on "error"
        worker.postMessage({ ...storyOf(args), seed: next });
        const [result] = await answer;
        done(result as SeedResult);
      }
    } finally {
      await worker.terminate();
    }
  };
  await Promise.all(Array.from({ length: Math.min(workers, seeds) }, work));
}

const storyOf = ({ days, faults, break: rule }: Arguments) => ({ lastsMs: days * dayMs, faults, break: rule });

const elapsed = (startedAt: number) => `${((performance.now() - startedAt) / 1000).toFixed(1)} s`;

function commandFor({ days, faults, break: rule }: Arguments, seed: number): string {
  const options = [...(faults ? [] : ["--no-faults"]), ...(rule === null ? [] : [`--break ${rule}`]), "--trace"];
  return `npm run sim -- --seed ${seed} --days ${days} ${options.join(" ")}`;
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? 0 : 2;
}
