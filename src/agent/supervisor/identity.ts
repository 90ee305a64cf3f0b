// The agent's proof of who it is: an Ed25519 key that never leaves this process, and the short tokens it is traded for.
//
// Tokens are renewed on use, at a random point between 50 and 80 % of their life, so that a fleet that enrolled together
// does not renew together. While the old one is still good nobody waits for the new one, and a control plane that is
// away costs nothing until it runs out. After it has, or after `invalidate`, callers wait for a renewal by proof of the
// key, which a restarted control plane accepts as well. Expiry never cuts a link: it is asked for only to open one.

import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { agentRoutes } from "../../contracts/agents.js";
import { Problem, problemDocument, problemFromDocument } from "../../contracts/problems.js";
import { readAs } from "../../contracts/read-as.js";
import { createClient, fillPath } from "../../platform/client.js";
import type { Log } from "../../platform/log.js";
import { retry } from "./retry.js";

const callMsMax = 5_000;
const proofSeconds = 30;
const renewFrom = 0.5;
const renewTo = 0.8;

interface Token {
  readonly token: string;
  readonly expiresInSeconds: number;
}

interface HeldToken {
  readonly value: string;
  readonly renewAtMs: number;
  readonly expiresAtMs: number;
}

export interface IdentityContext {
  readonly vmId: string;
  readonly epoch: number;
  readonly orchestratorUrl: () => Promise<string>;
  /** Milliseconds on a clock that never jumps: the VM's wall clock may. */
  readonly monotonicMs: () => number;
  readonly random: () => number;
  readonly log: Log;
  /** Ends renewals and retries. */
  readonly signal: AbortSignal;
}

/** The control plane will never take this agent: its bootstrap token is used, wrong, or another VM's. */
export class EnrolmentRefused extends Error {
  override name = "EnrolmentRefused";
}

/**
 * Trades the bootstrap token for an identity, for as long as the control plane is away.
 * @throws EnrolmentRefused when it answers no.
 */
export async function enrol(context: IdentityContext, bootstrapToken: string): Promise<Identity> {
  const { vmId, epoch, log } = context;
  const { privateKey, publicKey } = await generateKeyPair("EdDSA", { crv: "Ed25519" });
  const { x } = await exportJWK(publicKey);
  if (x === undefined) throw new Error("an Ed25519 public key has an x");
  let mayHaveArrived = false;
  const token = await retry(context, async () => {
    const client = createClient({
      baseUrl: await context.orchestratorUrl(),
      bearer: bootstrapToken,
      timeoutMs: callMsMax,
    });
    try {
      const { body } = await client.call(agentRoutes.enrol, {
        params: { vmId },
        body: { publicKey: { kty: "OKP", crv: "Ed25519", x }, epoch },
        signal: context.signal,
      });
      return body;
    } catch (error) {
      // An enrolment whose answer was lost has used the token up, for this very key: the key then proves itself.
      if (mayHaveArrived && isRefusal(error)) return renewByProof(context, privateKey);
      mayHaveArrived = true;
      throw error;
    }
  }).catch((cause: unknown) => {
    if (!isRefusal(cause)) throw cause;
    throw new EnrolmentRefused(
      `The control plane refuses this agent as VM ${vmId}: its bootstrap token is used or wrong (${cause.message}).`,
      { cause },
    );
  });
  log.info({ vmId, expiresInSeconds: token.expiresInSeconds }, "enrolled");
  return new Identity(context, privateKey, token);
}

export class Identity {
  #held: HeldToken;
  #renewal: Promise<void> | null = null;

  constructor(
    private readonly context: IdentityContext,
    private readonly privateKey: CryptoKey,
    token: Token,
  ) {
    this.#held = this.#hold(token);
  }

  /** A token that is good now. @throws Problem when the one held has run out and no other is to be had. */
  async bearer(): Promise<string> {
    const nowMs = this.context.monotonicMs();
    if (nowMs < this.#held.renewAtMs) return this.#held.value;
    const renewal = this.#renew();
    if (nowMs < this.#held.expiresAtMs) {
      renewal.catch((err: unknown) => this.context.log.warn({ err }, "the agent's token could not be renewed yet"));
      return this.#held.value;
    }
    await renewal;
    return this.#held.value;
  }

  /** The control plane did not take the token: the next caller waits for another. */
  invalidate(): void {
    this.#held = { ...this.#held, renewAtMs: 0, expiresAtMs: 0 };
  }

  #renew(): Promise<void> {
    this.#renewal ??= renewByProof(this.context, this.privateKey)
      .then((token) => {
        this.#held = this.#hold(token);
        this.context.log.debug({ expiresInSeconds: token.expiresInSeconds }, "token renewed");
      })
      .finally(() => {
        this.#renewal = null;
      });
    return this.#renewal;
  }

  #hold({ token, expiresInSeconds }: Token): HeldToken {
    const nowMs = this.context.monotonicMs();
    const lifeMs = expiresInSeconds * 1000;
    const renewAfter = renewFrom + (renewTo - renewFrom) * this.context.random();
    return { value: token, renewAtMs: nowMs + lifeMs * renewAfter, expiresAtMs: nowMs + lifeMs };
  }
}

/** An answer that asking again would not change. */
export const isRefusal = (error: unknown): error is Problem =>
  error instanceof Problem && ["unauthenticated", "forbidden", "not-found"].includes(error.type);

/** Another launch's agent speaks for the VM, or it was given up: what runs here has its seat elsewhere by now. */
export const isFenced = (error: unknown): error is Problem => error instanceof Problem && error.type === "agent-fenced";

// Without an Authorization header: the token at hand may have run out, and the edge refuses a bad one on any route.
async function renewByProof(context: IdentityContext, privateKey: CryptoKey): Promise<Token> {
  const { vmId, epoch } = context;
  const proof = await new SignJWT()
    .setProtectedHeader({ alg: "EdDSA" })
    .setSubject(vmId)
    .setAudience("hotseat-renew")
    .setIssuedAt()
    .setExpirationTime(`${proofSeconds}s`)
    .sign(privateKey);
  const route = agentRoutes.renew;
  const url = new URL(fillPath(route.path, { vmId }), await context.orchestratorUrl());
  let body: unknown;
  let ok: boolean;
  try {
    const response = await fetch(url, {
      method: route.method,
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ proof, epoch }),
      signal: AbortSignal.any([context.signal, AbortSignal.timeout(callMsMax)]),
    });
    ok = response.ok;
    body = await response.json();
  } catch (cause) {
    context.signal.throwIfAborted();
    throw new Problem("unavailable", "The orchestrator does not answer.", { cause });
  }
  if (ok) return route.responses[200].schema.parse(body);
  const problem = readAs(problemDocument, body);
  throw problem.success ? problemFromDocument(problem.data) : new Problem("unavailable");
}
