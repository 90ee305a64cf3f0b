// The bus over core NATS: fire and forget, no JetStream. The role it serves starts without NATS and lives through its
// absence: the connection is made in the background, and again for as long as the process lives.
//
// The client's own buffer has no bound. We count what the server has not confirmed (by a PING behind it, one a round
// trip) and give a server up that takes nothing off our hands, as we do with sockets.
import { setTimeout as sleep } from "node:timers/promises";
import { connect, type Msg, type NatsConnection, RequestError, type Subscription } from "@nats-io/transport-node";
import { type Bus, type BusListener, busLimits, type Published, type Reply } from "./bus.js";
import { backoffMs } from "./clock.js";
import type { Log } from "./log.js";
import { connectionOptions, type NatsAccess } from "./nats-config.js";

/** A connection that answers no PING for two of these is given up: a network that swallows packets says nothing. */
const pingMs = 2_000;

export interface NatsBusDeps {
  readonly access: NatsAccess;
  /** Shown in the server's list of connections. */
  readonly name: string;
  /** In [0, 1): jitter. */
  readonly random: () => number;
  readonly log: Log;
}

interface Heard {
  readonly pattern: string;
  readonly listener: BusListener;
  subscription: Subscription | null;
}

export class NatsBus implements Bus {
  readonly #stop = new AbortController();
  readonly #heard = new Set<Heard>();
  readonly #listeners: ((connected: boolean) => void)[] = [];
  readonly #running: Promise<void>;
  #connection: NatsConnection | null = null;
  #connected = false;
  /** Published, and not known to have reached the server. */
  #pendingBytes = 0;
  #settling = false;

  /** Connects in the background. */
  constructor(private readonly deps: NatsBusDeps) {
    this.#running = this.#run();
  }

  get connected(): boolean {
    return this.#connected;
  }

  onConnected(listener: (connected: boolean) => void): void {
    this.#listeners.push(listener);
    if (this.#connected) listener(true);
  }

  subscribe(pattern: string, listener: BusListener): Disposable {
    const heard: Heard = { pattern, listener, subscription: null };
    this.#heard.add(heard);
    if (this.#connection !== null) this.#subscribe(this.#connection, heard);
    return {
      [Symbol.dispose]: () => {
        this.#heard.delete(heard);
        heard.subscription?.unsubscribe();
      },
    };
  }

  publish(subject: string, bytes: Uint8Array, { droppable = false } = {}): Published {
    if (bytes.length > busLimits.messageBytesMax) return "too-long";
    if (this.#connection === null || !this.#connected) return "away";
    if (droppable && this.#pendingBytes > busLimits.droppableBytesMax) return "full";
    if (this.#pendingBytes > busLimits.pendingBytesMax) {
      this.#giveUp(this.#connection, "NATS takes nothing");
      return "full";
    }
    this.#connection.publish(subject, bytes);
    this.#pendingBytes += bytes.length;
    if (!this.#settling) this.#settle(this.#connection);
    return "sent";
  }

  async request(subject: string, bytes: Uint8Array, { timeoutMs }: { timeoutMs: number }): Promise<Reply> {
    if (this.#connection === null || !this.#connected) return { kind: "away" };
    try {
      const { data } = await this.#connection.request(subject, bytes, { timeout: timeoutMs });
      return { kind: "answer", bytes: data };
    } catch (error) {
      if (error instanceof RequestError && error.isNoResponders()) return { kind: "nobody" };
      return { kind: this.#connected ? "late" : "away" };
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#connection?.close();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { access, name, random, log } = this.deps;
    const { signal } = this.#stop;
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        const options = await connectionOptions(access, name);
        const connection = await connect({ ...options, noEcho: true, pingInterval: pingMs, maxPingOut: 2 });
        if (signal.aborted) return await connection.close();
        attempt = 0;
        await this.#follow(connection);
      } catch (error) {
        if (!signal.aborted) log.warn({ err: error, attempt }, "no NATS: other nodes cannot be reached");
      }
      this.#change(false);
      await sleep(backoffMs(attempt, random(), { capMs: 2_000 }), undefined, { signal }).catch(() => undefined);
    }
  }

  /** Until it is closed for good. */
  async #follow(connection: NatsConnection): Promise<void> {
    const { log } = this.deps;
    this.#connection = connection;
    // What the one before waited for is never settled.
    this.#settling = false;
    this.#pendingBytes = 0;
    for (const heard of this.#heard) this.#subscribe(connection, heard);
    // Read before anything is awaited: no change is missed.
    const statuses = connection.status();
    void this.#caughtUp(connection);
    for await (const status of statuses) {
      if (status.type === "disconnect") this.#change(false);
      else if (status.type === "staleConnection") this.#giveUp(connection, "NATS answers nothing");
      else if (status.type === "reconnect") void this.#caughtUp(connection);
      else if (status.type === "error") log.warn({ err: status.error }, "NATS complains");
    }
    this.#letGo();
  }

  #letGo(): void {
    this.#connection = null;
    for (const heard of this.#heard) heard.subscription = null;
  }

  /** The server has our subscriptions: what is published from now on is heard. */
  async #caughtUp(connection: NatsConnection): Promise<void> {
    try {
      await connection.flush();
    } catch {
      return; // Lost again: another `reconnect` follows, or the end.
    }
    if (connection !== this.#connection) return;
    this.#pendingBytes = 0;
    this.deps.log.info({ server: connection.getServer() }, "connected to NATS");
    this.#change(true);
  }

  #change(connected: boolean): void {
    if (this.#connected === connected) return;
    this.#connected = connected;
    if (!connected) this.deps.log.warn("the connection to NATS is lost");
    for (const listener of this.#listeners) listener(connected);
  }

  /**
   * Closed, and dialled anew by `#run`: the client's own way to another connection first waits until the socket has taken
   * what was written, which it does not while a server stands still.
   */
  #giveUp(connection: NatsConnection, why: string): void {
    if (connection !== this.#connection) return;
    this.deps.log.error({ pendingBytes: this.#pendingBytes }, `${why}: the connection is made anew`);
    this.#letGo();
    this.#change(false);
    void connection.close().catch(() => undefined);
  }

  #settle(connection: NatsConnection): void {
    this.#settling = true;
    // After this turn's messages, so that they leave in one write.
    queueMicrotask(async () => {
      const bytes = this.#pendingBytes;
      const lost = await connection.flush().then(
        () => false,
        () => true,
      );
      if (connection !== this.#connection) return;
      // Lost, they went with the connection.
      this.#pendingBytes -= lost ? this.#pendingBytes : Math.min(bytes, this.#pendingBytes);
      this.#settling = false;
      if (this.#pendingBytes > 0 && this.#connected) this.#settle(connection);
    });
  }

  #subscribe(connection: NatsConnection, heard: Heard): void {
    heard.subscription = connection.subscribe(heard.pattern, {
      callback: (error, message: Msg) => {
        if (error !== null) this.deps.log.warn({ err: error, pattern: heard.pattern }, "NATS refuses a subscription");
        else
          heard.listener(message.data, message.subject, message.reply ? (bytes) => message.respond(bytes) : undefined);
      },
    });
  }
}
