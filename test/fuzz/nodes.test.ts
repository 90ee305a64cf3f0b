// What whoever may use the bus can say to a streaming node, many thousands of times and mostly wrong: the node goes on, and
// what passes through it to agents and players is of the contract (ADR 26, "Trust").
import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, it, vi } from "vitest";
import { Random } from "../../sim/kernel/random.js";
import { announcement, linksPage, question } from "../../src/contracts/ingest-nodes.js";
import { controlPrefix, fromAgent, toAgent, unframeControl } from "../../src/contracts/signalling.js";
import { MemoryHub } from "../../src/platform/memory-bus.js";
import { openNode, statusOf } from "../../src/streaming/cluster/cluster-fixture.js";
import { presenceLimits } from "../../src/streaming/cluster/presence.js";
import { sessionOn } from "../../src/streaming/signalling/relay-fixture.js";
import { changedBytes, inputMessage } from "./bytes.js";
import { Attacker, again, fuzzSeed } from "./messages.js";

const messages = 10_000;
const batch = 100;

// On a machine that does ten things at once.
vi.setConfig({ testTimeout: 120_000 });

it(`a node goes on, whatever is said on its subjects (${again})`, async () => {
  const hub = new MemoryHub();
  const random = new Random(fuzzSeed, "nodes");
  await using here = openNode(hub, "the-node-here");
  await using _there = openNode(hub, "the-node-there");
  const stranger = hub.open();
  const attack = {
    announce: new Attacker({ expected: announcement, others: [question], validShare: 0.3 }),
    ask: new Attacker({ expected: question, others: [announcement] }),
    agent: new Attacker({ expected: toAgent, others: [fromAgent] }),
    player: new Attacker({ expected: fromAgent, others: [toAgent] }),
    page: new Attacker({ expected: linksPage, others: [], validShare: 0.3 }),
  };
  const bytesOf = (attacker: Attacker) => Buffer.from(attacker.message());
  /** More than are taken for nodes; some of them answer what they are asked. */
  const names = Array.from({ length: presenceLimits.nodesMax + 50 }, (_, i) => `a-stranger-${i}`);
  for (const name of names.slice(0, 20))
    stranger.subscribe(`test.node.${name}.ask`, (_, __, answer) => {
      if (random.chance(0.9)) answer?.(bytesOf(attack.page));
    });
  const saying = {
    announce: () =>
      [`announce.${random.pick([...names, "the-node-here", "x", ""])}`, bytesOf(attack.announce)] as const,
    ask: () => ["node.the-node-here.ask", bytesOf(attack.ask)] as const,
    agent: () => ["node.the-node-here.agent.vm-1", bytesOf(attack.agent)] as const,
    input: () => {
      const framed = Buffer.concat([controlPrefix("ab"), inputMessage(random)]);
      return ["node.the-node-here.input.vm-1", random.chance(0.3) ? framed : changedBytes(random, framed)] as const;
    },
    player: () => [`node.the-node-here.player.${random.pick(["vm-1", "?", ""])}`, bytesOf(attack.player)] as const,
  };
  for (let said = 0; said < messages; said++) {
    const [subject, bytes] = saying[random.pick(["announce", "ask", "agent", "input", "player"] as const)]();
    if (random.chance(0.2)) void stranger.request(`test.${subject}`, bytes, { timeoutMs: 50 });
    else stranger.publish(`test.${subject}`, bytes);
    if (said % batch === 0) await nextTurn();
  }
  await nextTurn();

  const { values } = await here.metrics.nodeDropped.get();
  const malformed = values.find(({ labels }) => labels.reason === "malformed")?.value ?? 0;
  expect(malformed).toBeGreaterThan(messages / 4);
  expect(malformed).toBeLessThan(messages);
  expect(here.heard.agents.length).toBeGreaterThan(messages / 50);
  for (const message of here.heard.agents)
    if (message instanceof Uint8Array) expect(unframeControl(message)).not.toBeNull();
    else toAgent.parse(message);
  expect(here.heard.players.length).toBeGreaterThan(0);
  for (const message of here.heard.players) fromAgent.parse(message);
  expect(here.cluster.urls().length).toBeLessThanOrEqual(presenceLimits.nodesMax);
  const session = sessionOn("vm-1");
  const asked = Buffer.from(JSON.stringify({ type: "status", session }));
  const reply = await stranger.request("test.node.the-node-here.ask", asked, { timeoutMs: 5_000 });
  expect(reply.kind === "answer" && JSON.parse(Buffer.from(reply.bytes).toString())).toEqual(statusOf(session));
  expect((await here.cluster.statusElsewhere(session)).answers).toContainEqual(statusOf(session));
});
