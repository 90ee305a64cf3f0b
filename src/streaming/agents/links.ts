// The links agents keep to this node, one per VM: they dial out, so a VM needs no open port for signalling.
//
// The newest link of a VM replaces an older one (a network change leaves a dead one behind), but never one of a later
// launch of the VM: an agent that comes back after it was given up takes nobody's place. Which of a VM's links at
// different nodes is the newest, the nodes agree on (cluster/presence.ts). Nothing is queued here: what a link does not
// take, the connections hold until it is back (signalling/relay.ts).
import type { WebSocket } from "ws";
import { readAs } from "../../contracts/read-as.js";
import { closeCodes, type FromAgent, fromAgent, type ToAgent } from "../../contracts/signalling.js";
import type { Clock } from "../../platform/clock.js";
import type { Log } from "../../platform/log.js";
import type { LinkId } from "../cluster/presence.js";
import type { StreamingMetrics } from "../metrics.js";
import { type OpenSocket, openSocket, type SocketLimits } from "../signalling/socket.js";

export type AgentMessage = Exclude<FromAgent, { type: "pong" }>;

export interface LinkListener {
  /** The VM's link here is another one now, or gone (null). */
  linkChanged(vmId: string, link: LinkId | null): void;
  agentSaid(vmId: string, message: AgentMessage): void;
}

export interface AgentLinksDeps {
  readonly limits: SocketLimits;
  readonly clock: Clock;
  readonly metrics: StreamingMetrics;
  readonly listener: LinkListener;
  readonly log: Log;
}

interface AgentLink extends LinkId {
  readonly socket: OpenSocket;
}

export class AgentLinks {
  readonly #links = new Map<string, AgentLink>();

  constructor(private readonly deps: AgentLinksDeps) {}

  /** False when it was not sent. */
  send(vmId: string, message: ToAgent | Uint8Array): boolean {
    const sent = this.#links.get(vmId)?.socket.send(message) ?? false;
    const { input, relayed } = this.deps.metrics;
    if (!sent) return false;
    if (message instanceof Uint8Array) input.add();
    else relayed.inc({ to: "agent", type: message.type });
    return true;
  }

  /** Takes a socket whose agent has proved that it is this VM's, of that launch; `dialledAtMs` is its own word. */
  attach({ vmId, epoch, dialledAtMs }: { vmId: string } & LinkId, socket: WebSocket): void {
    const { limits, clock, metrics, listener, log } = this.deps;
    const refuse = (reason: "badMessage" | "tooFast" | "takenOver", detail: string, from: OpenSocket) => {
      metrics.refused.inc({ kind: "agent", reason });
      log.warn({ vmId, reason, detail }, "an agent's link is closed");
      from.close(closeCodes[reason], detail);
    };
    const link = openSocket(socket, limits, clock, {
      text: (text) => {
        if (this.#links.get(vmId)?.socket !== link) return;
        const message = parse(text);
        if (message === null) refuse("badMessage", "That is not a message of the protocol.", link);
        else if (message.type !== "pong") listener.agentSaid(vmId, message);
      },
      binary: () => refuse("badMessage", "Agents send no binary messages.", link),
      tooFast: () => refuse("tooFast", "Too many messages.", link),
      ping: () => void link.send({ type: "ping" } satisfies ToAgent),
      closed: () => {
        metrics.open.dec({ kind: "agent" });
        if (this.#links.get(vmId)?.socket === link) this.#drop(vmId);
      },
    });
    metrics.open.inc({ kind: "agent" });
    const older = this.#links.get(vmId);
    if (older !== undefined && epoch < older.epoch) {
      refuse("takenOver", "A later launch of this VM is linked.", link);
      return;
    }
    if (older !== undefined) {
      this.#drop(vmId);
      refuse("takenOver", "A newer link of this VM replaces this one.", older.socket);
    }
    this.#links.set(vmId, { socket: link, epoch, dialledAtMs });
    log.info({ vmId }, "agent linked");
    listener.linkChanged(vmId, { epoch, dialledAtMs });
  }

  /** Another node has a newer link of this VM: the one here is closed. */
  supersede(vmId: string): void {
    const link = this.#links.get(vmId);
    if (link === undefined) return;
    const { metrics, log } = this.deps;
    metrics.refused.inc({ kind: "agent", reason: "takenOver" });
    log.info({ vmId }, "a newer link of the VM is at another node");
    this.#drop(vmId);
    link.socket.close(closeCodes.takenOver, "A newer link of this VM is at another node.");
  }

  #drop(vmId: string): void {
    this.#links.delete(vmId);
    this.deps.log.info({ vmId }, "agent link gone");
    this.deps.listener.linkChanged(vmId, null);
  }
}

function parse(text: string): FromAgent | null {
  try {
    return readAs(fromAgent, JSON.parse(text)).data ?? null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
