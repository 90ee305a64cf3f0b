// The bus within one process. Each end has a bus of its own on a common hub; one alone has nobody to talk to, which is
// what a single node needs. `cut` takes one end off the hub, as a broken network would.
import { type Bus, type BusListener, busLimits, type Published, type Reply } from "./bus.js";

interface Subscription {
  readonly pattern: readonly string[];
  readonly listener: BusListener;
}

export class MemoryHub {
  readonly #ends = new Set<MemoryBus>();

  open(): MemoryBus {
    const bus: MemoryBus = new MemoryBus(this, () => this.#ends.delete(bus));
    this.#ends.add(bus);
    return bus;
  }

  /** How many listen there. */
  carry(from: MemoryBus, subject: string, bytes: Uint8Array, answer?: (bytes: Uint8Array) => void): number {
    const tokens = subject.split(".");
    let heard = 0;
    for (const end of this.#ends)
      if (end !== from && end.connected)
        for (const { pattern, listener } of end.subscriptions)
          if (matches(pattern, tokens)) {
            heard += 1;
            // As on a network: the publisher is done before anybody hears it.
            queueMicrotask(() => end.connected && listener(bytes, subject, answer));
          }
    return heard;
  }
}

export class MemoryBus implements Bus {
  readonly subscriptions = new Set<Subscription>();
  readonly #listeners: ((connected: boolean) => void)[] = [];
  #connected = true;

  constructor(
    private readonly hub: MemoryHub,
    private readonly leave: () => void,
  ) {}

  get connected(): boolean {
    return this.#connected;
  }

  onConnected(listener: (connected: boolean) => void): void {
    this.#listeners.push(listener);
    if (this.#connected) listener(true);
  }

  subscribe(pattern: string, listener: BusListener): Disposable {
    const subscription = { pattern: pattern.split("."), listener };
    this.subscriptions.add(subscription);
    return { [Symbol.dispose]: () => void this.subscriptions.delete(subscription) };
  }

  publish(subject: string, bytes: Uint8Array): Published {
    if (bytes.length > busLimits.messageBytesMax) return "too-long";
    if (!this.#connected) return "away";
    this.hub.carry(this, subject, bytes);
    return "sent";
  }

  request(subject: string, bytes: Uint8Array, { timeoutMs }: { timeoutMs: number }): Promise<Reply> {
    if (!this.#connected) return Promise.resolve({ kind: "away" });
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve({ kind: "late" }), timeoutMs);
      const settle = (reply: Reply) => {
        clearTimeout(timer);
        resolve(reply);
      };
      const answer = (answered: Uint8Array) => {
        if (answered.length <= busLimits.messageBytesMax) settle({ kind: "answer", bytes: answered });
      };
      if (this.hub.carry(this, subject, bytes, answer) === 0) settle({ kind: "nobody" });
    });
  }

  /** Takes it off the hub, until it is put back. */
  cut(off: boolean): void {
    if (this.#connected !== off) return;
    this.#connected = !off;
    for (const listener of this.#listeners) listener(!off);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.leave();
  }
}

const matches = (pattern: readonly string[], tokens: readonly string[]): boolean =>
  pattern.length === tokens.length && pattern.every((token, at) => token === "*" || token === tokens[at]);
