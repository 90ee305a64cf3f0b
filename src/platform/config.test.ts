import { describe, expect, it } from "vitest";
import { announcement } from "../contracts/ingest-nodes.js";
import { ConfigError, listenConfig, parseConfig } from "./config.js";

describe("an address that browsers are to use", () => {
  const takes = (url: string) => {
    const beat = { type: "beat", connection: 1, version: 0, url };
    const said = announcement.safeParse(beat).success;
    try {
      parseConfig(listenConfig, { publicUrl: url, allowedOrigins: [url] });
      return [said, true];
    } catch (error) {
      expect(error).toBeInstanceOf(ConfigError);
      return [said, false];
    }
  };

  it("is of HTTP, in the settings and in what another node says", () => {
    for (const url of ["http://10.0.0.1:8080", "https://play.example.org/"]) expect(takes(url)).toEqual([true, true]);
    for (const url of ["mailto:a@example.org", "javascript:alert(1)", "file:///etc/passwd", "wss://play.example.org"])
      expect(takes(url)).toEqual([false, false]);
  });
});
