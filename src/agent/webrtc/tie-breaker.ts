// Connectivity checks that libjuice would refuse, mended on their way in.
//
// Chromium sends every check through a TURN server reached by TCP or TLS with tie-breaker 0, which RFC 8445 allows.
// libjuice (1.7.1) takes 0 for "absent", hence both role attributes for absent, and answers 400; Chromium then gives the
// only way up that a network without UDP has (libjuice issue 355). So a 0 becomes a 1 here, and the message is signed
// anew with our own ICE password, which is what signs checks to us (RFC 8445 §7.2.2).
//
// Guarantees: never throws; touches nothing but such checks. Not for long: with a libjuice that tells 0 from absent this
// file and turn-leg.ts go.
import { createHmac } from "node:crypto";
import { crc32 } from "node:zlib";

const magicCookie = 0x2112a442;
const headerBytes = 20;
const bindingRequest = 0x0001;
const dataIndication = 0x0017;
const attributes = { messageIntegrity: 0x0008, data: 0x0013, fingerprint: 0x8028 } as const;
const roles: ReadonlySet<number> = new Set([0x8029, 0x802a]);
const fingerprintMask = 0x5354554e;
const integrityBytes = 20;

interface Attribute {
  readonly type: number;
  /** Of its value, in the message. */
  readonly at: number;
  readonly length: number;
}

/** Mends, in place, the check that a datagram of the TURN server carries, if it carries one. */
export function mendTieBreaker(datagram: Buffer, password: string): void {
  const check = relayedIn(datagram);
  if (check === null || !isStun(check, bindingRequest)) return;
  const found = attributesOf(check);
  const role = found.find(({ type, length }) => roles.has(type) && length === 8);
  const integrity = found.find(({ type, length }) => type === attributes.messageIntegrity && length === integrityBytes);
  if (role === undefined || integrity === undefined || check.readBigUInt64BE(role.at) !== 0n) return;
  check.writeBigUInt64BE(1n, role.at);
  sign(check, integrity, password);
  const fingerprint = found.find(({ type, length }) => type === attributes.fingerprint && length === 4);
  if (fingerprint !== undefined)
    check.writeUInt32BE((crc32(check.subarray(0, fingerprint.at - 4)) ^ fingerprintMask) >>> 0, fingerprint.at);
}

/** What a peer sent, within what the server sends: channel data (RFC 8656 §12.4) or a Data indication. */
function relayedIn(datagram: Buffer): Buffer | null {
  const first = datagram[0] ?? 0;
  if (first >= 0x40 && first <= 0x4f && datagram.length >= 4)
    return datagram.subarray(4, Math.min(datagram.length, 4 + datagram.readUInt16BE(2)));
  if (!isStun(datagram, dataIndication)) return null;
  const data = attributesOf(datagram).find(({ type }) => type === attributes.data);
  return data === undefined ? null : datagram.subarray(data.at, data.at + data.length);
}

const isStun = (message: Buffer, type: number): boolean =>
  message.length >= headerBytes && message.readUInt16BE(0) === type && message.readUInt32BE(4) === magicCookie;

function attributesOf(message: Buffer): Attribute[] {
  const found: Attribute[] = [];
  for (let at = headerBytes; at + 4 <= message.length; ) {
    const length = message.readUInt16BE(at + 2);
    if (at + 4 + length > message.length) break;
    found.push({ type: message.readUInt16BE(at), at: at + 4, length });
    at += 4 + length + (-length & 3);
  }
  return found;
}

/** RFC 8489 §14.5: over all that is before it, in a message that seems to end with it. */
function sign(message: Buffer, { at }: Attribute, password: string): void {
  const before = Buffer.from(message.subarray(0, at - 4));
  before.writeUInt16BE(at + integrityBytes - headerBytes, 2);
  createHmac("sha1", password).update(before).digest().copy(message, at);
}
