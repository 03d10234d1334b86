// The way of an event through the chosen pipeline, with what goes along each edge now.

import { byId, emptyState, mark, onResize, redraw, say, svg } from "../dom.js";
import { count, plural, rate, setting } from "../format.js";
import { chosenPipeline } from "../store.js";

const NARROW = 620;
const MAX_SINKS = 3;

/** Of a path the end says most, of anything else the beginning. */
const fit = (text, room) => (text.length <= room ? text : text.includes("/") ? `…${text.slice(1 - room)}` : `${text.slice(0, room - 1)}…`);

function windowText({ kind, size_ms, slide_ms, allowed_lateness_ms }) {
  const size = kind === "session" ? `gap ${setting(size_ms)}` : slide_ms ? `${setting(size_ms)} every ${setting(slide_ms)}` : setting(size_ms);
  return [`${kind} windows`, `${size}${allowed_lateness_ms ? `, late +${setting(allowed_lateness_ms)}` : ""}`];
}

const sideText = (side) => (side ? [side.kind, side.name] : ["only counted"]);

/** The nodes of a pipeline: [title, what it is]. */
function partsOf(topology, name, pipeline) {
  const parts = topology.pipelines.find((one) => one.name === name);
  if (!parts) return null;
  const sources = [...new Set(pipeline.partitions.map((partition) => partition.name))];
  const shown = parts.sinks.slice(0, MAX_SINKS).map(({ kind, name: place }) => [kind, place]);
  const more = parts.sinks.length - shown.length;
  if (more > 0) shown[MAX_SINKS - 1] = [`+${more + 1} more`, "sinks"];
  const named = sources.join() === topology.source.kind ? "" : sources.join(", ");
  return {
    source: [topology.source.kind, named || topology.source.name || plural(pipeline.partitions.length, "partition")],
    decode: ["decode", parts.key.length ? `key ${parts.key.join(", ")}` : parts.profile],
    window: windowText(parts.window),
    sinks: shown.length ? shown : [["no sink", "results are only shown here"]],
    late: sideText(parts.late),
    dead: sideText(parts.dead_letter),
  };
}

/** Places: x and y of the middle, in pixels. */
function places({ width, height }, sinks) {
  const [w, h] = [Math.min(190, width * (width < NARROW ? 0.43 : 0.19)), 46];
  if (width < NARROW) {
    const [left, right] = [w / 2 + 1, width - w / 2 - 1];
    const rows = [0, 1, 2, 3].map((row) => 30 + row * ((height - 60) / 3));
    const sinkRow = (i) => [sinks === 1 ? left : i % 2 ? right : left, rows[3] - (i > 1 ? 54 : 0)];
    return { w, h, down: true, source: [left, rows[0]], decode: [left, rows[1]], window: [left, rows[2]], dead: [right, rows[1]], late: [right, rows[2]], sinks: [...Array(sinks)].map((_, i) => sinkRow(i)) };
  }
  const columns = [w / 2 + 1, width * 0.365, width * 0.635, width - w / 2 - 1];
  const top = height * 0.3;
  const sinkY = (i) => (sinks === 1 ? top : 26 + i * ((height - 52) / Math.max(sinks - 1, 1)));
  return {
    w, h, down: false, source: [columns[0], top], decode: [columns[1], top], window: [columns[2], top],
    dead: [columns[1], height - 26], late: [columns[2], height - 26], sinks: [...Array(sinks)].map((_, i) => [columns[3], sinkY(i)]),
  };
}

function node([x, y], { w, h }, [title, what], kind) {
  const room = (perLetter) => Math.floor((w - 20) / perLetter);
  return svg("g", { class: `node ${kind}`, transform: `translate(${(x - w / 2).toFixed(1)} ${(y - h / 2).toFixed(1)})` },
    svg("title", null, `${title} ${what}`),
    svg("rect", { x: 0.5, y: 0.5, width: w - 1, height: h - 1, rx: 8 }),
    svg("text", { x: 11, y: what ? 19 : 27 }, fit(title, room(7))), svg("text", { x: 11, y: 36, class: "sub" }, fit(what, room(6.4))));
}

function edge(from, to, { w, h, down }, sideways = down) {
  const [ax, ay] = sideways ? [from[0], from[1] + h / 2] : [from[0] + w / 2, from[1]];
  const [bx, by] = sideways ? [to[0], to[1] - h / 2] : [to[0] - w / 2, to[1]];
  const bend = sideways ? `${ax} ${(ay + by) / 2} ${bx} ${(ay + by) / 2}` : `${(ax + bx) / 2} ${ay} ${(ax + bx) / 2} ${by}`;
  const d = `M${ax} ${ay}C${bend} ${bx} ${by}`;
  return { d, middle: [(ax + bx) / 2, (ay + by) / 2] };
}

