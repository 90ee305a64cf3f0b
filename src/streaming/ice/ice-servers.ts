// STUN and TURN servers, from configuration, for players and agents alike.
//
// TURN credentials are per session and expire (coturn's `use-auth-secret`, draft-uberti-behave-turn-rest-00): the
// username is `<expiry, Unix seconds>:<session>`, the password its HMAC-SHA1 by the secret shared with the TURN server.
import { createHmac } from "node:crypto";
import * as z from "zod";
import { type IceServer, iceServer } from "../../contracts/session.js";

const turnCredentialSeconds = 6 * 3600;

export const iceServersConfig = z
  .array(
    z.union([
      z.strictObject({ urls: iceServer.shape.urls, sharedSecret: z.string().min(16) }),
      z.strictObject(iceServer.shape),
    ]),
  )
  .default([]);
export type IceServersConfig = z.infer<typeof iceServersConfig>;

/** The servers one session may use. `now`: ms since the epoch. */
export function iceServersFor(config: IceServersConfig, sessionId: string, now: number): IceServer[] {
  return config.map((server) => {
    if (!("sharedSecret" in server)) return server;
    const username = `${Math.floor(now / 1000) + turnCredentialSeconds}:${sessionId}`;
    const credential = createHmac("sha1", server.sharedSecret).update(username).digest("base64");
    return { urls: server.urls, username, credential };
  });
}
