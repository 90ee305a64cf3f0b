// `hotseat keys`: the installation's API keys.
import { addKey, ensureSecrets, type KeyScope, loadSecrets, mintKey, revokeKey } from "../platform/secrets.js";

export async function initKeys({ secrets }: { secrets: string }): Promise<void> {
  await ensureSecrets(secrets);
  console.log(`The keys are in ${secrets} (readable by you alone).`);
}

export async function listKeys({ secrets, tenant: of }: { secrets: string; tenant?: string }): Promise<void> {
  const { keys } = await loadSecrets(secrets);
  for (const { id, scope, tenant } of keys.filter(({ tenant }) => of === undefined || tenant === of))
    console.log(`${id.padEnd(20)} ${scope.padEnd(8)} ${tenant}`);
}

export async function addKeyCommand(
  id: string,
  { secrets, scope, tenant }: { secrets: string; scope: KeyScope; tenant: string },
): Promise<void> {
  const key = mintKey(scope, id, tenant);
  await addKey(secrets, key);
  console.log(key.key);
  console.error("Keep it: only its hash is stored. Roles that run know it within seconds.");
}

export async function revokeKeyCommand(id: string, { secrets }: { secrets: string }): Promise<void> {
  await revokeKey(secrets, id);
  console.error(
    `The key ${id} is gone, and with it the cookies made from it. Roles that run forget it within seconds.`,
  );
}
