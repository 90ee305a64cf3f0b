import { afterEach, expect, test, vi } from "vitest";
import { type LockedPointer, PointerLock } from "./pointer-lock.js";

afterEach(() => vi.unstubAllGlobals());

test("a pointer given back and taken again, before the browser tells of either, is as it was asked for last", async () => {
  const page = Object.assign(new EventTarget(), { pointerLockElement: null as unknown });
  vi.stubGlobal("document", page);
  let readsOptions = true;
  const video = {
    async requestPointerLock(options?: PointerLockOptions) {
      if (readsOptions) void options?.unadjustedMovement;
      page.pointerLockElement = video;
    },
  };
  const heard: (LockedPointer | null)[] = [];
  const pointer = new PointerLock(video as unknown as HTMLVideoElement, (locked) => heard.push(locked));
  const told = () => page.dispatchEvent(new Event("pointerlockchange"));
  pointer.listen(new AbortController().signal);
  await pointer.request();
  told();
  page.pointerLockElement = null;
  readsOptions = false;
  await pointer.request();
  told();
  told();
  page.pointerLockElement = null;
  told();
  expect(heard).toEqual([{ unadjusted: true }, { unadjusted: false }, null]);
});
