// The bus' contract, as tests that both of its implementations pass.
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Bus, busLimits } from "./bus.js";

export interface BusUnderTest {
  /** Another process' end of the same bus, connected. */
  open(): Promise<Bus>;
  /** Takes the first that was opened off, until what it returns is called. */
  cut(bus: Bus): Promise<() => Promise<void>>;
}

const bytesOf = (text: string) => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** Resolves once it is (dis)connected. */
export const becomes = (bus: Bus, connected: boolean): Promise<void> =>
  new Promise((resolve) => {
    if (bus.connected === connected) resolve();
    else bus.onConnected((now) => now === connected && resolve());
  });

export function describeBus(name: string, subject: BusUnderTest): void {
  describe(`the ${name} bus`, () => {
    let [a, b]: Bus[] = [];
    beforeEach(async () => {
      [a, b] = [await subject.open(), await subject.open()];
    });
    afterEach(async () => {
      await a![Symbol.asyncDispose]();
      await b![Symbol.asyncDispose]();
    });

    /** What `bus` hears, with a way to wait for so many. */
    const hear = (bus: Bus, pattern: string) => {
      const heard: string[] = [];
      let wake = () => {};
      const listening = bus.subscribe(pattern, (bytes, at) => {
        heard.push(`${at} ${textOf(bytes)}`);
        wake();
      });
      const until = async (count: number) => {
        while (heard.length < count) await new Promise<void>((resolve) => (wake = resolve));
        return heard;
      };
      return { listening, heard, until };
    };
    /** Whatever was published before has arrived when this has: order holds among subjects. */
    let fences = 0;
    const fence = async (from: Bus, to: Bus) => {
      fences += 1;
      const arrived = hear(to, `fence.${fences}`);
      await settled(to);
      expect(from.publish(`fence.${fences}`, bytesOf(""))).toBe("sent");
      await arrived.until(1);
    };
    /** Its subscriptions are known to whoever carries: a request to nobody goes there and back behind them. */
    const settled = (bus: Bus) => bus.request("nobody.is.there", bytesOf(""), { timeoutMs: 5_000 });

    test("brings what is published to those who listen there, in order among subjects, and to nobody else", async () => {
      const all = hear(b!, "t.*.x");
      const one = hear(b!, "t.2.x");
      await settled(b!);
      for (let i = 0; i < 100; i++) expect(a!.publish(`t.${i % 3}.x`, bytesOf(`${i}`))).toBe("sent");
      a!.publish("t.2", bytesOf("too short"));
      a!.publish("t.2.x.y", bytesOf("too long"));
      a!.publish("t.2.y", bytesOf("another"));
      await fence(a!, b!);
      expect(all.heard).toEqual(Array.from({ length: 100 }, (_, i) => `t.${i % 3}.x ${i}`));
      expect(one.heard.length).toBe(33);
    });

    test("does not bring it back to who published it", async () => {
      const own = hear(a!, "t");
      const other = hear(b!, "t");
      await settled(a!);
      await settled(b!);
      a!.publish("t", bytesOf("from a"));
      b!.publish("t", bytesOf("from b"));
      await Promise.all([own.until(1), other.until(1)]);
      await fence(a!, b!);
      await fence(b!, a!);
      expect([own.heard, other.heard]).toEqual([["t from b"], ["t from a"]]);
    });

    test("stops when the listening ends", async () => {
      const ended = hear(b!, "t");
      await settled(b!);
      a!.publish("t", bytesOf("1"));
      await ended.until(1);
      ended.listening[Symbol.dispose]();
      await settled(b!);
      a!.publish("t", bytesOf("2"));
      await fence(a!, b!);
      expect(ended.heard).toEqual(["t 1"]);
    });

    test("carries a message of the largest size whole, and refuses a longer one", async () => {
      const largest = new Uint8Array(busLimits.messageBytesMax).map((_, i) => i % 251);
      const arrived = new Promise<Uint8Array>((resolve) =>
        b!.subscribe("t", (bytes) => resolve(Uint8Array.from(bytes))),
      );
      await settled(b!);
      expect(a!.publish("t", new Uint8Array(busLimits.messageBytesMax + 1))).toBe("too-long");
      expect(a!.publish("t", largest)).toBe("sent");
      expect(Buffer.from(await arrived).equals(largest)).toBe(true);
    });

    test("brings a request its answer; says at once that nobody listens, and in time that nobody answers", async () => {
      b!.subscribe("echo", (bytes, _, answer) => answer?.(bytesOf(`heard ${textOf(bytes)}`)));
      b!.subscribe("silence", () => {});
      await settled(b!);
      const ask = (at: string, timeoutMs: number) => a!.request(at, bytesOf("hello"), { timeoutMs });
      const reply = await ask("echo", 5_000);
      expect(reply.kind === "answer" && textOf(reply.bytes)).toBe("heard hello");
      const before = performance.now();
      expect(await ask("nowhere", 10_000)).toEqual({ kind: "nobody" });
      expect(performance.now() - before).toBeLessThan(5_000);
      expect(await ask("silence", 50)).toEqual({ kind: "late" });
    });

    test("tells of a gap, sends nothing meanwhile, and hears again what it listened to", async () => {
      const heard = hear(a!, "t");
      await settled(a!);
      const changes: boolean[] = [];
      a!.onConnected((connected) => changes.push(connected));
      const mend = await subject.cut(a!);
      await becomes(a!, false);
      expect(a!.publish("t", bytesOf("lost"))).toBe("away");
      expect(await a!.request("echo", bytesOf(""), { timeoutMs: 1_000 })).toEqual({ kind: "away" });
      await mend();
      await Promise.all([becomes(a!, true), becomes(b!, true)]);
      expect(b!.publish("t", bytesOf("heard"))).toBe("sent");
      expect(await heard.until(1)).toEqual(["t heard"]);
      expect(changes).toEqual([true, false, true]);
    });
  });
}
