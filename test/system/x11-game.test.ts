// Real games, each in its room: seen, heard and steered through the same source as in a session, and gone without a trace.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { describe, expect, it } from "vitest";
import { type X11Program, x11Program } from "../../src/contracts/catalog.js";
import { findGame } from "../../src/orchestrator/catalog/games.js";
import { gone, type Picture, X11Room } from "../support/x11-room.js";

/** The machine's System V segments. */
const sharedMemory = () =>
  readFileSync("/proc/sysvipc/shm", "utf8")
    .trim()
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .map((fields) => ({ mode: fields[2]!.slice(-3), uid: Number(fields[7]) }));

const programOf = (gameId: string): X11Program => findGame(gameId)!.program!;

/** A program that is a shell script, and so can tell what it finds. */
const script = (text: string, more: Partial<X11Program> = {}): X11Program =>
  x11Program.parse({ command: "/bin/sh", args: ["-c", text], ...more });

/** What a script says about the place it runs in. */
async function saysOf(text: string, more: Partial<X11Program> = {}): Promise<string> {
  await using room = await X11Room.with(script(`(${text}) >&2; exit 3`, more));
  const [, said] = /crashed again \(exit code 3: (.*)\)\.$/s.exec(await room.exited()) ?? [];
  return said ?? "";
}

describe("chromium-bsu", () => {
  it("is heard, and its picture changes as keys are pressed: the menu, then the ship left and right", async () => {
    await using room = await X11Room.with(programOf("chromium-bsu"));
    // The chosen line of the menu has a blue bar at its left.
    const blue = (_y: number, u: number) => u > 150;
    const line = (picture: Picture, number: number) => picture.share(20, 312 + number * 36, 250, 14, blue) > 0.8;
    await room.sees((picture) => line(picture, 0) || undefined);
    await room.press("ArrowDown");
    await room.sees((picture) => line(picture, 1) || undefined);
    await room.press("ArrowUp");
    await room.sees((picture) => line(picture, 0) || undefined);
    await room.press("Enter");
    await room.sees((picture) => picture.share(20, 450, 60, 230, blue) > 0.5 || undefined);
    const ship = (picture: Picture) => picture.brightX(130, 380, 1_020, 260);
    const left = await room.holding("ArrowLeft", (picture) => {
      const x = ship(picture);
      return x !== null && x < 450 ? x : undefined;
    });
    const right = await room.holding("ArrowRight", (picture) => {
      const x = ship(picture);
      return x !== null && x > 830 ? x : undefined;
    });
    expect(right - left).toBeGreaterThan(380);
    while ((await room.loudness()) < 500) await room.draw();
  }, 120_000);
});

describe("neverball", () => {
  it("is steered by mouse and keys: a click opens its help, Escape closes it", async () => {
    await using room = await X11Room.with(programOf("neverball"));
    const title = (picture: Picture) => picture.share(370, 110, 540, 80, (_y, _u, v) => v > 180) > 0.1;
    await room.sees((picture) => title(picture) || undefined);
    const button = (down: boolean) => room.input({ kind: "mouse-button", button: 0, down });
    await room.input({ kind: "mouse-position", x: 0.5, y: 437 / 720 });
    await button(true);
    await button(false);
    await room.sees((picture) => !title(picture) || undefined);
    await room.press("Escape");
    await room.sees((picture) => title(picture) || undefined);
  }, 120_000);
});

describe("a game", () => {
  it("that is quit ends the session with a word; one that crashes is started again once, then says why", async () => {
    await using quits = await X11Room.with(script("exit 0"), "Quick Quest");
    expect(await quits.exited()).toBe("Quick Quest was quit.");
    await using crashes = await X11Room.with(script("kill -SEGV $$"), "Crash Course");
    expect(await crashes.exited()).toBe(
      "Crash Course crashed (SIGSEGV), was started again, and crashed again (SIGSEGV).",
    );
    await using recovers = await X11Room.with(script("test -e crashed && exit 0; touch crashed; exit 1"), "Phoenix");
    expect(await recovers.exited()).toBe("Phoenix was quit.");
  });

  it("stands still while nobody plays, and goes on when somebody does", async () => {
    await using room = await X11Room.with(script("exec sleep 1000"));
    const states = () =>
      room
        .processes()
        .map((pid) => readFileSync(`/proc/${pid}/stat`, "utf8"))
        .filter((stat) => stat.includes("(sleep)"))
        .map((stat) => stat.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3));
    while (states().length === 0) await room.draw();
    await room.rest();
    expect(states()).toEqual(["T"]);
    await room.draw();
    expect(states()).toEqual(["S"]);
  });

  it("finds its settings in a home of its own, made for the picture's size", async () => {
    const files = { ".game/settings": "{width}x{height}" };
    expect(await saysOf("pwd; cat .game/settings; touch .game/save && echo : saved", { files })).toBe(
      "1280x720: saved",
    );
  });
});

