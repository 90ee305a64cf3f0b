import { createHmac } from "node:crypto";
import { describe, expect, it } from "vitest";
import { iceServersConfig, iceServersFor } from "./ice-servers.js";

describe("ICE servers", () => {
  it("are what the configuration says", () => {
    const config = iceServersConfig.parse([{ urls: ["stun:stun.example.org"] }]);
    expect(iceServersFor(config, "s_1", 0)).toEqual([{ urls: ["stun:stun.example.org"] }]);
  });

  it("carry a TURN password of the session's own that coturn can verify and that expires", () => {
    const sharedSecret = "a secret of the TURN server";
    const config = iceServersConfig.parse([{ urls: ["turn:turn.example.org"], sharedSecret }]);
    const [server] = iceServersFor(config, "s_1", 1_000_000);
    expect(server).toEqual({
      urls: ["turn:turn.example.org"],
      username: `${1_000 + 6 * 3600}:s_1`,
      credential: createHmac("sha1", sharedSecret).update(server!.username!).digest("base64"),
    });
  });

  it("refuse a URL that is neither STUN nor TURN", () => {
    expect(iceServersConfig.safeParse([{ urls: ["https://example.org"] }]).success).toBe(false);
  });
});
