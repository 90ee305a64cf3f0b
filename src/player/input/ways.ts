// Which transport input takes, decided anew for each connection: data channels, or the control WebSocket where they do
// not open within `channelsMsMax` or are not wanted. Once fallen back, a connection stays so: two reliable ways at once
// have no order.
import type { Connection } from "../connection.js";
import { ControlClient } from "../control-client.js";
import type { Way, Ways } from "./sender.js";

const channelsMsMax = 3_000;

export type Transport = "data-channel" | "websocket";

export interface InputWaysOptions {
  readonly url: () => string;
  readonly transport: "auto" | "websocket";
  readonly resume: () => string;
  /** A way has opened: what was held is to be released, and input may flow. */
  readonly ready: (transport: Transport) => void;
}

export class InputWays {
  readonly #options: InputWaysOptions;
  #connection: Connection | null = null;
  #control: ControlClient | null = null;
  #deadline: ReturnType<typeof setTimeout> | undefined;
  #listening = new AbortController();

  constructor(options: InputWaysOptions) {
    this.#options = options;
  }

  get current(): Ways | null {
    if (this.#connection === null) return null;
    const { input, state } = this.#connection;
    return { input: channelWay(input), state: channelWay(state), control: this.#control && socketWay(this.#control) };
  }

  /** The agent knows us now: the control socket may resume. */
  welcomed(): void {
    if (this.#options.transport === "websocket") this.#fallBack();
  }

  connected(connection: Connection): void {
    if (this.#connection === connection) return;
    this.disconnected();
    this.#connection = connection;
    if (this.#options.transport === "websocket") {
      this.#fallBack();
      if (this.#control?.isOpen) this.#options.ready("websocket");
      return;
    }
    this.#dropControl();
    const { signal } = this.#listening;
    const opened = () => {
      clearTimeout(this.#deadline);
      this.#options.ready("data-channel");
    };
    if (connection.input.readyState === "open") opened();
    else {
      connection.input.addEventListener("open", opened, { signal, once: true });
      this.#deadline = setTimeout(() => this.#fallBack(), channelsMsMax);
    }
  }

  /** The connection is gone, and its channels with it. A control socket stays until the next one decides. */
  disconnected(): void {
    clearTimeout(this.#deadline);
    this.#listening.abort();
    this.#listening = new AbortController();
    this.#connection = null;
  }

  close(): void {
    this.disconnected();
    this.#dropControl();
  }

  #dropControl(): void {
    this.#control?.close();
    this.#control = null;
  }

  #fallBack(): void {
    clearTimeout(this.#deadline);
    this.#listening.abort();
    this.#control ??= new ControlClient(this.#options.url, this.#options.resume, () => {
      if (this.#connection !== null) this.#options.ready("websocket");
    });
  }
}

const channelWay = (channel: RTCDataChannel): Way => ({
  isOpen: channel.readyState === "open",
  bufferedBytes: channel.bufferedAmount,
  send: (bytes) => channel.send(bytes),
});

const socketWay = (socket: ControlClient): Way => ({
  isOpen: socket.isOpen,
  bufferedBytes: socket.bufferedAmount,
  send: (bytes) => socket.send(bytes),
});