describe("a game that reads gamepads itself", () => {
  it("plays without where the machine makes none, and says why", async () => {
    await using room = await X11Room.with(script("exec sleep 1000", { pads: 2 }));
    await room.input({ kind: "gamepad", index: 0, buttons: 1, leftTrigger: 0, rightTrigger: 0, axes: [0, 0, 0, 0] });
    await room.draw();
    const notes = await room.notes();
    if (existsSync("/dev/uinput")) expect(notes.length).toBeLessThanOrEqual(1);
    else expect(notes).toEqual(["gamepads press keys: /dev/uinput is not there: modprobe uinput"]);
  });
});

describe("what a game sees", () => {
  it("has no capability and gains none, and where the agent is root it has a user of its own", async () => {
    const said = await saysOf("grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status | tr -s '\\t\\n' ' '; id -u");
    const [, effective, bounding, noNew, uid] = /CapEff: (\w+) CapBnd: (\w+) NoNewPrivs: (\d) *(\d+)/.exec(said) ?? [];
    expect([effective, noNew]).toEqual(["0000000000000000", "1"]);
    if (process.getuid!() !== 0) return;
    expect(bounding).toBe("0000000000000000");
    expect(Number(uid)).toBeGreaterThanOrEqual(0x7000_0000);
  });

  it("is no process but its own, no file of the agent or of a user, and no secret in its environment", async () => {
    expect(await saysOf("ls -d /proc/[0-9]* | wc -l")).toMatch(/^[1-9]$/);
    expect(await saysOf(`ls ${process.cwd()} ${homedir()} /var /root /run 2>/dev/null | wc -l`)).toBe("0");
    expect(await saysOf("ls /etc/passwd /etc/shadow /tmp/.hotseat 2>/dev/null | wc -l")).toBe("0");
    const names = await saysOf("env | cut -d= -f1 | sort | tr '\\n' ' '");
    expect(names.trim().split(" ")).toEqual([
      "DISPLAY",
      "HOME",
      "LANG",
      "PATH",
      "PULSE_SERVER",
      "PWD",
      "XDG_RUNTIME_DIR",
    ]);
  });

  it("cannot be written, but for its home and its /tmp", async () => {
    expect(await saysOf("for d in /usr /etc / /dev; do touch $d/x 2>/dev/null && echo $d; done; echo none")).toBe(
      "none",
    );
  });

  it("has a network only if its entry says so", async () => {
    const interfaces = "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' \\n'";
    expect(await saysOf(interfaces)).toBe("lo");
    const ours = readdirSync("/sys/class/net").sort();
    const seen = await saysOf("tail -n +3 /proc/net/dev | cut -d: -f1 | tr -s ' \\n' ' '", { network: true });
    expect(seen.trim().split(" ").sort()).toEqual(ours);
  });

  it("has limits: memory, processes, no core dumps", async () => {
    const limits = "ulimit -c -d -u; ulimit -c | tr '\\n' ' '; ulimit -d | tr '\\n' ' '; ulimit -p";
    const said = await saysOf(limits, { memoryMb: 100, processesMax: 20 });
    expect(said).toMatch(/^0 102400 /);
    const hungry = await saysOf("head -c 300000000 /dev/zero | tail -c 299999999 | wc -c; echo fed", { memoryMb: 100 });
    expect(hungry).not.toContain("299999999");
  });
});

describe("nothing of a game is left", () => {
  const machine = () => ({
    x11: readdirSync("/tmp").filter((name) => /^\.X\d+-lock$|^player$|pulse/.test(name)),
    displays: existsSync("/tmp/.X11-unix") ? readdirSync("/tmp/.X11-unix") : [],
    // x11grab's segments are open to everybody, a game's belong to its user: others are none of ours.
    memory: sharedMemory().filter(({ uid, mode }) => mode === "777" || uid >= 0x7000_0000),
  });
  /** A game that forks away from its parents, as daemons do. */
  const daemon = script("(setsid sleep 1000 & ); exec sleep 1000");

  it("when it is closed", async () => {
    const before = machine();
    await using room = await X11Room.with(daemon);
    const processes = room.processes();
    expect(processes.length).toBeGreaterThan(8);
    expect(machine(), "what it has is in its room").toEqual(before);
    await room.close();
    await gone(processes.filter((pid) => !ownProcesses(room).includes(pid)));
  });

  it("when the session's process is killed", async () => {
    const before = machine();
    await using room = await X11Room.with(daemon);
    const processes = room.processes();
    room.process.kill("SIGKILL");
    await gone(processes);
    expect(machine()).toEqual(before);
  });

  /** bubblewrap's two, and the session's. */
  const ownProcesses = (room: X11Room) => room.processes().slice(0, 3);
});

describe("what is missing", () => {
  it("is named, with what to install", async () => {
    await using room = await X11Room.make();
    const nowhere = x11Program.parse({ command: "/opt/quest/run", folder: "/opt/quest", install: "get the Quest" });
    const programs = [
      { gameId: "chromium-bsu", program: programOf("chromium-bsu") },
      { gameId: "quest", program: nowhere },
    ];
    expect(await room.missing(programs)).toEqual({ quest: "/opt/quest/run is not there: get the Quest" });
  });
});
