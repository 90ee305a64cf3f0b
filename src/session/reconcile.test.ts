import { describe, expect, it } from "vitest";
import type { Vm } from "../contracts/orchestrator.js";
import { advance, type SessionRecord } from "./lifecycle.js";
import { eventOfNoPlacement, eventOfPlacement } from "./reconcile.js";

const waiting: SessionRecord = {
  sessionId: "s_1",
  tenant: "acme",
  playerId: null,
  request: { gameId: "demo", client: "browser" },
  presetId: "default-standard",
  status: "QUEUED",
  statusSince: 0,
  intent: false,
  seat: null,
  queue: { position: 2, etaSeconds: 10, reason: "full" },
  end: null,
  owesWithdraw: false,
  createdAt: 0,
  readyAt: null,
  joinedAt: null,
  endedAt: null,
  version: 1,
};
const place = { region: "us-east-1", templateId: "L4-90", provider: "local" } as const;
const assigned = (vmId: string) => ({ status: "ASSIGNED", sessionId: "s_1", vmId, ...place }) as const;
const queued = (position: number) =>
  ({ status: "QUEUED", sessionId: "s_1", region: "us-east-1", position, etaSeconds: 10, reason: "full" }) as const;
const seated = advance(waiting, eventOfPlacement(waiting, assigned("vm-1"))!, 1)!;

const vm: Vm = {
  vmId: "vm-1",
  ...place,
  status: "TERMINATED",
  reachable: false,
  units: { total: 60, used: 0 },
  sessions: [],
  capabilities: null,
  error: null,
  reason: null,
  tenant: null,
  createdAt: "2026-01-01T00:00:00Z",
  readyAt: null,
  terminatedAt: null,
  version: 1,
};

describe("a placement", () => {
  it("changes nothing when the session says the same already", () => {
    expect(eventOfPlacement(waiting, queued(2))).toBeNull();
    expect(eventOfPlacement(seated, assigned("vm-1"))).toBeNull();
  });

  it("seats a waiting session, and moves one whose seat is elsewhere now", () => {
    expect(seated).toMatchObject({ status: "READY", seat: { vmId: "vm-1", ...place } });
    const active = advance(seated, { type: "connected" }, 2)!;
    const moved = advance(active, eventOfPlacement(active, assigned("vm-2"))!, 3);
    expect(moved).toMatchObject({ status: "READY", seat: { vmId: "vm-2" }, joinedAt: 2 });
  });

  it("shows a waiting session its new place", () => {
    expect(eventOfPlacement(waiting, queued(1))).toMatchObject({ type: "queued", queue: { position: 1 } });
  });

  it("sends a session whose VM broke back to waiting", () => {
    expect(advance(seated, eventOfPlacement(seated, queued(1))!, 2)).toMatchObject({ status: "QUEUED", seat: null });
  });
});

describe("a session the orchestrator does not know", () => {
  it("failed for want of capacity when it waited", () => {
    expect(eventOfNoPlacement(waiting, null)).toMatchObject({ type: "ended", end: { reason: "wait-abandoned" } });
  });

  it("failed with its VM when it had a seat: broken, or taken away", () => {
    const broken = { ...vm, error: { code: "boot-timeout", message: "no word" } };
    expect(eventOfNoPlacement(seated, broken)).toMatchObject({ end: { reason: "vm-failed" } });
    expect(eventOfNoPlacement(seated, vm)).toMatchObject({ end: { reason: "vm-terminated" } });
    expect(eventOfNoPlacement(seated, null)).toMatchObject({ end: { reason: "vm-failed" } });
  });
});
