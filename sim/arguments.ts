// The command line of the simulation.
import { Command, InvalidArgumentError, Option } from "commander";
import { type Break, breakNames, breaks } from "./breaks.js";

export interface Arguments {
  readonly seed: number;
  readonly seeds: number;
  readonly days: number;
  readonly faults: boolean;
  readonly trace: boolean;
  readonly break: Break | null;
  readonly workers: number;
}

const seedMax = 2 ** 31 - 1;

const rules = breakNames.map((name) => `${name} (${breaks[name]})`).join(", ");

const whole = (least: number, most: number) => (text: string) => {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  throw new InvalidArgumentError(`It is a whole number from ${least} to ${most}.`);
};

function days(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && value > 0 && value <= 365) return value;
  throw new InvalidArgumentError("It is a number of days above 0, at most 365; a fraction will do.");
}

/** @throws CommanderError when they are wrong, or help was asked for; what to say has been written then */
export function parseArguments(args: readonly string[], workers: number): Arguments {
  const command = new Command("npm run sim --")
    .description("Runs the orchestrator in virtual time, with faults, and checks its rules at every step.")
    .option("--seed <number>", "the first seed", whole(0, seedMax), 1)
    .option("--seeds <count>", "how many seeds, one after the other", whole(1, 1_000_000), 1)
    .option("--days <days>", "virtual days of each, a fraction will do", days, 0.0834)
    .option("--workers <count>", "seeds run at once", whole(1, 256), workers)
    .option("--no-faults", "nothing goes wrong")
    .addOption(new Option("--break <rule>", `break a rule on purpose: ${rules}`).choices(breakNames).default(null))
    .option("--trace", "print all that happens (one seed only)", false)
    .exitOverride();
  command.parse(args, { from: "user" });
  const options = command.opts<Arguments>();
  if (options.trace && options.seeds > 1) command.error("error: --trace is for one seed");
  if (options.seed + options.seeds - 1 > seedMax) command.error(`error: seeds end at ${seedMax}`);
  return options;
}
