// The run over time, grown by what is new. Time that nobody measured is a gap in the chart.

const KEPT = 1_800;
const GAP_MS = 5_000;

const columnsOf = (part) => Object.keys(part).filter((name) => Array.isArray(part[name]));

function grow(into, more, gap, length) {
  const kept = { ...into };
  for (const name of new Set([...columnsOf(into), ...columnsOf(more)])) {
    const before = into[name] ?? Array(length).fill(null);
    kept[name] = [...before, ...(gap ? [null] : []), ...(more[name] ?? [])].slice(-KEPT);
  }
  return { ...kept, ...(more.name === undefined ? {} : { name: more.name }) };
}

/** `known` and what came after it; `known` alone if nothing did. */
export function extended(known, more) {
  if (!known || known.at_ms.length === 0) return more;
  if (more.at_ms.length === 0) return known;
  const last = known.at_ms.at(-1);
  if (more.at_ms[0] <= last) return more;
  const gap = more.at_ms[0] - last > GAP_MS;
  const length = known.at_ms.length;
  const latency = {};
  for (const stage of new Set([...Object.keys(known.latency_ms), ...Object.keys(more.latency_ms)])) {
    latency[stage] = grow(known.latency_ms[stage] ?? {}, more.latency_ms[stage] ?? {}, gap, length);
  }
  const pipelines = more.pipelines.map((pipeline) => {
    const before = known.pipelines.find(({ name }) => name === pipeline.name) ?? {};
    return grow(before, pipeline, gap, length);
  });
  const at_ms = [...known.at_ms, ...(gap ? [last + 1] : []), ...more.at_ms].slice(-KEPT);
  const { commits_per_sec, outbox_bytes } = grow(known, more, gap, length);
  return { ...more, at_ms, commits_per_sec, outbox_bytes, latency_ms: latency, pipelines };
}

/** Milliseconds of the newest point, for `since_ms`. */
export const newest = (history) => history?.at_ms.at(-1);
