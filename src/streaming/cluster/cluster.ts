// This node among the others: carries what passes between a player here and an agent linked elsewhere, and the other
// way round, over the bus. Who holds which link, presence.ts decides; a single node has a bus with nobody on it.
//
// Guarantees: towards the rooms an agent at another node is an agent: `linked`, `send`, `linkChanged` as if it were
// here. What cannot be sent is followed by `linkChanged(vmId, false)`, except input, which is about now and dropped.
// A connection's id begins with its node's, so an agent's answer finds its node without anybody keeping a table.
// Trusts whoever may use the bus as far as ADR 26 says, yet parses everything.
import type * as z from "zod";
import {
  type Announcement,
  announcement,
  linksPage,
  nodeId as nodeIdSchema,
  playersThere,
  type Question,
  question,
} from "../../contracts/ingest-nodes.js";
import { inputBytesMax } from "../../contracts/input.js";
import { vmId as vmIdSchema } from "../../contracts/orchestrator.js";
import { readAs } from "../../contracts/read-as.js";
import type { Session } from "../../contracts/session.js";
import { fromAgent, type ToAgent, toAgent, unframeControl } from "../../contracts/signalling.js";
import { type StreamStatus, streamStatus } from "../../contracts/streaming.js";
import type { Bus, Reply } from "../../platform/bus.js";
import type { Log } from "../../platform/log.js";
import type { Agents } from "../agents/agents.js";
import type { AgentMessage, LinkListener } from "../agents/links.js";
import type { StreamingMetrics } from "../metrics.js";
import type { AgentAnswer } from "../signalling/relay.js";
import { type Effect, type LinkId, Presence, presenceLimits } from "./presence.js";

const askMsMax = 500;

export interface ClusterDeps {
  readonly nodeId: string;
  readonly prefix: string;
  readonly bus: Bus;
  readonly publicUrl: () => string;
  /** The links of this node. */
  readonly links: { send(vmId: string, message: ToAgent | Uint8Array): boolean; supersede(vmId: string): void };
  /** The players of this node. */
  readonly players: {
    linkChanged(vmId: string, up: boolean): void;
    agentAnswered(vmId: string, message: AgentAnswer): void;
    status(session: Session): StreamStatus;
    count(sessionId: string): number;
  };
  readonly sessionSaid: (vmId: string, message: Extract<AgentMessage, { type: "session" }>) => void;
  readonly monotonicMs: () => number;
  readonly metrics: StreamingMetrics;
  readonly log: Log;
}

/** From all nodes that could be asked; not `whole`: some did not answer in time, or there may be some that are not known. */
export interface Elsewhere<T> {
  readonly answers: T[];
  readonly whole: boolean;
}

export class Cluster implements Agents, LinkListener, Disposable {
  readonly #presence: Presence;
  readonly #subscriptions: Disposable[];
  readonly #beating: NodeJS.Timeout;
  #connection = 0;

