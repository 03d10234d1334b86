// Statistics by the value they are of: `latency_ms_p95` and `latency_ms_average` are of `latency_ms`, plain `p95` of the only one.

const SHAPE = /^(?:(.*)_)?(p\d+(?:\.\d+)?|average|min|max|sum|stddev)$/;

/** value → the names of its statistics by their short name. */
export function familiesOf(statistics) {
  const families = new Map();
  for (const statistic of statistics) {
    const found = SHAPE.exec(statistic);
    if (!found) continue;
    const [, value = "", short] = found;
    families.set(value, { ...families.get(value), [short]: statistic });
  }
  return families;
}

/** Three columns that say most: percentiles if there are any, else the middle and the ends. */
export function columnsOf(family) {
  const names = Object.keys(family ?? {});
  const percentiles = names.filter((name) => /^p\d/.test(name)).sort((a, b) => Number(a.slice(1)) - Number(b.slice(1)));
  const middle = ["average", "min", "max", "sum", "stddev"].filter((name) => names.includes(name));
  const usual = ["p50", "p95", "p99"].filter((name) => percentiles.includes(name));
  const chosen = usual.length === 3 ? usual : [...percentiles, ...middle].slice(0, 3);
  return chosen.map((short) => ({ short, statistic: family[short] }));
}

/** The one whose course is shown. */
export function trendOf(family) {
  const columns = columnsOf(family);
  return columns.find(({ short }) => short === "p95") ?? columns.at(-1) ?? null;
}
