// A path between a browser and an agent, in user space: each believes the relay to be the other. Towards the browser it
// has one bottleneck, with a queue that drops at its tail, loss, jitter and darkness; both ways take the same time.
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import type { AddressInfo } from "node:net";

export interface Path {
  readonly kbps: number;
  readonly queueMs: number;
  readonly lossShare: number;
  /** Added to each packet, evenly spread from 0; packets stay in order, as behind a radio that repeats frames. */
  readonly jitterMs: number;
  /** Nothing passes, either way. */
  readonly dark: boolean;
}

/** A description whose sender is found by the relay's candidates alone. */
export const withoutCandidates = (sdp: string): string => sdp.replace(/^a=(candidate:.*|end-of-candidates)\r?\n/gm, "");

export class UdpRelay implements AsyncDisposable {
  /** What came from the agent, whether it was let through or not. */
  readonly sent: { readonly atMs: number; readonly bytes: number }[] = [];
  path: Path;
  #browser: AddressInfo | null = null;
  #agent: { address: string; port: number } | null = null;
  #freeAtMs = 0;
  #lastDueMs = 0;
  readonly #queue: { dueMs: number; bytes: Buffer }[] = [];
  #timer: NodeJS.Timeout | null = null;

  private constructor(
    private readonly toBrowser: Socket,
    private readonly toAgent: Socket,
    private readonly oneWayMs: number,
    path: Path,
  ) {
    this.path = path;
    toBrowser.on("message", (bytes, from) => {
      this.#browser = from as AddressInfo;
      const agent = this.#agent;
      if (agent === null || this.path.dark) return;
      setTimeout(() => toAgent.send(bytes, agent.port, agent.address), oneWayMs);
    });
    toAgent.on("message", (bytes) => this.#shape(bytes));
  }

  static async open(options: { oneWayMs: number; path: Path }): Promise<UdpRelay> {
    const sockets = [createSocket("udp4"), createSocket("udp4")] as const;
    for (const socket of sockets) {
      socket.bind(0, "127.0.0.1");
      await once(socket, "listening");
      socket.setRecvBufferSize(4 << 20);
    }
    return new UdpRelay(sockets[0], sockets[1], options.oneWayMs, options.path);
  }

  /** The agent's candidate as the browser shall see it; null: not one the relay can stand for. */
  disguise(candidate: string): string | null {
    const parts = candidate.split(" ");
    if (parts[2]?.toLowerCase() !== "udp" || !/^\d+\.\d+\.\d+\.\d+$/.test(parts[4] ?? "")) return null;
    this.#agent ??= { address: parts[4]!, port: Number(parts[5]) };
    parts[4] = "127.0.0.1";
    parts[5] = String(this.toBrowser.address().port);
    return parts.join(" ");
  }

  #shape(bytes: Buffer): void {
    const nowMs = performance.now();
    const { kbps, queueMs, lossShare, jitterMs, dark } = this.path;
    this.sent.push({ atMs: nowMs, bytes: bytes.length });
    if (dark || this.#freeAtMs - nowMs > queueMs) return;
    this.#freeAtMs = Math.max(this.#freeAtMs, nowMs) + (bytes.length * 8) / kbps;
    if (Math.random() < lossShare) return;
    const dueMs = Math.max(this.#lastDueMs, this.#freeAtMs + this.oneWayMs + Math.random() * jitterMs);
    this.#lastDueMs = dueMs;
    this.#queue.push({ dueMs, bytes: Buffer.from(bytes) });
    this.#timer ??= setTimeout(() => this.#deliver(), Math.max(0, dueMs - nowMs));
  }

  #deliver(): void {
    this.#timer = null;
    const browser = this.#browser;
    const nowMs = performance.now();
    while (this.#queue.length > 0 && this.#queue[0]!.dueMs <= nowMs) {
      const { bytes } = this.#queue.shift()!;
      if (browser !== null) this.toBrowser.send(bytes, browser.port, browser.address);
    }
    const next = this.#queue[0];
    if (next !== undefined) this.#timer = setTimeout(() => this.#deliver(), Math.max(0, next.dueMs - nowMs));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.toBrowser.close();
    this.toAgent.close();
  }
}
