// The agent's tokens, against the control plane's routes over HTTP, on a clock the test moves.
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { enrol } from "../../src/agent/supervisor/identity.js";
import { createLog } from "../../src/platform/log.js";
import { bootstrapToken, ControlPlane, vmId } from "./agent-control-plane.js";

let controlPlane: ControlPlane;
let stop: AbortController;
let nowMs: number;

beforeEach(async () => {
  controlPlane = await ControlPlane.start();
  stop = new AbortController();
  nowMs = 0;
});
afterEach(async () => {
  stop.abort();
  await controlPlane.remove();
});

const enrolled = (random = () => 0) =>
  enrol(
    {
      vmId,
      epoch: 1,
      orchestratorUrl: async () => controlPlane.url,
      monotonicMs: () => nowMs,
      random,
      log: createLog({ name: "test", level: "silent" }),
      signal: stop.signal,
    },
    bootstrapToken,
  );

describe("an agent's token", () => {
  it("is renewed between 50 and 80 % of its life, and nobody waits for that", async () => {
    controlPlane.tokenSeconds = 100;
    await fc.assert(
      fc
        .asyncProperty(fc.double({ min: 0, max: 0.999, noNaN: true }), async (random) => {
          const before = controlPlane.renewals;
          nowMs = 0;
          const identity = await enrolled(() => random);
          const first = await identity.bearer();
          nowMs = 49_999;
          expect(await identity.bearer()).toBe(first);
          expect(controlPlane.renewals).toBe(before);
          nowMs = 80_000;
          expect(await identity.bearer()).toBe(first);
          await controlPlane.until(() => controlPlane.renewals === before + 1);
        })
        .afterEach(() => controlPlane.forgetKey()),
      { numRuns: 10 },
    );
  });

  it("is waited for once it has run out, by one renewal for all who ask", async () => {
    const identity = await enrolled();
    nowMs = 301_000;
    const tokens = await Promise.all([identity.bearer(), identity.bearer(), identity.bearer()]);
    expect(new Set(tokens).size).toBe(1);
    expect(controlPlane.renewals).toBe(1);
  });

  it("stays in use while the control plane is away, until it has run out", async () => {
    const identity = await enrolled();
    const token = await identity.bearer();
    await controlPlane.close();
    nowMs = 299_000;
    expect(await identity.bearer()).toBe(token);
    nowMs = 301_000;
    await expect(identity.bearer()).rejects.toMatchObject({ type: "unavailable" });
    await controlPlane.listen();
    expect(await identity.bearer()).toMatch(/^ey/);
  });

  it("is replaced when the control plane does not take it", async () => {
    const identity = await enrolled();
    await identity.bearer();
    identity.invalidate();
    await identity.bearer();
    expect(controlPlane.renewals).toBe(1);
  });
});

describe("enrolment", () => {
  it("succeeds also when the answer of the one that counted was lost", async () => {
    controlPlane.losesEnrolAnswer = true;
    const identity = await enrolled();
    expect(await identity.bearer()).toMatch(/^ey/);
    expect(controlPlane.renewals).toBe(1);
  });

  it("is refused a second agent with the same token", async () => {
    await enrolled();
    await expect(enrolled()).rejects.toMatchObject({ name: "EnrolmentRefused" });
  });
});