  constructor(private readonly deps: ClusterDeps) {
    const { nodeId, bus } = deps;
    this.#presence = new Presence(nodeId);
    this.#subscriptions = [
      bus.subscribe(this.#subject("announce.*"), (bytes, subject) => this.#hearAnnouncement(last(subject), bytes)),
      bus.subscribe(this.#at(nodeId, "ask"), (bytes, _, answer) => this.#answer(bytes, answer)),
      bus.subscribe(this.#at(nodeId, "agent.*"), (bytes, subject) => this.#hearForAgent(last(subject), bytes)),
      bus.subscribe(this.#at(nodeId, "input.*"), (bytes, subject) => this.#hearInput(last(subject), bytes)),
      bus.subscribe(this.#at(nodeId, "player.*"), (bytes, subject) => this.#hearForPlayer(last(subject), bytes)),
    ];
    bus.onConnected((connected) => {
      deps.metrics.busUp.set(connected ? 1 : 0);
      if (connected) {
        this.#presence.back(deps.monotonicMs());
        this.#connection += 1;
        this.#beat();
      } else this.#run(this.#presence.alone());
    });
    this.#beating = setInterval(() => {
      this.#run(this.#presence.tick(deps.monotonicMs()));
      this.#beat();
    }, presenceLimits.beatMs);
  }

  /** The other nodes, by how browsers reach them. */
  urls(): string[] {
    return this.#presence.nodes().map(({ url }) => url);
  }

  /** A connection's id, by which an agent's answer finds this node; `unique` has no dot. */
  nameConnection(unique: string): string {
    return `${this.deps.nodeId}.${unique}`;
  }

  linked(vmId: string): boolean {
    return this.#presence.holderOf(vmId) !== null;
  }

  send(vmId: string, message: ToAgent | Uint8Array): boolean {
    const holder = this.#presence.holderOf(vmId);
    if (holder === null) return false;
    if (holder.nodeId === this.deps.nodeId) return this.deps.links.send(vmId, message);
    const isInput = message instanceof Uint8Array;
    return isInput
      ? this.#publish("input", this.#at(holder.nodeId, `input.${vmId}`), message)
      : this.#publish("agent", this.#at(holder.nodeId, `agent.${vmId}`), encode(message));
  }

  linkChanged(vmId: string, link: LinkId | null): void {
    const { change, effects } = this.#presence.own(vmId, link);
    this.#announce({ type: "link", version: change.version, vmId, link });
    this.#run(effects);
  }

  agentSaid(vmId: string, message: AgentMessage): void {
    if (message.type === "session") {
      this.deps.sessionSaid(vmId, message);
      return;
    }
    const at = message.connectionId.split(".", 1)[0]!;
    if (at === this.deps.nodeId) this.deps.players.agentAnswered(vmId, message);
    else if (readAs(nodeIdSchema, at).success) this.#publish("player", this.#at(at, `player.${vmId}`), encode(message));
  }

  /** What the other nodes know of the session's players. */
  statusElsewhere(session: Session): Promise<Elsewhere<StreamStatus>> {
    return this.#askAll({ type: "status", session }, streamStatus);
  }

  /** How many players the session has at each other node, or may have again in time. */
  async playersElsewhere(sessionId: string): Promise<Elsewhere<number>> {
    const { answers, whole } = await this.#askAll({ type: "players", sessionId }, playersThere);
    return { answers: answers.map(({ players }) => players), whole };
  }

  [Symbol.dispose](): void {
    clearInterval(this.#beating);
    this.#announce({ type: "bye" });
    for (const subscription of this.#subscriptions) subscription[Symbol.dispose]();
  }

  #subject(rest: string): string {
    return `${this.deps.prefix}.${rest}`;
  }

  #at(nodeId: string, rest: string): string {
    return `${this.deps.prefix}.node.${nodeId}.${rest}`;
  }

  #publish(to: "agent" | "input" | "player", subject: string, bytes: Uint8Array): boolean {
    const { bus, metrics, log } = this.deps;
    const outcome = bus.publish(subject, bytes, { droppable: to === "input" });
    if (outcome === "sent") this.#count("out", to);
    else {
      metrics.nodeDropped.inc({ reason: outcome });
      if (outcome === "too-long") log.error({ subject, bytes: bytes.length }, "too long for another node");
    }
    return outcome === "sent";
  }

  #count(direction: "in" | "out", to: "agent" | "input" | "player"): void {
    const { nodeInput, nodeMessages } = this.deps.metrics;
    if (to === "input") nodeInput[direction].add();
    else nodeMessages.inc({ direction, to });
  }

  #announce(what: Announcement): void {
    this.deps.bus.publish(this.#subject(`announce.${this.deps.nodeId}`), encode(what));
  }

  #beat(): void {
    const url = this.deps.publicUrl();
    this.#announce({ type: "beat", connection: this.#connection, version: this.#presence.version, url });
    this.deps.metrics.nodes.set(this.#presence.nodes().length);
  }

