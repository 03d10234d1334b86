// The list of keys: a page of fixed height, however many keys there are. Rows are places: a key comes into a row, no row moves.

import { spark } from "../charts/spark.js";
import { byId, h, mark, say } from "../dom.js";
import { amount, compact, count, instant, plural, utc } from "../format.js";
import { PAGE } from "../sources.js";
import { columnsOf, familiesOf, trendOf } from "./families.js";

const COLUMNS = 3;

function makeRow(open) {
  const name = h("button", { class: "row", type: "button" });
  const numbers = [...Array(COLUMNS + 1)].map((_, i) => h("td", { class: `number${i === 1 || i === 3 ? " wide-only" : ""}` }));
  const trend = spark();
  const at = h("td", { class: "number time wide-only" });
  const root = h("tr", { "aria-hidden": "true" }, h("td", null, name), numbers, h("td", null, trend.root), at);
  const row = { root, name, numbers, trend, at, key: null };
  name.addEventListener("click", () => row.key !== null && open(row.key));
  return row;
}

/** `model=gpt-4o` with the name of the field quiet. */
function keyParts(key) {
  return key.split("::").flatMap((part, i) => {
    const [field, ...value] = part.split("=");
    const between = i ? [" · "] : [];
    return value.length ? [...between, h("i", null, `${field}=`), value.join("=")] : [...between, part];
  });
}

function show(row, found, columns, trend, chosen) {
  row.key = found?.key ?? null;
  mark(row.root, "aria-hidden", found ? null : "true");
  row.name.tabIndex = found ? 0 : -1;
  mark(row.root, "data-chosen", found && found.key === chosen);
  mark(row.name, "aria-pressed", found ? String(found.key === chosen) : null);
  if (row.name.dataset.key !== (found?.key ?? "")) {
    row.name.dataset.key = found?.key ?? "";
    row.name.replaceChildren(...(found ? (found.key ? keyParts(found.key) : ["all events"]) : []));
    row.name.title = found?.key ?? "";
  }
  const results = found?.newest.results ?? {};
  say(row.numbers[0], found ? compact(results.count) : "");
  row.numbers.slice(1).forEach((cell, i) => say(cell, found && columns[i] ? amount(results[columns[i].statistic]) : ""));
  row.trend.draw(found && trend ? found.series.map(({ value }) => value) : []);
  const end = found ? Date.parse(found.newest.window.end) : undefined;
  say(row.at, found ? instant(end) : "");
  row.at.title = found ? utc(end) : "";
}

/** Up and down between rows, page keys between pages. */
function moveByKeys(rows, table, turn) {
  table.addEventListener("keydown", (event) => {
    const at = rows.findIndex(({ name }) => name === document.activeElement);
    if (at < 0) return;
    const shown = rows.filter(({ key }) => key !== null).length;
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: shown - 1 }[event.key];
    if (event.key === "PageDown" || event.key === "PageUp") turn(event.key === "PageDown" ? 1 : -1);
    else if (to === undefined) return;
    else rows[Math.max(0, Math.min(shown - 1, to))].name.focus();
    event.preventDefault();
  });
}

function listTable(rows) {
  const heads = [h("th", { scope: "col" }, "Key"), ...["count", "–", "–", "–"].map((name, i) => h("th", { scope: "col", class: `number${i === 1 || i === 3 ? " wide-only" : ""}` }, name)), h("th", { scope: "col" }, "over time"), h("th", { scope: "col", class: "number wide-only" }, "Window end")];
  const widths = [["key"], ["n"], ["n wide-only"], ["n"], ["n wide-only"], ["trend"], ["at wide-only"]];
  const table = h("table", null, h("caption", { class: "quiet" }, "Keys with their newest result; press one for its windows over time"),
    h("colgroup", null, widths.map(([name]) => h("col", { class: name }))), h("thead", null, h("tr", null, heads)), h("tbody", null, rows.map(({ root }) => root)));
  return { table, heads };
}

