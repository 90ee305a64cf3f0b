// Rules no compiler checks: the directions of imports, purity of cores, SQL only in stores, documents that tell the truth.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import { describe, expect, it } from "vitest";
import { allRoutes } from "../src/contracts/routes.js";

interface SourceFile {
  readonly path: string;
  readonly text: string;
  /** Imported paths: relative ones from the repository's root, packages by name. */
  readonly imports: readonly string[];
}

const read = (path: string): SourceFile => {
  const text = readFileSync(path, "utf8");
  const found = [
    ...text.matchAll(
      /(?:^|\n)\s*(?:import|export)\s[^;]*?from\s+"([^"]+)"|import\(\s*"([^"]+)"\s*\)|(?:^|\n)import\s+"([^"]+)"/g,
    ),
  ];
  const imports = found.map((match) => match[1] ?? match[2] ?? match[3]!);
  return {
    path,
    text,
    imports: imports.map((name) => (name.startsWith(".") ? normalize(join(dirname(path), name)) : name)),
  };
};
const sourcesIn = (folder: string) =>
  readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => join(folder, name))
    .filter((path) => path.endsWith(".ts"))
    .map(read);
const sources = sourcesIn("src");
const simulation = sourcesIn("sim");
const product = sources.filter(({ path }) => !path.endsWith(".test.ts") && !path.endsWith("conformance.ts"));
const part = (path: string) => path.split("/")[1] ?? "";

/** What each part of src/ may import besides itself; packages in quotes, "*" any package. */
const mayImport: Record<string, readonly string[]> = {
  contracts: ["zod"],
  platform: ["contracts", "*"],
  orchestrator: ["contracts", "platform", "*"],
  session: ["contracts", "platform", "*"],
  streaming: ["contracts", "platform", "*"],
  agent: ["contracts", "platform", "*"],
  player: ["contracts", "zod"],
  web: ["contracts", "player", "platform", "*"],
  cli: ["contracts", "platform", "orchestrator", "session", "streaming", "agent", "web", "*"],
};

describe("imports", () => {
  it("point downwards, and roles never import each other", () => {
    const wrong = product.flatMap(({ path, imports }) =>
      imports
        .filter((name) => {
          const allowed = mayImport[part(path)];
          if (allowed === undefined) return true;
          if (name.startsWith("src/")) return part(name) !== part(path) && !allowed.includes(part(name));
          return !allowed.includes("*") && !allowed.includes(name);
        })
        .map((name) => `${path} → ${name}`),
    );
    expect(wrong).toStrictEqual([]);
  });

  it("never lead out of the product, whatever is built on it", () => {
    const outside = /^(sim|bench|test|scripts)\//;
    const wrong = sources.filter(({ imports }) => imports.some((name) => outside.test(name)));
    expect(wrong.map(({ path }) => path)).toStrictEqual([]);
  });

  it("of native add-ons happen only in the agent's session process", () => {
    const native = ["koffi", "node-av", "node-datachannel"];
    const wrong = product.filter(
      ({ path, imports }) =>
        imports.some((name) => native.some((addOn) => name === addOn || name.startsWith(`${addOn}/`))) &&
        !/^src\/agent\/(capture|encode|webrtc|audio|session|gamepads)\//.test(path),
    );
    expect(wrong.map(({ path }) => path)).toStrictEqual([]);
  });

  it("of a concrete provider happen only where the orchestrator is put together", () => {
    const drivers = ["src/orchestrator/providers/local.js", "src/orchestrator/providers/simulated.js"];
    const wrong = product.filter(
      ({ path, imports }) =>
        imports.some((name) => drivers.includes(name)) && !/^src\/orchestrator\/(main|config)\.ts$/.test(path),
    );
    expect(wrong.map(({ path }) => path)).toStrictEqual([]);
  });
});

