// Every parser that bytes from outside reach, against many thousands of bad messages: what comes back is a message of
// the contract or a refusal, never something else thrown, and what is kept of it stays within bounds.
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import type * as z from "zod";
import { Random } from "../../sim/kernel/random.js";
import { PlayerInput } from "../../src/agent/input/player-input.js";
import { fromChild, toChild } from "../../src/agent/session/protocol.js";
import { BandwidthEstimate } from "../../src/agent/webrtc/congestion/bandwidth-estimate.js";
import { SentPackets } from "../../src/agent/webrtc/congestion/sent-packets.js";
import { usableServers } from "../../src/agent/webrtc/ice-servers.js";
import { parseRtcp } from "../../src/agent/webrtc/rtcp.js";
import { RtpStream } from "../../src/agent/webrtc/rtp-stream.js";
import { completeAnswer, readOffer, UnusableOfferError } from "../../src/agent/webrtc/sdp.js";
import { announcement, linksPage, playersThere, question } from "../../src/contracts/ingest-nodes.js";
import { decodeInput, encodeInput, InputFormatError, inputBytesMax } from "../../src/contracts/input.js";
import { readAs } from "../../src/contracts/read-as.js";
import {
  controlPrefix,
  fromAgent,
  fromPlayer,
  hello,
  signallingLimits,
  toAgent,
  toPlayer,
  unframeControl,
} from "../../src/contracts/signalling.js";
import { iceServersConfig } from "../../src/streaming/ice/ice-servers.js";
import { openConnection } from "../../src/streaming/signalling/connection.js";
import { type Incoming, relay, type Surroundings } from "../../src/streaming/signalling/relay.js";
import { joined as joinedByAgent } from "../../src/streaming/signalling/relay-fixture.js";
import { changedBytes, inputMessage, nackOf, rtcpPacket } from "./bytes.js";
import { Attacker, again, fuzzSeed } from "./messages.js";

const tries = 800;

// On a machine that does ten things at once.
vi.setConfig({ testTimeout: 120_000 });

describe.each<[string, z.ZodType, readonly z.ZodType[]]>([
  ["a first message", hello, [fromPlayer, toAgent]],
  ["a player's message", fromPlayer, [hello, toPlayer, fromAgent]],
  ["an agent's message", fromAgent, [toAgent, fromPlayer]],
  ["ingest's message to an agent", toAgent, [fromAgent, toPlayer]],
  ["ingest's message to a player", toPlayer, [fromPlayer, toAgent]],
  ["a streaming node's announcement", announcement, [question, toAgent]],
  ["a question to another node", question, [announcement, fromAgent]],
  ["another node's list of links", linksPage, [announcement, playersThere]],
  ["another node's count of players", playersThere, [linksPage]],
  ["the supervisor's message to a session's process", toChild, [fromChild, toAgent]],
  ["a session's process's message", fromChild, [toChild, fromAgent]],
])("%s", (_, schema, others) => {
  it(`is read as what it is or refused, whatever was sent (${again})`, () => {
    const attacker = new Attacker({ expected: schema, others });
    let read = 0;
    for (const message of attacker.messages(tries)) {
      let value: unknown;
      try {
        value = JSON.parse(message instanceof Uint8Array ? Buffer.from(message).toString("utf8") : message);
      } catch (error) {
        expect(error).toBeInstanceOf(SyntaxError);
        continue;
      }
      const parsed = readAs(schema, value);
      if (parsed.success) {
        read++;
        expect(schema.parse(parsed.data)).toEqual(parsed.data);
      }
    }
    expect(read).toBeGreaterThan(tries / 20);
    expect(read).toBeLessThan(tries / 2);
  });
});

describe("the rules of signalling", () => {
  const around: Surroundings = { linked: () => true, iceServers: () => [], nowSeconds: 1, newJti: () => "vouched" };
  const sessionId = "s_1";
  const connectionId = "connection-1";

  it(`hold however player and agent misbehave: nothing thrown, nothing kept without bound (${again})`, () => {
    const random = new Random(fuzzSeed, "relay");
    const player = new Attacker({ expected: fromPlayer, others: [] });
    const agent = new Attacker({ expected: fromAgent, others: [], known: { connectionId: [connectionId] } });
    const start = (channel: "signalling" | "control", accepted: boolean) => {
      const session = { sessionId, vmId: "vm-1", end: null, version: 1, status: "READY", queue: null };
      const door = { type: "admitted", proof: { jti: "t", expiresAt: 9 }, session } as unknown as Incoming;
      return [{ type: "hello" } as const, door, ...(accepted ? [joinedByAgent()] : [])].reduce(
        (connection, incoming) => relay(connection, incoming, around).connection,
        openConnection({ sessionId, connectionId, channel }),
      );
    };
    let connection = start("signalling", false);
    let joined = 0;
    for (let i = 0; i < tries; i++) {
      // An agent's answer comes too rarely by chance: in the second half every connection begins with one.
      if (connection.phase === "closed" || random.chance(0.01) || i === tries / 2)
        connection = start(random.chance(0.8) ? "signalling" : "control", i >= tries / 2);
      const incoming = incomingOf(random.chance(0.5) ? player.value() : agent.value());
      if (incoming === null) continue;
      if (connection.phase === "joined") joined++;
      const step = relay(connection, incoming, around);
      connection = step.connection;
      expect(connection.candidates.length).toBeLessThanOrEqual(signallingLimits.candidatesPerConnectionMax);
      expect(connection.agentCandidates.length).toBeLessThanOrEqual(signallingLimits.candidatesPerConnectionMax);
      for (const item of step.outgoing) {
        if (item.to === "agent") toAgent.parse(item.message);
        else if (item.to === "player" && "message" in item) toPlayer.parse(item.message);
      }
    }
    // Of 2,000 seeds: 80 to 236.
    expect(joined).toBeGreaterThan(40);
  });

  /** As rooms.ts hands it on: parsed, and from whom. */
  function incomingOf(value: unknown): Incoming | null {
    const said = readAs(fromPlayer, value).data;
    if (said !== undefined) return { type: "player", message: said };
    const message = readAs(fromAgent, value).data;
    if (message === undefined || !("connectionId" in message)) return null;
    return { type: "agent", vmId: "vm-1", message };
  }
});

