import { describe, expect, it } from "vitest";
import { MemoryHub } from "../../platform/memory-bus.js";
import { openNode } from "./cluster-fixture.js";
import { presenceLimits } from "./presence.js";

const { suspectMs } = presenceLimits;

describe("that a session has no player at another node", () => {
  it("is not claimed before every node has had the time to be heard, at the start and after each gap", async () => {
    let now = 0;
    await using here = openNode(new MemoryHub(), "the-node-here", () => now);
    const isClaimed = async () => (await here.cluster.playersElsewhere("s_1")).whole;
    for (const _ of ["at the start", "after a gap"]) {
      here.cut(true);
      expect(await isClaimed()).toBe(false);
      here.cut(false);
      now += suspectMs;
      expect(await isClaimed()).toBe(false);
      now += 1;
      expect(await isClaimed()).toBe(true);
    }
  });
});
