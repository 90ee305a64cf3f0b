import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Change, type Effect, type LinkId, Presence, presenceLimits } from "./presence.js";

const link = (dialledAtMs: number, epoch = 1): LinkId => ({ epoch, dialledAtMs });
const beat = (nodeId: string, version: number, connection = 1) => ({ nodeId, version, connection, url: "http://x/" });
const told = (effects: readonly Effect[]) =>
  effects.flatMap((effect) => (effect.do === "tell" ? [[effect.was?.nodeId ?? null, effect.is?.nodeId ?? null]] : []));

/** `here` knows all of `there`. */
function met() {
  const [here, there] = [new Presence("here"), new Presence("there")];
  expect(here.beat(beat("there", 0), 0)).toEqual([{ do: "ask", nodeId: "there", after: "" }]);
  expect(here.answered("there", "", there.page(""))).toEqual([]);
  return { here, there };
}

describe("who holds a VM's link", () => {
  it("is whose link was dialled last, at every node, and the older one is dropped", () => {
    const { here, there } = met();
    here.own("vm", link(100));
    const { change } = there.own("vm", link(200));
    const effects = here.change(change);
    expect(told(effects)).toEqual([["here", "there"]]);
    expect(effects.at(-1)).toEqual({ do: "drop", vmId: "vm" });
    expect(here.holderOf("vm")?.nodeId).toBe("there");
  });

  it("is whose link is of the later launch, whenever it was dialled", () => {
    const { here, there } = met();
    here.own("vm", link(100, 2));
    expect(here.change(there.own("vm", link(200, 1)).change)).toEqual([]);
    expect(here.holderOf("vm")?.nodeId).toBe("here");
  });

  it("is told anew when the same node has another link: what was on its way over the former is lost", () => {
    const { here, there } = met();
    here.change(there.own("vm", link(100)).change);
    expect(told(here.change(there.own("vm", link(200)).change))).toEqual([["there", "there"]]);
  });

  it("is nobody, once the node is lost, and told anew when that has another connection to the bus", () => {
    const { here, there } = met();
    here.change(there.own("vm", link(100)).change);
    expect(told(here.lost("there"))).toEqual([["there", null]]);
    here.beat(beat("there", 1), 1);
    expect(told(here.answered("there", "", there.page("")))).toEqual([[null, "there"]]);
    const again = here.beat(beat("there", 1, 2), 2);
    expect(told(again)).toEqual([["there", null]]);
    expect(again.at(-1)).toEqual({ do: "ask", nodeId: "there", after: "" });
    expect(told(here.alone())).toEqual([]);
    expect(here.nodes()).toEqual([]);
  });
});

describe("a node that is not heard", () => {
  const at = (now: number, here: Presence) => here.tick(now);

  it("is asked whether it is there, once, and is lost at once when nobody answers for it", () => {
    const { here, there } = met();
    here.change(there.own("vm", link(100)).change);
    const { beatMs, suspectMs } = presenceLimits;
    let now = 0;
    for (; now <= suspectMs; now += beatMs) expect(at(now, here)).toEqual([]);
    expect(at(now, here)).toEqual([{ do: "probe", nodeId: "there" }]);
    expect(at(now + beatMs, here)).toEqual([]);
    expect(told(here.probed("there", "gone", now + beatMs))).toEqual([["there", null]]);
  });

  it("is lost after its time when nothing answers at all, and not while this process itself was held up", () => {
    const { here, there } = met();
    here.change(there.own("vm", link(100)).change);
    at(0, here);
    expect(told(at(60_000, here))).toEqual([]);
    let now = 60_000;
    const lost: Effect[] = [];
    for (; lost.length === 0; now += presenceLimits.beatMs) lost.push(...at(now, here).filter((e) => e.do === "tell"));
    expect(now - 60_000).toBeGreaterThan(presenceLimits.silentMsMax - 2 * presenceLimits.beatMs);
    expect(now - 60_000).toBeLessThanOrEqual(presenceLimits.silentMsMax + 3 * presenceLimits.beatMs);
  });
});

