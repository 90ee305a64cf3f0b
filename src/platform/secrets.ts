// The secrets file: API keys and the control plane's signing key, mode 0600, shared by the roles of one installation.
//
// Keys are 256 random bits, so a plain SHA-256 is enough to store them by; `key` itself is kept only where this
// installation must use it (the service key between roles, the links `hotseat up` prints).
import { createHash, randomBytes } from "node:crypto";
import { unwatchFile, watchFile } from "node:fs";
import { chmod, link, mkdir, readFile, rename, rm, unlink, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { exportJWK, generateKeyPair, importJWK, type JWK } from "jose";
import * as z from "zod";
import { tenantName } from "../contracts/tenants.js";
import { ConfigError, parseConfig } from "./config.js";
import type { Log } from "./log.js";

/** A revoked key is good for so much longer. */
const keysPollMs = 2_000;

export const keyScope = z.enum(["operate", "session", "read", "service"]);
export type KeyScope = z.infer<typeof keyScope>;

const apiKey = z.object({
  id: z.string().regex(/^[a-z0-9-]{1,40}$/, "a key's name is 1–40 small letters, digits and dashes"),
  scope: keyScope,
  tenant: tenantName.default("default"),
  sha256: z.string().length(64),
  key: z.string().optional(),
});
export type ApiKey = z.infer<typeof apiKey>;

const secretsFile = z.object({
  version: z.literal(1),
  keys: z.array(apiKey),
  signingKey: z.object({ kty: z.literal("OKP"), crv: z.literal("Ed25519"), x: z.string(), d: z.string() }),
});

export interface Secrets {
  readonly keys: readonly ApiKey[];
  /** Ed25519: signs agents' tokens and players' tickets. */
  readonly signingKey: CryptoKey;
  readonly verifyingKey: CryptoKey;
}

export const hashKey = (key: string): string => createHash("sha256").update(key).digest("hex");

/** A new API key: `hs_<scope>_<256 bits>`. */
export function mintKey(scope: KeyScope, id: string, tenant = "default"): ApiKey & { key: string } {
  const key = `hs_${scope}_${randomBytes(32).toString("base64url")}`;
  return { id, scope, tenant, key, sha256: hashKey(key) };
}

/** @throws ConfigError when the file is missing or malformed. */
export async function loadSecrets(path: string): Promise<Secrets> {
  const { keys, signingKey } = await readSecretsFile(path);
  const { d: _, ...publicKey } = signingKey;
  return {
    keys,
    signingKey: await importEd25519(signingKey),
    verifyingKey: await importEd25519(publicKey),
  };
}

/** Makes the file with one key of each scope at first start; several processes may race, one wins. */
export async function ensureSecrets(path: string): Promise<Secrets> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const pair = await generateKeyPair("EdDSA", { crv: "Ed25519", extractable: true });
  const fresh = {
    version: 1,
    keys: [
      mintKey("operate", "operator"),
      mintKey("session", "play", "local"),
      mintKey("read", "reader"),
      mintKey("service", "service"),
    ],
    signingKey: await exportJWK(pair.privateKey),
  };
  const temporary = await writeBeside(path, fresh);
  try {
    await link(temporary, path);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  } finally {
    await unlink(temporary);
  }
  await chmod(path, 0o600);
  return loadSecrets(path);
}

/** Adds a key; only its hash is kept. @throws ConfigError when it cannot be one, or its name is taken. */
export async function addKey(path: string, key: ApiKey): Promise<void> {
  const file = await readSecretsFile(path);
  if (file.keys.some((other) => other.id === key.id)) throw new ConfigError(`A key named ${key.id} exists already.`);
  const { key: _, ...stored } = key;
  const changed = parseConfig(secretsFile, { ...file, keys: [...file.keys, stored] });
  const temporary = await writeBeside(path, changed);
  await rename(temporary, path);
}

/**
 * Takes a key away. @throws ConfigError when there is none of the name, or the installation itself needs it: roles speak
 * to each other by a service key, and `hotseat up` prints its link with a session key
 */
export async function revokeKey(path: string, id: string): Promise<void> {
  const file = await readSecretsFile(path);
  const revoked = file.keys.find((key) => key.id === id);
  if (revoked === undefined) throw new ConfigError(`There is no key named ${id}.`);
  const keys = file.keys.filter((key) => key !== revoked);
  const isOwn = (key: ApiKey) => key.scope === revoked.scope && key.key !== undefined;
  if (ownScopes.includes(revoked.scope) && isOwn(revoked) && !keys.some(isOwn))
    throw new ConfigError(`Hotseat itself needs the ${revoked.scope} key ${id}: it stays.`);
  const temporary = await writeBeside(path, { ...file, keys });
  await rename(temporary, path);
}

const ownScopes: readonly KeyScope[] = ["service", "session"];

/** Tells of the keys whenever the file has changed; a file that cannot be read changes nothing. */
export function followKeys(
  path: string,
  changed: (keys: readonly ApiKey[]) => void,
  { log, pollMs = keysPollMs }: { log: Log; pollMs?: number },
): Disposable {
  const read = async () => {
    try {
      changed((await loadSecrets(path)).keys);
      log.info("the API keys were read again");
    } catch (error) {
      log.error({ err: error }, "the API keys stay as they were");
    }
  };
  const listener = () => void read();
  watchFile(path, { interval: pollMs, persistent: false }, listener);
  return { [Symbol.dispose]: () => unwatchFile(path, listener) };
}

/** A complete file under another name, so that a crash or a full disk half-way leaves the one that is there. */
async function writeBeside(path: string, content: unknown): Promise<string> {
  const temporary = `${path}.${process.pid}.${randomBytes(4).toString("hex")}`;
  try {
    await writeFile(temporary, JSON.stringify(content, null, 2), { mode: 0o600, flush: true });
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  return temporary;
}

/** The plain key of a scope, where this installation keeps one. */
export function plainKey(secrets: Secrets, scope: KeyScope): string {
  const found = secrets.keys.find((key) => key.scope === scope && key.key !== undefined);
  if (found?.key === undefined) throw new ConfigError(`The secrets file holds no usable ${scope} key.`);
  return found.key;
}

async function readSecretsFile(path: string): Promise<z.infer<typeof secretsFile>> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    throw new ConfigError(
      `Cannot read the secrets file ${path}: make one with \`hotseat keys init --secrets ${path}\`.`,
      {
        cause,
      },
    );
  }
  try {
    return parseConfig(secretsFile, JSON.parse(text));
  } catch (cause) {
    throw new ConfigError(`The secrets file ${path} is damaged: restore it, or delete it to make new keys.`, { cause });
  }
}

async function importEd25519(jwk: JWK): Promise<CryptoKey> {
  const key = await importJWK(jwk, "EdDSA");
  if (key instanceof Uint8Array) throw new ConfigError("The signing key is not an Ed25519 key.");
  return key;
}
