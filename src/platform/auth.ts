// Who is calling: turns a request's credential into a Caller, or null when it proves nothing.
//
// Authentication only. What a caller may reach is the route's table (contracts/route.ts), enforced by http.ts; a
// bootstrap token is only recognised here, the orchestrator's store consumes it.
import { createHmac, timingSafeEqual } from "node:crypto";
import { jwtVerify, SignJWT } from "jose";
import { JOSEError } from "jose/errors";
import type { Clock } from "./clock.js";
import { type ApiKey, hashKey, type KeyScope, type Secrets } from "./secrets.js";

export type Caller =
  | { readonly kind: KeyScope; readonly keyId: string; readonly tenant: string }
  /** `epoch`: of which launch of the VM. */
  | { readonly kind: "agent"; readonly vmId: string; readonly epoch: number }
  | { readonly kind: "bootstrap"; readonly token: string }
  | { readonly kind: "player"; readonly sessionId: string; readonly jti: string; readonly expiresAt: number }
  | { readonly kind: "anyone" };

export const agentTokenSeconds = 300;
export const ticketSeconds = 60;
const cookieMs = 30 * 24 * 3_600_000;
export const cookieName = "hotseat";
export const bootstrapPrefix = "hsb_";

const audiences = { agent: "hotseat-agent", player: "hotseat-player" } as const;
const issuer = "hotseat";

export class Authenticator {
  #byHash: ReadonlyMap<string, ApiKey> = new Map();
  #byId: ReadonlyMap<string, ApiKey> = new Map();

  constructor(
    private readonly secrets: Secrets,
    private readonly clock: Clock,
  ) {
    this.useKeys(secrets.keys);
  }

  /** These and no others from now on. */
  useKeys(keys: readonly ApiKey[]): void {
    this.#byHash = new Map(keys.map((key) => [key.sha256, key]));
    this.#byId = new Map(keys.map((key) => [key.id, key]));
  }

  /** The caller behind `Authorization: Bearer …`; null when the credential is unknown, forged or expired. */
  async fromBearer(token: string): Promise<Caller | null> {
    if (token.startsWith("hs_")) return this.fromKey(token);
    if (token.startsWith(bootstrapPrefix)) return { kind: "bootstrap", token };
    return (await this.#fromAgentToken(token)) ?? (await this.fromTicket(token));
  }

  fromKey(key: string): Caller | null {
    const found = this.#byHash.get(hashKey(key));
    return found === undefined ? null : { kind: found.scope, keyId: found.id, tenant: found.tenant };
  }

  /** A cookie stands for a key without being it: `<key id>.<expiry ms>.<HMAC by the key's hash>`; it dies with the key. */
  mintCookie(key: string): { value: string; maxAgeSeconds: number } | null {
    const found = this.#byHash.get(hashKey(key));
    if (found === undefined) return null;
    const claim = `${found.id}.${this.clock.now() + cookieMs}`;
    return { value: `${claim}.${cookieMac(found, claim)}`, maxAgeSeconds: cookieMs / 1000 };
  }

  fromCookie(value: string): Caller | null {
    const [id = "", expiry = "", mac = "", ...more] = value.split(".");
    const key = this.#byId.get(id);
    if (key === undefined || more.length > 0 || !(Number(expiry) > this.clock.now())) return null;
    const expected = Buffer.from(cookieMac(key, `${id}.${expiry}`));
    const given = Buffer.from(mac);
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return null;
    return { kind: key.scope, keyId: key.id, tenant: key.tenant };
  }

  /** A 5-minute token that lets an agent speak for its VM, as long as that launch of it counts. */
  mintAgentToken(vmId: string, epoch: number): Promise<string> {
    return this.#sign({ epoch }, audiences.agent, vmId, agentTokenSeconds);
  }

  async #fromAgentToken(token: string): Promise<Caller | null> {
    const claims = await this.#verify(token, audiences.agent);
    if (claims?.sub === undefined || typeof claims.epoch !== "number") return null;
    return { kind: "agent", vmId: claims.sub, epoch: claims.epoch };
  }

  /** A right to join one session once: the agent consumes its `jti`. */
  async mintTicket(sessionId: string, jti: string): Promise<{ ticket: string; expiresAt: string }> {
    const expiresAt = new Date((Math.floor(this.clock.now() / 1000) + ticketSeconds) * 1000).toISOString();
    return { ticket: await this.#sign({ jti }, audiences.player, sessionId, ticketSeconds), expiresAt };
  }

  async fromTicket(token: string): Promise<Extract<Caller, { kind: "player" }> | null> {
    const claims = await this.#verify(token, audiences.player);
    if (claims?.sub === undefined || claims.jti === undefined || claims.exp === undefined) return null;
    return { kind: "player", sessionId: claims.sub, jti: claims.jti, expiresAt: claims.exp };
  }

  #sign(claims: Record<string, string | number>, audience: string, subject: string, seconds: number): Promise<string> {
    const now = Math.floor(this.clock.now() / 1000);
    return new SignJWT(claims)
      .setProtectedHeader({ alg: "EdDSA" })
      .setIssuer(issuer)
      .setAudience(audience)
      .setSubject(subject)
      .setIssuedAt(now)
      .setExpirationTime(now + seconds)
      .sign(this.secrets.signingKey);
  }

  async #verify(token: string, audience: string) {
    try {
      const { payload } = await jwtVerify(token, this.secrets.verifyingKey, {
        algorithms: ["EdDSA"],
        issuer,
        audience,
        currentDate: new Date(this.clock.now()),
      });
      return payload;
    } catch (error) {
      if (error instanceof JOSEError) return null;
      throw error;
    }
  }
}

const cookieMac = (key: ApiKey, claim: string) => createHmac("sha256", key.sha256).update(claim).digest("base64url");