describe("that there are no other nodes", () => {
  it("is known when they had the time to be heard, and in doubt for as long as one that fell silent may have players", () => {
    const { here } = met();
    const { beatMs, suspectMs, doubtMs } = presenceLimits;
    here.back(100);
    expect(here.knowsAll(100 + suspectMs)).toBe(false);
    expect(here.knowsAll(101 + suspectMs)).toBe(true);
    let now = 0;
    while (here.nodes().length > 0) here.tick((now += beatMs));
    expect(here.knowsAll(now + doubtMs)).toBe(false);
    expect(here.knowsAll(now + doubtMs + 1)).toBe(true);
  });

  it("is in doubt after a gap until those known before are heard again, have said goodbye, or had their time", () => {
    const { suspectMs, doubtMs } = presenceLimits;
    const [now, soon] = [1_000, 1_001 + suspectMs];
    const cutAndBack = () => {
      const { here } = met();
      here.alone();
      here.back(now);
      expect(here.knowsAll(soon)).toBe(false);
      return here;
    };
    expect(cutAndBack().knowsAll(now + doubtMs)).toBe(false);
    expect(cutAndBack().knowsAll(now + doubtMs + 1)).toBe(true);
    const heard = cutAndBack();
    heard.beat(beat("there", 0, 2), soon);
    expect(heard.knowsAll(soon)).toBe(true);
    const gone = cutAndBack();
    gone.lost("there");
    expect(gone.knowsAll(soon)).toBe(true);
  });

  it("is in doubt when there are more than can be known", () => {
    const here = new Presence("here");
    for (let i = 0; i < presenceLimits.nodesMax; i++) here.beat(beat(`node-${i}`, 0), 0);
    expect(here.knowsAll(1)).toBe(true);
    here.beat(beat("one-more", 0), 1);
    expect(here.knowsAll(presenceLimits.doubtMs)).toBe(false);
  });

  it("is known at once when nobody answers for one any more", () => {
    const { here } = met();
    here.probed("there", "gone", 1_000);
    expect(here.knowsAll(1_000)).toBe(true);
  });
});

describe("a list of links", () => {
  it("comes in pages, with changes between them, and is whole in the end", () => {
    const there = new Presence("there");
    const ids = Array.from(
      { length: 2.5 * presenceLimits.linksPerPageMax },
      (_, i) => `vm-${String(i).padStart(5, "0")}`,
    );
    for (const id of ids) there.own(id, link(1));
    const here = new Presence("here");
    let effects = here.beat(beat("there", there.version), 0);
    for (let asked = 0; effects.length > 0; asked++) {
      expect(asked).toBeLessThan(10);
      const ask = effects.find((effect) => effect.do === "ask");
      if (ask?.do !== "ask") break;
      const page = there.page(ask.after);
      // On its way after the page: behind it, and in what is still to come.
      const changes = asked === 0 ? [there.own(ids[0]!, null).change, there.own(ids.at(-1)!, link(2)).change] : [];
      effects = here.answered("there", ask.after, page);
      for (const change of changes) effects.push(...here.change(change));
    }
    expect(here.holderOf(ids[0]!)).toBeNull();
    expect(ids.slice(1).every((id) => here.holderOf(id)?.nodeId === "there")).toBe(true);
    expect(here.holderOf(ids.at(-1)!)?.dialledAtMs).toBe(2);
    expect(here.beat(beat("there", there.version), 1)).toEqual([]);
  });
});

