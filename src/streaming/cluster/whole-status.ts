// One status of a session's player from what each node knows of its own sockets.
import type { StreamStatus } from "../../contracts/streaming.js";

const nearness = [
  "none",
  "waiting",
  "joining",
  "disconnected",
  "connected",
] as const satisfies readonly StreamStatus["connection"][];

/** Of the node that is nearest to playing, with the sockets of all, and the newest that a page has reported. What the session's own state says is the same at each. */
export function wholeStatus(byNode: readonly [StreamStatus, ...StreamStatus[]]): StreamStatus {
  const near = ({ connection, players }: StreamStatus) => 2 * nearness.indexOf(connection) + (players > 0 ? 1 : 0);
  const nearest = byNode.reduce((best, status) => (near(status) > near(best) ? status : best));
  const reports = byNode.flatMap(({ latency }) => (latency === null ? [] : [latency]));
  const [latency = null] = reports.sort((a, b) => a.ageMs - b.ageMs);
  return { ...nearest, latency, players: byNode.reduce((sum, { players }) => sum + players, 0) };
}
