import { describe, expect, test } from "vitest";
import { problemDocument, problemFromDocument } from "../contracts/problems.js";
import { parseConfig } from "./config.js";
import { createLog } from "./log.js";
import { Registry } from "./metrics.js";
import { Quotas, quotaExceeded, tenantsConfig } from "./quotas.js";
import { tenantMeters } from "./tenant-meters.js";

const quotas = (config: unknown) => new Quotas(parseConfig(tenantsConfig, config));

describe("a tenant's limit", () => {
  const some = quotas({ "*": { sessionsMax: 5, vmsMax: 2 }, acme: { sessionsMax: 100, vmsMax: null }, small: {} });

  test.each([
    ["is its own", "acme", "sessions", 100],
    ["is lifted by null", "acme", "vms", null],
    ["is that of * where its entry says nothing", "small", "sessions", 5],
    ["is that of * without an entry", "nobody-special", "vms", 2],
    ["is none where * says nothing either", "acme", "waiting", null],
    ["is that of * for names that objects have by themselves", "constructor", "sessions", 5],
  ] as const)("%s", (_, tenant, limit, max) => expect(some.max(tenant, limit)).toBe(max));

  test("is none without settings", () => expect(quotas({}).max("acme", "sessions")).toBeNull());
});

test("wrong settings are refused together, each by its place", () => {
  const wrong = { "*": { sessionMax: 1 }, acme: { vmsMax: -1 }, beta: { waitingMax: 1.5 } };
  expect(() => quotas(wrong)).toThrow(
    expect.objectContaining({
      message: expect.stringMatching(/\*: .*sessionMax[\s\S]*acme\.vmsMax: [\s\S]*beta\.waitingMax: /),
    }),
  );
  expect(() => quotas({ other: {}, ["x".repeat(65)]: {}, "": {} })).toThrow(
    /other: is what metrics call[\s\S]*x{65}: Too big[\s\S]*: Too small/,
  );
});

test("a refusal names the limit for programs and people, and arrives whole through another role", () => {
  const document = problemDocument.parse(quotaExceeded("waiting", 3, 4).toDocument());
  expect(document).toMatchObject({
    type: "urn:hotseat:problem:quota-exceeded",
    status: 429,
    limit: "waiting",
    max: 3,
    used: 4,
    detail: expect.stringMatching(/^Waiting requests of the tenant: 4 of 3, .* Try again/),
  });
  expect(problemFromDocument(document).toDocument()).toEqual(document);
});

test("metrics name the tenants of the settings and sum up the others, however many there are", async () => {
  const registry = new Registry();
  const strays = Array.from({ length: 50 }, (_, i) => [`stray-${i}`, { sessions: 2 }] as const);
  const used = new Map<string, { sessions: number }>([["acme", { sessions: 3 }], ...strays]);
  const meters = tenantMeters(registry, {
    limits: { sessions: { name: "sessions", help: "Live sessions" } },
    quotas: quotas({ "*": { sessionsMax: 5 }, acme: { sessionsMax: 7 }, idle: { sessionsMax: null } }),
    read: async () => used,
    log: createLog({ name: "test", level: "silent" }),
  });
  meters.refused("sessions", "stray-1");
  meters.refused("sessions", "stray-2");
  const lines = (await registry.metrics()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  expect(lines).toEqual([
    'hotseat_tenant_sessions{tenant="acme"} 3',
    'hotseat_tenant_sessions{tenant="idle"} 0',
    'hotseat_tenant_sessions{tenant="other"} 100',
    'hotseat_tenant_sessions_limit{tenant="acme"} 7',
    'hotseat_tenant_sessions_refused_total{tenant="acme"} 0',
    'hotseat_tenant_sessions_refused_total{tenant="idle"} 0',
    'hotseat_tenant_sessions_refused_total{tenant="other"} 2',
  ]);
  used.delete("acme");
  expect(await registry.metrics()).toContain('hotseat_tenant_sessions{tenant="acme"} 0');
});
