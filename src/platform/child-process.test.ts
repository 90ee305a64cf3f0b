import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { afterEach, expect, test } from "vitest";
import { endProcess, run } from "./child-process.js";
import { isAlive, processIdentity } from "./process-identity.js";

const started: ChildProcess[] = [];
afterEach(() => {
  for (const child of started.splice(0)) child.kill("SIGKILL");
});

/** A child that has run `script` up to its `console.log`; what it logged. */
async function start(script: string, detached = false): Promise<{ child: ChildProcess; said: string }> {
  const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"], detached });
  started.push(child);
  const [said] = await once(child.stdout, "data");
  return { child, said: String(said).trim() };
}

const forever = "setInterval(() => {}, 1e6);";
const stubborn = `process.on("SIGTERM", () => {}); ${forever}`;

test("a process that obeys SIGTERM is gone at once", async () => {
  const { child } = await start(`${forever} console.log("up")`);
  const identity = processIdentity(child.pid!)!;
  await endProcess(child, { termMs: 10_000 });
  expect(child.signalCode).toBe("SIGTERM");
  expect(isAlive(identity)).toBe(false);
});

test("a process that ignores SIGTERM is killed after its time", async () => {
  const { child } = await start(`${stubborn} console.log("up")`);
  await endProcess(processIdentity(child.pid!)!, { termMs: 50 });
  if (child.signalCode === null) await once(child, "exit");
  expect(child.signalCode).toBe("SIGKILL");
});

test("another process with the same pid is left alone", async () => {
  const { child } = await start(`${forever} console.log("up")`);
  await endProcess({ pid: child.pid!, startedAt: "earlier" }, { termMs: 50 });
  await endProcess({ pid: child.pid!, startedAt: "earlier" }, { termMs: 50, group: true });
  expect(processIdentity(child.pid!)).not.toBeNull();
});

test("ending a process that has ended already does nothing", async () => {
  const { child } = await start(`console.log("done")`);
  if (child.exitCode === null) await once(child, "exit");
  await endProcess(child, { termMs: 50 });
  expect(child.exitCode).toBe(0);
});

test.each([true, false])("a group ends with its grandchildren, leader alive: %s", async (leaderAlive) => {
  const grandchild = JSON.stringify(`${stubborn} console.log("up")`);
  const { child, said } = await start(
    `const c = require("node:child_process").spawn(process.execPath, ["-e", ${grandchild}], { stdio: ["ignore", "pipe", "ignore"] });
     c.stdout.once("data", () => { console.log(c.pid); ${leaderAlive ? "" : "process.exit();"} }); ${forever}`,
    true,
  );
  const inside = processIdentity(Number(said))!;
  if (!leaderAlive && child.exitCode === null) await once(child, "exit");
  expect(isAlive(inside)).toBe(true);
  await endProcess(child, { termMs: 50, group: true });
  expect(isAlive(inside)).toBe(false);
});

test("run gives exit code and both outputs, and throws when there is no such program", async () => {
  expect(await run(["/bin/sh", "-c", "echo out; echo err >&2; exit 3"])).toEqual({
    code: 3,
    output: expect.stringMatching(/^(out\nerr|err\nout)\n$/),
  });
  await expect(run(["/no/such/program"])).rejects.toMatchObject({ code: "ENOENT" });
});
