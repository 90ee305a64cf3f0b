// What the streaming role's status says of the newest session's latency, as an operator reads it.
import type { Session } from "../../src/contracts/session.js";
import type { StreamLatency, StreamStatus } from "../../src/contracts/streaming.js";
import { type RunningHotseat, until } from "./hotseat.js";

/** Once the page has reported something that satisfies `enough`. */
export const reportedLatency = (hotseat: RunningHotseat, enough: (latency: StreamLatency) => boolean) =>
  until(
    "the page's report",
    async () => {
      const read = async <T>(path: string): Promise<T> => {
        const headers = { authorization: `Bearer ${hotseat.key("operate")}` };
        return (await (await fetch(hotseat.url + path, { headers })).json()) as T;
      };
      const [newest] = (await read<{ sessions: Session[] }>("/api/session/v1")).sessions;
      const { latency } = await read<StreamStatus>(`/api/streaming/v1/session/${newest?.sessionId}/status`);
      return latency !== null && enough(latency) ? latency : undefined;
    },
    30_000,
  );