describe("input", () => {
  it(`is decoded or refused by type, and means the same when it is encoded again (${again})`, () => {
    const random = new Random(fuzzSeed, "input");
    const player = new PlayerInput();
    let read = 0;
    for (let i = 0; i < 3 * tries; i++) {
      const bytes = random.chance(0.5) ? inputMessage(random) : changedBytes(random, inputMessage(random));
      let message: ReturnType<typeof decodeInput> | null = null;
      try {
        message = decodeInput(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(InputFormatError);
      }
      const events = player.receive(bytes);
      if (message === null) expect(events).toEqual([]);
      else {
        read++;
        expect(bytes.length).toBeLessThanOrEqual(inputBytesMax);
        // The lowest of an i16 is no value of ours: it is said again as the next.
        const again = decodeInput(encodeInput(message));
        expect(decodeInput(encodeInput(again))).toEqual(again);
      }
    }
    expect(read).toBeGreaterThan(tries);
    expect(player.release().length).toBeLessThan(200);
    expect(player.release()).toEqual([]);
  });

  it("of a control socket keeps its connection's id through the frame on the agent's link, and nothing else is a frame", () => {
    const id = fc.string({ minLength: 1, maxLength: 64, unit: "grapheme-ascii" });
    fc.assert(
      fc.property(id, fc.uint8Array({ minLength: 1, maxLength: 64 }), (connectionId, input) => {
        const framed = unframeControl(Uint8Array.of(...controlPrefix(connectionId), ...input));
        expect(framed).toEqual({ connectionId, input });
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const framed = unframeControl(bytes);
        if (framed === null) return;
        expect(framed.connectionId.length).toBe(bytes[0]);
        expect(framed.input.length).toBe(bytes.length - 1 - framed.connectionId.length);
        expect(framed.input.length).toBeGreaterThan(0);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("feedback of a browser", () => {
  it(`leaves the estimate a number within its bounds, and the sender on its feet, whatever it says (${again})`, () => {
    const random = new Random(fuzzSeed, "rtcp");
    const bounds = { kbpsMin: 1_000, kbpsMax: 15_000 };
    const estimate = new BandwidthEstimate(bounds.kbpsMax, bounds);
    const sent = new SentPackets();
    let sentPackets = 0;
    let resentPackets = 0;
    const rtx = { ssrc: 2, payloadType: 109 };
    const stream = new RtpStream({
      ssrc: 1,
      payloadType: 108,
      clockRate: 90_000,
      cname: "c",
      extensions: { playoutDelay: 5, transportSequence: 4 },
      rtx,
      sent,
      firstSequence: 0,
      send: (packet) => (packet.readUInt32BE(8) === rtx.ssrc ? resentPackets++ : sentPackets++),
    });
    const unit = Buffer.alloc(9_000, 7);
    unit.set([0, 0, 0, 1, 0x65]);
    let heard = 0;
    let roundTripMs = 0;
    for (let i = 0; i < tries; i++) {
      const nowMs = i * 16;
      stream.sendAccessUnit(unit, { timestamp: i * 1_500, keyframe: i % 50 === 0, nowMs });
      const parts = Array.from({ length: random.whole(1, 3) }, () =>
        random.chance(0.6) ? rtcpPacket(random) : changedBytes(random, rtcpPacket(random)),
      );
      // By chance hardly any NACK names what has been sent.
      if (random.chance(0.2)) parts.unshift(nackOf(sentPackets - 1));
      for (const feedback of parseRtcp(Buffer.concat(parts))) {
        heard++;
        if (feedback.type === "transport") estimate.update(sent.match(feedback), nowMs, roundTripMs);
        if (feedback.type === "report") roundTripMs = feedback.delaySinceLastSenderReport / 65.536;
        if (feedback.type === "nack")
          stream.resend(feedback.sequences, { nowMs, roundTripMs, bitrateKbps: estimate.kbps });
        expect(estimate.kbps).toBeGreaterThanOrEqual(bounds.kbpsMin);
        expect(estimate.kbps).toBeLessThanOrEqual(bounds.kbpsMax);
      }
    }
    // Of 1,000 seeds: 1,013 to 1,300, and 141 to 270.
    expect(heard).toBeGreaterThan(tries / 2);
    expect(resentPackets).toBeGreaterThan(tries / 20);
  });

  it("that tells of more packets than are remembered is left out: 40 bytes must not cost 65,535 steps", () => {
    const packet = Buffer.from("8fcd0009000000010000002a0000ffff00000000".padEnd(80, "0"), "hex");
    for (let at = 20; at < 40; at += 2) packet.writeUInt16BE(0x1fff, at);
    expect(parseRtcp(packet)).toEqual([]);
  });
});

describe("an offer", () => {
  const chromium = readFileSync(new URL("../fixtures/chromium-156-offer.sdp", import.meta.url), "utf8");

  it(`changed in any of its lines is answered within RTP's bounds, or refused by type (${again})`, () => {
    const random = new Random(fuzzSeed, "sdp");
    let usable = 0;
    for (let i = 0; i < tries; i++) {
      const offer = changedText(random, chromium);
      try {
        const { video, audio } = readOffer(offer);
        usable++;
        // Seven bits (RFC 3550 §5.1), and one-byte extension ids (RFC 8285 §4.2).
        for (const type of [video.payloadType, video.rtxPayloadType ?? 0, audio?.payloadType ?? 0])
          expect(type & 0x7f).toBe(type);
        for (const id of [video.playoutDelayId ?? 1, video.transportSequenceId ?? 1])
          expect(id > 0 && id < 15).toBe(true);
        expect(video.mid).toMatch(/^\S+$/);
        completeAnswer(changedText(random, chromium), video, { ssrc: 70, rtxSsrc: 71 });
      } catch (error) {
        expect(error).toBeInstanceOf(UnusableOfferError);
      }
    }
    expect(usable).toBeGreaterThan(tries / 10);
    expect(usable).toBeLessThan(tries);
  });

  function changedText(random: Random, text: string): string {
    const lines = text.split("\r\n");
    for (let i = random.whole(0, 6); i > 0; i--) {
      const at = random.whole(0, lines.length - 1);
      const line = lines[at]!;
      lines[at] = random.pick([
        "",
        line.toUpperCase(),
        line.replace(/\d+/, () => random.pick(["0", "-1", "128", "99999999999999999999", "1e9", "x"])),
        line.slice(0, random.whole(0, line.length)),
        `${line}\r\n${line}`,
        `${line}\u0000`,
        line.padEnd(5_000, ";packetization-mode=1 "),
        lines[random.whole(0, lines.length - 1)]!,
      ]);
    }
    return lines.join(random.chance(0.9) ? "\r\n" : "\n");
  }
});

describe("ICE servers", () => {
  const url = fc.oneof(
    fc
      .tuple(
        fc.constantFrom("stun:", "stuns:", "turn:", "turns:", "http:", ""),
        fc.oneof(
          fc.domain(),
          fc.ipV4(),
          fc.ipV6().map((address) => `[${address}]`),
          fc.string({ maxLength: 12 }),
        ),
        fc.oneof(
          fc.nat(99_999).map((port) => `:${port}`),
          fc.constantFrom("", ":", ":0", ":-1", ":65536", ":x"),
        ),
        fc.constantFrom("", "?transport=udp", "?transport=tcp", "?transport=", "?"),
      )
      .map((parts) => parts.join("")),
    fc.string(),
  );

  it("are those whose name and port a socket takes; others are left out", () => {
    fc.assert(
      fc.property(fc.array(url, { maxLength: 5 }), (urls) => {
        const { stun, turn } = usableServers([{ urls, username: "u", credential: "c" }]);
        expect(stun.length + turn.length).toBeLessThanOrEqual(urls.length);
        for (const found of [...turn.map(({ hostname, port }) => `stun:${hostname}:${port}`), ...stun]) {
          expect(found).toMatch(/^stun:(\[[0-9a-f:.%]+\]|[A-Za-z0-9._-]+):\d+$/i);
          const port = Number(found.split(":").at(-1));
          expect(port).toBeGreaterThan(0);
          expect(port).toBeLessThan(65_536);
        }
      }),
      { numRuns: 2_000, seed: fuzzSeed },
    );
  });

  it(`in a settings file are taken as they are or refused, whatever stands there (${again})`, () => {
    const attacker = new Attacker({ expected: iceServersConfig, others: [] });
    for (let i = 0; i < tries; i++) {
      const parsed = readAs(iceServersConfig, attacker.value());
      if (!parsed.success) continue;
      expect(() => iceServersConfig.parse(parsed.data)).not.toThrow();
    }
  });
});
