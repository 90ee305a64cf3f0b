// Who runs the database in a folder: reads PostgreSQL's lock files, and removes those no server holds.
//
// PostgreSQL takes a lock for held when any process has the pid written there, so after a crash a recycled pid could
// block it for ever, or pass for the database. A pid counts here only if it is a postgres working in this very folder.
import { randomBytes } from "node:crypto";
import { readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { commandLine, type ProcessIdentity, processIdentity } from "./process-identity.js";

export interface RunningServer {
  readonly identity: ProcessIdentity;
  /** It accepts connections, by its own word. */
  readonly ready: boolean;
}

/** The server postmaster.pid names; null when that pid is nobody's or something else's. */
export function findServer(cluster: string): RunningServer | null {
  // Lines: pid, data folder, start time, port, socket folder, address, shared memory, status (pidfile.h).
  const lines = readLock(pidFile(cluster))?.split("\n") ?? [];
  const pid = Number(lines[0]);
  const identity = pid > 0 ? processIdentity(pid) : null;
  if (identity === null || !isServerOf(cluster, pid)) return null;
  return { identity, ready: lines[7]?.trim() === "ready" };
}

export function discardStaleLocks(cluster: string, socketDir: string): void {
  for (const path of [pidFile(cluster), join(socketDir, ".s.PGSQL.5432.lock")]) {
    const holder = holderOf(path);
    if (holder !== null && !isServerOf(cluster, holder)) discard(path, holder);
  }
}

const pidFile = (cluster: string) => join(cluster, "postmaster.pid");

/** Renamed first and read again, so that a lock another start wrote just now is put back, not lost. */
function discard(path: string, holder: number): void {
  const aside = `${path}.stale-${randomBytes(4).toString("hex")}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if (isMissing(error)) return;
    throw error;
  }
  if (holderOf(aside) === holder) rmSync(aside);
  else renameSync(aside, path);
}

/** A server without a postmaster writes its pid negative. */
function holderOf(path: string): number | null {
  const pid = Math.abs(Number.parseInt(readLock(path) ?? "", 10));
  return Number.isNaN(pid) ? null : pid;
}

/** By its working folder, which holds when the folder was moved; by its arguments where that may not be read. */
function isServerOf(cluster: string, pid: number): boolean {
  const command = commandLine(pid);
  if (command === null || !/(^|\/)postgres /.test(command)) return false;
  if (process.platform === "linux") {
    try {
      const theirs = statSync(`/proc/${pid}/cwd`);
      const ours = statSync(cluster);
      return theirs.ino === ours.ino && theirs.dev === ours.dev;
    } catch (error) {
      if (isMissing(error)) return false;
      // Docker's root has no CAP_SYS_PTRACE, and may not look at another user's process.
      if (!(error instanceof Error && "code" in error && error.code === "EACCES")) throw error;
    }
  }
  return command.includes(` -D ${cluster} `);
}

function readLock(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

const isMissing = (error: unknown) => error instanceof Error && "code" in error && error.code === "ENOENT";
