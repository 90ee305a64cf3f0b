// /dev/uinput, by which a program makes input devices: the one place that calls into libc for it (ioctl, which Node does
// not have). Loaded only when a game wants gamepads.
import { closeSync, constants, openSync, writeSync } from "node:fs";

/** One open /dev/uinput: one device, which the kernel takes away when it is closed, however that happens. */
export interface UinputFile {
  /** A buffer is read, or written to, in place. @throws UinputError */
  request(request: number, argument: number | Uint8Array): void;
  write(bytes: Uint8Array): void;
  close(): void;
}

/** This machine makes no gamepads, in words for the operator. */
export class UinputError extends Error {
  override name = "UinputError";
}

/** @throws UinputError */
export async function openUinput(path = "/dev/uinput"): Promise<UinputFile> {
  let file: number;
  try {
    file = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw new UinputError(whyNot(path, error), { cause: error });
  }
  try {
    return new Uinput(file, await libc());
  } catch (error) {
    closeSync(file);
    throw error;
  }
}

function whyNot(path: string, error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT") return `${path} is not there: modprobe uinput`;
  if (code === "EACCES" || code === "EPERM") return `${path} may not be opened: put the agent's user into its group`;
  return `${path} cannot be opened: ${code}`;
}

interface Libc {
  readonly ioctl: (file: number, request: number, type: "int" | "void *", argument: number | Uint8Array) => number;
  readonly errno: () => number;
}

let loaded: Promise<Libc> | null = null;

/** The library's own process-wide state is made once. */
const libc = (): Promise<Libc> => {
  loaded ??= load();
  return loaded;
};

async function load(): Promise<Libc> {
  const { default: koffi } = await import("koffi");
  const ioctl = koffi.load("libc.so.6").func("int ioctl(int file, unsigned long request, ...)");
  return { ioctl, errno: () => koffi.errno() };
}

class Uinput implements UinputFile {
  constructor(
    private readonly file: number,
    private readonly libc: Libc,
  ) {}

  request(request: number, argument: number | Uint8Array): void {
    const type = typeof argument === "number" ? "int" : "void *";
    if (this.libc.ioctl(this.file, request, type, argument) < 0)
      throw new UinputError(`uinput refused request 0x${request.toString(16)}: errno ${this.libc.errno()}`);
  }

  write(bytes: Uint8Array): void {
    writeSync(this.file, bytes);
  }

  close(): void {
    closeSync(this.file);
  }
}
