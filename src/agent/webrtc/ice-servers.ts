// ICE servers in the browser's form (RTCIceServer URLs, RFC 7064 and 7065), as node-datachannel wants them.
import type { IceServer as NativeIceServer } from "node-datachannel";
import type { IceServer } from "../../contracts/session.js";

type NativeServer = string | NativeIceServer;

/** One entry a URL; a URL that is not understood is left out: a wrong TURN server must not cost the direct path. */
export function nativeIceServers(servers: readonly IceServer[]): NativeServer[] {
  return servers.flatMap((server) => server.urls.flatMap((url) => nativeServer(url, server) ?? []));
}

function nativeServer(url: string, { username = "", credential = "" }: IceServer): NativeServer | null {
  const match = /^(stuns?|turns?):(\[[^\]]+\]|[^:?[\]]+)(?::(\d{1,5}))?(?:\?transport=(udp|tcp))?$/.exec(url);
  if (match === null) return null;
  const [, scheme = "", hostname = "", explicitPort, transport = "udp"] = match;
  const secure = scheme.endsWith("s");
  const port = Number(explicitPort ?? (secure ? 5349 : 3478));
  if (scheme.startsWith("stun")) return `stun:${hostname}:${port}`;
  const relayType = secure ? "TurnTls" : transport === "tcp" ? "TurnTcp" : "TurnUdp";
  return { hostname, port, username, password: credential, relayType };
}
