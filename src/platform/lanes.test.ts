import { expect, test } from "vitest";
import { Lanes } from "./lanes.js";

test("work of one key is done one at a time in its order, whatever becomes of it; other keys do not wait", async () => {
  const lanes = new Lanes();
  const steps: string[] = [];
  let letGo = () => {};
  const held = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const first = lanes.run("acme", async () => {
    steps.push("first begins");
    await held;
    steps.push("first breaks");
    throw new Error("broken");
  });
  const second = lanes.run("acme", async () => {
    steps.push("second");
    return 2;
  });
  expect(await lanes.run("beta", async () => "other")).toBe("other");
  expect(steps).toEqual(["first begins"]);
  letGo();
  await expect(first).rejects.toThrow("broken");
  expect(await second).toBe(2);
  expect(steps).toEqual(["first begins", "first breaks", "second"]);
  await Promise.resolve();
  expect(lanes.size, "nothing is remembered").toBe(0);
});
