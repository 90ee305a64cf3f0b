// What of the browser's offer we answer with, and what libdatachannel's answer lacks, as pure functions on SDP text.
//
// libdatachannel hands our raw RTP on as it is and describes only what it knows itself. Chromium honours more, if the
// answer says so: header extensions (without playout-delay its jitter buffer adds 7 ms), transport-wide feedback, FIR,
// and the pairing of the stream with its retransmissions (RFC 5576 §4.2; without it RTX packets are thrown away).

/** The offer cannot be read, or has nothing this agent can send. */
export class UnusableOfferError extends Error {
  override name = "UnusableOfferError";
}

export interface OfferedVideo {
  readonly mid: string;
  readonly payloadType: number;
  readonly fmtp: string;
  readonly rtxPayloadType: number | null;
  readonly playoutDelayId: number | null;
  readonly transportSequenceId: number | null;
}

export interface OfferedAudio {
  readonly mid: string;
  readonly payloadType: number;
  /** Its decoder repairs lost packets from the ones after them (RFC 7587 §6.1). */
  readonly inBandFec: boolean;
}

export interface OfferedMedia {
  readonly video: OfferedVideo;
  /** Null: the page wants no sound. */
  readonly audio: OfferedAudio | null;
}

export const extensionUris = {
  playoutDelay: "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
  transportSequence: "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
} as const;

/** What a candidate's `sdpMid` may have. */
const midCharsMax = 64;

/** Constrained baseline first; a decoder of baseline or main plays it too. High would have Chromium reject the answer. */
const profiles = ["42e0", "42c0", "4200", "4d00"];

/** What signs checks to whoever gave this description (RFC 8839 §5.4). */
export function icePassword(sdp: string): string {
  const password = /^a=ice-pwd:(\S+)/m.exec(sdp)?.[1];
  if (password === undefined) throw new Error("a description without an ICE password");
  return password;
}

/** @throws UnusableOfferError when there is no video section, or none with H.264 in packetization mode 1. */
export function readOffer(sdp: string): OfferedMedia {
  const sections = mediaSections(sdp);
  const video = sections.find((section) => section.kind === "video" && section.port !== "0");
  if (video === undefined) throw new UnusableOfferError("the offer asks for no video");
  const audio = sections.find((section) => section.kind === "audio" && section.port !== "0");
  return { video: readVideo(video), audio: audio === undefined ? null : readAudio(audio) };
}

interface MediaSection {
  readonly kind: string;
  readonly port: string;
  readonly lines: readonly string[];
}

function mediaSections(sdp: string): MediaSection[] {
  const blocks = sdp.split(/\r?\n(?=m=)/).slice(1);
  return blocks.map((block) => {
    const lines = block.split(/\r?\n/);
    const [kind = "", port = ""] = lines[0]!.slice(2).split(" ");
    return { kind, port, lines };
  });
}

function readVideo(section: MediaSection): OfferedVideo {
  const formats = formatParameters(section);
  const h264 = payloadTypes(section, /^a=rtpmap:(\d+) H264\/90000$/i).filter((payloadType) =>
    /(^|;)\s*packetization-mode=1(;|$)/.test(formats.get(payloadType) ?? ""),
  );
  const profileOf = (payloadType: number) =>
    /profile-level-id=([0-9a-f]{4})/i.exec(formats.get(payloadType)!)?.[1]?.toLowerCase() ?? "";
  const payloadType = profiles.flatMap((profile) => h264.filter((type) => profileOf(type) === profile))[0];
  if (payloadType === undefined) throw new UnusableOfferError("the browser offers no H.264 that this agent can send");
  const rtx = payloadTypes(section, /^a=rtpmap:(\d+) rtx\/90000$/i);
  return {
    mid: midOf(section),
    payloadType,
    fmtp: formats.get(payloadType)!,
    rtxPayloadType: rtx.find((type) => formats.get(type) === `apt=${payloadType}`) ?? null,
    playoutDelayId: extensionId(section, extensionUris.playoutDelay),
    transportSequenceId: extensionId(section, extensionUris.transportSequence),
  };
}