  #run(effects: readonly Effect[]): void {
    const { players, links } = this.deps;
    for (const effect of effects)
      switch (effect.do) {
        case "tell":
          if (effect.was !== null) players.linkChanged(effect.vmId, false);
          if (effect.is !== null) players.linkChanged(effect.vmId, true);
          break;
        case "drop":
          links.supersede(effect.vmId);
          break;
        case "ask":
          void this.#askLinks(effect.nodeId, effect.after);
          break;
        case "probe":
          void this.#probe(effect.nodeId);
      }
  }

  async #askLinks(nodeId: string, after: string): Promise<void> {
    const reply = await this.#ask(nodeId, { type: "links", after });
    if (reply.kind === "nobody") this.#run(this.#presence.probed(nodeId, "gone", this.deps.monotonicMs()));
    else this.#run(this.#presence.answered(nodeId, after, this.#parse(linksPage, reply)));
  }

  async #probe(nodeId: string): Promise<void> {
    const { kind } = await this.#ask(nodeId, { type: "alive" });
    const result = kind === "answer" ? "there" : kind === "nobody" ? "gone" : "late";
    if (result === "gone") this.deps.log.warn({ nodeId }, "another streaming node is gone");
    this.#run(this.#presence.probed(nodeId, result, this.deps.monotonicMs()));
  }

  #ask(nodeId: string, what: Question): Promise<Reply> {
    return this.deps.bus.request(this.#at(nodeId, "ask"), encode(what), { timeoutMs: askMsMax });
  }

  async #askAll<T>(what: Question, schema: z.ZodType<T>): Promise<Elsewhere<T>> {
    const replies = await Promise.all(this.#presence.nodes().map(({ nodeId }) => this.#ask(nodeId, what)));
    const answers = replies.flatMap((reply) => this.#parse(schema, reply) ?? []);
    const gone = replies.filter(({ kind }) => kind === "nobody").length;
    const all = this.deps.bus.connected && this.#presence.knowsAll(this.deps.monotonicMs());
    return { answers, whole: all && answers.length + gone === replies.length };
  }

  #parse<T>(schema: z.ZodType<T>, reply: Reply): T | null {
    return reply.kind === "answer" ? this.#read(schema, reply.bytes) : null;
  }

  #read<T>(schema: z.ZodType<T>, bytes: Uint8Array): T | null {
    const read = readAs(schema, decode(bytes));
    if (read.success) return read.data;
    this.deps.metrics.nodeDropped.inc({ reason: "malformed" });
    this.deps.log.warn({ err: read.error }, "another node sent what this one does not know");
    return null;
  }

  #hearAnnouncement(nodeId: string, bytes: Uint8Array): void {
    if (!readAs(nodeIdSchema, nodeId).success) return;
    const said = this.#read(announcement, bytes);
    if (said === null) return;
    const known = this.#presence.nodes().length;
    const now = this.deps.monotonicMs();
    if (said.type === "beat") this.#run(this.#presence.beat({ nodeId, ...said }, now));
    else if (said.type === "link") this.#run(this.#presence.change({ nodeId, ...said }));
    else this.#run(this.#presence.lost(nodeId));
    // Whoever is new wants to know us, too, and not only at the next beat.
    if (this.#presence.nodes().length > known) this.#beat();
  }

  #answer(bytes: Uint8Array, answer: ((bytes: Uint8Array) => void) | undefined): void {
    const asked = this.#read(question, bytes);
    if (asked !== null) answer?.(encode(this.#answerTo(asked)));
  }

  #answerTo(asked: Question): object {
    const { players } = this.deps;
    switch (asked.type) {
      case "alive":
        return {};
      case "links":
        return this.#presence.page(asked.after);
      case "status":
        return players.status(asked.session);
      case "players":
        return { players: players.count(asked.sessionId) };
    }
  }

  #hearForAgent(vmId: string, bytes: Uint8Array): void {
    const message = this.#read(toAgent, bytes);
    if (message !== null) this.#pass("agent", vmId, message);
  }

  #hearInput(vmId: string, bytes: Uint8Array): void {
    const framed = unframeControl(bytes);
    if (framed === null || framed.input.length > inputBytesMax)
      this.deps.metrics.nodeDropped.inc({ reason: "malformed" });
    else this.#pass("input", vmId, bytes);
  }

  #pass(to: "agent" | "input", vmId: string, message: ToAgent | Uint8Array): void {
    const { links, metrics } = this.deps;
    this.#count("in", to);
    // Its link has gone meanwhile, as the sender is told by our announcement.
    if (!links.send(vmId, message)) metrics.nodeDropped.inc({ reason: "not-linked" });
  }

  #hearForPlayer(vmId: string, bytes: Uint8Array): void {
    const message = this.#read(fromAgent, bytes);
    if (message === null || !("connectionId" in message) || !readAs(vmIdSchema, vmId).success) return;
    this.#count("in", "player");
    this.deps.players.agentAnswered(vmId, message);
  }
}

const last = (subject: string): string => subject.slice(subject.lastIndexOf(".") + 1);

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const encode = (message: object): Uint8Array => encoder.encode(JSON.stringify(message));

/** Undefined, which no message is, when it is not JSON. */
function decode(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(bytes));
  } catch {
    return undefined;
  }
}
