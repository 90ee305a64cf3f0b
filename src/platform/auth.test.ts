import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { Authenticator } from "./auth.js";
import { addKey, ensureSecrets, loadSecrets, mintKey, plainKey } from "./secrets.js";

const folder = mkdtempSync(join(tmpdir(), "hotseat-secrets-"));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, "secrets.json");

describe("the secrets file", () => {
  it("is made once, whoever comes first, and only its owner may read it", async () => {
    const [a, b] = await Promise.all([ensureSecrets(path), ensureSecrets(path)]);
    expect(a.keys).toStrictEqual(b.keys);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it("keeps of an added key only its hash", async () => {
    const key = mintKey("session", "acme", "acme");
    await addKey(path, key);
    expect(readFileSync(path, "utf8")).not.toContain(key.key);
    const caller = new Authenticator(await loadSecrets(path), { now: Date.now }).fromKey(key.key);
    expect(caller).toStrictEqual({ kind: "session", keyId: "acme", tenant: "acme" });
    await expect(addKey(path, key)).rejects.toThrow(/acme exists/);
  });

  it("is left as it is by a key that cannot be", async () => {
    const before = readFileSync(path, "utf8");
    await expect(addKey(path, mintKey("session", "bad id!"))).rejects.toThrow(/small letters/);
    expect(readFileSync(path, "utf8")).toBe(before);
  });

  it("that is missing says how to make one", async () => {
    await expect(loadSecrets(join(folder, "none.json"))).rejects.toThrow(/hotseat keys init/);
  });
});

describe("a credential", () => {
  const at = (ms: number) => ({ now: () => 1_800_000_000_000 + ms });
  const secrets = ensureSecrets(path);

  it("of a player opens its own session until it expires", async () => {
    const { ticket } = await new Authenticator(await secrets, at(0)).mintTicket("s1", "jti-1");
    expect(await new Authenticator(await secrets, at(59_000)).fromTicket(ticket)).toMatchObject({
      sessionId: "s1",
      jti: "jti-1",
    });
    expect(await new Authenticator(await secrets, at(61_000)).fromTicket(ticket)).toBeNull();
  });

  it("of one audience is nothing to another", async () => {
    const authenticator = new Authenticator(await secrets, at(0));
    expect(await authenticator.fromTicket(await authenticator.mintAgentToken("vm1", 1))).toBeNull();
    expect(await authenticator.fromBearer(await authenticator.mintAgentToken("vm1", 1))).toStrictEqual({
      kind: "agent",
      epoch: 1,
      vmId: "vm1",
    });
  });

  it("signed by another installation is nothing", async () => {
    const other = new Authenticator(await ensureSecrets(join(folder, "other.json")), at(0));
    expect(await new Authenticator(await secrets, at(0)).fromBearer(await other.mintAgentToken("vm1", 1))).toBeNull();
  });

  it("in a cookie stands for its key until it expires, and cannot be changed", async () => {
    const keys = await secrets;
    const cookie = new Authenticator(keys, at(0)).mintCookie(plainKey(keys, "session"))!;
    expect(new Authenticator(keys, at(1_000)).fromCookie(cookie.value)).toMatchObject({
      kind: "session",
      tenant: "local",
    });
    expect(new Authenticator(keys, at(cookie.maxAgeSeconds * 1000 + 1)).fromCookie(cookie.value)).toBeNull();
    expect(new Authenticator(keys, at(0)).fromCookie(cookie.value.replace("play", "operator"))).toBeNull();
    expect(new Authenticator(keys, at(0)).fromCookie(`${cookie.value}.more`)).toBeNull();
    expect(new Authenticator(keys, at(0)).mintCookie("hs_session_guess")).toBeNull();
  });
});
