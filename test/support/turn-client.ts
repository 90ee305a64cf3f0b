// As much of a TURN client (RFC 8656 over UDP) as it takes to ask a server what it allows: allocate, refresh, permit.
import { createHash, createHmac, randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";

export interface TurnCredential {
  readonly username: string;
  readonly credential: string;
}

const methods = { allocate: 0x003, refresh: 0x004, createPermission: 0x008 } as const;
const attributes = {
  username: 0x0006,
  messageIntegrity: 0x0008,
  errorCode: 0x0009,
  xorPeerAddress: 0x0012,
  realm: 0x0014,
  nonce: 0x0015,
  requestedTransport: 0x0019,
} as const;
type Attributes = ReadonlyMap<number, Buffer>;

const magicCookie = 0x2112a442;
const headerBytes = 20;
const udp = 17;
const resendMs = 250;
const answerMsMax = 10_000;

/** "ok", or the server's error code: 401 who are you, 403 not there, 438 nonce too old, 486 quota. */
export type TurnAnswer = "ok" | number;

export class TurnClient implements AsyncDisposable {
  readonly #socket = createSocket("udp4");
  #realm = "";
  #nonce: Buffer = Buffer.alloc(0);

  constructor(
    private readonly server: { readonly host: string; readonly port: number },
    private readonly credential: TurnCredential,
  ) {}

  allocate(): Promise<TurnAnswer> {
    return this.#ask("allocate", [[attributes.requestedTransport, Buffer.of(udp, 0, 0, 0)]]);
  }

  refresh(): Promise<TurnAnswer> {
    return this.#ask("refresh", []);
  }

  /** Whether the server would relay to that IPv4 address. */
  permit(peer: string): Promise<TurnAnswer> {
    const address = Buffer.from(peer.split(".").map(Number)).readUInt32BE() ^ magicCookie;
    const value = Buffer.alloc(8);
    value.writeUInt16BE(1, 0);
    value.writeInt32BE(address, 4);
    return this.#ask("createPermission", [[attributes.xorPeerAddress, value]]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    await once(this.#socket, "close");
  }

  /** Asks, and once more with the nonce the server wants to see. */
  async #ask(method: keyof typeof methods, body: [number, Buffer][]): Promise<TurnAnswer> {
    let answer = await this.#exchange(method, body);
    const nonce = answer.get(attributes.nonce);
    if (nonce !== undefined) {
      this.#nonce = nonce;
      this.#realm = answer.get(attributes.realm)?.toString() ?? this.#realm;
      answer = await this.#exchange(method, body);
    }
    const error = answer.get(attributes.errorCode);
    return error === undefined ? "ok" : error[2]! * 100 + error[3]!;
  }

  async #exchange(method: keyof typeof methods, body: [number, Buffer][]): Promise<Attributes> {
    const transaction = randomBytes(12);
    const request = this.#request(methods[method], transaction, body);
    const send = () => this.#socket.send(request, this.server.port, this.server.host);
    const resend = setInterval(send, resendMs);
    const signal = AbortSignal.timeout(answerMsMax);
    try {
      send();
      for (;;) {
        const [answer] = (await once(this.#socket, "message", { signal })) as [Buffer];
        if (answer.subarray(8, headerBytes).equals(transaction)) return attributesIn(answer);
      }
    } finally {
      clearInterval(resend);
    }
  }

  #request(method: number, transaction: Buffer, body: [number, Buffer][]): Buffer {
    const { username, credential } = this.credential;
    const known: [number, Buffer][] =
      this.#nonce.length === 0
        ? []
        : [
            [attributes.username, Buffer.from(username)],
            [attributes.realm, Buffer.from(this.#realm)],
            [attributes.nonce, this.#nonce],
          ];
    const encoded = Buffer.concat([...body, ...known].map(([type, value]) => attribute(type, value)));
    if (known.length === 0) return message(method, transaction, encoded, encoded.length);
    // Its length counts the integrity that is still to come (RFC 8489 §14.5).
    const signed = message(method, transaction, encoded, encoded.length + 24);
    const key = createHash("md5").update(`${username}:${this.#realm}:${credential}`).digest();
    const integrity = createHmac("sha1", key).update(signed).digest();
    return Buffer.concat([signed, attribute(attributes.messageIntegrity, integrity)]);
  }
}

function message(method: number, transaction: Buffer, body: Buffer, length: number): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt16BE(method, 0);
  header.writeUInt16BE(length, 2);
  header.writeUInt32BE(magicCookie, 4);
  return Buffer.concat([header, transaction, body]);
}

function attribute(type: number, value: Buffer): Buffer {
  const header = Buffer.alloc(4);
  header.writeUInt16BE(type, 0);
  header.writeUInt16BE(value.length, 2);
  return Buffer.concat([header, value, Buffer.alloc(-value.length & 3)]);
}

function attributesIn(answer: Buffer): Attributes {
  const found = new Map<number, Buffer>();
  for (let at = headerBytes; at + 4 <= answer.length; ) {
    const length = answer.readUInt16BE(at + 2);
    found.set(answer.readUInt16BE(at), answer.subarray(at + 4, at + 4 + length));
    at += 4 + length + (-length & 3);
  }
  return found;
}
