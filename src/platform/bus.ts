// Traffic between processes that is about now and that nobody keeps: core NATS (nats-bus.ts), or memory within one
// process (memory-bus.ts). One contract, held by bus-conformance.ts against both.
//
// Guarantees: a message arrives at most once, whole, and never at who published it; what one process publishes arrives
// in that order, whatever the subjects. Nothing is kept: what is published while a listener is away is lost to it.
// Every end learns of its own gaps: after it could not publish, or may have missed something, `connected` becomes
// false, and true again only once its subscriptions are heard again.
//
// Subjects are tokens of letters, digits, - and _ between dots; in a pattern `*` stands for one token.

export const busLimits = {
  /** A player's message of 64 KiB, wrapped. */
  messageBytesMax: 128 * 1024,
  /** What a server has not taken yet. Beyond it the connection is given up and made anew: the gap is told. */
  pendingBytesMax: 4 * 1024 * 1024,
  /** Beyond it what may be dropped is. */
  droppableBytesMax: 512 * 1024,
} as const;

/** `away`: there is no connection. `full`: too much waits already. */
export type Published = "sent" | "away" | "full" | "too-long";

/** `nobody`: at once, no one listens there. `late`: no answer in time. `away`: there is no connection. */
export type Reply =
  | { readonly kind: "answer"; readonly bytes: Uint8Array }
  | { readonly kind: "nobody" | "late" | "away" };

/** `answer` is there when the message is a request; the first answer counts. Listeners do not throw. */
export type BusListener = (bytes: Uint8Array, subject: string, answer?: (bytes: Uint8Array) => void) => void;

export interface Bus extends AsyncDisposable {
  readonly connected: boolean;
  /** Called at every change of `connected`; at once, if it is true already. */
  onConnected(listener: (connected: boolean) => void): void;
  subscribe(pattern: string, listener: BusListener): Disposable;
  /** `droppable`: is dropped early, rather than to wait. */
  publish(subject: string, bytes: Uint8Array, options?: { readonly droppable?: boolean }): Published;
  request(subject: string, bytes: Uint8Array, options: { readonly timeoutMs: number }): Promise<Reply>;
}
