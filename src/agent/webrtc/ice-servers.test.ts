import { expect, it } from "vitest";
import { usableServers } from "./ice-servers.js";

it("ICE servers are those a machine can use: STUN, and TURN over UDP, one entry a URL", () => {
  const turn = {
    urls: ["turn:a.example", "turn:[::1]:80?transport=udp", "turn:a.example?transport=tcp", "turns:a.example:443"],
    username: "u",
    credential: "p",
  };
  expect(usableServers([{ urls: ["stun:s.example"] }, turn])).toEqual({
    stun: ["stun:s.example:3478"],
    turn: [
      { hostname: "a.example", port: 3478, username: "u", password: "p" },
      { hostname: "[::1]", port: 80, username: "u", password: "p" },
    ],
  });
});

it("ICE servers that make no sense are left out", () => {
  expect(usableServers([{ urls: ["stun:", "turn:a.example:x", "http://a.example"] }])).toEqual({ stun: [], turn: [] });
});
