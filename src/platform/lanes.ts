// Work that would only wait for its like in the database waits here, where it holds no connection: one at a time for
// each key, in the order it came. Between processes the database excludes.
export class Lanes {
  readonly #last = new Map<string, Promise<unknown>>();

  run<R>(key: string, work: () => Promise<R>): Promise<R> {
    const answer = (this.#last.get(key) ?? Promise.resolve()).then(work);
    // The next one does not care how this one went.
    const over: Promise<void> = answer.then(
      () => this.#leave(key, over),
      () => this.#leave(key, over),
    );
    this.#last.set(key, over);
    return answer;
  }

  #leave(key: string, over: Promise<unknown>): void {
    if (this.#last.get(key) === over) this.#last.delete(key);
  }

  /** Keys with work under way. */
  get size(): number {
    return this.#last.size;
  }
}
