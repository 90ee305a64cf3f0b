import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Authenticator } from "./auth.js";
import { systemClock } from "./clock.js";
import { addKey, ensureSecrets, followKeys, loadSecrets, mintKey, revokeKey } from "./secrets.js";
import { silentLog } from "./test-postgres.js";

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hotseat-secrets-"));
  path = join(folder, "secrets.json");
  await ensureSecrets(path);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const names = async () => (await loadSecrets(path)).keys.map(({ id }) => id);
const caller = async (key: string) => new Authenticator(await loadSecrets(path), systemClock).fromKey(key);

describe("a key", () => {
  test("of a tenant is kept as a hash, and speaks for that tenant until it is revoked", async () => {
    const made = mintKey("session", "acme-web", "acme");
    await addKey(path, made);
    expect(await readFile(path, "utf8")).not.toContain(made.key);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await caller(made.key)).toEqual({ kind: "session", keyId: "acme-web", tenant: "acme" });
    await revokeKey(path, "acme-web");
    expect(await caller(made.key)).toBeNull();
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  test("of a name that is taken, or of a tenant that cannot be one, is refused", async () => {
    await expect(addKey(path, mintKey("session", "play", "acme"))).rejects.toThrow(/play exists already/);
    await expect(addKey(path, mintKey("session", "all", "*"))).rejects.toThrow(/tenant: \* stands for/);
    await expect(addKey(path, mintKey("session", "none", ""))).rejects.toThrow(/tenant: /);
    expect(await names()).toEqual(["operator", "play", "reader", "service"]);
  });

  test("that Hotseat itself needs is not revoked, nor one that does not exist", async () => {
    for (const id of ["service", "play"]) await expect(revokeKey(path, id)).rejects.toThrow(/Hotseat itself needs/);
    await expect(revokeKey(path, "nobody")).rejects.toThrow(/no key named nobody/);
    await revokeKey(path, "operator");
    expect(await names()).toEqual(["play", "reader", "service"]);
  });

  test("is known to roles that run, and forgotten, as soon as the file says so; a damaged file changes nothing", async () => {
    const authenticator = new Authenticator(await loadSecrets(path), systemClock);
    using _keys = followKeys(path, (keys) => authenticator.useKeys(keys), { log: silentLog, pollMs: 10 });
    const made = mintKey("session", "acme-web", "acme");
    await addKey(path, made);
    await vi.waitFor(() => expect(authenticator.fromKey(made.key)).toMatchObject({ tenant: "acme" }));
    const cookie = authenticator.mintCookie(made.key)!.value;
    const good = await readFile(path, "utf8");
    using errors = vi.spyOn(silentLog, "error");
    await writeFile(path, "{");
    await vi.waitFor(() => expect(errors).toHaveBeenCalled());
    expect(authenticator.fromKey(made.key)).not.toBeNull();
    await writeFile(path, good);
    await revokeKey(path, "acme-web");
    await vi.waitFor(() => expect(authenticator.fromKey(made.key)).toBeNull());
    expect(authenticator.fromCookie(cookie)).toBeNull();
  });
});
