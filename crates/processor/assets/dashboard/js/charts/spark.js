// A line without axes, beside a number that says where it ends.

import { mark, svg } from "../dom.js";

const WIDTH = 100;
const HEIGHT = 18;

export function spark() {
  const area = svg("polygon");
  const line = svg("polyline");
  const root = svg("svg", { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false" }, area, line);
  return { root, draw: (values) => draw(area, line, values) };
}

function draw(area, line, values) {
  const known = values.filter((value) => Number.isFinite(value));
  const most = Math.max(...known, 0);
  const least = Math.min(...known, 0);
  const scale = most > least ? (HEIGHT - 3) / (most - least) : 0;
  const points = [];
  values.forEach((value, i) => {
    if (!Number.isFinite(value)) return;
    const x = values.length > 1 ? (i * WIDTH) / (values.length - 1) : WIDTH;
    points.push(`${x.toFixed(1)},${(HEIGHT - 1.5 - (value - least) * scale).toFixed(1)}`);
  });
  const drawn = points.length > 1;
  mark(line, "points", drawn ? points.join(" ") : "");
  const [first, last] = [points[0]?.split(",")[0], points.at(-1)?.split(",")[0]];
  mark(area, "points", drawn ? `${first},${HEIGHT} ${points.join(" ")} ${last},${HEIGHT}` : "");
}
