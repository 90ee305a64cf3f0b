// Server-Sent Events (WHATWG HTML, "Server-sent events"), both ends: feeds between roles, and for operators' tools.
import { once } from "node:events";
import type { Server, ServerResponse } from "node:http";
import { EventSourceParserStream } from "eventsource-parser/stream";
import type { FastifyReply } from "fastify";
import { Problem } from "../contracts/problems.js";
import { sent } from "./http.js";

export interface FeedItem {
  readonly id: string;
  readonly data: unknown;
}

const keepAliveMs = 10_000;
const bufferedBytesMax = 1024 * 1024;
const stallMsMax = 30_000;
/** Of one server; the roles' own feeds are not counted, for the product stands on them. */
export const feedsMax = 256;

const feedsOpen = new WeakMap<Server, number>();

/**
 * Sends items until the reader goes away or `items` ends. Of a reader that falls 1 MiB behind it waits until it has
 * caught up, for 30 s at most, then it cuts it off (it resumes). @throws Problem rate-limited when too many are open
 */
export async function sendFeed(
  reply: FastifyReply,
  items: (signal: AbortSignal) => AsyncIterable<FeedItem>,
): Promise<typeof sent> {
  const leave = enter(reply);
  const gone = new AbortController();
  const socket = reply.raw;
  reply.hijack();
  socket.writeHead(200, {
    "content-type": "text/event-stream",
    "cache-control": "no-store",
    "x-accel-buffering": "no",
  });
  socket.write(": open\n\n");
  socket.on("close", () => gone.abort());
  const keepAlive = setInterval(() => socket.write(": alive\n\n"), keepAliveMs);
  try {
    for await (const { id, data } of items(gone.signal)) {
      if (gone.signal.aborted) break;
      socket.write(`id: ${id}\ndata: ${JSON.stringify(data)}\n\n`);
      if (socket.writableLength > bufferedBytesMax && !(await drained(socket, gone.signal))) break;
    }
  } catch (error) {
    // The headers are gone: all that can be said is the end, and the reader resumes.
    if (!gone.signal.aborted) reply.log.warn({ err: error }, "a feed broke");
  } finally {
    clearInterval(keepAlive);
    leave();
    socket.end();
  }
  return sent;
}

/** Counts the feed in; call what it returns when it is over. */
function enter({ server: { server }, request }: FastifyReply): () => void {
  if (request.caller.kind === "service") return () => {};
  const count = (by: number) => feedsOpen.set(server, (feedsOpen.get(server) ?? 0) + by);
  if ((feedsOpen.get(server) ?? 0) >= feedsMax)
    throw new Problem("rate-limited", `At most ${feedsMax} feeds may be open here: close one.`);
  count(1);
  return () => count(-1);
}

async function drained(socket: ServerResponse, gone: AbortSignal): Promise<boolean> {
  try {
    await once(socket, "drain", { signal: AbortSignal.any([gone, AbortSignal.timeout(stallMsMax)]) });
    return true;
  } catch {
    socket.destroy();
    return false;
  }
}

/**
 * Reads a feed once, from after `lastEventId`, until it breaks or `signal` fires. Silence of three keep-alives is a break.
 * @throws Problem unavailable when it cannot be opened or breaks.
 */
export async function* readFeed(options: {
  url: string;
  bearer: string;
  lastEventId?: string;
  signal: AbortSignal;
  onOpen?: () => void;
}): AsyncGenerator<FeedItem> {
  const silence = new AbortController();
  const onSilence = () => silence.abort(new Problem("unavailable", "The feed fell silent."));
  let timer = setTimeout(onSilence, keepAliveMs * 3);
  const signal = AbortSignal.any([options.signal, silence.signal]);
  try {
    const response = await fetch(options.url, {
      headers: {
        authorization: `Bearer ${options.bearer}`,
        accept: "text/event-stream",
        ...(options.lastEventId === undefined ? {} : { "last-event-id": options.lastEventId }),
      },
      signal,
    });
    if (!response.ok || response.body === null)
      throw new Problem("unavailable", `The feed answered ${response.status}.`);
    options.onOpen?.();
    const text = response.body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>);
    const heard = new TransformStream<string, string>({
      transform(chunk, controller) {
        clearTimeout(timer);
        timer = setTimeout(onSilence, keepAliveMs * 3);
        controller.enqueue(chunk);
      },
    });
    for await (const event of text.pipeThrough(heard).pipeThrough(new EventSourceParserStream()))
      yield { id: event.id ?? "", data: JSON.parse(event.data) };
  } catch (cause) {
    if (options.signal.aborted) return;
    throw cause instanceof Problem ? cause : new Problem("unavailable", "The feed broke.", { cause });
  } finally {
    clearTimeout(timer);
  }
}
