// The ICE servers of one peer: from the browser's form (RTCIceServer URLs, RFC 7064 and 7065) to what libdatachannel can
// use.
//
// Its ICE library speaks UDP to TURN servers, nothing else: URLs of TCP and TLS are for the browser's network, not for a
// machine's. Each TURN server is reached through a leg of the peer's own (turn-leg.ts).
import type { IceServer as NativeIceServer } from "node-datachannel";
import type { IceServer } from "../../contracts/session.js";
import { type TurnAddress, TurnLeg } from "./turn-leg.js";

interface TurnServer extends TurnAddress {
  readonly username: string;
  readonly password: string;
}

export class IceServers implements Disposable {
  private constructor(
    /** As libdatachannel wants them. */
    readonly native: (string | NativeIceServer)[],
    private readonly legs: readonly TurnLeg[],
  ) {}

  static async open(servers: readonly IceServer[], bindAddress: string | undefined): Promise<IceServers> {
    const { stun, turn } = usableServers(servers);
    const legs = await Promise.all(turn.map((server) => TurnLeg.open(server, bindAddress)));
    const throughLegs = turn.map(({ username, password }, i) => {
      const { hostname, port } = legs[i]!.near;
      return { hostname, port, username, password, relayType: "TurnUdp" as const };
    });
    return new IceServers([...stun, ...throughLegs], legs);
  }

  /** From now on checks are known to be signed with this. */
  mendChecks(password: string): void {
    for (const leg of this.legs) leg.mendChecks(password);
  }

  [Symbol.dispose](): void {
    for (const leg of this.legs) leg[Symbol.dispose]();
  }
}

/** A URL that is not understood is left out: a wrong TURN server must not cost the direct path. */
export function usableServers(servers: readonly IceServer[]): { stun: string[]; turn: TurnServer[] } {
  const found = servers.flatMap((server) => server.urls.map((url) => ({ url: parseUrl(url), server })));
  return {
    stun: found.flatMap(({ url }) => (url?.scheme === "stun" ? [`stun:${url.hostname}:${url.port}`] : [])),
    turn: found.flatMap(({ url, server: { username = "", credential = "" } }) =>
      url?.scheme === "turn" && url.transport === "udp"
        ? [{ hostname: url.hostname, port: url.port, username, password: credential }]
        : [],
    ),
  };
}

function parseUrl(url: string) {
  const match = /^(stun|turn)(s?):(\[[\da-fA-F:.]+\]|[\w.-]+)(?::(\d{1,5}))?(?:\?transport=(udp|tcp))?$/.exec(url);
  if (match === null) return null;
  const [, scheme, secure, hostname = "", explicitPort, transport = "udp"] = match;
  const port = Number(explicitPort ?? (secure ? 5349 : 3478));
  // A socket told to connect to another port throws where nobody catches it.
  if (port < 1 || port > 65_535) return null;
  return { scheme, hostname, port, transport: secure ? "tls" : transport };
}
