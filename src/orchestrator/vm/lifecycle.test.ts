import fc from "fast-check";
import { expect, test } from "vitest";
import { vmStatus } from "../../contracts/orchestrator.js";
import { isUnderWay, nextStatus, nextStatusOr409, takesSessions, vmChanges } from "./lifecycle.js";

const changes = fc.array(fc.constantFrom(...vmChanges), { maxLength: 40 });

test("nothing ever happens to a template", () => {
  for (const change of vmChanges) expect(nextStatus("TEMPLATE", change)).toBeNull();
});

test("from every living state one step ends the VM, and nothing leaves TERMINATED", () => {
  const living = vmStatus.options.filter((status) => status !== "TEMPLATE" && status !== "TERMINATED");
  for (const status of living) expect(nextStatus(status, "terminated")).toBe("TERMINATED");
  for (const change of vmChanges) expect(nextStatus("TERMINATED", change)).toBeNull();
});

test("what has failed can only be terminated", () => {
  expect(vmChanges.filter((change) => nextStatus("ERROR", change) !== null)).toEqual(["terminated"]);
});

test("a VM takes sessions only after it was ready, and never again once it drains or has failed", () => {
  fc.assert(
    fc.property(changes, (history) => {
      let status = "PROVISIONING" as (typeof vmStatus.options)[number];
      let ready = false;
      let over = false;
      for (const change of history) {
        const next = nextStatus(status, change);
        if (next === null) continue;
        if (change === "assigned") expect(ready && !over).toBe(true);
        ready ||= change === "ready";
        over ||= change === "drained" || change === "failed" || change === "terminated";
        status = next;
        expect(takesSessions(status)).toBe(ready && !over);
        expect(isUnderWay(status)).toBe(!ready && !over);
      }
    }),
  );
});

test("a refusal names the VM, its state and what was asked", () => {
  expect(() => nextStatusOr409({ vmId: "vm-1", status: "BOOTING" }, "drained")).toThrow(
    "illegal-transition: VM vm-1 is BOOTING: it cannot be drained.",
  );
});
