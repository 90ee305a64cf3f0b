// Which programs of the catalogue this machine cannot run, and what to do about it, found by trying: the sandbox is made,
// and the program looked for from inside it, where it must be seen.
import { access, constants } from "node:fs/promises";
import type { GameProgram } from "../../../contracts/catalog.js";
import { run } from "../../../platform/child-process.js";
import { furnish } from "./home.js";
import { confine } from "./sandbox.js";

/** What every real game needs here, and the Debian package it comes in. */
const tools = [
  { path: "/usr/bin/Xvfb", package: "xvfb" },
  { path: "/usr/bin/pulseaudio", package: "pulseaudio" },
  { path: "/usr/bin/parec", package: "pulseaudio-utils" },
  { path: "/usr/bin/prlimit", package: "util-linux" },
  { path: "/usr/bin/setpriv", package: "util-linux" },
] as const;

const limits = { memoryMb: 256, processesMax: 64 } as const;

/** By game id; a game that can run is not in it. Only in a session's room. */
export async function missingPrograms(programs: readonly GameProgram[]): Promise<Record<string, string>> {
  if (programs.length === 0) return {};
  const common = await whyNone();
  const reasons = await Promise.all(
    programs.map(async (game) => [game.gameId, common ?? (await whyNot(game))] as const),
  );
  return Object.fromEntries(reasons.flatMap(([gameId, why]) => (why === null ? [] : [[gameId, why]])));
}

async function whyNone(): Promise<string | null> {
  const absent = await Promise.all(tools.map(async (tool) => ((await isProgram(tool.path)) ? [] : [tool.package])));
  const packages = [...new Set(absent.flat())];
  if (packages.length > 0) return `real games need more here: apt-get install ${packages.join(" ")}`;
  const { code, output } = await inSandbox("/usr/bin/true", []);
  return code === 0 ? null : `no sandbox for games here: ${output.trim()}`;
}

async function whyNot({ program: { command, folder, install } }: GameProgram): Promise<string | null> {
  const { code } = await inSandbox("/usr/bin/test", ["-x", command], folder);
  return code === 0 ? null : `${command} is not there${install === undefined ? "" : `: ${install}`}`;
}

const isProgram = (path: string) =>
  access(path, constants.X_OK).then(
    () => true,
    () => false,
  );

const inSandbox = (program: string, args: readonly string[], folder?: string) =>
  run(confine(furnish(), { command: [program, ...args], environment: {}, folder, network: false, limits }));
