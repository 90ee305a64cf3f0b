// What operators watch: the metrics of a running Hotseat, and the alerts and the dashboard of deploy/ made of them, with
// the real promtool and Prometheus.
import { mkdtempSync } from "node:fs";
import { cp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import type { CreatedSession, Session } from "../../src/contracts/session.js";
import { type RunningHotseat, startUp, until } from "../support/hotseat.js";
import { promtool, startPrometheus, type TestPrometheus } from "../support/prometheus.js";
import { startDatabase, startOrchestrator } from "./orchestrator-fixture.js";

const region = "us-east-1";
/** One machine, a pool that wants more, a budget, quotas, and a sink that is away: so that every metric has a series. */
const settings = {
  tenants: { "*": { sessionsMax: 2 } },
  orchestrator: {
    places: [{ provider: "simulated" }, { region, templateId: "RTX-4060", vmsMax: 1 }],
    simulated: { provisioningMs: 100, bootMs: 100, instancesMax: 1 },
    pools: [{ region, templateId: "RTX-4060", bufferSeats: 4 }],
    budget: { vmsMax: 50, eurPerHourMax: 500 },
    events: { nats: { servers: ["nats://127.0.0.1:9"] } },
  },
};

let hotseat: RunningHotseat;
const folder = mkdtempSync(join(tmpdir(), "hotseat-prometheus-"));
let prometheus: TestPrometheus;

beforeAll(async () => {
  hotseat = await startUp({ settings, args: ["--warm", "0"] });
  await traffic();
  await cp("deploy/prometheus", folder, { recursive: true });
  await writeFile(join(folder, "hotseat.key"), hotseat.key("read"));
  const config = join(folder, "prometheus.yml");
  const example = await readFile(config, "utf8");
  const hasty = example.replaceAll("15s", "500ms").replace("127.0.0.1:8080", new URL(hotseat.url).host);
  await writeFile(config, hasty);
  prometheus = await startPrometheus(config, join(folder, "data"));
});
afterAll(async () => {
  await prometheus?.[Symbol.asyncDispose]();
  await hotseat?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function scrape(): Promise<string> {
  const headers = { authorization: `Bearer ${hotseat.key("read")}` };
  const response = await fetch(`${hotseat.url}/metrics`, { headers });
  expect(response.status).toBe(200);
  return response.text();
}

async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  const response = await fetch(hotseat.url + path, {
    method,
    headers: { authorization: `Bearer ${hotseat.key("session")}`, "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  return (await response.json()) as T;
}

/** Something of everything: a session that plays out, one that waits for its seat, refused ones, a socket cut off. */
async function traffic(): Promise<void> {
  const create = (gameId = "demo") =>
    call<CreatedSession>("POST", "/api/session/v1", { gameId, presetId: "default-competitive", client: "api", region });
  const seated = ({ sessionId }: CreatedSession) =>
    until("it has its seat", async () => {
      const { status, end } = await call<Session>("GET", `/api/session/v1/${sessionId}`);
      expect(end).toBeNull();
      return status === "READY" || undefined;
    });
  await until("the pool has made its VM", async () => /status="READY"/.test(await scrape()) || undefined);
  const first = await create();
  await seated(first);
  const second = await create();
  expect(second.status).toMatch(/QUEUED|PROVISIONING/);
  await create("no such game");
  expect(await create()).toMatchObject({ status: 429 });
  await call("DELETE", `/api/session/v1/${first.sessionId}`);
  await seated(second);
  const socket = new WebSocket(second.urls.signalling);
  await new Promise((closed) => {
    socket.on("open", () => socket.send(JSON.stringify({ type: "hello", ticket: second.ticket })));
    socket.on("message", () => socket.send("not a message"));
    socket.on("close", closed);
  });
  await call("DELETE", `/api/session/v1/${second.sessionId}`);
}

describe("/metrics of every role in one process", () => {
  it("is clean under promtool", async () => {
    expect(await promtool(["check", "metrics"], await scrape())).toStrictEqual({ code: 0, output: "" });
  });

  it("has no series for single sessions or VMs, whatever their number", async () => {
    const text = await scrape();
    const ids = text.split("\n").filter((line) => /"(s_\w|vm-[0-9a-f]{8})/.test(line));
    expect(ids).toStrictEqual([]);
    const series = new Map<string, number>();
    for (const [, name = ""] of text.matchAll(/^(\w+?)(?:_bucket|_sum|_count)?[ {]/gm))
      series.set(name, (series.get(name) ?? 0) + 1);
    // The most there are: latency's 8 stages × 3 percentiles × 14 lines of a histogram.
    expect([...series].filter(([, count]) => count > 350)).toStrictEqual([]);
  });

  it("counts requests by operation, not by address", async () => {
    expect(await scrape()).toMatch(/^hotseat_http_requests_total\{operation="createSession",status="202"\} \d$/m);
  });
});

describe("without its database", () => {
  it("a role says so, and leaves out what it cannot know", async () => {
    await using db = await startDatabase();
    await using role = await startOrchestrator(db, {});
    const text = () => role.registry.metrics();
    expect(await text()).toMatch(/^hotseat_waiting_sessions/m);
    await db.stop();
    expect(await text()).toMatch(/^hotseat_heartbeats_total 0/m);
    expect(await text()).not.toMatch(/^hotseat_waiting_sessions/m);
    await db.start();
    await expect.poll(text, { timeout: 20_000 }).toMatch(/^hotseat_waiting_sessions/m);
  });
});

interface Rule {
  readonly name: string;
  readonly type: "alerting" | "recording";
  readonly query: string;
  readonly health: string;
  readonly lastError?: string;
  readonly labels?: Record<string, string>;
  readonly annotations?: Record<string, string>;
}
const rules = async () => {
  const { groups } = (await prometheus.get("rules")) as { groups: { rules: Rule[] }[] };
  return groups.flatMap((group) => group.rules);
};
const alerts = async () => (await rules()).filter(({ type }) => type === "alerting");

describe("the alert rules", () => {
  it("fire and stay silent as their tests say, and every alert is in these tests", async () => {
    const { code, output } = await promtool(["test", "rules", "deploy/prometheus/hotseat.rules.test.yml"]);
    expect(output).toContain("SUCCESS");
    expect(code).toBe(0);
    const tests = (await readFile("deploy/prometheus/hotseat.rules.test.yml", "utf8")).split("\n  - name: ").slice(1);
    expect(tests.filter((test) => !test.includes("exp_samples: []"))).toStrictEqual([]);
    const firing = tests.join("").matchAll(/ALERTS\{alertname="(\w+)"/g);
    expect(new Set([...firing].map((match) => match[1]))).toEqual(new Set((await alerts()).map(({ name }) => name)));
  });

  it("say how bad it is, what is so and what to do, and where more is written", async () => {
    const runbook = await readFile("docs/runbook.md", "utf8");
    for (const { name, labels, annotations } of await alerts()) {
      expect(["critical", "warning"]).toContain(labels?.severity);
      expect(annotations?.summary, name).toMatch(/.{20}/);
      expect(annotations?.description, name).toMatch(/.{80}/);
      expect(annotations?.runbook_url).toBe(`docs/runbook.md#${name.toLowerCase()}`);
      expect(runbook).toContain(`\n### ${name}\n`);
    }
  });

  it("and the example configuration work in a real Prometheus", async () => {
    expect(await promtool(["check", "config", join(folder, "prometheus.yml")])).toMatchObject({ code: 0 });
    const healthOfTargets = async () => {
      const { activeTargets } = (await prometheus.get("targets")) as { activeTargets: { health: string }[] };
      return activeTargets.map(({ health }) => health);
    };
    await expect.poll(healthOfTargets, { timeout: 20_000 }).toEqual(["up"]);
    const notWell = async () => (await rules()).filter(({ health }) => health !== "ok");
    await expect.poll(notWell, { timeout: 20_000 }).toStrictEqual([]);
  });
});

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly datasource?: { uid: string };
  readonly gridPos: { x: number; y: number; w: number; h: number };
  readonly fieldConfig?: { defaults: { unit?: string } };
  readonly targets?: readonly { expr: string; datasource: { uid: string } }[];
}
const panels = async () => JSON.parse(await readFile("deploy/grafana/hotseat.json", "utf8")).panels as Panel[];
const withVariables = (expression: string) =>
  expression.replaceAll("$__rate_interval", "5m").replaceAll("$region", ".*");

describe("the dashboard", () => {
  it("has panels that say what they show, in a unit, of the data source that was chosen, and nothing lies on another", async () => {
    const all = await panels();
    expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
    const shown = all.filter(({ type }) => type !== "row");
    expect(all.length - shown.length).toBeGreaterThan(5);
    expect(new Set(shown.map(({ title }) => title)).size).toBe(shown.length);
    for (const { title, description, datasource, fieldConfig, targets = [] } of shown) {
      expect(description, title).toMatch(/.{15}/);
      expect(fieldConfig?.defaults.unit, title).toMatch(/./);
      for (const from of [datasource, ...targets.map((target) => target.datasource)])
        expect(from?.uid, title).toMatch(/^\$\{datasource\}$/);
    }
    const cells = all.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, i) => `${x + (i % w)}/${y + Math.floor(i / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
  });

  it("asks nothing that Prometheus does not understand", async () => {
    const expressions = (await panels()).flatMap(({ targets = [] }) => targets.map(({ expr }) => withVariables(expr)));
    for (const query of expressions) await prometheus.get("query", { query });
  });
});

describe("every series that rules and dashboard ask for", () => {
  /** Names, and the labels asked of each: those matched on it, and those that anything in the expression groups by. */
  const askedOf = (expression: string) => {
    const grouped = [...expression.matchAll(/\b(?:by|on) \(([^)]*)\)/g)].flatMap((match) => match[1]!.split(", "));
    return [...expression.matchAll(/\b(up|(?:hotseat|nodejs|process)[_:][\w:]+)(?:\{([^}]*)\})?/g)].map((match) => ({
      name: match[1]!,
      labels: [...grouped, ...[...(match[2] ?? "").matchAll(/(\w+)!?[=~]/g)].map((label) => label[1]!)],
    }));
  };

  it("is one of a running Hotseat, with these labels", async () => {
    const expressions = [
      ...(await rules()).map(({ query }) => query),
      ...(await panels()).flatMap(({ targets = [] }) => targets.map(({ expr }) => withVariables(expr))),
    ];
    const asked = expressions.flatMap(askedOf);
    expect(asked.length).toBeGreaterThan(100);
    const missing = async () => {
      const wrong = new Set<string>();
      for (const { name, labels } of asked) {
        const found = (await prometheus.get("series", { "match[]": name })) as Record<string, string>[];
        const known = new Set(found.flatMap((series) => Object.keys(series)));
        if (found.length === 0) wrong.add(name);
        else for (const label of labels) if (!known.has(label)) wrong.add(`${name}{${label}}`);
      }
      return [...wrong];
    };
    await expect.poll(missing, { timeout: 20_000, interval: 1_000 }).toStrictEqual([]);
  });
});
