import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Authenticator } from "./auth.js";
import { systemClock } from "./clock.js";
import { addKey, ensureSecrets, loadSecrets, mintKey, revokeKey } from "./secrets.js";

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

  test("that Hotseat itself uses is not revoked, nor one that does not exist", async () => {
    for (const id of ["service", "play"]) await expect(revokeKey(path, id)).rejects.toThrow(/Hotseat itself uses/);
    await expect(revokeKey(path, "nobody")).rejects.toThrow(/no key named nobody/);
    await revokeKey(path, "operator");
    expect(await names()).toEqual(["play", "reader", "service"]);
  });
});
