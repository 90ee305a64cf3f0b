// The provider port's contract, as tests that every driver passes.
import { randomUUID } from "node:crypto";
import { describe, expect, test, vi } from "vitest";
import type { LaunchSpec, Provider } from "./provider.js";

export interface ProviderUnderTest {
  /** A provider object on the same machines each time: the first one's successor after a restart. */
  open(): Promise<Provider>;
  /** Takes the machine away behind the provider's back. */
  lose(provider: Provider, vmId: string): Promise<void>;
}

const waitMsMax = 10_000;

const newSpec = (): LaunchSpec => ({
  vmId: `vm-${randomUUID()}`,
  epoch: 1,
  region: "us-east-1",
  templateId: "L4-90",
  bootstrapToken: `hsb_${randomUUID()}`,
});

export function describeProvider(name: string, subject: ProviderUnderTest): void {
  describe(`the ${name} provider`, () => {
    const stateOf = async (provider: Provider, vmId: string) =>
      (await provider.list()).filter((instance) => instance.vmId === vmId).map(({ state }) => state);
    const runs = (provider: Provider, vmId: string) =>
      vi.waitFor(async () => expect(await stateOf(provider, vmId)).toEqual(["running"]), { timeout: waitMsMax });

    test("lists what it launched, at once, and says when it runs", async () => {
      await using provider = await subject.open();
      const spec = newSpec();
      await provider.launch(spec);
      expect(await stateOf(provider, spec.vmId)).toHaveLength(1);
      await runs(provider, spec.vmId);
      await provider.terminate(spec.vmId);
    });

    test("asked twice to launch one VM, has one instance", async () => {
      await using provider = await subject.open();
      const spec = newSpec();
      await Promise.all([provider.launch(spec), provider.launch(spec)]);
      await provider.launch({ ...spec, bootstrapToken: "hsb_another" });
      await runs(provider, spec.vmId);
      await provider.terminate(spec.vmId);
      await vi.waitFor(async () => expect(await stateOf(provider, spec.vmId)).toEqual([]), { timeout: waitMsMax });
    });

    test("takes it for done to terminate what it does not know", async () => {
      await using provider = await subject.open();
      const spec = newSpec();
      await provider.terminate(spec.vmId);
      await provider.launch(spec);
      await provider.terminate(spec.vmId);
      await provider.terminate(spec.vmId);
      expect(await stateOf(provider, spec.vmId)).toEqual([]);
    });

    test("reports a machine that is lost, and lists it no more", async () => {
      await using provider = await subject.open();
      const spec = newSpec();
      await provider.launch(spec);
      await runs(provider, spec.vmId);
      const heard = vi.fn();
      provider.onChange(heard);
      await subject.lose(provider, spec.vmId);
      await vi.waitFor(() => expect(heard).toHaveBeenCalled(), { timeout: waitMsMax });
      expect(await stateOf(provider, spec.vmId)).toEqual([]);
      await provider.terminate(spec.vmId);
    });

    test("knows its machines again after a restart, and can end them", async () => {
      const spec = newSpec();
      {
        await using provider = await subject.open();
        await provider.launch(spec);
        await runs(provider, spec.vmId);
      }
      await using successor = await subject.open();
      expect(await stateOf(successor, spec.vmId)).toEqual(["running"]);
      await successor.launch(spec);
      expect(await stateOf(successor, spec.vmId)).toEqual(["running"]);
      await successor.terminate(spec.vmId);
      expect(await stateOf(successor, spec.vmId)).toEqual([]);
    });
  });
}
