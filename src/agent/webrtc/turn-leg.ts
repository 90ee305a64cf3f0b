// The agent's way to one TURN server: datagrams between libjuice and the server, passed on by this process, so that the
// checks among them can be mended (tie-breaker.ts). A hop over loopback, and only for what is relayed at our end too.
//
// Guarantees: nothing but the server reaches libjuice this way. What comes before the server's name is known is dropped:
// TURN asks again. Losing it loses the relay's way, never the process.
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { mendTieBreaker } from "./tie-breaker.js";

const loopback = "127.0.0.1";

export interface TurnAddress {
  readonly hostname: string;
  readonly port: number;
}

export class TurnLeg implements Disposable {
  /** Where libjuice finds it. */
  readonly near: TurnAddress;
  readonly #near: Socket;
  readonly #far: Socket;
  #agentPort: number | null = null;
  #connected = false;
  #password: string | null = null;

  private constructor(near: Socket, far: Socket) {
    this.#near = near;
    this.#far = far;
    this.near = { hostname: loopback, port: near.address().port };
    near.on("message", (datagram, { port }) => {
      this.#agentPort ??= port;
      if (port === this.#agentPort && this.#connected) far.send(datagram);
    });
    far.on("message", (datagram) => {
      if (this.#password !== null) mendTieBreaker(datagram, this.#password);
      if (this.#agentPort !== null) near.send(datagram, this.#agentPort, loopback);
    });
    far.once("connect", () => {
      this.#connected = true;
    });
    // An unknown name, a port nobody listens at: then there is no such way, and the others remain.
    near.on("error", () => {});
    far.on("error", () => {});
  }

  /** `bindAddress`: where the far side is sent from. */
  static async open({ hostname, port }: TurnAddress, bindAddress: string | undefined): Promise<TurnLeg> {
    const host = hostname.replace(/^\[(.*)\]$/, "$1");
    const near = createSocket("udp4").bind(0, loopback);
    await once(near, "listening");
    const far = createSocket(host.includes(":") ? "udp6" : "udp4");
    const leg = new TurnLeg(near, far);
    far.bind(0, bindAddress, () => far.connect(port, host));
    return leg;
  }

  /** From now on checks are known to be signed with this. */
  mendChecks(password: string): void {
    this.#password = password;
  }

  [Symbol.dispose](): void {
    this.#near.close();
    this.#far.close();
  }
}
