// How the simulated provider behaves: how long things take there, and how often they fail.
import { z } from "zod";

const share = z.number().min(0).max(1).default(0);

export const simulatedConfig = z.strictObject({
  provisioningMs: z.int().min(0).default(10_000),
  bootMs: z.int().min(0).default(5_000),
  instancesMax: z.int().min(0).default(10_000).describe("Beyond it there is no capacity"),
  capacityErrorShare: share.describe("Of launches, refused for want of capacity"),
  launchErrorShare: share.describe("Of launches, failed otherwise"),
  bootFailureShare: share.describe("Of VMs, those that never become ready"),
});
export type SimulatedConfig = z.infer<typeof simulatedConfig>;
