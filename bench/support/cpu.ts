// CPU time of processes by /proc (proc(5), stat fields 14–17): Linux only.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { listProcesses } from "../../src/platform/process-identity.js";

const ticksPerSecond = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));

/** `withEnded`: also of their children that have ended. One that is gone counts nothing. */
export function cpuMsOf(pids: readonly number[], { withEnded = false } = {}): number {
  const ticks = pids.map((pid) => {
    if (!existsSync(`/proc/${pid}`)) return 0;
    const [, fields = ""] = readFileSync(`/proc/${pid}/stat`, "latin1").split(/\) (?!.*\) )/);
    const [user = 0, system = 0, endedUser = 0, endedSystem = 0] = fields.split(" ").slice(11, 15).map(Number);
    return user + system + (withEnded ? endedUser + endedSystem : 0);
  });
  return (ticks.reduce((sum, n) => sum + n, 0) * 1000) / ticksPerSecond;
}

/** Of a process and its children, the ended ones included: what a PostgreSQL server took, its backends with it. */
export function treeCpuMs(root: number): number {
  const children = listProcesses().filter(({ parent }) => parent === root);
  return cpuMsOf(children.map(({ pid }) => pid)) + cpuMsOf([root], { withEnded: true });
}
