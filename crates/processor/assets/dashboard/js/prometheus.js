// The text of /metrics as numbers.

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

export class Metrics {
  #series = new Map();

  constructor(text) {
    for (const line of text.split("\n")) {
      const found = line[0] === "#" ? null : LINE.exec(line);
      if (!found || found[1].endsWith("_bucket")) continue;
      const labels = Object.fromEntries([...(found[2] ?? "").matchAll(LABEL)].map(([, name, value]) => [name, value]));
      const series = this.#series.get(found[1]) ?? [];
      series.push({ labels, value: Number(found[3]) });
      this.#series.set(found[1], series);
    }
  }

  /** All series of a metric. */
  all(name) {
    return this.#series.get(name) ?? [];
  }

  /** The sum of the series with these labels; none if there is no such series. */
  value(name, labels = {}) {
    const wanted = this.all(name).filter((one) => Object.entries(labels).every(([label, value]) => one.labels[label] === value));
    return wanted.length ? wanted.reduce((sum, { value }) => sum + value, 0) : undefined;
  }
}
