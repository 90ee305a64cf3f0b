// One `hotseat up` a data folder: two would fight over its VMs. The lock names its process by pid and start time, so that
// one left behind by a crash does not count.
import { randomBytes } from "node:crypto";
import { link, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { isAlive, processIdentity } from "../platform/process-identity.js";
import { UserError } from "./run.js";

const lockFile = z.object({ pid: z.int(), startedAt: z.string() });

/** @throws UserError when another live process holds the folder. */
export async function lockDataFolder(folder: string): Promise<AsyncDisposable> {
  const path = join(folder, "hotseat.lock");
  const mine = join(folder, `hotseat.lock.${randomBytes(6).toString("hex")}`);
  await writeFile(mine, JSON.stringify(processIdentity(process.pid)));
  try {
    while (!(await linked(mine, path))) {
      const holder = await readHolder(path);
      if (holder !== null && isAlive(holder))
        throw new UserError(
          `Hotseat runs here already (process ${holder.pid}): stop it first, or use another folder with --data.`,
        );
      // Of several that find the same stale lock one moves it away; the others find it gone and try again.
      await rename(path, `${mine}.stale`).catch(() => {});
    }
  } finally {
    await rm(mine, { force: true });
    await rm(`${mine}.stale`, { force: true });
  }
  return { [Symbol.asyncDispose]: () => rm(path, { force: true }) };
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  }
}

async function readHolder(path: string) {
  try {
    return lockFile.parse(JSON.parse(await readFile(path, "utf8")));
  } catch {
    return null;
  }
}
