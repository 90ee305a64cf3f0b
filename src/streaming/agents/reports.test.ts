import { describe, expect, it } from "vitest";
import { worthier } from "./reports.js";

describe("of two reports that wait", () => {
  const report = (vmId: string, state: "connected" | "disconnected" | "left") => ({ vmId, state });

  it("the newer is delivered", () => {
    expect(worthier(undefined, report("a", "connected"))).toEqual(report("a", "connected"));
    expect(worthier(report("a", "connected"), report("a", "disconnected"))).toEqual(report("a", "disconnected"));
  });

  it("an end is not overwritten by what its own VM says after it", () => {
    expect(worthier(report("a", "left"), report("a", "disconnected"))).toEqual(report("a", "left"));
  });
});
