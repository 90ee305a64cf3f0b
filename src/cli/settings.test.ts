import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readSettings } from "./settings.js";

async function read(content: unknown) {
  const folder = await mkdtemp(join(tmpdir(), "hotseat-settings-"));
  try {
    const path = join(folder, "settings.json");
    await writeFile(path, JSON.stringify(content));
    return await readSettings(path);
  } finally {
    await rm(folder, { recursive: true });
  }
}

test("every role that keeps a limit is told of all tenants", async () => {
  const tenants = { "*": { sessionsMax: 3 }, acme: { vmsMax: null } };
  const { orchestrator, session, streaming } = await read({ tenants, session: { joinMs: 9 } });
  expect(orchestrator).toEqual({ tenants });
  expect(session).toEqual({ tenants, joinMs: 9 });
  expect(streaming).toEqual({});
});

test("a wrong limit, or tenants in a role's section, are refused by name", async () => {
  const wrong = { tenants: { acme: { sessionsMax: "many" } }, session: { tenants: {} } };
  await expect(read(wrong)).rejects.toThrow(
    /tenants\.acme\.sessionsMax: .*[\s\S]*session\.tenants: stands beside the sections/,
  );
});
