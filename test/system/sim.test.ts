import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";

const sim = (...args: string[]) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["dist/sim/main.js", ...args], { encoding: "utf8" });
  return { status, lines: stdout.trimEnd().split("\n"), stderr };
};

describe("npm run sim", () => {
  test("one seed has one trace, whichever process runs it", () => {
    const [one, other] = [sim("--seed", "5", "--days", "0.01"), sim("--seed", "5", "--days", "0.01")];
    const hashOf = ({ lines }: typeof one) => lines.find((line) => line.startsWith("trace hash"));
    expect(hashOf(one)).toMatch(/^trace hash [0-9a-f]{16}$/);
    expect(hashOf(other)).toBe(hashOf(one));
    expect(one.lines.at(-1)).toBe("1 seeds run, 0 invariants broken");
    expect(one.status).toBe(0);
  });

  test("a broken rule is told with its seed, its time, what came before, and how to see it again", () => {
    const { status, lines } = sim("--seed", "1", "--seeds", "2", "--days", "0.01", "--break", "intent");
    expect(status).toBe(1);
    expect(lines).toContainEqual(expect.stringMatching(/^seed 1 broke a rule at [\d.]+ s of virtual time$/));
    expect(lines).toContainEqual(expect.stringMatching(/^ {2}intent before launch: /));
    expect(lines).toContain("again: npm run sim -- --seed 1 --days 0.01 --break intent --trace");
    expect(lines.at(-1)).toBe("2 seeds run, 2 invariants broken");
  });

  test.each([
    [["--days", "soon"], "It is a number of days above 0"],
    [["--seed", "-1"], "It is a whole number from 0"],
    [["--break", "glass"], "Allowed choices are intent, version, ack"],
    [["--seeds", "2", "--trace"], "--trace is for one seed"],
    [["--sed", "1"], "unknown option"],
  ])("%j is refused, and nothing is run", (args, says) => {
    const { status, stderr, lines } = sim(...args);
    expect(status).toBe(2);
    expect(stderr).toContain(says);
    expect(lines).toEqual([""]);
  });

  test("--help says what it does", () => {
    const { status, lines } = sim("--help");
    expect(status).toBe(0);
    expect(lines[0]).toBe("Usage: npm run sim -- [options]");
  });
});
