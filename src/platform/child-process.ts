// Ends processes for certain: ask, wait, insist, and return only when they are gone.
//
// A process is named by its identity, never by its pid alone, so that a recycled pid is not killed. With `group` the
// target is a group leader (spawned `detached`) and everything in its group ends too, also when the leader is long
// dead; a descendant that made its own session has left the group and is not found.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { isAlive, listProcesses, type ProcessIdentity, processIdentity } from "./process-identity.js";

const killMsMax = 5_000;
const pollMsMax = 50;

/** A process survived SIGKILL: it hangs in the kernel, or is not ours to end. */
export class ProcessEndError extends Error {
  override name = "ProcessEndError";
}

export interface SignalStep {
  readonly signal: NodeJS.Signals;
  readonly waitMs: number;
}

/** SIGTERM, after `termMs` SIGKILL. Resolves when the process (or group) is gone; at once when it was. */
export const endProcess = (
  target: ProcessIdentity | ChildProcess,
  { termMs, group = false }: { termMs: number; group?: boolean },
): Promise<void> => signalUntilGone(target, [{ signal: "SIGTERM", waitMs: termMs }], { group });

/** Each step's signal in turn until the target is gone, SIGKILL last. @throws ProcessEndError */
export async function signalUntilGone(
  target: ProcessIdentity | ChildProcess,
  steps: readonly SignalStep[],
  { group = false }: { group?: boolean } = {},
): Promise<void> {
  const child = "startedAt" in target ? null : target;
  const leader = "startedAt" in target ? target : identityOf(target);
  if (leader === null) return;
  const living = () => (group ? groupMembers(leader) : isAlive(leader) ? [leader] : []);
  for (const { signal, waitMs } of [...steps, { signal: "SIGKILL", waitMs: killMsMax } as const]) {
    if (living().length === 0) break;
    send(group ? -leader.pid : leader.pid, signal);
    await until(() => living().length === 0, waitMs);
  }
  const left = living();
  if (left.length > 0) throw new ProcessEndError(`Process ${left.map(({ pid }) => pid).join(", ")} does not end.`);
  if (child !== null && !hasExited(child)) await once(child, "exit");
}

/** Runs a program to its end. `output`: what it wrote to stdout and stderr, its last 64 KiB. @throws when it cannot start */
export async function run(
  command: readonly string[],
  options: { cwd?: string; env?: Record<string, string>; uid?: number; gid?: number } = {},
): Promise<{ code: number | null; output: string }> {
  const [program = "", ...args] = command;
  const child = spawn(program, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8");
    stream.on("data", (text: string) => {
      output = (output + text).slice(-outputCharsMax);
    });
  }
  const [code] = await once(child, "close");
  return { code, output };
}

/**
 * How a process ended: the name of the signal that killed it, else null. Of a program run by another (a shell, a sandbox)
 * the exit code says so: 128 and the signal's number.
 */
export function killedBy(code: number | null, signal: NodeJS.Signals | null): string | null {
  if (signal !== null || code === null || code <= 128) return signal;
  return Object.entries(constants.signals).find(([, number]) => number === code - 128)?.[0] ?? null;
}

const outputCharsMax = 64 * 1024;

const hasExited = (child: ChildProcess) => child.exitCode !== null || child.signalCode !== null;

/** Null when the child never started. A child that has exited still leads its group: it matches no running process. */
function identityOf(child: ChildProcess): ProcessIdentity | null {
  if (child.pid === undefined) return null;
  const running = hasExited(child) ? null : processIdentity(child.pid);
  return running ?? { pid: child.pid, startedAt: "" };
}

/** A pid is not given out anew while it names a group: another process with the leader's pid means the group is gone. */
function groupMembers(leader: ProcessIdentity): ProcessIdentity[] {
  const members = listProcesses().filter((row) => row.group === leader.pid);
  const first = members.find((row) => row.pid === leader.pid);
  return first === undefined || first.startedAt === leader.startedAt ? members : [];
}

function send(target: number, signal: NodeJS.Signals): void {
  try {
    process.kill(target, signal);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

async function until(condition: () => boolean, msMax: number): Promise<void> {
  const deadline = performance.now() + msMax;
  for (let waitMs = 2; !condition() && performance.now() < deadline; waitMs = Math.min(waitMs * 2, pollMsMax))
    await sleep(waitMs);
}
