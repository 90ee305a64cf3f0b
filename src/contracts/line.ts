// A line: what a page and its session on the agent say to each other, numbered, whatever sockets and nodes carry it.
//
// Guarantees: over a path that keeps the order but may lose messages whenever it breaks, everything that is said is
// heard exactly once and in the order it was said, once the ends have told each other how far they heard (`received`)
// and said again what came after it. Nobody has to notice a loss: a WebSocket loses nothing while it lasts, and every
// break ends in a hello, a join or a `resumed`, each of which carries `received` (XMPP resumes streams the same way,
// XEP-0198 §5). Between two nodes a bus may lose a message unseen: so the page acks again with each heartbeat, and what is
// unacked then is said again. Ingest only carries the numbers: it may be killed at any moment.
//
// A number that is not the next is not heard: a lower one was heard before, a higher one follows a loss and comes again.
import * as z from "zod";

export const lineLimits = {
  /** Then nobody hears us for good: the line is given up, and the next hello starts another. */
  unackedMessagesMax: 256,
} as const;

export const seq = z
  .int()
  .min(1)
  .max(2 ** 31 - 1)
  .describe("Its number on the line, from 1; absent: this end does not number");

export const received = z
  .int()
  .min(0)
  .max(2 ** 31 - 1)
  .describe("Everything up to this number was heard");

/** How far one end has heard, on which line. */
export const lineState = z.object({
  id: z.string().min(8).max(64).describe("The line, named by the agent: another id is another line, from 1 again"),
  received,
});
export type LineState = z.infer<typeof lineState>;

/** One end of a line. What is unacked has the numbers up to `lastSaid`. */
export interface LineEnd<Message> {
  readonly lastSaid: number;
  readonly unacked: readonly Message[];
  readonly received: number;
}

export interface Numbered<Message> {
  readonly seq: number;
  readonly message: Message;
}

export const openLineEnd: LineEnd<never> = { lastSaid: 0, unacked: [], received: 0 };

/** Null at the limit. */
export function say<Message>(end: LineEnd<Message>, message: Message): LineEnd<Message> | null {
  if (end.unacked.length >= lineLimits.unackedMessagesMax) return null;
  return { ...end, lastSaid: end.lastSaid + 1, unacked: [...end.unacked, message] };
}

/** A message came with this number: whether it is to be acted on. */
export function hear<Message>(end: LineEnd<Message>, number: number): { end: LineEnd<Message>; isNext: boolean } {
  const isNext = number === end.received + 1;
  return { end: isNext ? { ...end, received: number } : end, isNext };
}

/** The other end has heard everything up to there. What it cannot have heard is passed over. */
export function acknowledge<Message>(end: LineEnd<Message>, upTo: number): LineEnd<Message> {
  const acked = upTo - (end.lastSaid - end.unacked.length);
  return acked <= 0 || upTo > end.lastSaid ? end : { ...end, unacked: end.unacked.slice(acked) };
}

/** What is to be said again after a break. */
export function unackedOf<Message>({ lastSaid, unacked }: LineEnd<Message>): Numbered<Message>[] {
  return unacked.map((message, i) => ({ seq: lastSaid - unacked.length + 1 + i, message }));
}
