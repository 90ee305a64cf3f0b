// The seed's seven events, as CloudEvents 1.0 in JSON. Written to the outbox with the change they tell of, relayed at
// least once: consumers are idempotent by `id`. `subject` is the VM id (the region for VMPoolLowCapacity).
import * as z from "zod";
import { regionId, templateId } from "./catalog.js";

const place = { region: regionId, templateId };
const onVm = { vmId: z.string(), ...place };

/** Payload of each event type. */
export const eventData = {
  VMProvisioned: z.object({ ...onVm, provider: z.string() }),
  VMReady: z.object(onVm),
  VMError: z.object({ ...onVm, errorCode: z.string(), errorMessage: z.string() }),
  VMPoolLowCapacity: z.object({ ...place, freeSessions: z.int(), threshold: z.number() }),
  VMTerminated: z.object({ ...onVm, reason: z.string() }),
  SessionAssigned: z.object({ ...onVm, sessionId: z.string() }),
  SessionReleased: z.object({
    ...onVm,
    sessionId: z.string(),
    reason: z.string(),
    next: z
      .enum(["none", "waiting"])
      .describe("`waiting`: its VM broke and it waits to be placed once more; `none`: it holds nothing"),
  }),
} as const;
export type EventType = keyof typeof eventData;
export type EventData<T extends EventType = EventType> = z.infer<(typeof eventData)[T]>;

const envelope = <T extends EventType>(type: T) =>
  z.object({
    specversion: z.literal("1.0"),
    id: z.string().describe("Position in the feed; deduplicate and resume by it"),
    source: z.literal("/hotseat/orchestrator"),
    type: z.literal(type),
    subject: z.string(),
    time: z.iso.datetime(),
    datacontenttype: z.literal("application/json"),
    data: eventData[type],
  });

export const vmEvent = z
  .discriminatedUnion("type", [
    envelope("VMProvisioned"),
    envelope("VMReady"),
    envelope("VMError"),
    envelope("VMPoolLowCapacity"),
    envelope("VMTerminated"),
    envelope("SessionAssigned"),
    envelope("SessionReleased"),
  ])
  .meta({ id: "VmEvent" });
export type VmEvent = z.infer<typeof vmEvent>;
