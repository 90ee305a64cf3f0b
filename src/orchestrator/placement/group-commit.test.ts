import { describe, expect, test } from "vitest";
import { Problem } from "../../contracts/problems.js";
import { GroupCommit } from "./group-commit.js";

/** Commits when told to. */
function gate(limits: Partial<ConstructorParameters<typeof GroupCommit>[1]> = {}) {
  const batches: { items: readonly number[]; end: (fail?: Error) => Promise<void> }[] = [];
  let told = () => {};
  const group = new GroupCommit<number, string>(
    (items) =>
      new Promise((resolve, reject) => {
        const end = async (fail?: Error) => {
          if (fail) reject(fail);
          else resolve(items.map((item) => `done ${item}`));
          await new Promise(setImmediate);
          await new Promise(setImmediate);
        };
        batches.push({ items, end });
        told();
      }),
    { itemsPerBatchMax: 3, batchesInFlightMax: 1, waitingItemsMax: 5, ...limits },
    setImmediate,
  );
  const begun = (count: number) =>
    new Promise<void>((resolve) => {
      told = () => batches.length >= count && resolve();
      told();
    });
  return { group, batches, begun };
}

describe("group commit", () => {
  test("what arrives at once goes together, what arrives meanwhile goes next", async () => {
    const { group, batches, begun } = gate();
    const first = [group.push(1), group.push(2)];
    await begun(1);
    const second = [group.push(3), group.push(4), group.push(5), group.push(6)];
    await batches[0]!.end();
    await begun(2);
    expect(batches.map(({ items }) => items)).toEqual([
      [1, 2],
      [3, 4, 5],
    ]);
    expect(await Promise.all(first)).toEqual(["done 1", "done 2"]);
    await batches[1]!.end();
    await begun(3);
    await batches[2]!.end();
    expect(await Promise.all(second)).toEqual(["done 3", "done 4", "done 5", "done 6"]);
  });

  test("nothing is answered before its own commit", async () => {
    const { group, batches, begun } = gate({ batchesInFlightMax: 2, itemsPerBatchMax: 1 });
    const answered: string[] = [];
    const both = [1, 2].map((item) => group.push(item).then((answer) => answered.push(answer)));
    await begun(2);
    expect(answered).toEqual([]);
    await batches[1]!.end();
    expect(answered).toEqual(["done 2"]);
    await batches[0]!.end();
    await Promise.all(both);
    expect(answered).toEqual(["done 2", "done 1"]);
  });

  test("a batch that fails fails all of it, and the next one is tried", async () => {
    const { group, batches, begun } = gate();
    const failing = Promise.allSettled([group.push(1), group.push(2)]);
    await begun(1);
    const next = group.push(3);
    await batches[0]!.end(new Problem("unavailable"));
    expect((await failing).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    await begun(2);
    await batches[1]!.end();
    expect(await next).toBe("done 3");
  });

  test("whoever is too far behind is refused", async () => {
    const { group, batches, begun } = gate();
    const first = group.push(0);
    await begun(1);
    const waiting = [1, 2, 3, 4, 5].map((item) => group.push(item));
    await expect(group.push(6)).rejects.toMatchObject({ type: "unavailable" });
    await batches[0]!.end();
    await begun(2);
    const again = group.push(7);
    await batches[1]!.end();
    await begun(3);
    await batches[2]!.end();
    expect(await Promise.all([first, ...waiting, again])).toHaveLength(7);
  });
});
