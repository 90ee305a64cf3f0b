// STUN and TURN servers, from configuration, for players and agents alike.
//
// TURN credentials are per session and expire (coturn's `use-auth-secret`, draft-uberti-behave-turn-rest-00): the
// username is `<expiry, Unix seconds>:<session>`, the password its HMAC-SHA1 by the secret shared with the TURN server.
// Expiries lie on a grid of a fifth of that life: an offer made with the credentials of the HTTP answer is still the one
// of the welcome a moment later. Both ends get new ones at half of the life, so what an end holds is good for at least
// three tenths of it. The server looks at the expiry when an allocation is made, not when it is refreshed: one that runs
// outlives its credential (measured, test/system/turn.test.ts).
import { createHmac } from "node:crypto";
import { readFile } from "node:fs/promises";
import * as z from "zod";
import { type IceServer, iceServer } from "../../contracts/session.js";
import { ConfigError } from "../../platform/config.js";

const secretCharsMin = 16;
const expiriesPerLife = 5;

export const iceServersConfig = z
  .array(
    z.union([
      z.strictObject({
        urls: iceServer.shape.urls,
        sharedSecretFile: z
          .string()
          .min(1)
          .describe("Its first line is the TURN server's `static-auth-secret`; more lines are older ones"),
      }),
      z.strictObject(iceServer.shape),
    ]),
  )
  .default([]);
export type IceServersConfig = z.infer<typeof iceServersConfig>;

/** A server whose credentials we make. */
interface SharedSecretServer {
  readonly urls: string[];
  readonly sharedSecret: string;
}
export type ConfiguredServer = IceServer | SharedSecretServer;

/** @throws ConfigError when a secret's file cannot be read, or is too short to be a secret. */
export const readIceServers = (config: IceServersConfig): Promise<ConfiguredServer[]> =>
  Promise.all(
    config.map(async (server) =>
      "sharedSecretFile" in server
        ? { urls: server.urls, sharedSecret: await readSecret(server.sharedSecretFile) }
        : server,
    ),
  );

async function readSecret(path: string): Promise<string> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    throw new ConfigError(`Cannot read the TURN server's secret: ${cause}`, { cause });
  }
  const [secret = ""] = text.split("\n").map((line) => line.trim());
  if (secret.length < secretCharsMin)
    throw new ConfigError(`The TURN secret in ${path} has less than ${secretCharsMin} characters.`);
  return secret;
}

/** Whether any of them gives credentials that expire. */
export const haveExpiringCredentials = (servers: readonly ConfiguredServer[]): boolean =>
  servers.some((server) => "sharedSecret" in server);

export interface CredentialOptions {
  readonly sessionId: string;
  /** At most; at least four fifths of it. */
  readonly lifeSeconds: number;
  /** ms since the epoch. */
  readonly now: number;
}

/** The servers one session may use. */
export function iceServersFor(
  servers: readonly ConfiguredServer[],
  { sessionId, lifeSeconds, now }: CredentialOptions,
): IceServer[] {
  const gridMs = (lifeSeconds * 1000) / expiriesPerLife;
  const expirySeconds = Math.floor(((Math.floor(now / gridMs) + expiriesPerLife) * gridMs) / 1000);
  return servers.map((server) => {
    if (!("sharedSecret" in server)) return server;
    const username = `${expirySeconds}:${sessionId}`;
    const credential = createHmac("sha1", server.sharedSecret).update(username).digest("base64");
    return { urls: server.urls, username, credential };
  });
}
