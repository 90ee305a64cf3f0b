import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ConfigError } from "../../platform/config.js";
import { createLog } from "../../platform/log.js";
import { followEndpoints, readAgentConfig } from "./agent-config.js";

const urls = { orchestratorUrl: "http://127.0.0.1:8080/", streamingUrl: "http://127.0.0.1:8081/" };
const read = { ...urls, streamingUrl: [urls.streamingUrl] };
const complete = { vmId: "vm-1", epoch: 1, bootstrapToken: "hsb_x", ...urls };
const log = createLog({ name: "test", level: "silent" });

let directory: string;
let path: string;
const write = (config: unknown) => writeFile(path, typeof config === "string" ? config : JSON.stringify(config));

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "hotseat-agent-config-"));
  path = join(directory, "agent.json");
});
afterEach(() => rm(directory, { recursive: true, force: true }));

describe("the agent's configuration", () => {
  it("needs only who the VM is, where its control plane is, and the token to enrol with", async () => {
    await write({ ...complete, templateId: "L4-90" });
    const defaults = { logLevel: "info", controlPlaneLostSecondsMax: 60 };
    expect(await readAgentConfig(path)).toEqual({ ...complete, ...read, ...defaults });
  });

  it("takes one streaming node, or several", async () => {
    const several = ["http://10.0.0.1:8083/", "http://10.0.0.2:8083/"];
    await write({ ...complete, streamingUrl: several });
    expect((await readAgentConfig(path)).streamingUrl).toEqual(several);
    await write({ ...complete, streamingUrl: [] });
    await expect(readAgentConfig(path)).rejects.toThrow(/streamingUrl/);
  });

  it("names every wrong setting at once", async () => {
    await write({ ...complete, vmId: "a/b", orchestratorUrl: "ftp://x", udpPorts: { begin: 2_000, end: 1_000 } });
    const error = await readAgentConfig(path).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ConfigError);
    for (const field of ["vmId", "orchestratorUrl", "udpPorts"]) expect(String(error)).toContain(field);
  });

  it("takes encoders by the names there are, and no others", async () => {
    await write({ ...complete, encoders: ["libx264"] });
    expect((await readAgentConfig(path)).encoders).toEqual(["libx264"]);
    for (const encoders of [["x264"], []]) {
      await write({ ...complete, encoders });
      await expect(readAgentConfig(path)).rejects.toThrow(/encoders/);
    }
  });

  it("says so when the file is missing or not JSON", async () => {
    await expect(readAgentConfig(path)).rejects.toThrow(/Cannot read .*agent\.json/);
    await write("{");
    await expect(readAgentConfig(path)).rejects.toThrow(/not JSON/);
  });

  it("tells where the control plane is now, or was last while the file is unreadable", async () => {
    await write(complete);
    const endpoints = followEndpoints(path, read, log);
    await write({ ...complete, orchestratorUrl: "http://127.0.0.1:9090/" });
    expect(await endpoints()).toEqual({ ...read, orchestratorUrl: "http://127.0.0.1:9090/" });
    await write("{");
    expect(await endpoints()).toEqual({ ...read, orchestratorUrl: "http://127.0.0.1:9090/" });
  });
});
