// The fleet as a line in the log, every 30 s: what is zero, empty or never changes is left out, so that what is there
// can be read.
import type { FleetMetrics } from "../contracts/orchestrator.js";

export function inBrief({ vms, byStatus, byRegion, units, sessions, waiting, regions }: FleetMetrics) {
  const worthSaying = regions.filter(
    ({ region, waiting, notes }) => byRegion[region] > 0 || waiting > 0 || notes.length > 0,
  );
  return {
    vms,
    ...notZero(byStatus),
    seatUnits: `${units.used}/${units.total}`,
    sessions: `${sessions.used}/${sessions.total}`,
    waiting,
    regions: Object.fromEntries(
      worthSaying.map(({ region, provisioningVms, usedSessions, totalSessions, waiting, queueSeconds, notes }) => [
        region,
        {
          vms: byRegion[region],
          sessions: `${usedSessions}/${totalSessions}`,
          ...notZero({ starting: provisioningVms, waiting }),
          ...(waiting > 0 && { queueSeconds }),
          ...(notes.length > 0 && { notes }),
        },
      ]),
    ),
  };
}

const notZero = <K extends string>(counts: Readonly<Record<K, number>>) =>
  Object.fromEntries(Object.entries(counts).filter(([, count]) => count !== 0));
