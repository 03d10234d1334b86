// Does something again and again: at its pace while it succeeds, more slowly while it fails, not at all while nobody looks.

const SLOWEST_MS = 5_000;

export class Poll {
  #task;
  #everyMs;
  #timer = 0;
  #running = false;
  #again = false;
  #failures = 0;

  constructor(everyMs, task) {
    this.#everyMs = everyMs;
    this.#task = task;
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.now(); });
  }

  /** Does it at once; if it is being done, once more afterwards. */
  async now() {
    if (this.#running) {
      this.#again = true;
      return;
    }
    clearTimeout(this.#timer);
    this.#running = true;
    try {
      await this.#task();
      this.#failures = 0;
    } catch {
      // Whoever has a task notes its failures; here they only slow it down.
      this.#failures += 1;
    }
    this.#running = false;
    if (this.#again) {
      this.#again = false;
      this.now();
      return;
    }
    if (document.hidden) return;
    const slower = this.#everyMs * 2 ** Math.min(this.#failures, 4);
    this.#timer = setTimeout(() => this.now(), this.#failures ? Math.min(slower, Math.max(SLOWEST_MS, this.#everyMs)) : this.#everyMs);
  }
}