function notes({ found, absent }) {
  if (absent) return [absent, ""];
  if (!found) return ["Loading…", ""];
  if (found.known === 0) return ["No window has fired yet", "Keys appear with the first result of the pipeline."];
  if (found.total === 0) return ["No key fits the search", `${plural(found.known, "key")} without it.`];
  return null;
}

export function keyList(store, { open, ask }) {
  const root = byId("keys");
  const rows = [...Array(PAGE)].map(() => makeRow(open));
  const { table, heads } = listTable(rows);
  const [before, after] = ["Previous", "Next"].map((word) => h("button", { class: "plain", type: "button", "aria-label": `${word} page of keys` }, word));
  const [range, over] = [h("p", { class: "note" }), h("div", { class: "over" })];
  root.replaceChildren(h("div", { class: "key-list" }, table), h("div", { class: "pager" }, range, before, after), over);

  const change = (parts) => ask({ ...store.get("list"), ...parts });
  const turn = (by) => {
    const { offset } = store.get("list");
    const total = store.get("keys")?.found?.total ?? 0;
    const to = offset + by * PAGE;
    if (to >= 0 && to < total) change({ offset: to });
  };
  before.addEventListener("click", () => turn(-1));
  after.addEventListener("click", () => turn(1));
  moveByKeys(rows, table, turn);
  controls(store, change);

  store.view(["keys", "key"], ({ keys, key, list }) => {
    const found = keys?.found;
    // Sorted by value rows change their keys: not while someone is among them.
    if (list.sort === "value" && table.contains(document.activeElement) && found?.offset === Number(table.dataset.offset)) return;
    table.dataset.offset = found?.offset ?? 0;
    // The keys of this page have gone.
    if (found && found.offset >= found.total && found.offset > 0) change({ offset: 0 });
    const family = familiesOf(found?.statistics ?? []).get(valueOf(found?.statistic));
    const [columns, trend] = [columnsOf(family), trendOf(family)];
    columns.forEach(({ short }, i) => say(heads[i + 2], short));
    say(heads[5], trend ? `${trend.short} over time` : "over time");
    rows.forEach((row, i) => show(row, found?.keys[i] ?? null, columns, trend, key));
    const note = notes(keys ?? {});
    over.hidden = !note;
    if (note) over.replaceChildren(h("strong", null, note[0]), h("span", null, note[1]));
    const last = found ? found.offset + found.keys.length : 0;
    say(range, found?.total ? `${count(found.offset + 1)}–${count(last)} of ${count(found.total)}` : "");
    [before.disabled, after.disabled] = [!found || found.offset === 0, !found || last >= found.total];
    say(byId("keys-note"), found ? `${plural(found.known, "key")}, newest ${plural(found.results, "result")} · ↑ ↓ and page keys move in the list` : "");
  });
}

/** The value a statistic is of. */
export const valueOf = (statistic) => [...familiesOf(statistic ? [statistic] : []).keys()][0] ?? "";

function controls(store, change) {
  const [search, value, sort] = ["search", "value", "sort"].map(byId);
  let typing = 0;
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => change({ search: search.value.trim(), offset: 0 }), 180);
  });
  sort.addEventListener("change", () => change({ sort: sort.value, offset: 0 }));
  value.addEventListener("change", () => {
    const families = familiesOf(store.get("keys")?.found?.statistics ?? []);
    change({ value: trendOf(families.get(value.value))?.statistic });
  });
  addEventListener("keydown", (event) => {
    const typed = event.target.closest?.("input, select, textarea");
    if (event.key !== "/" || typed || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    search.focus();
  });
  store.view(["keys"], ({ keys }) => {
    const names = [...familiesOf(keys?.found?.statistics ?? []).keys()];
    if (names.length === 0) return;
    const shown = names.map((name) => name || "the value");
    if (value.dataset.names !== shown.join()) {
      value.dataset.names = shown.join();
      value.replaceChildren(...names.map((name, i) => h("option", { value: name }, shown[i])));
    }
    value.value = valueOf(keys.found.statistic);
    value.parentElement.hidden = names.length < 2;
  });
}