function readAudio(section: MediaSection): OfferedAudio {
  const payloadType = payloadTypes(section, /^a=rtpmap:(\d+) opus\/48000\/2$/i)[0];
  if (payloadType === undefined) throw new UnusableOfferError("the browser offers no Opus");
  const inBandFec = /(^|;)\s*useinbandfec=1(;|$)/.test(formatParameters(section).get(payloadType) ?? "");
  return { mid: midOf(section), payloadType, inBandFec };
}

function midOf(section: MediaSection): string {
  const mid = matches(section, /^a=mid:(\S+)$/)[0]?.[1];
  if (mid === undefined) throw new UnusableOfferError(`the offer's ${section.kind} section has no mid`);
  if (mid.length > midCharsMax) throw new UnusableOfferError(`a mid has at most ${midCharsMax} characters`);
  return mid;
}

const matches = (section: MediaSection, pattern: RegExp) =>
  section.lines.map((line) => pattern.exec(line)).filter((match) => match !== null);

/** RTP has seven bits for them (RFC 3550 §5.1). */
const payloadTypes = (section: MediaSection, rtpmap: RegExp) =>
  matches(section, rtpmap)
    .map((match) => Number(match[1]))
    .filter((type) => type <= 127);

const formatParameters = (section: MediaSection) =>
  new Map(matches(section, /^a=fmtp:(\d+) (.+)$/).map((match) => [Number(match[1]), match[2]!]));

/** Ids of the one-byte form only (RFC 8285 §4.2): 1–14. */
function extensionId(section: MediaSection, uri: string): number | null {
  const extension = matches(section, /^a=extmap:(\d+)(?:\/\w+)? (\S+)/).find((match) => match[2] === uri);
  const id = Number(extension?.[1] ?? 0);
  return id >= 1 && id <= 14 ? id : null;
}

export interface VideoSources {
  readonly ssrc: number;
  readonly rtxSsrc: number;
}

/** libdatachannel's answer, with what Chromium must be told about the video. */
export function completeAnswer(answer: string, video: OfferedVideo, sources: VideoSources): string {
  const [session = "", ...sections] = answer.split(/(?<=\r\n)(?=m=)/);
  const complete = (section: string) =>
    section.startsWith("m=video") ? completeVideo(section, video, sources) : section;
  return session + sections.map(complete).join("");
}

function completeVideo(section: string, video: OfferedVideo, { ssrc, rtxSsrc }: VideoSources): string {
  const extensions = [
    ...(video.playoutDelayId === null ? [] : [`a=extmap:${video.playoutDelayId} ${extensionUris.playoutDelay}`]),
    ...(video.transportSequenceId === null
      ? []
      : [`a=extmap:${video.transportSequenceId} ${extensionUris.transportSequence}`]),
  ];
  const feedback = [`a=rtcp-fb:${video.payloadType} ccm fir`];
  if (video.transportSequenceId !== null) feedback.push(`a=rtcp-fb:${video.payloadType} transport-cc`);
  const rtx = video.rtxPayloadType === null ? null : rtxSsrc;

  const lines: string[] = [];
  for (const line of section.split("\r\n")) {
    if (/^a=rtcp-fb:\d+ (goog-remb|transport-cc)$/.test(line)) continue;
    const ofStream = line.startsWith(`a=ssrc:${ssrc} `);
    if (rtx !== null && ofStream && line.includes(" cname:")) lines.push(`a=ssrc-group:FID ${ssrc} ${rtx}`);
    lines.push(line);
    if (line.startsWith("a=mid:")) lines.push(...extensions);
    if (line.startsWith(`a=rtpmap:${video.payloadType} `)) lines.push(...feedback);
    if (rtx !== null && ofStream) lines.push(line.replace(String(ssrc), String(rtx)));
  }
  return lines.join("\r\n");
}