/** Draws nodes and edges; the returned function says what goes along them. */
function draw(root, size, parts) {
  const at = places(size, parts.sinks.length);
  const labels = {};
  const labelled = (name, { d, middle: [x, y] }, tone = "", start = false) => {
    const text = svg("text", { class: `rate ${tone}`, x: start ? x + 8 : x, y: start ? y + 4 : y - 8, "text-anchor": start ? "start" : "middle" });
    const pulse = svg("path", { class: "pulse", d });
    labels[name] = { text, pulse };
    return [svg("path", { class: "edge", d }), pulse, text];
  };
  const sideEdge = (from, to) => (at.down ? edge(from, to, at, false) : edge(from, to, at, true));
  const edges = [
    ...labelled("read", edge(at.source, at.decode, at), "", at.down), ...labelled("accepted", edge(at.decode, at.window, at), "", at.down),
    ...at.sinks.flatMap((sink, i) => labelled(`results${i}`, edge(at.window, sink, at), "", at.down && i === 0)),
    ...labelled("dead", sideEdge(at.decode, at.dead), "bad", !at.down), ...labelled("late", sideEdge(at.window, at.late), "warn", !at.down),
  ];
  const nodes = [
    node(at.source, at, parts.source, "main"), node(at.decode, at, parts.decode, "main"), node(at.window, at, parts.window, "main"),
    ...at.sinks.map((sink, i) => node(sink, at, parts.sinks[i], "main")),
    node(at.dead, at, ["dead letters", parts.dead.filter(Boolean).join(" ")], "side"), node(at.late, at, ["late", parts.late.filter(Boolean).join(" ")], "side"),
  ];
  const picture = svg("svg", { viewBox: `0 0 ${size.width} ${size.height}`, role: "img" }, ...edges, ...nodes);
  root.replaceChildren(picture);
  return (name, value, unit) => {
    if (!labels[name]) return;
    const known = value !== null && value !== undefined;
    say(labels[name].text, known ? `${rate(value)}${unit}` : "");
    mark(labels[name].pulse, "data-on", known && value > 0);
  };
}

const mean = (column, over) => {
  const known = (column ?? []).slice(-over).filter((value) => value !== null);
  return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : undefined;
};

export function graph(store) {
  const root = byId("graph");
  let tell = null;
  onResize(root, (width, height) => store.set({ graphSize: { width, height } }));
  store.view(["topology", "run", "history", "pipeline", "graphSize"], (state) => {
    const pipeline = chosenPipeline(state);
    const { topology, history, graphSize: size } = state;
    if (!pipeline) redraw(root, "none", () => emptyState(state.run ? "The run has not begun yet" : "Waiting for numbers…"));
    if (!topology || !pipeline || !size || size.width < 100) return;
    const parts = partsOf(topology, pipeline.name, pipeline);
    if (!parts) return;
    redraw(root, [parts, size], () => { tell = draw(root, size, parts); return [...root.childNodes]; });
    const of = history?.pipelines.find(({ name }) => name === pipeline.name);
    tell("read", mean(of?.read_per_sec, 3), "/s");
    tell("accepted", mean(of?.accepted_per_sec, 3), "/s");
    parts.sinks.forEach((_, i) => tell(`results${i}`, mean(of?.results_per_sec, 10), "/s"));
    tell("dead", mean(of?.dead_letters_per_sec, 60), "/s");
    tell("late", mean(of?.late_per_sec, 60), "/s");
    const filtered = pipeline.filtered ? `, ${count(pipeline.filtered)} filtered` : "";
    say(byId("flow-note"), `${plural(pipeline.partitions.length, "partition")}, ${count(pipeline.records_read)} records read${filtered}`);
    mark(root.firstElementChild, "aria-label", description(pipeline, parts, of));
  });
}

/** The picture in words. */
function description(pipeline, parts, of) {
  const sinks = parts.sinks.map((sink) => sink.filter(Boolean).join(" ")).join(", ");
  return `Records from ${parts.source.join(" ")} are decoded, put into ${parts.window.join(" of ")} of pipeline ${pipeline.name}, and results go to ${sinks}. ` +
    `Now ${rate(mean(of?.read_per_sec, 3))} records read and ${rate(mean(of?.accepted_per_sec, 3))} events accepted per second; ` +
    `${count(pipeline.late_dropped)} late events, ${count(pipeline.dead_lettered)} dead letters.`;
}
