// An agent's proof that it holds the key it enrolled with: a fresh EdDSA JWT about its own VM, for renewals alone.
import { importJWK, jwtVerify } from "jose";
import { JOSEError } from "jose/errors";
import { Problem } from "../../contracts/problems.js";

/** An Ed25519 public key (RFC 8037). */
export interface AgentKey {
  readonly kty: "OKP";
  readonly crv: "Ed25519";
  readonly x: string;
}

export const renewAudience = "hotseat-renew";
const proofSecondsMax = 60;
const clockSkewSeconds = 5;

/** @throws Problem forbidden */
export async function checkProof(
  proof: string,
  expected: { key: AgentKey; vmId: string; nowMs: number },
): Promise<void> {
  const { key, vmId, nowMs } = expected;
  try {
    const { payload } = await jwtVerify(proof, await importJWK(key, "EdDSA"), {
      algorithms: ["EdDSA"],
      audience: renewAudience,
      subject: vmId,
      requiredClaims: ["exp"],
      currentDate: new Date(nowMs),
      clockTolerance: clockSkewSeconds,
    });
    if (payload.exp! - nowMs / 1000 <= proofSecondsMax + clockSkewSeconds) return;
  } catch (cause) {
    if (!(cause instanceof JOSEError)) throw cause;
    throw new Problem("forbidden", "The proof is not one by this VM's agent.", { cause });
  }
  throw new Problem("forbidden", `A proof expires within ${proofSecondsMax} s.`);
}
