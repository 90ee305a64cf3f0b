import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { completeAnswer, readOffer, UnusableOfferError } from "./sdp.js";

/** As headless Chromium 156 made it, receiving one video and one audio, with two data channels. */
const chromium = readFileSync(new URL("../../../test/fixtures/chromium-156-offer.sdp", import.meta.url), "utf8");

describe("an offer", () => {
  it("of Chromium is answered in constrained baseline, packetization mode 1, with its RTX and extension ids", () => {
    expect(readOffer(chromium)).toEqual({
      video: {
        mid: "0",
        payloadType: 108,
        fmtp: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
        rtxPayloadType: 109,
        playoutDelayId: 5,
        transportSequenceId: 4,
      },
      audio: { mid: "1", payloadType: 111, inBandFec: true },
    });
  });

  it("falls back to baseline where there is no constrained baseline", () => {
    const offer = chromium.replaceAll("42e01f", "640c1f");
    expect(readOffer(offer).video).toMatchObject({ payloadType: 102, rtxPayloadType: 103 });
  });

  it("without sound is answered without sound", () => {
    expect(readOffer(chromium.replace(/m=audio[\s\S]*(?=m=application)/, "")).audio).toBeNull();
    expect(readOffer(chromium.replace("m=audio 9", "m=audio 0")).audio).toBeNull();
  });

  it("says whether the browser's sound can be repaired in band", () => {
    const without = chromium.replace("useinbandfec=1", "useinbandfec=0");
    expect(readOffer(without).audio).toMatchObject({ inBandFec: false });
  });

  it("without extensions and RTX is answered without them", () => {
    const bare = chromium.replaceAll(/a=extmap:.*\r\n/g, "").replaceAll(/a=rtpmap:\d+ rtx.*\r\n/g, "");
    expect(readOffer(bare).video).toMatchObject({
      rtxPayloadType: null,
      playoutDelayId: null,
      transportSequenceId: null,
    });
  });

  it("that we cannot send to is refused by type", () => {
    const offers = [
      "v=0\r\n",
      "",
      chromium.replaceAll("H264", "H265"),
      chromium.replaceAll("packetization-mode=1", "packetization-mode=0"),
      chromium.replace("m=video 9", "m=video 0"),
      chromium.replaceAll("opus/48000/2", "speex/16000"),
      chromium.replace("a=mid:0\r\n", ""),
    ];
    for (const offer of offers) expect(() => readOffer(offer)).toThrow(UnusableOfferError);
  });
});

describe("an answer", () => {
  const { video } = readOffer(chromium);
  const raw = [
    "v=0",
    "a=group:BUNDLE 0 1",
    "m=video 9 UDP/TLS/RTP/SAVPF 108 109",
    "a=mid:0",
    "a=ssrc:70 cname:hotseat",
    "a=ssrc:70 msid:picture video",
    "a=rtpmap:108 H264/90000",
    "a=rtcp-fb:108 nack",
    "a=rtcp-fb:108 goog-remb",
    "m=audio 9 UDP/TLS/RTP/SAVPF 111",
    "a=mid:1",
    "a=ssrc:90 cname:hotseat",
    "a=rtpmap:111 opus/48000/2",
    "",
  ].join("\r\n");

  it("names the extensions, the feedback and the pair of SSRCs, and leaves the other sections as they are", () => {
    expect(completeAnswer(raw, video, { ssrc: 70, rtxSsrc: 71 }).split("\r\n")).toEqual([
      "v=0",
      "a=group:BUNDLE 0 1",
      "m=video 9 UDP/TLS/RTP/SAVPF 108 109",
      "a=mid:0",
      "a=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
      "a=extmap:4 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
      "a=ssrc-group:FID 70 71",
      "a=ssrc:70 cname:hotseat",
      "a=ssrc:71 cname:hotseat",
      "a=ssrc:70 msid:picture video",
      "a=ssrc:71 msid:picture video",
      "a=rtpmap:108 H264/90000",
      "a=rtcp-fb:108 ccm fir",
      "a=rtcp-fb:108 transport-cc",
      "a=rtcp-fb:108 nack",
      "m=audio 9 UDP/TLS/RTP/SAVPF 111",
      "a=mid:1",
      "a=ssrc:90 cname:hotseat",
      "a=rtpmap:111 opus/48000/2",
      "",
    ]);
  });

  it("promises nothing that was not offered", () => {
    const bare = { ...video, rtxPayloadType: null, playoutDelayId: null, transportSequenceId: null };
    const answer = completeAnswer(raw, bare, { ssrc: 70, rtxSsrc: 71 });
    expect(answer).not.toMatch(/extmap|transport-cc|FID|ssrc:71/);
  });
});
