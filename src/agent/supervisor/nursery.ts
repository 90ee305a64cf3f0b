// Processes that wait for a session: one spare, its native modules loaded and the game prepared that was played last,
// so that a session starts in milliseconds.
//
// The first of them measures the machine before it waits. The next spare is forked only some time after one was taken:
// making it ready costs the very CPU that a new session's first picture needs. A spare that dies is not replaced until a
// session needs one: a machine on which it cannot live must not fork for ever.
import type { Capabilities, GameProgram, VideoMode } from "../../contracts/catalog.js";
import type { Log } from "../../platform/log.js";
import type { Room } from "./room.js";
import { SessionChild } from "./session-child.js";

/** What the next session is likely to be. */
export interface LikelySession {
  readonly gameId: string;
  readonly mode: VideoMode;
}

/** Until there was one. */
const firstGameId = "demo";

const nurseryLimits = { prepareMsMax: 15_000, probeMsMax: 30_000, nextSpareMs: 3_000 } as const;

export class Nursery {
  #spare: SessionChild | null = null;
  #timer: NodeJS.Timeout | undefined;
  #ended = false;
  #likely: LikelySession | null = null;

  constructor(
    private readonly room: Room,
    private readonly log: Log,
  ) {}

  /** What this machine sustains, really encoded, and which games it lacks. @throws SessionChildError: it cannot encode. */
  async probe(programs: readonly GameProgram[], encoders: readonly string[] | undefined): Promise<Capabilities> {
    const spare = this.#fork();
    await spare.next("prepared", nurseryLimits.prepareMsMax);
    const probed = spare.next("probed", nurseryLimits.probeMsMax);
    spare.send({ type: "probe", programs: [...programs], encoders: encoders && [...encoders] });
    const { capabilities } = await probed;
    this.#likely = { gameId: firstGameId, mode: capabilities.sustains };
    this.#prepare(spare);
    return capabilities;
  }

  /** A process for this session: the spare, or a fresh one, which takes a little longer. */
  take(session: LikelySession): SessionChild {
    this.#likely = session;
    const taken = this.#spare ?? this.#fork();
    this.#spare = null;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (this.#spare === null && !this.#ended) this.#prepare(this.#fork());
    }, nurseryLimits.nextSpareMs);
    return taken;
  }

  async end(): Promise<void> {
    this.#ended = true;
    clearTimeout(this.#timer);
    await this.#spare?.end();
  }

  #prepare(spare: SessionChild): void {
    if (this.#likely === null) return;
    const forkedAtMs = performance.now();
    spare.listen(({ type }) => {
      if (type === "ready" && this.#spare === spare)
        this.log.info(
          { pid: spare.pid, tookMs: Math.round(performance.now() - forkedAtMs) },
          "a spare process is ready",
        );
    });
    spare.send({ type: "prepare", ...this.#likely });
  }

  #fork(): SessionChild {
    const spare = new SessionChild(this.room, this.log);
    this.#spare = spare;
    void spare.exited.then((why) => {
      if (this.#spare !== spare) return;
      this.#spare = null;
      if (!this.#ended) this.log.warn({ why, pid: spare.pid }, "the spare process died");
    });
    return spare;
  }
}
