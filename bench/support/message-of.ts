// A bench's own processes, which it forks from its own file: what they say, or that they are gone.
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";

/** Its next message. @throws when it ends instead: a bench must not wait for ever. */
export async function messageOf(child: ChildProcess): Promise<unknown> {
  const stop = new AbortController();
  const { signal } = stop;
  // Not by its exit, which may be heard of before its last words.
  const gone = child.connected ? once(child, "disconnect", { signal }) : Promise.resolve();
  const ended = gone.then(() => {
    throw new Error("a process of the bench ended before it answered");
  });
  try {
    const [message] = (await Promise.race([once(child, "message", { signal }), ended])) as [unknown];
    return message;
  } finally {
    stop.abort();
    await ended.catch(() => {}); // aborted
  }
}
