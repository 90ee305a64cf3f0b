import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import type { GamepadState } from "../../contracts/input.js";
import { openUinput, UinputError, type UinputFile } from "./uinput.js";
import { type InputDevices, inputGroup, VirtualPads } from "./virtual-pads.js";
import { requests } from "./xbox-pad.js";

/** A /dev/uinput that records; `refuses`: the request it does not take. */
class Recorded implements UinputFile {
  readonly requested: number[] = [];
  readonly written: Uint8Array[] = [];
  closed = false;

  constructor(
    private readonly sysName: string,
    private readonly refuses?: number,
  ) {}

  request(request: number, argument: number | Uint8Array): void {
    if (request === this.refuses) throw new UinputError("refused");
    this.requested.push(request);
    if (request === requests.sysName) (argument as Uint8Array).set(Buffer.from(`${this.sysName}\0`));
  }

  write(bytes: Uint8Array): void {
    this.written.push(bytes);
  }

  close(): void {
    this.closed = true;
  }
}

const owned: [string, number][] = [];
const devices: InputDevices = {
  nodesOf: (sysName) => [`/dev/input/event-of-${sysName}`, `/dev/input/js-of-${sysName}`],
  own: (node, uid) => owned.push([node, uid]),
};

async function pads(count: number, refuses?: number, seen = devices) {
  const files: Recorded[] = [];
  const open = async () => {
    const file = new Recorded(`input${files.length + 7}`, files.length === 1 ? refuses : undefined);
    files.push(file);
    return file;
  };
  return { files, opened: VirtualPads.open(count, { open, devices: seen, uid: 1_234 }) };
}

const pressed = (index: number): GamepadState => ({
  index,
  buttons: 1,
  leftTrigger: 0,
  rightTrigger: 0,
  axes: [0, 0, 0, 0],
});

test("each pad is a device of its own, known by its nodes, and gone with the session", async () => {
  const { files, opened } = await pads(2);
  const made = await opened;
  expect(made.nodes).toEqual([
    "/dev/input/event-of-input7",
    "/dev/input/js-of-input7",
    "/dev/input/event-of-input8",
    "/dev/input/js-of-input8",
  ]);
  expect(owned).toEqual(made.nodes.map((node) => [node, 1_234]));
  made.apply(pressed(1));
  made.apply(pressed(3));
  expect(files.map(({ written }) => written.length)).toEqual([0, 1]);
  made.release();
  made.release();
  expect(files.map(({ written }) => written.length)).toEqual([0, 2]);
  made.close();
  for (const { requested, closed } of files) {
    expect(requested.at(-1), "the end is no request, which could be refused").toBe(requests.sysName);
    expect(closed).toBe(true);
  }
});

test("when one cannot be made, none is left", async () => {
  const { files, opened } = await pads(3, requests.create);
  await expect(opened).rejects.toThrow(UinputError);
  expect(files.map(({ closed }) => closed)).toEqual([true, true]);
});

test("pads that nobody can see are none", async () => {
  const unseen = await pads(1, undefined, { ...devices, nodesOf: () => [] });
  await expect(unseen.opened).rejects.toThrow("do not appear in /dev/input");
  const noSys = { ...devices, nodesOf: () => readdirSync("/nowhere") };
  const { files, opened } = await pads(1, undefined, noSys);
  await expect(opened).rejects.toThrow(UinputError);
  expect(files.map(({ closed }) => closed)).toEqual([true]);
});

test("a machine without /dev/uinput says what to do, or has one that opens", async () => {
  const opening = await openUinput().then(
    (file) => file.close(),
    (error: unknown) => error,
  );
  if (opening !== undefined) expect(opening).toMatchObject({ name: "UinputError", message: /uinput/ });
});

test("requests reach the kernel: what is no uinput device refuses them", async () => {
  const path = join(mkdtempSync(join(tmpdir(), "hotseat-uinput-")), "file");
  writeFileSync(path, "");
  const file = await openUinput(path);
  expect(() => file.request(requests.create, 0)).toThrow(`errno ${constants.errno.ENOTTY}`);
  file.write(Uint8Array.of(1, 2));
  file.close();
  expect([...readFileSync(path)]).toEqual([1, 2]);
  rmSync(dirname(path), { recursive: true });
});

test("udev's group for input devices is found by its name", () => {
  expect(inputGroup("root:x:0:\ninput:x:104:anna,ben\n")).toBe(104);
  expect(inputGroup("root:x:0:\nmyinput:x:104:\n")).toBeNull();
});
