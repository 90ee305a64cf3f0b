// Which node holds the link of which VM's agent, as one node sees it: its own links, and what the others announce.
//
// Guarantees: of two links of a VM the newer wins, at every node alike (a later launch, then the later dial by the
// agent's own clock: one clock orders them, whatever the nodes' clocks say); however announcements are lost, one beat
// that arrives is enough to find out, and a whole list of that node's links mends it; a node that cannot be reached holds
// nothing; every change of a VM's holder is told, also from one link to another of the same node, since what was under
// way over the former is lost.
// Relies on what one node publishes arriving in its order (platform/bus.ts). Does no I/O: `now` is an argument, in ms of
// a monotonic clock, and what is to be done is returned.
import { signallingLimits } from "../../contracts/signalling.js";

export const presenceLimits = {
  beatMs: 250,
  /** Not heard for so long, a node is asked whether it is there: one that was killed is known at once by nobody answering. */
  suspectMs: 700,
  /** Not heard for so long, it is lost. */
  silentMsMax: 3_000,
  /** So long a node that was lost without a word may be there with players: if it stands still, they give it up, too. */
  doubtMs: signallingLimits.silenceMsMax,
  /** Of one list: 100 bytes each at most. */
  linksPerPageMax: 1_000,
  nodesMax: 200,
} as const;

/** Which of an agent's links. */
export interface LinkId {
  /** Which launch of the VM. */
  readonly epoch: number;
  /** By the agent's clock. */
  readonly dialledAtMs: number;
}

export interface Holder extends LinkId {
  readonly nodeId: string;
}

export interface Beat {
  readonly nodeId: string;
  /** Of its connections to the bus: after a new one, what was under way over the former is lost. */
  readonly connection: number;
  /** Of its links: one more with every change. */
  readonly version: number;
  /** How browsers reach it. */
  readonly url: string;
}

export interface Change {
  readonly nodeId: string;
  readonly version: number;
  readonly vmId: string;
  /** Null: the link is gone. */
  readonly link: LinkId | null;
}

/** Some of a node's links, in the order of their VMs' ids. */
export interface Page {
  readonly version: number;
  readonly links: readonly (readonly [vmId: string, epoch: number, dialledAtMs: number])[];
  readonly more: boolean;
}

export type Effect =
  /** Another link carries this VM now, or none does. */
  | { readonly do: "tell"; readonly vmId: string; readonly was: Holder | null; readonly is: Holder | null }
  /** Our own link of the VM is not the newest. */
  | { readonly do: "drop"; readonly vmId: string }
  /** Ask the node for its links whose VMs' ids come after this one. */
  | { readonly do: "ask"; readonly nodeId: string; readonly after: string }
  /** Ask the node whether it is there. */
  | { readonly do: "probe"; readonly nodeId: string };

interface Node {
  heardAtMs: number;
  connection: number;
  url: string;
  /** Of the links known; they are all of that version's, if `whole`. */
  version: number;
  whole: boolean;
  /** The id after which links are being asked for; null: they are not. */
  asking: string | null;
  probing: boolean;
}

export function isNewer(a: Holder, b: Holder): boolean {
  if (a.epoch !== b.epoch) return a.epoch > b.epoch;
  if (a.dialledAtMs !== b.dialledAtMs) return a.dialledAtMs > b.dialledAtMs;
  // The agent's clock stood still: any order will do that all nodes agree on.
  return a.nodeId > b.nodeId;
}

export class Presence {
  readonly #nodes = new Map<string, Node>();
  /** By VM and node. */
  readonly #links = new Map<string, Map<string, LinkId>>();
  /** Those of this node: of many VMs' links it has a few, and a list is of its own alone. */
  readonly #own = new Map<string, LinkId>();
  readonly #holders = new Map<string, Holder>();
  #version = 0;
  #tickedAtMs: number | null = null;
  /** Lost without a word, and until when they may be there with players for all that. */
  readonly #missing = new Map<string, number>();
  #inDoubtUntilMs = 0;

  constructor(private readonly nodeId: string) {}

  /** Of this node's links. */
  get version(): number {
    return this.#version;
  }

  holderOf(vmId: string): Holder | null {
    return this.#holders.get(vmId) ?? null;
  }

