// `hotseat keys`: the installation's API keys.
import { addKey, ensureSecrets, type KeyScope, loadSecrets, mintKey } from "../platform/secrets.js";

export async function initKeys({ secrets }: { secrets: string }): Promise<void> {
  await ensureSecrets(secrets);
  console.log(`The keys are in ${secrets} (readable by you alone).`);
}

export async function listKeys({ secrets }: { secrets: string }): Promise<void> {
  const { keys } = await loadSecrets(secrets);
  for (const { id, scope, tenant } of keys) console.log(`${id.padEnd(20)} ${scope.padEnd(8)} ${tenant}`);
}

export async function addKeyCommand(
  id: string,
  { secrets, scope, tenant }: { secrets: string; scope: KeyScope; tenant: string },
): Promise<void> {
  const key = mintKey(scope, id, tenant);
  await addKey(secrets, key);
  console.log(key.key);
  console.error("Keep it: only its hash is stored. Roles that run already know it after a restart.");
}
