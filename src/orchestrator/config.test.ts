import { describe, expect, test } from "vitest";
import { fallbackChains } from "./catalog/regions.js";
import { chainsOf, deadlinesOf, everyPlace, orchestratorConfig, placeRules, poolRules } from "./config.js";

describe("the configuration", () => {
  test("keeps nothing warm by default, and pools as their rules say, a later one going first", () => {
    const places = placeRules([{ region: "us-east-1", vmsMax: 7 }]);
    const nothing = {
      bufferSeats: 0,
      bufferPercent: 0,
      vmsMin: 0,
      fallback: true,
      scaleOutMs: 5_000,
      scaleInMs: 300_000,
    };
    const here = { region: "us-east-1", templateId: "A10" } as const;
    expect(poolRules(orchestratorConfig.parse({}).pools, places)(here)).toEqual({ ...nothing, vmsMax: 7 });
    const pools = [
      { bufferPercent: 20, vmsMin: 1 },
      { region: "us-east-1" as const, vmsMin: 2, scaleInSeconds: 60 },
    ];
    const settingsOf = poolRules(orchestratorConfig.parse({ pools }).pools, places);
    expect(settingsOf(here)).toEqual({ ...nothing, vmsMax: 7, bufferPercent: 20, vmsMin: 2, scaleInMs: 60_000 });
    expect(settingsOf({ ...here, region: "eu-west-1" })).toMatchObject({ vmsMax: 20, vmsMin: 1, scaleInMs: 300_000 });
  });

  test("needs nothing to be said: every place is local", () => {
    const config = orchestratorConfig.parse({});
    const places = placeRules(config.places);
    expect(everyPlace).toHaveLength(36);
    for (const { region, templateId } of everyPlace) expect(places(region, templateId).provider).toBe("local");
    expect(config.simulated).toMatchObject({ provisioningMs: 10_000, bootMs: 5_000 });
    expect(config.lowCapacity).toEqual({ share: 0.2, vms: 1 });
  });

  test("gives places to providers, a later rule going before an earlier one", () => {
    const places = placeRules([
      { provider: "simulated", vmsMax: 100 },
      { region: "us-east-1", provider: "local" },
      { region: "us-east-1", templateId: "A10", vmsMax: 0 },
    ]);
    expect(places("eu-west-1", "A10")).toEqual({ provider: "simulated", vmsMax: 100 });
    expect(places("us-east-1", "L4-90")).toEqual({ provider: "local", vmsMax: 100 });
    expect(places("us-east-1", "A10")).toEqual({ provider: "local", vmsMax: 0 });
  });

  test("changes one region's fallback chain and leaves the others", () => {
    const chains = chainsOf({ "eu-west-1": ["eu-central-1"] });
    expect(chains).toEqual({ ...fallbackChains, "eu-west-1": ["eu-central-1"] });
  });

  test("expects heartbeats of agents alone", () => {
    const { deadlines } = orchestratorConfig.parse({});
    expect(deadlinesOf(deadlines.local).lease).toEqual({ silentMsMax: 15_000, lostMsMax: 75_000 });
    expect(deadlinesOf(deadlines.simulated).lease).toBeNull();
  });

  test("refuses what it does not know", () => {
    expect(orchestratorConfig.safeParse({ localSeat: 3 }).success).toBe(false);
    expect(orchestratorConfig.safeParse({ places: [{ provider: "nowhere" }] }).success).toBe(false);
  });
});