// Three nodes over a bus that loses whatever it likes, and one agent a VM that dials one after another. Once nothing is
// lost any more, one round of beats is enough: all know the newest link that is left, and the others were dropped.
describe("nodes that lost each other's words", () => {
  const names = ["a", "b", "c"] as const;
  const vms = ["v1", "v2"];
  const node = fc.nat(names.length - 1);
  const vm = fc.constantFrom(...vms);
  const step = fc.oneof(
    fc.record({ do: fc.constant("dial" as const), vm, node, reaches: fc.array(node, { maxLength: 2 }) }),
    fc.record({ do: fc.constant("hang-up" as const), vm, node, reaches: fc.array(node, { maxLength: 2 }) }),
    fc.record({ do: fc.constant("beat" as const), node, reaches: fc.array(node, { maxLength: 2 }) }),
    fc.record({ do: fc.constant("answer" as const), answers: fc.boolean() }),
    fc.record({ do: fc.constant("lose" as const), node, other: node }),
    fc.record({ do: fc.constant("reconnect" as const), node }),
  );

  it("agree on the newest link as soon as they hear each other again", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const nodes = names.map((name) => new Presence(name));
        const connections = names.map(() => 1);
        const sockets = names.map(() => new Map<string, LinkId>());
        const believed = names.map(() => new Map<string, string | null>());
        const asks: { by: number; nodeId: string; after: string }[] = [];
        let clock = 0;

        const run = (by: number, effects: readonly Effect[]) => {
          for (const effect of effects) {
            if (effect.do === "ask") asks.push({ by, nodeId: effect.nodeId, after: effect.after });
            if (effect.do === "drop")
              hangUp(
                by,
                effect.vmId,
                names.map((_, i) => i),
              );
            if (effect.do === "tell") {
              expect(believed[by]!.get(effect.vmId) ?? null).toBe(key(effect.was));
              believed[by]!.set(effect.vmId, key(effect.is));
            }
          }
        };
        const tell = (change: Change, reaches: readonly number[]) => {
          for (const to of new Set(reaches)) if (names[to] !== change.nodeId) run(to, nodes[to]!.change(change));
        };
        const put = (at: number, vmId: string, its: LinkId | null, reaches: readonly number[]) => {
          const { change, effects } = nodes[at]!.own(vmId, its);
          tell(change, reaches);
          run(at, effects);
        };
        const hangUp = (at: number, vmId: string, reaches: readonly number[]) => {
          if (sockets[at]!.delete(vmId)) put(at, vmId, null, reaches);
        };
        const sayBeat = (at: number, reaches: readonly number[]) => {
          const said = {
            nodeId: names[at]!,
            connection: connections[at]!,
            version: nodes[at]!.version,
            url: "http://x/",
          };
          for (const to of new Set(reaches)) if (to !== at) run(to, nodes[to]!.beat(said, clock));
        };
        const answer = (answers: boolean) => {
          const ask = asks.shift();
          if (ask === undefined) return;
          const asked = nodes[names.indexOf(ask.nodeId as "a")]!;
          run(ask.by, nodes[ask.by]!.answered(ask.nodeId, ask.after, answers ? asked.page(ask.after) : null));
        };

        for (const what of steps) {
          clock += 1;
          if (what.do === "dial") {
            sockets[what.node]!.set(what.vm, link(clock));
            put(what.node, what.vm, link(clock), what.reaches);
          } else if (what.do === "hang-up") hangUp(what.node, what.vm, what.reaches);
          else if (what.do === "beat") sayBeat(what.node, what.reaches);
          else if (what.do === "answer") answer(what.answers);
          else if (what.do === "lose") run(what.node, nodes[what.node]!.lost(names[what.other]!));
          else {
            connections[what.node]! += 1;
            run(what.node, nodes[what.node]!.alone());
          }
        }

        const all = names.map((_, i) => i);
        // The first round ends what was asked before, the second finds out what that missed.
        for (let round = 0; round < 2; round++) {
          for (const at of all) sayBeat(at, all);
          for (let asked = 0; asks.length > 0; asked++) {
            expect(asked).toBeLessThan(200);
            answer(true);
          }
        }
        for (const vmId of vms) {
          const left = sockets.flatMap((its, at) => (its.has(vmId) ? [{ at, ...its.get(vmId)! }] : []));
          expect(left.length).toBeLessThanOrEqual(1);
          for (const seen of nodes)
            expect(seen.holderOf(vmId)?.nodeId ?? null).toBe(left[0] ? names[left[0].at] : null);
        }
      }),
      { numRuns: 500 },
    );
  });
});

const key = (holder: { nodeId: string; dialledAtMs: number } | null): string | null =>
  holder === null ? null : `${holder.nodeId} ${holder.dialledAtMs}`;
