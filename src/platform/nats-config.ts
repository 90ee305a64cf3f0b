// How a process reaches NATS. Secrets stand in files of their own, so that settings may be shown.
import { readFile } from "node:fs/promises";
import {
  type Authenticator,
  type ConnectionOptions,
  credsAuthenticator,
  tokenAuthenticator,
  usernamePasswordAuthenticator,
} from "@nats-io/transport-node";
import * as z from "zod";

const path = z.string().min(1);

/** `user:password@` in an address would end up in logs. */
const natsServer = z.string().regex(/^((nats|tls):\/\/)?[^@/\s]+$/, "nats://host:port; credentials go into `auth`");

/** One subject token after another, by dots. */
export const subjectPrefix = z.string().regex(/^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/);

export const natsAccess = z.strictObject({
  servers: z.array(natsServer).min(1),
  auth: z
    .union([
      z.strictObject({ credentialsFile: path.describe("A .creds file: JWT and NKey seed") }),
      z.strictObject({ tokenFile: path }),
      z.strictObject({ user: z.string().min(1), passwordFile: path }),
    ])
    .optional(),
  tls: z.strictObject({ caFile: path.optional() }).optional(),
});
export type NatsAccess = z.infer<typeof natsAccess>;

const connectMsMax = 1_000;
const reconnectMs = 250;

/** For a connection that, once made, is made again for as long as the process lives. Reads the secrets' files. */
export const connectionOptions = async (
  { servers, auth, tls }: NatsAccess,
  name: string,
): Promise<ConnectionOptions> => ({
  servers,
  name,
  timeout: connectMsMax,
  maxReconnectAttempts: -1,
  reconnectTimeWait: reconnectMs,
  ignoreAuthErrorAbort: true,
  noAsyncTraces: true,
  ...(auth && { authenticator: await authenticatorOf(auth) }),
  ...(tls && { tls }),
});

async function authenticatorOf(auth: NonNullable<NatsAccess["auth"]>): Promise<Authenticator> {
  if ("credentialsFile" in auth) return credsAuthenticator(await readFile(auth.credentialsFile));
  if ("tokenFile" in auth) return tokenAuthenticator((await readFile(auth.tokenFile, "utf8")).trim());
  return usernamePasswordAuthenticator(auth.user, (await readFile(auth.passwordFile, "utf8")).trim());
}
