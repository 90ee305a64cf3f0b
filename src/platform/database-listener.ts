// LISTEN that does not go silent: its own connection, checked by a heartbeat, made anew with back-off when it is lost.
//
// NOTIFY is a hint, never the truth: what was notified during a gap is lost, so every (re)connection says `listening`
// and the caller reads again. One after another in the order PostgreSQL sent them.
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { backoffMs } from "./clock.js";
import type { Log } from "./log.js";

const heartbeatMs = 15_000;
const answerMsMax = 5_000;
const goodbyeMsMax = 1_000;

export type Notice = { readonly kind: "listening" } | { readonly kind: "notified"; readonly payload: string };
export type NoticeHandler = (notice: Notice) => void;

export function listenTo(options: {
  config: pg.ClientConfig;
  channel: string;
  handler: NoticeHandler;
  log: Log;
}): AsyncDisposable {
  const { config, channel, handler, log } = options;
  const stop = new AbortController();

  const tell = (notice: Notice) => {
    try {
      handler(notice);
    } catch (error) {
      log.error({ err: error, channel }, "a handler of notifications threw");
    }
  };

  const listenOnce = async (onListening: () => void) => {
    const client = new pg.Client({ ...config, query_timeout: answerMsMax });
    const lost = new AbortController();
    const over = AbortSignal.any([stop.signal, lost.signal]);
    client.on("error", (error) => lost.abort(error));
    client.on("end", () => lost.abort(new Error("the connection ended")));
    client.on("notification", ({ payload = "" }) => tell({ kind: "notified", payload }));
    try {
      await Promise.race([client.connect(), rejection(over)]);
      await client.query(`listen ${pg.escapeIdentifier(channel)}`);
      onListening();
      tell({ kind: "listening" });
      for (;;) {
        await sleep(heartbeatMs, undefined, { ref: false, signal: over });
        await client.query("select 1");
      }
    } finally {
      await Promise.race([client.end(), sleep(goodbyeMsMax, undefined, { ref: false })]);
    }
  };

  const keepListening = async () => {
    for (let failures = 0; !stop.signal.aborted; failures++) {
      try {
        await listenOnce(() => {
          failures = 0;
        });
      } catch (error) {
        if (stop.signal.aborted) return;
        log.warn({ err: error, channel }, "the database's notifications stopped: listening again");
        const waitMs = backoffMs(failures, Math.random(), { baseMs: 50, capMs: 5_000 });
        await sleep(waitMs, undefined, { signal: stop.signal }).catch(() => {}); // stopping: the loop ends
      }
    }
  };

  const listening = keepListening();
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await listening;
    },
  };
}

const rejection = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