/** Files that decide: no clock, no randomness, no waiting of their own. */
const cores = [
  "src/contracts/input.ts",
  "src/contracts/latency-verdict.ts",
  "src/contracts/receipts.ts",
  "src/contracts/protocol-document.ts",
  "src/orchestrator/vm/lifecycle.ts",
  "src/orchestrator/vm/reconcile.ts",
  "src/orchestrator/placement/place.ts",
  "src/orchestrator/placement/seats.ts",
  "src/orchestrator/placement/fleet-index.ts",
  "src/orchestrator/placement/decision.ts",
  "src/orchestrator/placement/growth.ts",
  "src/orchestrator/placement/capacity-hold.ts",
  "src/orchestrator/autoscaling/scaling-plan.ts",
  "src/orchestrator/autoscaling/low-capacity.ts",
  "src/session/lifecycle.ts",
  "src/session/deadlines.ts",
  "src/streaming/cluster/presence.ts",
  "src/streaming/cluster/whole-status.ts",
  "src/streaming/signalling/relay.ts",
  "src/agent/supervisor/plan.ts",
  "src/agent/supervisor/tickets.ts",
  "src/agent/webrtc/rtp.ts",
  "src/agent/webrtc/rtcp.ts",
  "src/agent/webrtc/sdp.ts",
  "src/agent/webrtc/picture-sender.ts",
  "src/agent/webrtc/pacer.ts",
  "src/agent/webrtc/keyframe-requests.ts",
  "src/agent/webrtc/congestion/bandwidth-estimate.ts",
  "src/agent/webrtc/congestion/queue-onset.ts",
  "src/agent/webrtc/congestion/flight.ts",
  "src/agent/webrtc/tie-breaker.ts",
  "src/agent/input/held.ts",
  "src/agent/input/pointer.ts",
  "src/agent/gamepads/xbox-pad.ts",
  "src/contracts/rumble.ts",
  "src/agent/games/x11/x-input.ts",
  "src/agent/games/x11/sound-queue.ts",
  "src/agent/games/demo/world.ts",
  "src/player/latency/latency-meter.ts",
  "src/player/latency/log-histogram.ts",
  "src/player/latency/receipt-join.ts",
  "src/web/play/phase.ts",
];

describe("cores", () => {
  it.each(cores)("%s takes time and randomness as arguments, and waits for nothing", (path) => {
    const text = readFileSync(path, "utf8").replaceAll(/\/\/.*|\/\*[\s\S]*?\*\//g, "");
    expect(
      text.match(/\bawait\b|Date\.now|new Date\(\)|performance\.now|Math\.random|randomUUID|process\.env|setTimeout/g),
    ).toBeNull();
  });
});

describe("conventions", () => {
  it("process.env is read by the command line only", () => {
    const wrong = product.filter(
      ({ path, text }) => /process\.env/.test(text) && part(path) !== "cli" && path !== "src/platform/config.ts",
    );
    expect(wrong.map(({ path }) => path)).toStrictEqual([]);
  });

  it("SQL stands only in stores and in the database layer", () => {
    const statement =
      /[`"]\s*(?:select\s[\s\S]*?\sfrom|insert\s+into|update\s+\w+(?:\.\w+)?\s+set|delete\s+from|with\s+\w+\s+as)\s/i;
    const wrong = product.filter(
      ({ path, text }) => statement.test(text) && !path.endsWith("-store.ts") && part(path) !== "platform",
    );
    expect(wrong.map(({ path }) => path)).toStrictEqual([]);
  });

  it("what comes from outside is read by readAs alone: zod's own safeParse throws for some of what can be sent", () => {
    const wrong = product.filter(({ path, text }) => /\.safeParse\(/.test(text) && path !== "src/contracts/read-as.ts");
    expect(wrong.map(({ path }) => path)).toStrictEqual([]);
  });

  it("there are no barrels and no grab-bag files", () => {
    const wrong = product.filter(({ path }) => /\/(index|utils?|types|constants|helpers?)\.ts$/.test(path));
    expect(wrong.map(({ path }) => path)).toStrictEqual([]);
  });

  it("no file is past 500 lines", () => {
    expect(
      [...sources, ...simulation].filter(({ text }) => text.split("\n").length > 500).map(({ path }) => path),
    ).toStrictEqual([]);
  });
});

describe("documents", () => {
  const documents = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", ...markdownIn("docs")];

  it("every `npm run` command they name exists", () => {
    const { scripts } = JSON.parse(readFileSync("package.json", "utf8"));
    const named = documents.flatMap((path) =>
      [...readFileSync(path, "utf8").matchAll(/npm run ([a-z-]+)/g)].map((match) => ({ path, script: match[1]! })),
    );
    expect(named.filter(({ script }) => !(script in scripts))).toStrictEqual([]);
  });

  it("every endpoint they name is served", () => {
    const served = new Set(allRoutes.map(({ method, path }) => `${method} ${path}`));
    const named = documents.flatMap((path) =>
      [...readFileSync(path, "utf8").matchAll(/`((?:GET|POST|DELETE) \/api\/[^`\s?]*)[^`]*`/g)].map(
        (match) => `${match[1]}`,
      ),
    );
    expect(named.filter((endpoint) => !served.has(endpoint))).toStrictEqual([]);
  });

  it("nothing in them was left to be filled in", () => {
    const open = documents.filter((path) => /\b(FIGURES|TBD|TODO|XXX)\b/.test(readFileSync(path, "utf8")));
    expect(open).toStrictEqual([]);
  });

  it("every file they link to exists", () => {
    const broken = documents.flatMap((path) =>
      [...readFileSync(path, "utf8").matchAll(/\]\((?!https?:|#)([^)#]+)/g)]
        .map((match) => join(dirname(path), match[1]!))
        .filter((target) => !existsSync(target))
        .map((target) => `${path} → ${relative(".", target)}`),
    );
    expect(broken).toStrictEqual([]);
  });
});

function markdownIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .map((name) => join(folder, name));
}
