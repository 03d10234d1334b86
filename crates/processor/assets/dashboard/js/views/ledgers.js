// Late events and dead letters: how many for which reason, and the newest samples with their bytes, if they are shown to this page.

import { byId, emptyState, h, redraw, say } from "../dom.js";
import { count, plural, span } from "../format.js";
import { chosenPipeline } from "../store.js";

const SHOWN = 40;

function where({ source, name, partition, offset, line }) {
  const place = line ? `line ${line}` : offset !== undefined && offset !== null ? `offset ${count(offset)}` : "";
  return [source === "kafka" ? `${name}/${partition}` : name, place].filter(Boolean).join(", ");
}

function sample(record, hidden) {
  const lateness = record.lateness_ms === undefined || record.lateness_ms === null ? record.reason : `${span(record.lateness_ms)} late`;
  const bytes = hidden ?? record.record ?? (record.record_base64 ? `base64 ${record.record_base64}` : "");
  return h("details", { class: "sample" },
    h("summary", null, h("span", { class: `badge ${record.kind === "late" ? "warn" : "bad"}` }, lateness), h("span", null, where(record.origin ?? {})), h("span", null, record.detail ?? "")),
    h("pre", null, `${record.detail ?? record.reason}\n\n${bytes}`));
}

function ledger(store, part, { root, note, none, why }) {
  const [box, said] = [byId(root), byId(note)];
  store.view([part, "run", "pipeline"], (state) => {
    const name = chosenPipeline(state)?.name;
    const found = state[part]?.found;
    if (!found) return redraw(box, "loading", () => emptyState("Loading…"));
    const counts = Object.entries(found.counts[name] ?? {}).filter(([, number]) => number > 0);
    const total = counts.reduce((sum, [, number]) => sum + number, 0);
    say(said, plural(total, "record"));
    const samples = found.samples.filter(({ pipeline }) => !pipeline || pipeline === name).slice(-SHOWN).reverse();
    // A sample that is open stays so until it is closed: someone reads it.
    if (box.querySelector("details[open]")) return undefined;
    return redraw(box, [name, counts, samples, found.hidden], () => {
      if (total === 0) return emptyState(none, why);
      const reasons = h("p", { class: "counts" }, counts.map(([reason, number]) => h("span", { class: "badge" }, `${reason} ${count(number)}`)));
      return [reasons, ...samples.map((record) => sample(record, found.hidden))];
    });
  });
}

export function ledgers(store) {
  ledger(store, "late", { root: "late", note: "late-note", none: "No late events", why: "Every event came while a window was open for it." });
  ledger(store, "dead", { root: "dead", note: "dead-note", none: "No dead letters", why: "Every record could be read." });
}
