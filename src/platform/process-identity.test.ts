import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";
import { commandLine, isAlive, listProcesses, processIdentity } from "./process-identity.js";

test("a running process has an identity that stays the same and is alive", () => {
  const self = processIdentity(process.pid);
  expect(self).not.toBeNull();
  expect(processIdentity(process.pid)).toEqual(self);
  expect(isAlive(self!)).toBe(true);
});

test("a recycled pid is another process", () => {
  expect(isAlive({ ...processIdentity(process.pid)!, startedAt: "earlier" })).toBe(false);
});

test("an ended child is gone", async () => {
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1e6)"], { stdio: "ignore" });
  const identity = processIdentity(child.pid!)!;
  expect(isAlive(identity)).toBe(true);
  expect(commandLine(child.pid!)).toContain("-e setInterval");
  expect(listProcesses().find(({ pid }) => pid === child.pid)).toMatchObject({ ...identity, parent: process.pid });
  child.kill("SIGKILL");
  await once(child, "exit");
  expect(isAlive(identity)).toBe(false);
  expect(processIdentity(child.pid!)).toBeNull();
});

test.runIf(process.platform === "linux")("a zombie is gone, though its pid is not free yet", async () => {
  // The shell becomes `sleep`, which never reaps the child it inherits; the child ends only then, at its input's end.
  const parent = spawn("/bin/sh", ["-c", "cat <&3 & echo $!; exec sleep 30 3<&-"], {
    stdio: ["ignore", "pipe", "ignore", "pipe"],
  });
  try {
    const pid = Number(String(await once(parent.stdout!, "data")));
    await expect.poll(() => commandLine(parent.pid!)).toBe("sleep 30");
    parent.stdio[3]!.destroy();
    await expect.poll(() => processIdentity(pid)).toBeNull();
    expect(() => process.kill(pid, 0)).not.toThrow();
  } finally {
    parent.kill("SIGKILL");
  }
});
