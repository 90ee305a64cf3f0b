// Input over a WebSocket, for networks and browsers where data channels do not open. It resumes the session with the
// secret of the last welcome, and is opened again with back-off until its owner closes it.
//
// The server says nothing by this socket but a refusal: one that lived for as long as a hello may take was accepted.
import { type Hello, protocolVersions, signallingLimits } from "../contracts/signalling.js";
import { recoveryFor, retryDelayMs } from "./recovery.js";

export class ControlClient {
  #socket: WebSocket | null = null;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #attempt = 0;

  /** `url` and `resume` are asked anew for each socket; `opened` tells when input may flow. */
  constructor(
    private readonly url: () => string,
    private readonly resume: () => string,
    private readonly opened: () => void,
  ) {
    this.#open();
  }

  get isOpen(): boolean {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  get bufferedAmount(): number {
    return this.#socket?.bufferedAmount ?? 0;
  }

  send(bytes: Uint8Array<ArrayBuffer>): void {
    this.#socket?.send(bytes);
  }

  close(): void {
    clearTimeout(this.#retry);
    const socket = this.#socket;
    this.#socket = null;
    if (socket === null) return;
    socket.onopen = socket.onclose = null;
    socket.close(1000);
  }

  #open(): void {
    const socket = new WebSocket(this.url());
    let openedAtMs = Number.POSITIVE_INFINITY;
    this.#socket = socket;
    socket.onopen = () => {
      openedAtMs = performance.now();
      const hello: Hello = { type: "hello", version: protocolVersions.newest, resume: this.resume() };
      socket.send(JSON.stringify(hello));
      this.opened();
    };
    socket.onclose = ({ code }) => {
      this.#socket = null;
      if (performance.now() - openedAtMs >= signallingLimits.helloMsMax) this.#attempt = 0;
      // A newer connection or the session's end made this socket pointless; its owner learns that by signalling.
      const recovery = recoveryFor(code);
      if (recovery !== "retry" && recovery !== "fresh-ticket") return;
      this.#retry = setTimeout(() => this.#open(), retryDelayMs(this.#attempt++, Math.random()));
    };
  }
}
