// An installation's sessions as an operator lists them: the newest first.
import type { Session } from "../../src/contracts/session.js";
import type { RunningHotseat } from "./hotseat.js";

export async function sessionsOf(hotseat: RunningHotseat): Promise<Session[]> {
  const headers = { authorization: `Bearer ${hotseat.key("operate")}` };
  const response = await fetch(`${hotseat.url}/api/session/v1`, { headers });
  return ((await response.json()) as { sessions: Session[] }).sessions;
}

export const newestOf = async (hotseat: RunningHotseat): Promise<Session> => (await sessionsOf(hotseat))[0]!;
