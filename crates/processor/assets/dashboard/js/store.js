// What the page knows. Views name the parts they are drawn from, and are drawn once per frame when one has changed.

export class Store {
  #state;
  #views = [];
  #changed = new Set();
  #frame = 0;

  constructor(state) {
    this.#state = state;
  }

  get(name) {
    return this.#state[name];
  }

  set(parts) {
    for (const [name, value] of Object.entries(parts)) {
      this.#state[name] = value;
      this.#changed.add(name);
    }
    // A page that nobody sees gets no frames; it is drawn when it is looked at.
    if (!this.#frame) this.#frame = requestAnimationFrame(() => this.#draw());
  }

  /** Draws now, and whenever one of `names` is set. */
  view(names, draw) {
    this.#views.push({ names, draw });
    draw(this.#state);
  }

  #draw() {
    this.#frame = 0;
    const changed = this.#changed;
    this.#changed = new Set();
    for (const { names, draw } of this.#views) {
      if (!names.some((name) => changed.has(name))) continue;
      // One view that fails must not take the others with it.
      try { draw(this.#state); } catch (error) { console.error(error); }
    }
  }
}

/** The pipeline that is looked at, as the run has it now. */
export function chosenPipeline({ run, pipeline }) {
  const all = run?.pipelines ?? [];
  return all.find(({ name }) => name === pipeline) ?? all[0] ?? null;
}
