// What the streaming role's status says of the newest session's latency, as an operator reads it.
import type { StreamLatency, StreamStatus } from "../../src/contracts/streaming.js";
import { type RunningHotseat, until } from "./hotseat.js";
import { newestOf } from "./sessions.js";

/** Once the page has reported something that satisfies `enough`. */
export const reportedLatency = (hotseat: RunningHotseat, enough: (latency: StreamLatency) => boolean) =>
  until(
    "the page's report",
    async () => {
      const { sessionId } = await newestOf(hotseat);
      const headers = { authorization: `Bearer ${hotseat.key("operate")}` };
      const response = await fetch(`${hotseat.url}/api/streaming/v1/session/${sessionId}/status`, { headers });
      const { latency } = (await response.json()) as StreamStatus;
      return latency !== null && enough(latency) ? latency : undefined;
    },
    30_000,
  );
