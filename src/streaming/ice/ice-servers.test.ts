import { createHmac } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { ConfigError } from "../../platform/config.js";
import { haveExpiringCredentials, iceServersConfig, iceServersFor, readIceServers } from "./ice-servers.js";

const folder = mkdtempSync(join(tmpdir(), "hotseat-ice-"));
afterAll(() => rmSync(folder, { recursive: true }));

const secretFile = (name: string, text: string) => {
  writeFileSync(join(folder, name), text, { mode: 0o600 });
  return join(folder, name);
};
const read = (config: unknown) => readIceServers(iceServersConfig.parse(config));
const session = { sessionId: "s_1", lifeSeconds: 300, now: 1_000_400 };

describe("ICE servers", () => {
  it("are what the configuration says", async () => {
    const servers = await read([{ urls: ["stun:stun.example.org"] }]);
    expect(iceServersFor(servers, session)).toEqual([{ urls: ["stun:stun.example.org"] }]);
    expect(haveExpiringCredentials(servers)).toBe(false);
  });

  it("carry a TURN password of the session's own that coturn can verify and that expires", async () => {
    const sharedSecretFile = secretFile("secret", "the newest secret of the TURN server\nan older one, still taken\n");
    const servers = await read([{ urls: ["turn:turn.example.org"], sharedSecretFile }]);
    expect(haveExpiringCredentials(servers)).toBe(true);
    const username = "1260:s_1";
    expect(iceServersFor(servers, session)).toEqual([
      {
        urls: ["turn:turn.example.org"],
        username,
        credential: createHmac("sha1", "the newest secret of the TURN server").update(username).digest("base64"),
      },
    ]);
  });

  it("give credentials that live between four fifths of the life and all of it, the same within a fifth", async () => {
    const sharedSecretFile = secretFile("one", "the newest secret of the TURN server");
    const servers = await read([{ urls: ["turn:turn.example.org"], sharedSecretFile }]);
    const expiryAt = (now: number, lifeSeconds: number) =>
      Number(iceServersFor(servers, { sessionId: "s_1", lifeSeconds, now })[0]!.username!.split(":")[0]) * 1000;
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4e12 }), fc.integer({ min: 10, max: 86_400 }), (now, lifeSeconds) => {
        const left = expiryAt(now, lifeSeconds) - now;
        expect(left).toBeLessThanOrEqual(lifeSeconds * 1000);
        expect(left).toBeGreaterThan(lifeSeconds * 800 - 1000);
      }),
    );
    expect(new Set([0, 20_000, 59_999].map((later) => expiryAt(6e8 + later, 300))).size).toBe(1);
  });

  it.each([
    ["is missing", () => join(folder, "none"), /Cannot read/],
    ["is empty", () => secretFile("empty", "\n"), /less than 16/],
    ["is too short", () => secretFile("short", "hunter2\n"), /less than 16/],
  ])("are a wrong configuration when the secret %s, and the secret is not told", async (_, path, message) => {
    const wrong = read([{ urls: ["turn:turn.example.org"], sharedSecretFile: path() }]);
    await expect(wrong).rejects.toThrow(ConfigError);
    await expect(wrong).rejects.toThrow(message);
    await expect(wrong).rejects.not.toThrow(/hunter2/);
  });

  it("refuse a URL that is neither STUN nor TURN, and a secret in the settings themselves", () => {
    expect(iceServersConfig.safeParse([{ urls: ["https://example.org"] }]).success).toBe(false);
    const inline = [{ urls: ["turn:turn.example.org"], sharedSecret: "a secret of the TURN server" }];
    expect(iceServersConfig.safeParse(inline).success).toBe(false);
  });
});