  /** The other nodes that can be reached. */
  nodes(): { readonly nodeId: string; readonly url: string }[] {
    return [...this.#nodes].map(([nodeId, { url }]) => ({ nodeId, url }));
  }

  /**
   * Whether every node that may have players is among `nodes`: not when the way to them has just come, before each has
   * said a beat, nor when one that was known is not heard any more, or not yet again.
   */
  knowsAll(now: number): boolean {
    return now > this.#inDoubtUntilMs && [...this.#missing.values()].every((untilMs) => now > untilMs);
  }

  /** This node's link of the VM is another, or gone (null). */
  own(vmId: string, link: LinkId | null): { readonly change: Change; readonly effects: Effect[] } {
    this.#version += 1;
    if (link === null) this.#own.delete(vmId);
    else this.#own.set(vmId, link);
    const effects = this.#put(vmId, this.nodeId, link);
    return { change: { nodeId: this.nodeId, version: this.#version, vmId, link }, effects };
  }

  /** This node's links after that id, for one that asks. */
  page(after: string): Page {
    const rest = [...this.#own].filter(([vmId]) => vmId > after).sort(([a], [b]) => (a < b ? -1 : 1));
    const links = rest
      .slice(0, presenceLimits.linksPerPageMax)
      .map(([vmId, { epoch, dialledAtMs }]) => [vmId, epoch, dialledAtMs] as const);
    return { version: this.#version, links, more: rest.length > links.length };
  }

  beat(beat: Beat, now: number): Effect[] {
    const { nodeId, connection, version, url } = beat;
    if (nodeId === this.nodeId) return [];
    const before = this.#nodes.get(nodeId);
    const lost = before !== undefined && before.connection !== connection ? this.lost(nodeId) : [];
    const node = this.#nodes.get(nodeId) ?? this.#meet(nodeId);
    if (node === null) {
      this.#inDoubtUntilMs = Math.max(this.#inDoubtUntilMs, now + presenceLimits.doubtMs);
      return lost;
    }
    this.#missing.delete(nodeId);
    Object.assign(node, { heardAtMs: now, connection, url, probing: false });
    const upToDate = node.whole && node.version === version;
    return upToDate || node.asking !== null ? lost : [...lost, this.#ask(nodeId, node, "")];
  }

  change({ nodeId, version, vmId, link }: Change): Effect[] {
    const node = this.#nodes.get(nodeId);
    // Of a node not met yet its first beat will tell all.
    if (node === undefined || version <= node.version) return [];
    const gap = version !== node.version + 1;
    node.version = version;
    const effects = this.#put(vmId, nodeId, link);
    if (!gap) return effects;
    node.whole = false;
    // From the start, also when a list is under way: what was lost may be of the part that is done with.
    return node.asking === "" ? effects : [...effects, this.#ask(nodeId, node, "")];
  }

  /** What it answered when it was asked for its links after that id; null: nothing. */
  answered(nodeId: string, after: string, page: Page | null): Effect[] {
    const node = this.#nodes.get(nodeId);
    if (node === undefined || node.asking !== after) return [];
    node.asking = null;
    if (page === null) return [];
    // Its changes up to the page arrived before it. A first page that is older than they was made before them; a later
    // one that is not of their version shows that some were lost.
    const fits = after === "" ? page.version >= node.version : page.version === node.version;
    // Anew at its next beat: at once would be without end, when a forged change has a version that it never reaches.
    if (!fits) {
      node.whole = false;
      return [];
    }
    node.version = page.version;
    const last = page.links.at(-1)?.[0] ?? after;
    const listed = new Map(page.links.map(([vmId, epoch, dialledAtMs]) => [vmId, { epoch, dialledAtMs }]));
    const effects: Effect[] = [];
    for (const [vmId, byNode] of [...this.#links]) {
      const covered = vmId > after && (!page.more || vmId <= last);
      if (covered && byNode.has(nodeId) && !listed.has(vmId)) effects.push(...this.#put(vmId, nodeId, null));
    }
    for (const [vmId, link] of listed) effects.push(...this.#put(vmId, nodeId, link));
    if (page.more && last > after) return [...effects, this.#ask(nodeId, node, last)];
    node.whole = true;
    return effects;
  }

  /** How a probe went: `there`, `gone` (nobody listens as that node any more), or nothing was heard in time. */
  probed(nodeId: string, result: "there" | "gone" | "late", now: number): Effect[] {
    const node = this.#nodes.get(nodeId);
    if (node === undefined) return [];
    node.probing = false;
    if (result === "there") node.heardAtMs = now;
    return result === "gone" ? this.lost(nodeId) : [];
  }

  /** It ended, or cannot be reached. */
  lost(nodeId: string): Effect[] {
    this.#missing.delete(nodeId);
    if (!this.#nodes.delete(nodeId)) return [];
    const held = [...this.#links].filter(([, byNode]) => byNode.has(nodeId));
    return held.flatMap(([vmId]) => this.#put(vmId, nodeId, null));
  }

  /** This node's own way to the others is away. */
  alone(): Effect[] {
    return [...this.#nodes.keys()].flatMap((nodeId) => this.#miss(nodeId, Number.POSITIVE_INFINITY));
  }

  /** The way to them is there, for the first time or again: their own may take longer. */
  back(now: number): void {
    this.#inDoubtUntilMs = Math.max(this.#inDoubtUntilMs, now + presenceLimits.suspectMs);
    for (const nodeId of this.#missing.keys()) this.#missing.set(nodeId, now + presenceLimits.doubtMs);
  }

  /** Every `beatMs`. */
  tick(now: number): Effect[] {
    // Ticks that come late were held up in this process, and what the others said meanwhile is still unread.
    const heldUpMs = this.#tickedAtMs === null ? 0 : Math.max(0, now - this.#tickedAtMs - 2 * presenceLimits.beatMs);
    this.#tickedAtMs = now;
    for (const [nodeId, untilMs] of this.#missing) if (now > untilMs) this.#missing.delete(nodeId);
    return [...this.#nodes].flatMap(([nodeId, node]): Effect[] => {
      node.heardAtMs += Math.min(heldUpMs, now - node.heardAtMs);
      const silentMs = now - node.heardAtMs;
      if (silentMs > presenceLimits.silentMsMax) return this.#miss(nodeId, now + presenceLimits.doubtMs);
      if (silentMs <= presenceLimits.suspectMs || node.probing) return [];
      node.probing = true;
      return [{ do: "probe", nodeId }];
    });
  }

  #miss(nodeId: string, untilMs: number): Effect[] {
    const effects = this.lost(nodeId);
    this.#missing.set(nodeId, untilMs);
    return effects;
  }

  #meet(nodeId: string): Node | null {
    if (this.#nodes.size >= presenceLimits.nodesMax) return null;
    const node = { heardAtMs: 0, connection: 0, url: "", version: -1, whole: false, asking: null, probing: false };
    this.#nodes.set(nodeId, node);
    return node;
  }

  #ask(nodeId: string, node: Node, after: string): Effect {
    node.asking = after;
    return { do: "ask", nodeId, after };
  }

  #put(vmId: string, nodeId: string, link: LinkId | null): Effect[] {
    const byNode = this.#links.get(vmId) ?? new Map<string, LinkId>();
    if (link === null) byNode.delete(nodeId);
    else byNode.set(nodeId, link);
    if (byNode.size === 0) this.#links.delete(vmId);
    else this.#links.set(vmId, byNode);

    const was = this.#holders.get(vmId) ?? null;
    let is: Holder | null = null;
    for (const [at, { epoch, dialledAtMs }] of byNode) {
      const holder = { nodeId: at, epoch, dialledAtMs };
      if (is === null || isNewer(holder, is)) is = holder;
    }
    if (is === null) this.#holders.delete(vmId);
    else this.#holders.set(vmId, is);
    const same = was?.nodeId === is?.nodeId && was?.epoch === is?.epoch && was?.dialledAtMs === is?.dialledAtMs;
    const effects: Effect[] = same ? [] : [{ do: "tell", vmId, was, is }];
    // Whoever has the newest is the agent's: our link is a dead one, whatever the socket says.
    if (byNode.has(this.nodeId) && is!.nodeId !== this.nodeId) effects.push({ do: "drop", vmId });
    return effects;
  }
}
