// Which process, beyond its number: pids are reused, a pid with its start time is not, within and across boots.
//
// Linux reads /proc (start time: proc(5), stat field 22, in ticks since boot, so the boot's id stands before it);
// macOS asks ps. A zombie counts as gone: it runs nothing, and in a container nobody may ever reap it.
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

export interface ProcessIdentity {
  readonly pid: number;
  /** Opaque; equal only for the same process. */
  readonly startedAt: string;
}

export interface ProcessRow extends ProcessIdentity {
  readonly parent: number;
  readonly group: number;
}

/** The identity of a running process; null when there is none. */
export function processIdentity(pid: number): ProcessIdentity | null {
  const row = process.platform === "linux" ? readProc(pid, bootId()) : (ps("-p", String(pid))[0] ?? null);
  return row && { pid, startedAt: row.startedAt };
}

export const isAlive = (identity: ProcessIdentity): boolean =>
  processIdentity(identity.pid)?.startedAt === identity.startedAt;

/** Every running process this user may see. */
export function listProcesses(): ProcessRow[] {
  if (process.platform !== "linux") return ps("-ax");
  const boot = bootId();
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readProc(Number(name), boot))
    .filter((row) => row !== null);
}

/** Program and arguments joined by spaces; null when the process is gone. */
export function commandLine(pid: number): string | null {
  if (process.platform !== "linux") return runPs(["-o", "command=", "-p", String(pid)])?.trim() ?? null;
  return readIfThere(`/proc/${pid}/cmdline`)?.replace(/\0$/, "").replaceAll("\0", " ") ?? null;
}

const bootId = () => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").slice(0, 8);

function readProc(pid: number, boot: string): ProcessRow | null {
  const stat = readIfThere(`/proc/${pid}/stat`);
  if (stat === null) return null;
  // The second field is the program's name in parentheses and may hold anything: count from the last parenthesis.
  const [state, parent, group, ...rest] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (state === "Z" || state === "X") return null;
  return { pid, parent: Number(parent), group: Number(group), startedAt: `${boot}-${rest[16]}` };
}

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ESRCH")) return null;
    throw error;
  }
}

function ps(...selection: string[]): ProcessRow[] {
  const text = runPs(["-o", "pid=,ppid=,pgid=,stat=,lstart=", ...selection]) ?? "";
  return text.split("\n").flatMap((line) => {
    const [pid, parent, group, state, ...started] = line.trim().split(/\s+/);
    if (state === undefined || state.startsWith("Z")) return [];
    return [{ pid: Number(pid), parent: Number(parent), group: Number(group), startedAt: started.join("-") }];
  });
}

/** Null when ps selects nothing, which it says by exit code 1. */
function runPs(args: string[]): string | null {
  try {
    return execFileSync("/bin/ps", args, { encoding: "utf8", env: { LC_ALL: "C", TZ: "UTC" } });
  } catch (error) {
    if (error instanceof Error && "status" in error && error.status === 1) return null;
    throw error;
  }
}
