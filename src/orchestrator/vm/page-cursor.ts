// Where a page of VMs ended: `<created, µs since the epoch>_<vm id>`. Both never change, so pages stay put while VMs come
// and go.
import { Problem } from "../../contracts/problems.js";

export const pageCursor = (createdAtMicros: number | string, vmId: string): string => `${createdAtMicros}_${vmId}`;

/** @throws Problem invalid-request when it is not ours */
export function parsePageCursor(cursor: string): { createdAtMicros: number; vmId: string } {
  const match = /^(\d{1,16})_([A-Za-z0-9_-]{1,64})$/.exec(cursor);
  const createdAtMicros = Number(match?.[1]);
  if (match === null || Number.isNaN(new Date(createdAtMicros / 1000).getTime())) {
    const message = "must be the nextCursor of an earlier page";
    throw new Problem("invalid-request", `cursor ${message}.`, { errors: [{ field: "cursor", message }] });
  }
  return { createdAtMicros, vmId: match[2]! };
}
